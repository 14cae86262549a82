"""The stored catalogue and the whitelist in the database."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from time import time_ns
from typing import Literal

import msgspec
from sqlalchemy import Row, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from headgate.routing.tables import model_changes, models, whitelist
from headgate.storage.rows import WHOLE_MAX
from headgate.storage.session import Database
from headgate.types import Allowed, ModelCard

Subject = Literal["models", "whitelist"]

CHANGES = "models"
"""One change at a time, so that versions grow in the order in which changes are seen."""
NANO_PER_1M = 1e12
"""Nanodollars for a million tokens in one dollar for a thousand."""
ID_CHARS = 256


class Stored(msgspec.Struct, frozen=True):
    """A model that somebody told of: its provider's own list where `listed`, else the book of prices."""

    card: ModelCard
    listed: bool


class ModelRepository:
    """Keeps models and the whitelist. Raises `StorageUnavailable` when the database does not answer."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def versions(self) -> dict[str, int]:
        """The version of each subject that was ever changed."""
        async with self._database.read() as connection:
            rows = await connection.execute(select(model_changes))
            return {row.subject: row.version for row in rows}

    async def changed_us(self, subject: Subject) -> int:
        """When a subject was changed last, in epoch microseconds; 0 for never."""
        async with self._database.read() as connection:
            found = select(model_changes.c.changed_us).where(model_changes.c.subject == subject)
            moment: int | None = (await connection.execute(found)).scalar_one_or_none()
            return moment or 0

    async def models(self) -> list[Stored]:
        """Every stored model, by provider and id."""
        async with self._database.read() as connection:
            rows = await connection.execute(select(models).order_by(models.c.provider, models.c.id))
            return [_stored(row) for row in rows]

    async def keep_list(self, provider: str, cards: Iterable[ModelCard]) -> int:
        """Keeps a provider's own list: rows are added or replaced, and what it lists no longer is gone. Returns how
        many there are now. An empty list changes nothing: it is a fault more often than a truth."""
        rows = _rows(cards, listed=True)
        if rows:
            async with self._database.begin(CHANGES) as connection:
                await connection.execute(delete(models).where(models.c.listed, models.c.provider == provider))
                await connection.execute(insert(models), rows)
                await _count(connection, "models")
        return len(rows)

    async def keep_book(self, cards: Iterable[ModelCard]) -> int:
        """Keeps what the book of prices says, in the place of all that it said before. Returns how many rows."""
        rows = _rows(cards, listed=False)
        async with self._database.begin(CHANGES) as connection:
            await connection.execute(delete(models).where(models.c.listed.is_(False)))
            if rows:
                await connection.execute(insert(models), rows)
            await _count(connection, "models")
        return len(rows)

    async def whitelist(self) -> list[Allowed]:
        """The rows, in the order in which they were given."""
        async with self._database.read() as connection:
            rows = await connection.execute(select(whitelist).order_by(whitelist.c.place))
            return [Allowed(row.id, row.provider) for row in rows]

    async def set_whitelist(self, allowed: Sequence[Allowed]) -> None:
        """Puts these rows in the place of all others, in one transaction. From now on the whitelist counts as set.

        Raises `StorageRefused` for a row that is there twice.
        """
        rows = [{"id": row.id, "provider": row.provider, "place": place} for place, row in enumerate(allowed)]
        async with self._database.begin(CHANGES) as connection:
            await connection.execute(delete(whitelist))
            if rows:
                await connection.execute(insert(whitelist), rows)
            await _count(connection, "whitelist")


async def _count(connection: AsyncConnection, subject: Subject) -> None:
    """Notes that a subject was changed."""
    here = model_changes.c.subject == subject
    values = {"version": model_changes.c.version + 1, "changed_us": time_ns() // 1000}
    if (await connection.execute(update(model_changes).where(here).values(values))).rowcount == 0:
        await connection.execute(insert(model_changes).values(values | {"subject": subject, "version": 1}))


def _rows(cards: Iterable[ModelCard], *, listed: bool) -> list[dict[str, object]]:
    """The rows of cards. Ids that no caller could ask for are left out; of two rows of one name the last one counts."""
    kept = {(card.provider, card.id): card for card in cards if card.id.isprintable() and 0 < len(card.id) <= ID_CHARS}
    return [_row(card) | {"listed": listed} for card in kept.values()]


def _row(card: ModelCard) -> dict[str, object]:
    return {
        "provider": card.provider,
        "id": card.id,
        "name": card.name.replace("\0", ""),
        "created": _whole(card.created) or 0,
        "context_length": _whole(card.context_length),
        "prompt_nano_per_1m": _nano(card.prompt_price_per_1k),
        "completion_nano_per_1m": _nano(card.completion_price_per_1k),
        "kind": card.kind,
        "modality": card.modality.replace("\0", ""),
        "abilities": " ".join(card.abilities),
        "source": card.source,
        "fetched_us": card.fetched_us,
    }


def _stored(row: Row[tuple[object, ...]]) -> Stored:
    card = ModelCard(
        id=row.id,
        provider=row.provider,
        name=row.name,
        created=row.created,
        context_length=row.context_length,
        prompt_price_per_1k=_usd(row.prompt_nano_per_1m),
        completion_price_per_1k=_usd(row.completion_nano_per_1m),
        kind=row.kind,
        modality=row.modality,
        abilities=tuple(row.abilities.split()),
        source=row.source,
        fetched_us=row.fetched_us,
    )
    return Stored(card, row.listed)


def _whole(number: int | None) -> int | None:
    """A count that the database can keep; None for one that no model has."""
    return number if number is not None and 0 <= number <= WHOLE_MAX else None


def _nano(price_per_1k: float | None) -> int | None:
    return None if price_per_1k is None else _whole(round(price_per_1k * NANO_PER_1M))


def _usd(nano_per_1m: int | None) -> float | None:
    return None if nano_per_1m is None else nano_per_1m / NANO_PER_1M
