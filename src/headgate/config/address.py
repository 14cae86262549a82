"""Addresses that an administrator writes: which are accepted, and the form in which the other rooms get them.

Functions raise `ValueError` with what was expected; they never repeat the address, which may hold a password.
"""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from pathlib import Path
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

Address = IPv4Address | IPv6Address

METADATA_NAMES = frozenset(
    ("metadata", "metadata.google.internal", "metadata.azure.internal", "instance-data", "instance-data.ec2.internal")
)
METADATA_NETWORKS = tuple(
    map(ip_network, ("169.254.0.0/16", "fe80::/10", "fd00:ec2::/32", "100.100.100.200/32", "192.0.0.192/32"))
)
NAT64 = ip_network("64:ff9b::/96")

_SQLITE = frozenset(("sqlite", "sqlite+aiosqlite"))
_POSTGRESQL = frozenset(
    ("postgresql", "postgres", "postgresql+asyncpg", "postgresql+psycopg", "postgresql+psycopg2", "postgres+asyncpg")
)
_ASYNCPG_OPTIONS = frozenset(
    ("ssl", "host", "port", "target_session_attrs", "krbsrvname", "gsslib", "prepared_statement_cache_size")
)
_LIBPQ_FILES = {"sslrootcert": "PGSSLROOTCERT", "sslcert": "PGSSLCERT", "sslkey": "PGSSLKEY", "sslcrl": "PGSSLCRL"}


def base_url(said: str) -> str:
    """The base URL of a provider, without a closing slash. Names are not resolved here, only read."""
    checked = web_url(said)
    parts = urlsplit(checked)
    if parts.username is not None or parts.password is not None:
        raise ValueError("a URL without a user or password in it: a key has its own setting")
    if parts.query or parts.fragment:
        raise ValueError("a URL without a query or fragment")
    if reaches_metadata(parts.hostname or ""):
        raise ValueError("a URL outside link-local and cloud metadata addresses, which are never called")
    return checked.rstrip("/")


def web_url(said: str) -> str:
    """An absolute http or https URL."""
    try:
        parts = urlsplit(said)
        whole = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        whole = False
    if not whole or not said.isascii() or any(sign.isspace() or not sign.isprintable() for sign in said):
        raise ValueError("a URL that begins with http:// or https://")
    return said


def reaches_metadata(host: str) -> bool:
    """Is this host, as it is written, a link-local address or a cloud's metadata service?"""
    name = host.rstrip(".").lower()
    address = literal(name)
    return name in METADATA_NAMES if address is None else any(address in net for net in METADATA_NETWORKS)


def is_loopback(host: str) -> bool:
    address = literal(host)
    return host.lower() == "localhost" if address is None else address.is_loopback


def literal(host: str) -> Address | None:
    """The address that a host spells, in any of the spellings that `inet_aton` reads; None for a name.

    IPv4 addresses inside IPv6 ones (RFC 4291 §2.5.5.2, RFC 6052 §2.1) are unwrapped.
    """
    from socket import inet_aton

    try:
        address = ip_address(host.strip("[]").partition("%")[0])
    except ValueError:
        try:
            return IPv4Address(inet_aton(host))
        except (OSError, UnicodeError):
            return None
    if isinstance(address, IPv4Address):
        return address
    if address in NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address


def database_url(said: str, folder: Path) -> tuple[str, tuple[str, ...]]:
    """A database URL with its async driver, and the names of query options that this driver has no place for.

    Relative SQLite files are found from `folder`.
    """
    scheme, _, rest = said.partition("://")
    rest, _, query = rest.partition("?")
    if scheme in _SQLITE and rest.startswith("/"):
        return "sqlite+aiosqlite://" + _sqlite_file(rest, folder) + (f"?{query}" if query else ""), ()
    if scheme in _POSTGRESQL and rest:
        options, ignored = _asyncpg_options(query)
        return f"postgresql+asyncpg://{rest}" + (f"?{options}" if options else ""), ignored
    raise ValueError("sqlite:///file.db or postgresql://user:password@host/name")


def _sqlite_file(path: str, folder: Path) -> str:
    file = path.removeprefix("/")
    return path if file in ("", ":memory:") or file.startswith("file:") else f"/{folder / file}"


def _asyncpg_options(query: str) -> tuple[str, tuple[str, ...]]:
    kept, ignored = [], []
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name in _LIBPQ_FILES:
            raise ValueError(f"no {name} in the URL: set {_LIBPQ_FILES[name]} in the environment instead")
        option = "ssl" if name == "sslmode" else name
        if option in _ASYNCPG_OPTIONS:
            kept.append((option, value))
        else:
            ignored.append(name)
    return urlencode(kept), tuple(ignored)


def postgresql_url(parts: Mapping[str, str]) -> str:
    """A PostgreSQL URL from `host`, `port`, `name`, `user` and `password`, of which only `name` must be there."""
    if not parts.get("name"):
        raise ValueError("DATABASE_NAME (database.name) beside the other parts of the database's address")
    login = _login(parts.get("user", ""), parts.get("password", ""))
    host, port = parts.get("host") or "localhost", parts.get("port") or "5432"
    return f"postgresql+asyncpg://{login}{_bracketed(host)}:{port}/{quote(parts['name'], safe='')}"


def redis_url(said: str) -> str:
    if urlsplit(said).scheme not in ("redis", "rediss", "unix"):
        raise ValueError("a URL that begins with redis://, rediss:// or unix://")
    return said


def redis_url_of(host: str, port: str, password: str) -> str:
    return f"redis://{_login('', password)}{_bracketed(host or 'localhost')}:{port or '6379'}/0"


def _login(user: str, password: str) -> str:
    secret = f":{quote(password, safe='')}" if password else ""
    return f"{quote(user, safe='')}{secret}@" if user or secret else ""


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host and not host.startswith("[") else host
