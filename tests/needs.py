"""What a test needs from the machine: its absence is a skip with a reason, and a failure where CI demands it."""

from __future__ import annotations

import os
import shutil
import socket
import struct
from functools import cache
from typing import NoReturn
from urllib.parse import urlsplit

import pytest

SSL_REQUEST = struct.pack("!ii", 8, 80877103)
"""The first message that a PostgreSQL server answers without a login (protocol 3, §55.7 SSLRequest)."""


def needs_binary(name: str) -> str:
    """The path of a program."""
    return shutil.which(name) or _missing(f"no {name} on PATH")


def postgres_url() -> str:
    """Where PostgreSQL is expected: `HEADGATE_TEST_POSTGRES`, else this machine's own. The user may make databases."""
    return os.environ.get("HEADGATE_TEST_POSTGRES", "postgresql://postgres@127.0.0.1:5432/postgres")


def redis_url() -> str:
    """Where Redis is expected: `HEADGATE_TEST_REDIS`, else this machine's own."""
    return os.environ.get("HEADGATE_TEST_REDIS", "redis://127.0.0.1:6379/0")


def needs_postgres() -> str:
    """The URL of a PostgreSQL server that answers."""
    url = postgres_url()
    return url if _answers(url, 5432, SSL_REQUEST) in (b"S", b"N") else _missing(f"no PostgreSQL at {_place(url)}")


def needs_redis() -> str:
    """The URL of a Redis server that answers."""
    url = redis_url()
    return url if _answers(url, 6379, b"PING\r\n") in (b"+", b"-") else _missing(f"no Redis at {_place(url)}")


@cache
def _answers(url: str, port: int, hello: bytes) -> bytes:
    """The first byte that a server says to a hello; empty where there is none."""
    parts = urlsplit(url)
    try:
        with socket.create_connection((parts.hostname or "127.0.0.1", parts.port or port), timeout=2) as connection:
            connection.sendall(hello)
            return connection.recv(1)
    except OSError:
        return b""


def _place(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.hostname}:{parts.port}"


def _missing(reason: str) -> NoReturn:
    if os.environ.get("HEADGATE_CI") == "1":
        pytest.fail(reason)
    pytest.skip(reason)
