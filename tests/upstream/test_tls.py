"""TLS in both clients: who is trusted, and for which name."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trustme

from headgate.config import Transport
from headgate.errors import UpstreamUnreachable
from headgate.upstream.base import Limits, Upstream
from headgate.upstream.lean import Lean
from headgate.upstream.proxied import Proxied
from tests.upstream.servers import OK, SMALL, Peer, Server, answering, post, serving

Make = Callable[[Path | None], Upstream]
CLIENTS: dict[str, Make] = {
    "lean": lambda ca_file: Lean(ca_file=ca_file),
    "proxied": lambda ca_file: Proxied(Transport(ca_file=ca_file)),
}


@pytest.fixture(params=CLIENTS)
def make(request: pytest.FixtureRequest) -> Make:
    return CLIENTS[request.param]


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def roots(authority: trustme.CA, tmp_path: Path) -> Path:
    path = tmp_path / "roots.pem"
    authority.cert_pem.write_to_path(str(path))
    return path


def context(authority: trustme.CA, name: str) -> ssl.SSLContext:
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(name).configure_cert(tls)
    return tls


@asynccontextmanager
async def opened(client: Upstream) -> AsyncIterator[Upstream]:
    try:
        yield client
    finally:
        await client.close()


async def spend(client: Upstream, server: Server, host: str = "localhost") -> bytes:
    async with client.open(post(server.url(scheme="https", host=host), limits=Limits())) as answer:
        return await answer.read()


async def test_a_trusted_server_is_called_by_its_name(make: Make, authority: trustme.CA, roots: Path) -> None:
    names = []
    tls = context(authority, "localhost")
    tls.sni_callback = lambda connection, name, context: names.append(name)
    async with serving(answering(SMALL), tls) as server, opened(make(roots)) as client:
        for _ in range(3):
            assert await spend(client, server) == b"hello"
    assert set(names) == {"localhost"}


async def test_an_unknown_root_is_not_trusted(make: Make, authority: trustme.CA) -> None:
    async with serving(answering(SMALL), context(authority, "localhost")) as server, opened(make(None)) as client:
        with pytest.raises(UpstreamUnreachable, match=r"certificate|UnknownIssuer"):
            await spend(client, server)


async def test_custom_roots_replace_the_systems(make: Make, authority: trustme.CA, tmp_path: Path) -> None:
    other = tmp_path / "other.pem"
    trustme.CA().cert_pem.write_to_path(str(other))
    async with serving(answering(SMALL), context(authority, "localhost")) as server, opened(make(other)) as client:
        with pytest.raises(UpstreamUnreachable):
            await spend(client, server)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
async def test_a_certificate_for_another_name_is_refused(
    make: Make, authority: trustme.CA, roots: Path, host: str
) -> None:
    tls = context(authority, "other.example")
    async with serving(answering(SMALL), tls) as server, opened(make(roots)) as client:
        with pytest.raises(UpstreamUnreachable):
            await spend(client, server, host)


async def test_a_certificate_for_an_address_serves_it(make: Make, authority: trustme.CA, roots: Path) -> None:
    tls = context(authority, "127.0.0.1")
    async with serving(answering(SMALL), tls) as server, opened(make(roots)) as client:
        assert await spend(client, server, "127.0.0.1") == b"hello"


async def test_a_server_without_tls_is_unreachable(make: Make) -> None:
    async def script(peer: Peer) -> None:
        await peer.reader.read(1)
        await peer.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    async with serving(script) as server, opened(make(None)) as client:
        with pytest.raises(UpstreamUnreachable):
            await spend(client, server)


async def test_large_bodies_pass_both_ways(make: Make, authority: trustme.CA, roots: Path) -> None:
    body = bytes(range(256)) * 8192

    async def script(peer: Peer) -> None:
        await peer.reader.readuntil(b"\r\n\r\n")
        got = await peer.reader.readexactly(len(body))
        await peer.send(OK + b"content-length: %d\r\n\r\n" % len(got) + got)
        await peer.gone()

    tls = context(authority, "localhost")
    async with serving(script, tls) as server, opened(make(roots)) as client:
        url = server.url(scheme="https", host="localhost")
        async with client.open(post(url, body, Limits())) as answer:
            assert await answer.read() == body


async def test_leaving_closes_the_connection_at_once(make: Make, authority: trustme.CA, roots: Path) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(OK + b"content-length: 10\r\n\r\nhello")
        await peer.gone()

    tls = context(authority, "localhost")
    async with serving(script, tls) as server, opened(make(roots)) as client:
        async with client.open(post(server.url(scheme="https", host="localhost"), limits=Limits())) as answer:
            assert await anext(aiter(answer)) == b"hello"
        await asyncio.wait_for(server.finish.wait(), 1)
