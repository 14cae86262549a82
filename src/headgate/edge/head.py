"""The head of a client's request: what two servers might read differently is refused. No I/O."""

from __future__ import annotations

import re
from functools import lru_cache
from urllib.parse import unquote

from httptools import HttpParserError, parse_url

from headgate.errors import BadRequest

_HOST = re.compile(rb"[A-Za-z0-9._~!$&'()*+,;=:%\[\]-]+")


def check_head(version: str, method: bytes, noted: dict[bytes, bytes]) -> None:
    """Refuses a request's head that two servers might read differently. Raises `BadRequest`.

    RFC 9112 §3.2 (one `host` in HTTP/1.1), §6.1 (no transfer coding in HTTP/1.0).
    """
    host = noted.get(b"host")
    if version == "1.1":
        if host is None:
            raise BadRequest("the header host is missing")
    elif version != "1.0":
        raise BadRequest(f"HTTP {version} is not served; expected HTTP/1.1")
    elif b"transfer-encoding" in noted:
        raise BadRequest("HTTP/1.0 has no transfer-encoding")
    if noted.get(b"transfer-encoding", b"chunked").lower() != b"chunked":
        raise BadRequest("no transfer-encoding is served but chunked")
    if host and not _HOST.fullmatch(host):
        raise BadRequest("the header host is not the name of a host")
    if method == b"CONNECT":
        raise BadRequest("CONNECT is not served")


@lru_cache(64)
def split_target(target: bytes) -> tuple[str, bytes, bytes]:
    """A request target's path (decoded), path (as it came) and query. Raises `BadRequest` where it has no path."""
    try:
        url = parse_url(target)
        path = url.path.decode("ascii")
    except (HttpParserError, AttributeError, UnicodeDecodeError):
        raise BadRequest("the request's target is not a path") from None
    return unquote(path) if "%" in path else path, url.path, url.query or b""
