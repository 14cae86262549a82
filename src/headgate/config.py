"""Flags, environment, `.env` and `headgate.yaml` become one frozen `Config`: the only reader of the environment."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import msgspec

from headgate.types import Secret


class Server(msgspec.Struct, frozen=True):
    host: str = "127.0.0.1"
    port: int = 8000
    workers: int = 1
    body_limit: int = 32 * 1024 * 1024
    """The largest request body, in bytes."""
    drain_s: float = 30.0
    """How long open requests may go on after SIGTERM."""


class Auth(msgspec.Struct, frozen=True):
    mode: Literal["keys", "open"] = "keys"
    keys: tuple[Secret, ...] = ()
    """Callers from `API_KEYS`: inference and reading models, nothing else."""
    admin_key: Secret | None = None
    allow_open_network: bool = False


class Timeouts(msgspec.Struct, frozen=True):
    """Seconds that one upstream call may take."""

    connect_s: float = 5.0
    first_byte_s: float = 300.0
    idle_s: float = 60.0
    total_s: float = 1800.0


class Transport(msgspec.Struct, frozen=True):
    """How a provider's server is reached. Anything but `ca_file` moves its calls to the proxied client."""

    proxy: str | None = None
    http2: bool = False
    client_cert: Path | None = None
    client_key: Path | None = None
    ca_file: Path | None = None


class ProviderSettings(msgspec.Struct, frozen=True):
    """One configured provider. `kind` names its class; `base_url` and `key` are resolved, whatever they came from."""

    name: str
    kind: str
    base_url: str
    key: Secret | None = None
    key_env: str = ""
    """The variable to name to a person when the key is missing."""
    wires: tuple[str, ...] = ()
    """Only these of the provider's wires; empty: all."""
    headers: dict[str, str] = {}
    models: tuple[str, ...] = ()
    """Models that are known to be there without asking the service."""
    timeouts: Timeouts = Timeouts()
    transport: Transport = Transport()


class Prefix(msgspec.Struct, frozen=True):
    """A row of the prefix table: model names that start so go to `provider`, the prefix removed where `strip`."""

    prefix: str
    provider: str
    strip: bool = False


class Log(msgspec.Struct, frozen=True):
    level: Literal["debug", "info", "warning", "error"] = "info"
    access: bool = True
    """One JSON line a request on standard output."""


class Journal(msgspec.Struct, frozen=True):
    fsync_ms: int = 50
    """The longest time a journal line may wait for the disk: what a power cut can lose."""
    ship_ms: int = 500
    """How often rows move from the journal to the database."""


class Config(msgspec.Struct, frozen=True):
    """Everything that was decided at start."""

    home: Path
    server: Server
    auth: Auth
    database_url: Secret
    redis_url: Secret | None
    providers: dict[str, ProviderSettings]
    aliases: dict[str, tuple[str, ...]]
    """Name → `provider/model` targets, best first."""
    prefixes: tuple[Prefix, ...]
    """Longest first."""
    plugins: Path | None
    """The folder of provider plug-ins."""
    timeouts: Timeouts
    log: Log
    journal: Journal
    answer_model: Literal["served", "asked"] = "served"
    """What the body field `model` of an answer says."""
    otlp_endpoint: str | None = None
    notices: tuple[str, ...] = ()
    """Sentences to say at start: a weak key on loopback, an ignored setting."""
