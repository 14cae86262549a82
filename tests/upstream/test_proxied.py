"""What only the proxied client can do: proxies, HTTP/2, client certificates."""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import h2.config
import h2.connection
import h2.events
import pytest
import trustme

from headgate.config import Transport
from headgate.errors import StreamCut, UpstreamError, UpstreamProtocolError, UpstreamUnreachable
from headgate.upstream.base import Limits
from headgate.upstream.proxied import Proxied
from tests.upstream.servers import SMALL, Peer, Server, answering, post, serving


async def spend(transport: Transport, url: str) -> bytes:
    client = Proxied(transport)
    try:
        async with client.open(post(url, b"asked", Limits())) as answer:
            return await answer.read()
    finally:
        await client.close()


class Relay:
    """A proxy: absolute URLs are answered by itself, CONNECT becomes a tunnel."""

    def __init__(self) -> None:
        self.asked: list[bytes] = []

    async def __call__(self, peer: Peer) -> None:
        head = await peer.reader.readuntil(b"\r\n\r\n")
        self.asked.append(head)
        tunnel = re.match(rb"CONNECT ([^:]+):(\d+) ", head)
        if not tunnel:
            await peer.send(SMALL)
            return await peer.gone()
        reader, writer = await asyncio.open_connection(tunnel[1].decode(), int(tunnel[2]))
        await peer.send(b"HTTP/1.1 200 Connected\r\n\r\n")
        try:
            await asyncio.gather(self._pump(peer.reader, writer), self._pump(reader, peer.writer))
        finally:
            writer.close()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)
        writer.close()


async def test_a_plain_call_goes_through_the_proxy() -> None:
    relay = Relay()
    async with serving(relay) as proxy:
        assert await spend(Transport(proxy=proxy.url()), "http://api.invalid/v1/chat?a=b") == b"hello"
    assert relay.asked[0].startswith(b"POST http://api.invalid/v1/chat?a=b HTTP/1.1\r\n")


async def test_a_tls_call_goes_through_a_tunnel(tmp_path: Path) -> None:
    authority, roots = trustme.CA(), tmp_path / "roots.pem"
    authority.cert_pem.write_to_path(str(roots))
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(tls)
    relay = Relay()
    async with serving(relay) as proxy, serving(answering(SMALL), tls) as server:
        transport = Transport(proxy=proxy.url(), ca_file=roots)
        assert await spend(transport, server.url(scheme="https", host="localhost")) == b"hello"
    assert relay.asked[0].startswith(b"CONNECT localhost:")


async def test_a_proxy_that_is_not_there_is_unreachable() -> None:
    async with serving(answering(SMALL)) as proxy:
        url = proxy.url()
    with pytest.raises(UpstreamUnreachable):
        await spend(Transport(proxy=url), "http://api.invalid/")


async def test_a_proxy_of_the_environment_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    relay = Relay()
    async with serving(relay) as proxy, serving(answering(SMALL)) as server:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, proxy.url())
        for host in ("127.0.0.1", "localhost"):
            assert await spend(Transport(), server.url(host=host)) == b"hello"
    assert (relay.asked, server.connections) == ([], 2)


@pytest.fixture
async def wary(tmp_path: Path) -> AsyncIterator[tuple[Server, Transport]]:
    """A server that wants a client certificate, and what its clients need."""
    authority = trustme.CA()
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.verify_mode = ssl.CERT_REQUIRED
    authority.configure_trust(tls)
    authority.issue_cert("localhost").configure_cert(tls)
    mine = authority.issue_cert("gateway@example.org")
    transport = Transport(
        ca_file=tmp_path / "roots.pem", client_cert=tmp_path / "cert.pem", client_key=tmp_path / "key.pem"
    )
    authority.cert_pem.write_to_path(str(transport.ca_file))
    mine.cert_chain_pems[0].write_to_path(str(transport.client_cert))
    mine.private_key_pem.write_to_path(str(transport.client_key))
    async with serving(answering(SMALL), tls) as server:
        yield server, transport


async def test_shows_its_certificate(wary: tuple[Server, Transport]) -> None:
    server, transport = wary
    assert await spend(transport, server.url(scheme="https", host="localhost")) == b"hello"


async def test_without_a_certificate_the_server_refuses(wary: tuple[Server, Transport]) -> None:
    server, transport = wary
    with pytest.raises(UpstreamUnreachable):
        await spend(Transport(ca_file=transport.ca_file), server.url(scheme="https", host="localhost"))


class Two:
    """An HTTP/2 server: answers each request with what it asked, or resets it."""

    def __init__(self, *, reset_after: int | None = None) -> None:
        self._reset_after = reset_after
        self.bodies: dict[int, bytes] = {}
        self.resets: list[int] = []

    async def __call__(self, peer: Peer) -> None:
        connection = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
        connection.initiate_connection()
        await peer.send(connection.data_to_send())
        while data := await peer.reader.read(65536):
            for event in connection.receive_data(data):
                self._on(connection, event)
            await peer.send(connection.data_to_send())

    def _on(self, connection: h2.connection.H2Connection, event: h2.events.Event) -> None:
        match event:
            case h2.events.DataReceived():
                self.bodies[event.stream_id] = self.bodies.get(event.stream_id, b"") + event.data
                connection.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            case h2.events.StreamEnded():
                self._answer(connection, event.stream_id)
            case h2.events.StreamReset():
                self.resets.append(event.stream_id)

    def _answer(self, connection: h2.connection.H2Connection, stream: int) -> None:
        body = self.bodies[stream]
        connection.send_headers(stream, [(":status", "200"), ("content-type", "text/plain")])
        if self._reset_after is None:
            connection.send_data(stream, body, end_stream=True)
        else:
            connection.send_data(stream, body[: self._reset_after])
            if self._reset_after:
                return
            connection.reset_stream(stream, error_code=2)


async def test_speaks_http2_on_one_connection() -> None:
    two = Two()
    client = Proxied(Transport(http2=True))

    async def ask(number: int) -> None:
        async with client.open(post(server.url(), b"%d" % number, Limits())) as answer:
            assert await answer.read() == b"%d" % number

    async with serving(two) as server:
        await ask(0)
        await asyncio.gather(*(ask(number) for number in range(1, 20)))
        assert server.connections == 1
        await client.close()
    assert len(two.bodies) == 20


async def test_a_reset_http2_stream_is_an_error_of_the_family() -> None:
    async with serving(Two(reset_after=0)) as server:
        with pytest.raises(UpstreamError) as failed:
            await spend(Transport(http2=True), server.url())
    assert isinstance(failed.value, UpstreamProtocolError | StreamCut)


async def test_leaving_resets_only_the_http2_stream() -> None:
    two = Two(reset_after=1)
    client = Proxied(Transport(http2=True))
    async with serving(two) as server:
        for _ in range(2):
            async with client.open(post(server.url(), b"asked", Limits())) as answer:
                assert await anext(aiter(answer)) == b"a"
            await server.until(lambda: bool(two.resets))
            two.resets.clear()
        assert server.connections == 1
        await client.close()
