"""The only door to the database: connections go out, the library's own errors do not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from time import perf_counter
from zlib import crc32

from sqlalchemy import event, text
from sqlalchemy.engine import URL, Connection, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import ArgumentError, DataError, DBAPIError, IntegrityError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from headgate.errors import ConfigError, StorageRefused, StorageUnavailable
from headgate.types import Secret

CONNECT_S = 5.0
STATEMENT_S = 30.0
LOCK_S = 5.0
"""How long SQLite waits for another writer."""


class Database:
    """One database and its pool of connections. It knows no table."""

    def __init__(self, url: Secret, statement_s: float = STATEMENT_S) -> None:
        """`url` names its async driver: `sqlite+aiosqlite:///…` or `postgresql+asyncpg://…`. Raises `ConfigError`."""
        parsed = parse(url)
        self.file = database_file(parsed)
        self._engine = _OPENERS[parsed.drivername](parsed, statement_s)

    @asynccontextmanager
    async def begin(self, alone: str = "") -> AsyncIterator[AsyncConnection]:
        """One unit of work: committed at the end, rolled back when an exception leaves it.

        Where `alone` names something, no other unit of work of that name runs on any host until this one ends.
        Raises `StorageUnavailable` or `StorageRefused`.
        """
        with _mapped():
            async with self._engine.begin() as connection:
                if alone and self._engine.dialect.name == "postgresql":
                    key = crc32(alone.encode())
                    await connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": key})
                yield connection

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        """A connection that only reads: it waits for no writer. Raises as `begin` does."""
        with _mapped():
            async with self._engine.connect() as connection:
                yield await connection.execution_options(headgate_reads=True)

    async def check(self) -> float:
        """Asks the database for an answer; returns the seconds that it took.

        Raises `StorageUnavailable`, for a database that hangs after `CONNECT_S`.
        """
        began = perf_counter()
        with _mapped():
            async with asyncio.timeout(CONNECT_S), self.read() as connection:
                await connection.execute(text("SELECT 1"))
        return perf_counter() - began

    async def close(self) -> None:
        await self._engine.dispose()


def parse(url: Secret) -> URL:
    """Reads a database URL. Raises `ConfigError` for one that headgate has no driver for; never shows the URL."""
    try:
        parsed = make_url(url.reveal())
    except ArgumentError:
        raise ConfigError("the database URL cannot be read; expected sqlite:///file or postgresql://…") from None
    if parsed.drivername not in _OPENERS:
        raise ConfigError(f"the database driver {parsed.drivername!r} is not served; expected {' or '.join(_OPENERS)}")
    return parsed


def database_file(url: URL) -> Path | None:
    """The file of an SQLite database; None for a server, a database in memory or SQLite's own `file:` address."""
    name = url.database or ":memory:"
    return Path(name) if url.get_backend_name() == "sqlite" and not name.startswith((":memory:", "file:")) else None


@contextmanager
def _mapped() -> Iterator[None]:
    try:
        yield
    except (IntegrityError, DataError) as error:
        raise StorageRefused(f"the database refused a row: {type(error.orig).__name__}") from None
    except (SQLAlchemyError, OSError, TimeoutError) as error:
        raise StorageUnavailable(f"the database does not serve: {_reason(error)}") from None


def _reason(error: BaseException) -> str:
    """The driver's first line, without statement or parameters."""
    cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    said = str(cause).partition("\n")[0][:200]
    return f"{type(cause).__name__}: {said}" if said else type(cause).__name__


def _open_sqlite(url: URL, statement_s: float) -> AsyncEngine:
    file = database_file(url)
    if file is not None:
        _make_private(file)
    engine = create_async_engine(
        url,
        connect_args={"timeout": LOCK_S, "isolation_level": None},
        hide_parameters=True,
        **({} if file is None else {"pool_size": 2, "max_overflow": 4, "pool_timeout": CONNECT_S}),
    )
    event.listen(engine.sync_engine, "connect", _tune_sqlite)
    event.listen(engine.sync_engine, "begin", _begin_sqlite)
    return engine


def _make_private(file: Path) -> None:
    """Makes the file, and the folder where there is none, for this user's eyes only: it holds names and usage."""
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        file.touch(mode=0o600)
    except OSError as error:
        if not file.exists():
            raise ConfigError(f"the database file {file} cannot be made: {error.strerror or error}") from None


def _tune_sqlite(connection: DBAPIConnection, record: object) -> None:
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    """A writer asks for the lock first: a reader that becomes a writer is refused at once, whatever the timeout."""
    reads = connection.get_execution_options().get("headgate_reads", False)
    connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")


def _open_postgres(url: URL, statement_s: float) -> AsyncEngine:
    return create_async_engine(
        url,
        connect_args={"timeout": CONNECT_S, "command_timeout": statement_s},
        hide_parameters=True,
        pool_size=5,
        max_overflow=5,
        pool_timeout=CONNECT_S,
        pool_pre_ping=True,
    )


_OPENERS = {"sqlite+aiosqlite": _open_sqlite, "postgresql+asyncpg": _open_postgres}
