"""Flags, environment, `.env` and `headgate.yaml` become one frozen `Config`: the only reader of the environment."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec
from msgspec import Meta

from headgate.config.routes import RouteSettings
from headgate.config.settings import Size
from headgate.errors import ConfigError
from headgate.types import DEFAULT, Secret

if TYPE_CHECKING:
    from headgate.config.resolve import Reading

Port = Annotated[int, Meta(ge=0, le=65535, title="a port from 0 to 65535")]
Count = Annotated[int, Meta(ge=1, le=1024, title="a whole number from 1 to 1024")]
Connections = Annotated[int, Meta(ge=1, le=1_000_000, title="a whole number from 1 to 1000000")]
Seconds = Annotated[float, Meta(gt=0, le=86400, title="a number of seconds above 0, at most 86400")]
Milliseconds = Annotated[int, Meta(ge=1, le=60000, title="a whole number of milliseconds from 1 to 60000")]
Age = Annotated[float, Meta(ge=0, le=31536000, title="a number of seconds from 0 to 31536000")]
Entries = Annotated[int, Meta(ge=1, le=100_000_000, title="a whole number from 1 to 100000000")]
Hours = Annotated[float, Meta(ge=0, le=8760, title="a number of hours, at most 8760; 0 is never")]
Tokens = Annotated[int, Meta(ge=1, le=2**53, title="a whole number of tokens above 0")]
Dollars = Annotated[float, Meta(ge=0, le=1000, title="US dollars for 1,000 tokens, 0 to 1000")]
AuthMode = Annotated[
    Literal["keys", "open"], Meta(title="keys or open (jwt and mixed are not available in this version)")
]


class Server(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    host: str = "127.0.0.1"
    port: Port = 8000
    workers: Count = 1
    body_limit: Size = msgspec.field(default_factory=lambda: Size("32MiB"))
    """The largest request body, in bytes."""
    grace_s: Seconds = 1.0
    """How long new connections are still taken after SIGTERM, while `/health/ready` says no."""
    drain_s: Seconds = 30.0
    """How long open requests may go on after that."""
    connections: Connections = 10_000
    """Clients at once, in each process; never more than half of the descriptors that the system allows."""
    idle_s: Seconds = 75.0
    """How long a connection may wait for its next request: longer than the usual 60 s of load balancers, so that they
    close it, and not we under their next request."""
    request_s: Seconds = 20.0
    """How long a request may take to arrive; 500 bytes of it give a second more."""
    write_s: Seconds = 30.0
    """How long a client may leave unread what an answer needs room for."""


class Auth(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    mode: AuthMode = "keys"
    keys: tuple[Secret, ...] = ()
    """Callers from `API_KEYS`: inference and reading models, nothing else."""
    admin_key: Secret | None = None
    allow_open_network: bool = False


class Timeouts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Seconds that one upstream call may take."""

    connect_s: Seconds = 5.0
    first_byte_s: Seconds = 300.0
    idle_s: Seconds = 60.0
    total_s: Seconds = 1800.0


class Transport(msgspec.Struct, frozen=True):
    """How a provider's server is reached. Anything but `ca_file` moves its calls to the proxied client."""

    proxy: str | None = None
    http2: bool = False
    client_cert: Path | None = None
    client_key: Path | None = None
    ca_file: Path | None = None

    def __repr__(self) -> str:
        return f"Transport(proxy={'****' if self.proxy else None}, http2={self.http2})"


class ProviderSettings(msgspec.Struct, frozen=True):
    """One configured provider. `kind` names its class; `base_url` and `key` are resolved, whatever they came from."""

    name: str
    kind: str
    base_url: str
    """Empty: the class's own."""
    key: Secret | None = None
    key_env: str = ""
    """The variable to name to a person when the key is missing."""
    credentials: dict[str, Secret] = {}
    """More keys for the same service, by name."""
    wires: tuple[str, ...] = ()
    """Only these of the provider's wires; empty: all."""
    headers: dict[str, str] = {}
    models: tuple[str, ...] = ()
    """Models that are known to be there without asking the service."""
    timeouts: Timeouts = Timeouts()
    transport: Transport = Transport()

    @property
    def keys(self) -> dict[str, Secret | None]:
        """Every credential by its name: `key` is `default`, unless only others were written."""
        own: dict[str, Secret | None] = {} if self.credentials and not self.key else {DEFAULT: self.key}
        return {**own, **self.credentials}

    @property
    def first_key(self) -> Secret | None:
        """The key for calls that may go with any."""
        return next(iter(self.keys.values()))

    def __repr__(self) -> str:
        return f"ProviderSettings({self.name!r}, kind={self.kind!r}, base_url={self.base_url!r}, key={self.key!r})"


class Prefix(msgspec.Struct, frozen=True):
    """A row of the prefix table: model names that start so go to `provider`, the prefix removed where `strip`."""

    prefix: str
    provider: str
    strip: bool = False


class Log(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    level: Literal["debug", "info", "warning", "error"] = "info"
    access: bool = True
    """One JSON line a request on standard output."""


class Journal(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    fsync_ms: Milliseconds = 50
    """The longest time a journal line may wait for the disk: what a power cut can lose."""
    ship_ms: Milliseconds = 500
    """How often rows move from the journal to the database."""


class Cache(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Answers that are given again to equal requests with the same key."""

    ttl_s: Age = 0.0
    """How long an answer stands, in seconds; 0: none is kept."""
    max_size: Size = msgspec.field(default_factory=lambda: Size("64MiB"))
    """The most that a process keeps in memory; an eighth of it is the largest answer."""
    max_entries: Entries = 10_000


class Idempotency(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Answers to requests with an `Idempotency-Key`, for those that come again. As `Cache`."""

    ttl_s: Seconds = 86400.0
    max_size: Size = msgspec.field(default_factory=lambda: Size("64MiB"))
    max_entries: Entries = 100_000


class ModelFacts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What an operator says of a model; it wins over every list and book."""

    context_length: Tokens | None = None
    prompt_price_per_1k: Dollars | None = None
    completion_price_per_1k: Dollars | None = None
    modality: str = ""
    """What goes in and what comes out, such as `text+image->text`."""
    abilities: tuple[str, ...] = ()


class CatalogueSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    sync_hours: Hours = 0.0
    """How often the providers' lists are fetched into the database; 0: only when somebody asks for it."""
    models: dict[str, ModelFacts] = {}
    """By `provider/model`."""


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
    routes: dict[str, RouteSettings]
    prefixes: tuple[Prefix, ...]
    """Longest first."""
    plugins: Path | None
    """The folder of provider plug-ins."""
    timeouts: Timeouts
    log: Log
    journal: Journal
    cache: Cache
    idempotency: Idempotency
    catalogue: CatalogueSettings = CatalogueSettings()
    answer_model: Literal["served", "asked"] = "served"
    """What the body field `model` of an answer says."""
    otlp_endpoint: str | None = None
    loopback_only: bool = False
    """Keys are weak or none are wanted: whoever comes by a network is refused."""
    notices: tuple[str, ...] = ()
    """Sentences to say at start: a weak key on loopback, an ignored setting."""

    def secrets(self) -> list[Secret]:
        """Every secret value, for those who must keep them out of what they say."""
        said = [*self.auth.keys, self.auth.admin_key, self.database_url, self.redis_url]
        for provider in self.providers.values():
            said += [
                *provider.keys.values(),
                *map(Secret, provider.headers.values()),
                Secret(provider.transport.proxy or ""),
            ]
        return [secret for secret in said if secret]


class Database(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A whole URL, or the parts of a PostgreSQL one."""

    url: Secret | None = None
    host: str = ""
    port: Port | None = None
    name: str = ""
    user: str = ""
    password: Secret | None = None


class Redis(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A whole URL, or its parts."""

    url: Secret | None = None
    host: str = ""
    port: Port | None = None
    password: Secret | None = None


class Credential(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One of several keys for a provider: the key itself, or the name of the variable that holds it."""

    key: Secret | None = None
    key_env: str = ""


class Service(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A provider, as it is written. `key_env` names the variable that holds the key."""

    kind: str = ""
    base_url: str = ""
    key: Secret | None = None
    key_env: str = ""
    credentials: dict[str, Credential] = {}
    wires: tuple[str, ...] = ()
    headers: dict[str, Secret] = {}
    models: tuple[str, ...] = ()
    timeouts: Timeouts = Timeouts()
    proxy: Secret | None = None
    http2: bool = False
    client_cert: Path | None = None
    client_key: Path | None = None
    ca_file: Path | None = None


class Leads(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where a prefix leads, and whether it is removed from the model's name."""

    provider: str
    strip: bool = False


class File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The settings of headgate. Everything may be left out. Relative paths are found from the working folder."""

    server: Server = msgspec.field(default_factory=Server)
    auth: Auth = Auth()
    database: Database = Database()
    redis: Redis = Redis()
    providers: dict[str, Service] = {}
    aliases: dict[str, str | tuple[str, ...]] = {}
    routes: dict[str, RouteSettings] = {}
    prefixes: dict[str, str | Leads] = {}
    plugins: Path | None = None
    timeouts: Timeouts = Timeouts()
    log: Log = Log()
    journal: Journal = Journal()
    cache: Cache = msgspec.field(default_factory=Cache)
    idempotency: Idempotency = msgspec.field(default_factory=Idempotency)
    catalogue: CatalogueSettings = CatalogueSettings()
    answer_model: Literal["served", "asked"] = "served"
    otlp_endpoint: str | None = None


def schema() -> dict[str, object]:
    """The JSON schema of `headgate.yaml`, for editors (draft 2020-12)."""
    size = {"type": ["integer", "string"], "pattern": r"^\d+ ?([KMG]i?B)?$"}
    made = msgspec.json.schema(File, schema_hook=lambda kind: size if kind is Size else {"type": "string"})
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "headgate.yaml", **made}


class Variable(msgspec.Struct, frozen=True):
    """One environment variable: the setting it stands for, and the earlier systems whose users know it.

    Of two variables for one setting the first in `VARIABLES` wins. `read` turns its text into the setting's value,
    None where it says nothing, and raises `ValueError` with what it expects.
    """

    name: str
    setting: str
    meaning: str
    seed: str = ""
    read: Callable[[str], str | list[str] | None] = str


def stem(provider: str) -> str:
    """How the variables of a provider begin that is not among those above: `my-llm` → `MY_LLM`."""
    return re.sub(r"\W", "_", provider).upper()


def texts(text: str) -> list[str]:
    """A list as a person writes one in a variable: JSON, or separated by commas. Raises `ValueError`."""
    if not text.lstrip().startswith("["):
        return [part.strip() for part in text.split(",") if part.strip()]
    try:
        return msgspec.json.decode(text, type=list[str])
    except msgspec.DecodeError:
        raise ValueError("a comma list, or a JSON list of texts") from None


def _port(text: str) -> str | None:
    return None if text.startswith("tcp://") else text  # Kubernetes writes REDIS_PORT=tcp://… for a service "redis"


def _level(text: str) -> str:
    return {"warn": "warning", "critical": "error", "fatal": "error"}.get(text.lower(), text)


def _debug(text: str) -> str | None:
    if text.lower() not in ("true", "false", "1", "0"):
        raise ValueError("true or false")
    return "debug" if text.lower() in ("true", "1") else None


VARIABLES: tuple[Variable, ...] = (
    Variable("HEADGATE_HOME", "", "the folder that keeps all state; ./.headgate without it"),
    Variable("HEADGATE_CONFIG", "", "the settings file; ./headgate.yaml, then headgate.yaml in the home folder"),
    Variable("HEADGATE_HOST", "server.host", "the address to listen on"),
    Variable("API_HOST", "server.host", "the same", "003"),
    Variable("HEADGATE_PORT", "server.port", "the port to listen on", "", _port),
    Variable("API_PORT", "server.port", "the same", "003", _port),
    Variable("HEADGATE_WORKERS", "server.workers", "processes that answer; more than one needs Redis"),
    Variable("API_KEYS", "auth.keys", "callers' keys: a comma list or a JSON list", "001 003", texts),
    Variable("HEADGATE_ADMIN_KEY", "auth.admin_key", "a key that may use the admin routes"),
    Variable("AUTH_MODE", "auth.mode", "keys, or open on a loopback address"),
    Variable("ALLOW_OPEN_NETWORK", "auth.allow_open_network", "true lets AUTH_MODE=open listen to a network"),
    Variable("OPENAI_API_KEY", "providers.openai.key", "the key for OpenAI", "001 004"),
    Variable("OPENAI_BASE_URL", "providers.openai.base_url", "another address for OpenAI", "001"),
    Variable("OPENAI_API_BASE", "providers.openai.base_url", "the same", "004"),
    Variable("ANTHROPIC_API_KEY", "providers.anthropic.key", "the key for Anthropic", "004"),
    Variable("ANTHROPIC_API_BASE", "providers.anthropic.base_url", "another address for Anthropic, no /v1", "004"),
    Variable("DEEPSEEK_API_KEY", "providers.deepseek.key", "the key for DeepSeek", "004"),
    Variable("DEEPSEEK_API_BASE", "providers.deepseek.base_url", "another address for DeepSeek", "004"),
    Variable("OPENROUTER_API_KEY", "providers.openrouter.key", "the key for OpenRouter", "000"),
    Variable("OPENROUTER_API_BASE_URL", "providers.openrouter.base_url", "another address for OpenRouter", "000"),
    Variable("HUGGINGFACE_API_TOKEN", "providers.huggingface.key", "the token for HuggingFace", "001"),
    Variable("HF_TOKEN", "providers.huggingface.key", "the same"),
    Variable("HUGGINGFACE_BASE_URL", "providers.huggingface.base_url", "another address for HuggingFace"),
    Variable("OLLAMA_BASE_URL", "providers.ollama.base_url", "where Ollama listens", "001"),
    Variable("OLLAMA_API_KEY", "providers.ollama.key", "the key for an Ollama that wants one"),
    Variable("OPENAI_ORGS", "", "names of OpenAI-compatible services: a JSON list or a comma list", "001", texts),
    Variable("DATABASE_URL", "database.url", "sqlite:///file.db or postgresql://user:password@host/name", "001"),
    Variable("DATABASE_HOST", "database.host", "the PostgreSQL host", "000"),
    Variable("DATABASE_PORT", "database.port", "the PostgreSQL port", "000", _port),
    Variable("DATABASE_NAME", "database.name", "the PostgreSQL database", "000"),
    Variable("DATABASE_USER", "database.user", "the PostgreSQL user", "000"),
    Variable("DATABASE_PASSWORD", "database.password", "the PostgreSQL password", "000"),
    Variable("REDIS_URL", "redis.url", "redis://:password@host:6379/0", "003"),
    Variable("REDIS_HOST", "redis.host", "the Redis host", "000"),
    Variable("REDIS_PORT", "redis.port", "the Redis port", "000", _port),
    Variable("REDIS_PASSWORD", "redis.password", "the Redis password", "000"),
    Variable("OTEL_EXPORTER_OTLP_ENDPOINT", "otlp_endpoint", "where traces and metrics go"),
    Variable("LOG_LEVEL", "log.level", "debug, info, warning or error", "", _level),
    Variable("DEBUG", "log.level", "true means LOG_LEVEL=debug", "003", _debug),
)
"""Every variable that `load` reads, besides {ORG}_API_KEY, {ORG}_BASE_URL and {ORG}_MODELS for each of OPENAI_ORGS."""

FLAGS = {"host": "server.host", "port": "server.port", "workers": "server.workers", "log_level": "log.level"}
"""Flags that stand for settings; `config` and `home` stand beside them."""


def load(
    flags: Mapping[str, object] = MappingProxyType({}),
    environ: Mapping[str, str] | None = None,
    folder: Path | None = None,
) -> Config:
    """Reads all settings. Precedence: flag, environment, `.env` in `folder` (default: the working folder), settings
    file, default. `flags` holds what was said of `FLAGS`, `config` and `home`; None means not said.

    Raises `ConfigError` with source, setting and what was expected.
    """
    return reading(flags, environ, folder).config


def reading(
    flags: Mapping[str, object] = MappingProxyType({}),
    environ: Mapping[str, str] | None = None,
    folder: Path | None = None,
) -> Reading:
    """The same with what was written where, for those who show or explain it."""
    from headgate.config.resolve import read

    return read(flags, os.environ if environ is None else environ, folder or Path.cwd())


def survey(flags: Mapping[str, object] = MappingProxyType({})) -> tuple[Reading | None, list[ConfigError]]:
    """Every fault of the settings that can be found in one go, and what is good of them, where anything is."""
    from headgate.config.faults import find

    return find(flags, os.environ, Path.cwd())


def lookup(environ: Mapping[str, str] | None = None, folder: Path | None = None) -> Callable[[str], str | None]:
    """A reader of single variables, environment before `.env`, for those who must read one that no setting knows."""
    from headgate.config.resolve import values

    return values(os.environ if environ is None else environ, folder or Path.cwd()).get


def hand_on(flags: Mapping[str, object]) -> None:
    """Writes flags into the environment, for the processes that this one starts."""
    names = {"host": "HEADGATE_HOST", "port": "HEADGATE_PORT", "workers": "HEADGATE_WORKERS", "log_level": "LOG_LEVEL"}
    for flag, value in flags.items():
        if value is not None:
            os.environ[names.get(flag, f"HEADGATE_{flag.upper()}")] = str(value)
