"""Keys as such: how one is made, and the digest that stands for it everywhere else."""

from __future__ import annotations

import re
import secrets
from hashlib import sha256

import msgspec

from headgate.types import Caller, Role, Secret

MARK = "hg-"
_MINTED = re.compile(rb"hg-[A-Za-z0-9_-]{43}")
SHOWN = 10
"""How many characters of a key lists show: the mark and enough to tell keys apart."""


class Key(msgspec.Struct, frozen=True):
    """A stored key without its secret. Times in epoch microseconds; `revoked_us` None while it is good."""

    id: str
    name: str
    role: Role
    digest: bytes
    prefix: str
    created_us: int
    revoked_us: int | None
    version: int

    @property
    def caller(self) -> Caller:
        return Caller(self.id, self.name, self.role)


def mint() -> Secret:
    """A new key: 256 random bits."""
    return Secret(MARK + secrets.token_urlsafe(32))


def minted(token: bytes) -> bool:
    """Has it the shape of a key that `mint` makes? No other is worth looking for in the database."""
    return _MINTED.fullmatch(token) is not None


def digest(token: bytes) -> bytes:
    """SHA-256, 32 bytes. Enough for a secret of 256 random bits: there is nothing to guess slowly."""
    return sha256(token).digest()
