"""A request on its way out: URLs and headers checked, then one block of bytes. No I/O."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import urlsplit

from headgate.errors import UpstreamProtocolError
from headgate.upstream.base import Headers

_TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9a-z-]+")
_METHOD = re.compile(r"[A-Z]+")
_URL = re.compile(r"[\x21-\x7e]+")
_PORTS = {"http": 80, "https": 443}
_OURS = frozenset(
    (b"host", b"content-length", b"transfer-encoding", b"connection", b"accept-encoding", b"expect", b"te", b"upgrade")
)
_UNFRAMED = frozenset(("HEAD", "CONNECT"))
"""Methods whose answers do not carry the body that their headers announce (RFC 9112 §6.3)."""


class Place(NamedTuple):
    """Where connections lead: what a pool is kept for."""

    tls: bool
    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


def read_url(url: str) -> tuple[Place, str]:
    """The place and the request target of an absolute URL.

    Raises `UpstreamProtocolError` for anything but a plain `http` or `https` URL in visible ASCII: user information
    and fragments are refused too.
    """
    try:
        parts = urlsplit(url)
        port = parts.port or _PORTS[parts.scheme]
        (parts.hostname or "").encode("idna")
    except (ValueError, KeyError):
        raise UpstreamProtocolError("the upstream URL is not an http or https URL") from None
    if not _URL.fullmatch(url) or not parts.hostname or "@" in parts.netloc or "#" in url:
        raise UpstreamProtocolError("the upstream URL has no host, or parts that do not belong into a call")
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Place(parts.scheme == "https", parts.hostname, port), target


def opening(method: str, url: str) -> tuple[Place, bytes]:
    """The place of a URL and the first lines of each request to it: request line, `host`, `accept-encoding`.

    Raises `UpstreamProtocolError` as `read_url` does, and for methods that are not plain.
    """
    place, target = read_url(url)
    if not _METHOD.fullmatch(method) or method in _UNFRAMED:
        raise UpstreamProtocolError(f"{method!r} is not a method of upstream calls")
    host = f"[{place.host}]" if ":" in place.host else place.host
    if place.port != _PORTS["https" if place.tls else "http"]:
        host = f"{host}:{place.port}"
    return place, f"{method} {target} HTTP/1.1\r\nhost: {host}\r\naccept-encoding: identity\r\n".encode()


@lru_cache(1024)
def _field(name: bytes) -> bytes:
    if not _TOKEN.fullmatch(name):
        raise UpstreamProtocolError(f"{name!r} is not the name of a header in lower case")
    if name in _OURS:
        raise UpstreamProtocolError(f"the header {name.decode()} is the client's own to set")
    return name + b": "


def head(start: bytes, headers: Headers, size: int) -> bytes:
    """A request's head, up to and with its blank line; `start` comes from `opening`, `size` is the body's length.

    Raises `UpstreamProtocolError` for a header name that is not a lower-case token or is the client's own, and for
    CR, LF or NUL in a value (RFC 9110 §5.5), before anything is sent. No message repeats a value.
    """
    fields = b"\r\n".join([_field(name) + value for name, value in headers])
    ends = max(len(headers) - 1, 0)
    if fields.count(b"\n") != ends or fields.count(b"\r") != ends or b"\0" in fields:
        raise UpstreamProtocolError("a header's value holds CR, LF or NUL")
    if headers:
        fields += b"\r\n"
    if size or not start.startswith(b"GET "):
        return start + fields + b"content-length: %d\r\n\r\n" % size
    return start + fields + b"\r\n"
