"""Keys in the database."""

from __future__ import annotations

from secrets import token_hex
from time import time_ns

from sqlalchemy import Row, func, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from headgate.access.keys import SHOWN, Key, digest, mint
from headgate.access.tables import keys
from headgate.errors import NotFound
from headgate.storage.session import Database
from headgate.types import Role, Secret

CHANGES = "keys"
"""One change of keys at a time, so that `version` grows in the order in which changes are seen."""


class KeyRepository:
    """Makes, lists and revokes keys. Raises `StorageUnavailable` when the database does not answer."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(self, name: str, role: Role = "caller") -> tuple[Key, Secret]:
        """A new key; its secret is not kept anywhere."""
        async with self._database.begin(CHANGES) as connection:
            return await _add(connection, name, role)

    async def create_first(self, name: str) -> tuple[Key, Secret] | None:
        """An owner's key where there has never been one; else None. Of several processes one makes it."""
        async with self._database.begin(CHANGES) as connection:
            owners = select(func.count()).where(keys.c.role == "owner")
            if (await connection.execute(owners)).scalar_one():
                return None
            return await _add(connection, name, "owner")

    async def all(self) -> list[Key]:
        """All keys, revoked ones too, oldest first."""
        async with self._database.read() as connection:
            rows = await connection.execute(select(keys).order_by(keys.c.created_us, keys.c.id))
            return [_key(row) for row in rows]

    async def find(self, token_digest: bytes) -> Key | None:
        async with self._database.read() as connection:
            row = (await connection.execute(select(keys).where(keys.c.digest == token_digest))).first()
            return None if row is None else _key(row)

    async def newer_than(self, version: int) -> list[Key]:
        """Every key that was made or revoked after this version, in order."""
        async with self._database.read() as connection:
            rows = await connection.execute(select(keys).where(keys.c.version > version).order_by(keys.c.version))
            return [_key(row) for row in rows]

    async def revoke(self, which: str) -> Key:
        """Revokes the key of this id, this secret, or the only one that begins so. Raises `NotFound`."""
        known = or_(keys.c.id == which, keys.c.digest == digest(which.encode()), keys.c.prefix == which)
        async with self._database.begin(CHANGES) as connection:
            found = (await connection.execute(select(keys).where(known))).all()
            if len(found) != 1:
                said = which if len(which) <= SHOWN or which.startswith("key_") else f"{which[:SHOWN]}…"
                raise NotFound(f"{'no key is' if not found else 'several keys are'} called {said!r}; give its id")
            if found[0].revoked_us is not None:
                return _key(found[0])
            changed = {"revoked_us": time_ns() // 1000, "version": await _next_version(connection)}
            await connection.execute(update(keys).where(keys.c.id == found[0].id).values(**changed))
            return _key((await connection.execute(select(keys).where(keys.c.id == found[0].id))).one())


async def _add(connection: AsyncConnection, name: str, role: Role) -> tuple[Key, Secret]:
    secret = mint()
    text = secret.reveal()
    key = Key(
        id=f"key_{token_hex(8)}",
        name=name,
        role=role,
        digest=digest(text.encode()),
        prefix=text[:SHOWN],
        created_us=time_ns() // 1000,
        revoked_us=None,
        version=await _next_version(connection),
    )
    await connection.execute(insert(keys).values({field: getattr(key, field) for field in Key.__struct_fields__}))
    return key, secret


async def _next_version(connection: AsyncConnection) -> int:
    highest: int | None = (await connection.execute(select(func.max(keys.c.version)))).scalar_one()
    return (highest or 0) + 1


def _key(row: Row[tuple[object, ...]]) -> Key:
    return Key(*(getattr(row, field) for field in Key.__struct_fields__))
