"""Which addresses an administrator may write."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy.engine import make_url

from headgate.config import address


@pytest.mark.parametrize(
    "host",
    [
        "169.254.169.254",
        "169.254.0.1",
        "0xa9fea9fe",
        "2852039166",
        "0251.0376.0251.0376",
        "169.254.43518",
        "[fe80::1]",
        "[::ffff:169.254.169.254]",
        "[64:ff9b::a9fe:a9fe]",
        "[fd00:ec2::254]",
        "100.100.100.200",
        "metadata.google.internal",
        "METADATA.google.internal.",
    ],
)
def test_a_metadata_address_is_refused_in_every_spelling(host: str) -> None:
    with pytest.raises(ValueError, match="metadata"):
        address.base_url(f"http://{host}/v1")


@pytest.mark.parametrize(
    "url",
    [
        "ftp://a.example/v1",
        "file:///etc/passwd",
        "a.example/v1",
        "http://",
        "http://a.example:99999",
        "http://a.example/\r\nx",
        "http://a.exämple",
        "http://user:password@a.example",
        "http://a.example/?key=1",
        "http://a.example/#x",
        "",
    ],
)
def test_a_base_url_is_http_without_anything_secret_in_it(url: str) -> None:
    with pytest.raises(ValueError) as caught:
        address.base_url(url)
    assert "password@" not in str(caught.value)


@pytest.mark.parametrize("url", ["https://api.example.com/v1", "http://localhost:11434", "http://10.0.0.7:8080/v1"])
def test_a_base_url_loses_its_closing_slash_and_nothing_else(url: str) -> None:
    assert address.base_url(url + "/") == url


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("localhost", True),
        ("::1", True),
        ("0.0.0.0", False),
        ("::", False),
        ("192.168.1.4", False),
        ("localhost.example.com", False),
        ("", False),
    ],
)
def test_loopback_is_known_by_its_address(host: str, loopback: bool) -> None:
    assert address.is_loopback(host) is loopback


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+asyncpg", "postgresql+psycopg2"])
def test_a_postgresql_url_gets_the_async_driver(scheme: str) -> None:
    url, ignored = address.database_url(f"{scheme}://me:p%40ss@db:5433/gate?sslmode=verify-full", Path("/"))
    read = make_url(url)
    assert (read.drivername, read.password, read.port, read.database) == ("postgresql+asyncpg", "p@ss", 5433, "gate")
    assert dict(read.query) == {"ssl": "verify-full"}
    assert ignored == ()


def test_options_that_the_driver_does_not_take_are_named() -> None:
    url, ignored = address.database_url("postgres://db/gate?channel_binding=require&connect_timeout=3", Path("/"))
    assert url == "postgresql+asyncpg://db/gate"
    assert ignored == ("channel_binding", "connect_timeout")


def test_certificate_files_in_a_database_url_are_refused_with_the_way_that_works() -> None:
    with pytest.raises(ValueError, match="PGSSLROOTCERT"):
        address.database_url("postgres://db/gate?sslrootcert=ca.pem", Path("/"))


@pytest.mark.parametrize(
    ("said", "file"),
    [
        ("sqlite:///./modelrouter.db", "/srv/modelrouter.db"),
        ("sqlite:///gate.db", "/srv/gate.db"),
        ("sqlite:////var/gate.db", "/var/gate.db"),
        ("sqlite+aiosqlite:////var/gate.db", "/var/gate.db"),
    ],
)
def test_a_sqlite_file_is_found_from_the_folder(said: str, file: str) -> None:
    url, _ = address.database_url(said, Path("/srv"))
    read = make_url(url)
    assert (read.drivername, read.database) == ("sqlite+aiosqlite", file)


@pytest.mark.parametrize("said", ["mysql://a/b", "gate.db", "postgresql://", "sqlite:gate.db", "redis://x"])
def test_other_databases_are_refused(said: str) -> None:
    with pytest.raises(ValueError, match="sqlite:///"):
        address.database_url(said, Path("/"))


def test_parts_of_a_database_url_are_quoted() -> None:
    url = address.postgresql_url({"name": "a/b", "user": "m@e", "password": "p:/@?#", "host": "::1"})
    read = make_url(url)
    assert (read.username, read.password, read.host, read.port) == ("m@e", "p:/@?#", "::1", 5432)


def test_parts_of_a_redis_url_are_quoted() -> None:
    assert address.redis_url_of("cache", "", "p@s/s") == "redis://:p%40s%2Fs@cache:6379/0"
    with pytest.raises(ValueError, match="rediss"):
        address.redis_url("http://cache")
