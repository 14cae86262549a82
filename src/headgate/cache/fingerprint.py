"""What makes two requests the same: who asks, where, and every field of the body."""

from __future__ import annotations

from hashlib import blake2b

import msgspec

BYTES = 32

_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder(order="deterministic").encode


def fingerprint(*words: str, body: bytes = b"") -> bytes:
    """32 bytes that are equal for equal words and bodies of equal meaning, and for no others."""
    digest = blake2b(digest_size=BYTES)
    for part in (*map(str.encode, words), canonical(body)):
        digest.update(len(part).to_bytes(8))
        digest.update(part)
    return digest.digest()


def canonical(body: bytes) -> bytes:
    """A JSON text without its white space, the fields of every object in order. One that cannot be read that way (a
    number out of range, a lone surrogate) or would lose something is taken as it stands."""
    try:
        said = _encode(_decode(body))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return body
    # A field that comes twice would be there once: its quotes tell, unless a name holds quotes written as escapes.
    if said.count(b'"') != body.count(b'"') or b"\\u0022" in body:
        return body
    return said
