"""The proxied client: the lean client's sibling over reqwest, for HTTP proxies, HTTP/2 and client certificates."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from time import monotonic
from types import TracebackType

from pyqwest import Headers, HTTPTransport, HTTPVersion, Proxy, Request, Response

from headgate.config import Transport
from headgate.errors import StreamCut, UpstreamError, UpstreamProtocolError, UpstreamTimeout, UpstreamUnreachable
from headgate.upstream.base import Call
from headgate.upstream.faults import fault
from headgate.upstream.incoming import ONCE, check_head
from headgate.upstream.request import Place, head, opening

NO_PROXY = Proxy("http://127.0.0.1:9", no_proxy="*,0.0.0.0/0,::/0")
"""A proxy for nobody: without any, reqwest reads `HTTP_PROXY` and its kin from the environment."""


class Proxied:
    """A client for one `Transport`. Slower than `Lean`, with the same errors and limits.

    Waiting for the first byte cannot be told from connecting and sending here, so both limits are added.
    """

    def __init__(self, transport: Transport, *, connections: int = 1000, idle_s: float = 15.0) -> None:
        self._transport = transport
        self._connections = connections
        self._idle_s = idle_s
        self._clients: dict[float, HTTPTransport] = {}
        self._closed = False

    def open(self, call: Call) -> ProxiedAnswer:
        """See `Upstream.open`. A URL, method or header that cannot be sent is an `UpstreamProtocolError` too."""
        return ProxiedAnswer(self, call)

    async def close(self) -> None:
        """Closes idle connections and refuses new calls."""
        self._closed = True
        for client in self._clients.values():
            await client.aclose()
        self._clients.clear()

    def client(self, connect_s: float) -> HTTPTransport:
        """The reqwest client for a connect limit, of which a configuration has few."""
        if self._closed:
            raise UpstreamUnreachable("the client is closed")
        if connect_s not in self._clients:
            self._clients[connect_s] = self._build(connect_s)
        return self._clients[connect_s]

    def _build(self, connect_s: float) -> HTTPTransport:
        transport = self._transport
        ca_file, cert, key = transport.ca_file, transport.client_cert, transport.client_key
        return HTTPTransport(
            tls_ca_cert=ca_file.read_bytes() if ca_file else None,
            tls_include_system_certs=ca_file is None,
            tls_cert=cert.read_bytes() if cert else None,
            tls_key=key.read_bytes() if key else None,
            http_version=HTTPVersion.HTTP2 if transport.http2 else HTTPVersion.HTTP1,
            proxy=transport.proxy or NO_PROXY,
            connect_timeout=connect_s,
            pool_idle_timeout=self._idle_s,
            max_connections_per_address=self._connections,
            enable_gzip=False,
            enable_brotli=False,
            enable_zstd=False,
            use_system_dns=True,
            follow_redirects=False,
            enable_otel=False,
        )


class ProxiedAnswer:
    """One call and its answer. Entered once, read by one task, left once."""

    _response: Response
    _chunks: AsyncIterator[bytes | memoryview | bytearray]

    def __init__(self, client: Proxied, call: Call) -> None:
        self.status = 0
        self.headers: dict[bytes, bytes] = {}
        self._client = client
        self._call = call
        self._limits = call.limits
        self._total_due = monotonic() + call.limits.total_s
        self._received = 0
        self._peer = ""
        self._said = ""

    async def __aenter__(self) -> ProxiedAnswer:
        place, request = self._request()
        self._peer = str(place)
        limits = self._limits
        client = self._client.client(limits.connect_s)
        try:
            async with self._limit(
                limits.connect_s + limits.first_byte_s, f"no answer within {limits.first_byte_s:g} s"
            ):
                self._response = await client.execute(request)
        except TimeoutError as error:
            raise self._late(error) from None
        except Exception as error:
            raise self._failure(error) from error
        try:
            self._read_head()
        except BaseException:
            await self._response.aclose()
            raise
        self._chunks = aiter(self._response.content)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._response.aclose()

    def __aiter__(self) -> ProxiedAnswer:
        return self

    async def __anext__(self) -> bytes:
        limits = self._limits
        try:
            async with self._limit(limits.idle_s, f"silent for {limits.idle_s:g} s in the middle of an answer"):
                while not (chunk := bytes(await anext(self._chunks))):
                    pass
        except StopAsyncIteration:
            raise
        except TimeoutError as error:
            raise self._late(error) from None
        except Exception as error:
            raise self._failure(error) from error
        self._received += len(chunk)
        if self._received > limits.body_bytes:
            raise UpstreamProtocolError(f"{self._peer}: an answer of more than {limits.body_bytes} bytes")
        return chunk

    async def read(self) -> bytes:
        """The whole body (what of it was not iterated over)."""
        return b"".join([chunk async for chunk in self])

    def _request(self) -> tuple[Place, Request]:
        call = self._call
        place, start = opening(call.method, call.url)
        head(start, call.headers, len(call.body))
        try:
            fields = Headers([(name.decode(), value.decode()) for name, value in call.headers])
        except ValueError:
            raise UpstreamProtocolError("a header's value is not UTF-8 text") from None
        fields["accept-encoding"] = "identity"
        return place, Request(call.method, call.url, fields, call.body)

    def _read_head(self) -> None:
        size = 0
        for said, value in self._response.headers.items():
            name = said.encode()
            if name in self.headers and name in ONCE:
                raise UpstreamProtocolError(f"{self._peer}: two headers {said}")
            size += len(said) + len(value) + 4
            self.headers[name] = value.encode()
        if size > self._limits.header_bytes:
            raise UpstreamProtocolError(f"{self._peer}: more than {self._limits.header_bytes} bytes of headers")
        check_head(self._response.status, self.headers)
        self.status = self._response.status

    def _limit(self, seconds: float, said: str) -> asyncio.Timeout:
        left = self._total_due - monotonic()
        self._said = said if seconds < left else f"not finished within {self._limits.total_s:g} s"
        return asyncio.timeout(min(seconds, left))

    def _late(self, error: TimeoutError) -> UpstreamTimeout:
        """reqwest's own connect timeout says so itself; any other is the limit that was set last."""
        said = (
            f"no connection within {self._limits.connect_s:g} s" if isinstance(error, ConnectionError) else self._said
        )
        return UpstreamTimeout(f"{self._peer}: {said}")

    def _failure(self, error: Exception) -> UpstreamError:
        """A connection that fails before the head was never reached; one that fails under a body cuts it."""
        failed = fault(error, self._peer)
        if isinstance(failed, StreamCut) and not self.status:
            return UpstreamUnreachable(failed.message)
        if isinstance(failed, UpstreamUnreachable) and self._received:
            return StreamCut(failed.message)
        return failed
