"""From what was written to what was decided: the format of `headgate.yaml`, the layers over it, and the checks."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec

from headgate.config import (
    FLAGS,
    VARIABLES,
    CatalogueSettings,
    Config,
    File,
    Leads,
    Prefix,
    ProviderSettings,
    Service,
    Transport,
    Variable,
    address,
    routes,
    stem,
    texts,
)
from headgate.config.routes import RouteSettings
from headgate.config.settings import (
    Keys,
    Layer,
    Node,
    Source,
    at,
    fill,
    near,
    place,
    read_dotenv,
    read_yaml,
    refused,
    remove,
    wrong,
)
from headgate.errors import ConfigError
from headgate.types import DEFAULT, Secret

KNOWN = ("openai", "anthropic", "deepseek", "openrouter", "huggingface", "ollama", "echo")
"""Providers that are there without being written anywhere."""

# fmt: off
WEAK = frozenset(
    (
        "test-key", "changeme", "change-me", "change_me", "password", "password1",
        "12345678", "123456789", "1234567890", "your-api-key", "your_api_key", "your-secret-key",
        "sk-12345678", "testtest", "test-api-key", "headgate", "admin123", "administrator",
        "letmein1", "qwertyui",
    )
)
# fmt: on
"""Secrets that everybody knows, besides all that are shorter than 8 characters."""

PREFIXES = {
    **dict.fromkeys(("gpt-", "o1", "o3", "o4", "chatgpt-", "text-embedding-"), Leads("openai")),
    "anthropic-": Leads("anthropic", strip=True),
    "claude-": Leads("anthropic"),
    "deepseek-": Leads("deepseek"),
    "echo": Leads("echo"),
}
"""Where model names lead that begin so, unless the settings say otherwise."""

_KEY_VARIABLES = {
    variable.setting.split(".")[1]: variable.name
    for variable in reversed(VARIABLES)
    if variable.setting.startswith("providers.") and variable.setting.endswith(".key")
}


ORGS: Keys = ("OPENAI_ORGS",)
"""Stands for the one variable that is no setting but names some."""

_HEADER = re.compile(r"(?!(?:host|content-length|connection|transfer-encoding):)[\w!#$%&'*+.^`|~-]+: [\t -~]*", re.A)


class Reading(msgspec.Struct, frozen=True):
    """One reading of all settings: what was decided, and what was written where."""

    config: Config
    file: File
    root: Node


def read(
    flags: Mapping[str, object], environ: Mapping[str, str], folder: Path, without: Sequence[Keys] = ()
) -> Reading:
    """Reads all settings, `without` those that are known to be wrong.

    Raises `ConfigError` with source, setting and what was expected.
    """
    said = {flag: str(value) for flag, value in flags.items() if value is not None}
    layers = _layers(environ, folder)
    known = values(environ, folder)
    home = folder / Path(said.get("home") or known.get("HEADGATE_HOME") or ".headgate").expanduser()
    root = _written(said.get("config") or known.get("HEADGATE_CONFIG"), home, folder, known)
    orgs = _orgs(root, layers, without)
    names = {variable.name for variable in VARIABLES}
    table = VARIABLES + tuple(
        variable
        for provider in (at(root, "providers") or root).table
        for variable in _variables_of(provider)
        if variable.name not in names
    )
    table = tuple(variable for variable in table if _way(variable.setting) not in without)
    notices = [notice for layer in layers for notice in _overlay(root, table, layer)]
    for flag, setting in FLAGS.items():
        if flag in said:
            place(root, _way(setting), Node(said[flag], Source(Layer.FLAG, "--" + flag.replace("_", "-"))))
    _share_timeouts(root)
    for keys in without:
        remove(root, keys)
    file = fill(File, root)
    return Reading(_Decision(file, root, (*KNOWN, *orgs), known, home, folder, notices).config(), file, root)


def values(environ: Mapping[str, str], folder: Path) -> dict[str, str]:
    """Every variable that was set, whether it is a setting or not. Raises `ConfigError` for a wrong `.env`."""
    return {name: str(node.value) for layer in _layers(environ, folder) for name, node in layer.items()}


def _way(setting: str) -> Keys:
    return tuple(setting.split("."))


def _layers(environ: Mapping[str, str], folder: Path) -> tuple[dict[str, Node], dict[str, Node]]:
    """The variables of `.env` and of the environment, weaker first. An empty one was not set."""
    dotenv = {name: node for name, node in read_dotenv(folder / ".env", environ).items() if node.value}
    spoken = {name: Node(text, Source(Layer.ENVIRONMENT, name)) for name, text in environ.items() if text}
    return dotenv, spoken


def _written(named: str | None, home: Path, folder: Path, values: Mapping[str, str]) -> Node:
    """The settings file that was named, else the first that is there, else nothing."""
    if named:
        return read_yaml(folder / Path(named).expanduser(), values)
    for path in (folder / "headgate.yaml", home / "headgate.yaml"):
        if path.exists():
            return read_yaml(path, values)
    return Node({}, Source(Layer.FILE))


def _orgs(root: Node, layers: tuple[dict[str, Node], ...], without: Sequence[Keys]) -> tuple[str, ...]:
    """The services that `OPENAI_ORGS` names; each gets its place among the providers."""
    node = next((layer["OPENAI_ORGS"] for layer in reversed(layers) if "OPENAI_ORGS" in layer), None)
    if node is None or ORGS in without:
        return ()
    orgs = tuple(org.lower() for org in _read(node, texts, ORGS))
    for org in orgs:
        if not re.fullmatch(r"[a-z][a-z0-9_-]*", org):
            raise ConfigError(f"{node.source}: expected names of letters, digits, _ and -.", ORGS)
        if at(root, "providers", org) is None:
            place(root, ("providers", org), Node({}, node.source))
    return orgs


def _variables_of(name: str) -> tuple[Variable, ...]:
    """The variables that every service besides the known ones has."""
    start, setting = stem(name), f"providers.{name}"
    return (
        Variable(f"{start}_API_KEY", f"{setting}.key", f"the key for {name}"),
        Variable(f"{start}_BASE_URL", f"{setting}.base_url", f"the address of {name}"),
        Variable(f"{start}_MODELS", f"{setting}.models", f"the models of {name}", read=texts),
    )


def _read(node: Node, read: Callable[[str], Any], keys: Keys) -> Any:
    try:
        return read(str(node.value))
    except ValueError as error:
        raise ConfigError(f"{node.source}: expected {error}.", keys) from None


def _overlay(root: Node, table: tuple[Variable, ...], layer: dict[str, Node]) -> Iterator[str]:
    """Puts a layer's variables into the tree; yields a notice for each that another one hides."""
    for variable in reversed(table):
        node = layer.get(variable.name)
        value = _read(node, variable.read, _way(variable.setting)) if node and variable.setting else None
        if node is None or value is None:
            continue
        below = at(root, *_way(variable.setting))
        if below and below.source.layer is node.source.layer and below.value != value:
            yield f"{below.source} is ignored, because {node.source} says the same setting."
        items = [Node(item, node.source) for item in value] if isinstance(value, list) else value
        place(root, _way(variable.setting), Node(items, node.source))
    known = {variable.name for variable in table}
    for name, node in layer.items():
        if name.startswith("HEADGATE_") and name not in known and (meant := near(name, known, 0.9)):
            yield f"{node.source} is not a setting of headgate.{meant}"


def _share_timeouts(root: Node) -> None:
    """What `timeouts` says holds for each provider that does not say otherwise."""
    shared, providers = at(root, "timeouts"), at(root, "providers")
    for name, provider in (providers.table if shared and providers else {}).items():
        for limit, node in shared.table.items() if shared else ():
            if isinstance(provider.value, dict) and at(provider, "timeouts", limit) is None:
                place(root, ("providers", name, "timeouts", limit), node)


class _Decision(msgspec.Struct):
    """The checks that need more than one setting, and the Config that passes them."""

    file: File
    root: Node
    keyed: tuple[str, ...]
    """Providers whose missing key is a fault, to be named when they are asked."""
    values: Mapping[str, str]
    home: Path
    folder: Path
    notices: list[str]
    weak: bool = False
    """A key was found that only a loopback address may have."""

    def config(self) -> Config:
        file = self.file
        redis_url = self.redis_url()
        self.check_server(redis_url)
        self.check_keys()
        services = {name: Service(timeouts=file.timeouts) for name in KNOWN} | file.providers
        providers = {name: self.provider(name, service) for name, service in services.items()}
        return Config(
            home=self.home,
            server=file.server,
            auth=file.auth,
            database_url=self.database_url(),
            redis_url=redis_url,
            providers=providers,
            aliases={name: self.alias(name, providers) for name in file.aliases},
            routes=self.routes(providers),
            prefixes=self.prefixes(providers),
            plugins=self.existing("plugins") or self.home / "plugins",
            timeouts=file.timeouts,
            log=file.log,
            journal=file.journal,
            cache=file.cache,
            idempotency=file.idempotency,
            catalogue=self.catalogue(providers),
            answer_model=file.answer_model,
            otlp_endpoint=file.otlp_endpoint and self.checked(address.web_url, file.otlp_endpoint, "otlp_endpoint"),
            loopback_only=self.weak or (file.auth.mode == "open" and not file.auth.allow_open_network),
            notices=tuple(self.notices),
        )

    def node(self, *keys: str) -> Node:
        """What was written there, or the nearest table around it."""
        while keys and at(self.root, *keys) is None:
            keys = keys[:-1]
        return at(self.root, *keys) or self.root

    def wrong(self, expected: str, *keys: str) -> ConfigError:
        return wrong(self.node(*keys), keys, expected)

    def refused(self, expected: str, *keys: str) -> ConfigError:
        return refused(self.node(*keys), keys, expected)

    def checked(self, check: Callable[[str], str], value: str, *keys: str) -> str:
        try:
            return check(value)
        except ValueError as error:
            raise self.wrong(str(error), *keys) from None

    def existing(self, *keys: str) -> Path | None:
        node = at(self.root, *keys)
        if node is None:
            return None
        path = self.folder / Path(str(node.value)).expanduser()
        if not path.exists():
            raise self.refused("a file or folder that is there", *keys)
        return path

    def check_server(self, redis_url: Secret | None) -> None:
        server, auth = self.file.server, self.file.auth
        if server.workers > 1 and redis_url is None:
            reason = "keys and limits must hold in every process at once"
            raise self.refused(f"1, or REDIS_URL as well: {reason}, which takes Redis", "server", "workers")
        if auth.mode == "open" and not (auth.allow_open_network or address.is_loopback(server.host)):
            raise self.refused(
                f"keys, or ALLOW_OPEN_NETWORK=true as well: {server.host} is no loopback address", "auth", "mode"
            )

    def check_keys(self) -> None:
        auth, host = self.file.auth, self.file.server.host
        found = [(("auth", "keys", f"[{index}]"), key) for index, key in enumerate(auth.keys)]
        if auth.admin_key in auth.keys:
            raise self.wrong("a key that is not one of the callers' as well", "auth", "admin_key")
        for keys, key in found + ([(("auth", "admin_key"), auth.admin_key)] if auth.admin_key else []):
            if not re.fullmatch(r"[!-~]{1,512}", key.reveal()):
                raise self.wrong("at most 512 printable ASCII characters without spaces", *keys)
            if len(key.reveal()) >= 8 and key.reveal().lower() not in WEAK:
                continue
            if not address.is_loopback(host):
                raise self.wrong(f"8 characters or more that are not well known: {host} is no loopback address", *keys)
            self.weak = True
            self.notices.append(
                f"{self.node(*keys).source}: a weak key is accepted, because only {host} is listened on."
            )

    def provider(self, name: str, service: Service) -> ProviderSettings:
        here = ("providers", name)
        key, key_env = self.credential(name, service)
        if not re.fullmatch(r"[a-z0-9][a-z0-9_.-]*", name):
            raise self.wrong("a name of lower-case letters, digits, '-', '_' and '.'", *here)
        meant = near(name, KNOWN, 0.8)
        if not (service.kind or service.base_url or name in KNOWN) and meant:
            raise self.wrong(f"a base URL, as {name} is no known provider.{meant}", *here)
        return ProviderSettings(
            name=name,
            kind=service.kind or (name if name in KNOWN else "compatible"),
            base_url=service.base_url and self.checked(address.base_url, service.base_url, *here, "base_url"),
            key=key,
            key_env=key_env,
            credentials={each: self.named_key(name, each) for each in service.credentials},
            wires=service.wires,
            headers=self.headers(name, service),
            models=service.models,
            timeouts=service.timeouts,
            transport=self.transport(name, service),
        )

    def credential(self, name: str, service: Service) -> tuple[Secret | None, str]:
        """The key, and the variable to name when there is none. A `key_env` that was written decides alone."""
        here = ("providers", name)
        written = at(self.root, *here, "key")
        if service.key_env and written and written.source.layer is Layer.FILE:
            raise self.wrong("key or key_env, not both", *here, "key_env")
        variable, key = _KEY_VARIABLES.get(name) or _variables_of(name)[0].name, service.key
        if service.key_env:
            variable, value = service.key_env, self.values.get(service.key_env)
            key = Secret(value) if value else None
        if key and not re.fullmatch(r"[!-~]+", key.reveal()):
            raise self.wrong("printable ASCII characters without spaces", *here, "key")
        return key, variable if service.key_env or (name in self.keyed and name != "echo") else ""

    def named_key(self, provider: str, name: str) -> Secret:
        """One of a provider's several keys. One that is named and not there is a fault: a route may count on it."""
        here = ("providers", provider, "credentials", name)
        said = self.file.providers[provider].credentials[name]
        if not re.fullmatch(r"[a-z0-9][a-z0-9_.-]*", name) or name == DEFAULT:
            raise self.wrong(f"a name of lower-case letters, digits, '-', '_' and '.', not {DEFAULT!r}", *here)
        if bool(said.key) == bool(said.key_env):
            raise self.wrong("key or key_env, one of them", *here)
        key = said.key or Secret(self.values.get(said.key_env, ""))
        if not key:
            raise self.wrong(f"the environment to set {said.key_env}", *here)
        if not re.fullmatch(r"[!-~]+", key.reveal()):
            raise self.wrong("printable ASCII characters without spaces", *here)
        return key

    def routes(self, providers: Mapping[str, ProviderSettings]) -> dict[str, RouteSettings]:
        credentials = {name: tuple(provider.keys) for name, provider in providers.items()}
        routes.check(self.file.routes, self.root, credentials, self.file.aliases)
        return self.file.routes

    def headers(self, name: str, service: Service) -> dict[str, str]:
        for header, value in service.headers.items():
            if not _HEADER.fullmatch(f"{header.lower()}: {value.reveal()}"):
                raise self.wrong("a header that a request may carry, in ASCII", "providers", name, "headers", header)
        return {header.lower(): value.reveal() for header, value in service.headers.items()}

    def transport(self, name: str, service: Service) -> Transport:
        here = ("providers", name)
        if (service.client_cert is None) != (service.client_key is None):
            raise self.wrong("client_cert and client_key together", *here)
        return Transport(
            proxy=self.checked(address.web_url, service.proxy.reveal(), *here, "proxy") if service.proxy else None,
            http2=service.http2,
            client_cert=self.existing(*here, "client_cert"),
            client_key=self.existing(*here, "client_key"),
            ca_file=self.existing(*here, "ca_file"),
        )

    def catalogue(self, providers: Mapping[str, ProviderSettings]) -> CatalogueSettings:
        for name in self.file.catalogue.models:
            provider, _, model = name.partition("/")
            if not model or provider not in providers:
                expected = f"provider/model with a known provider.{near(provider, providers)}"
                raise self.wrong(expected, "catalogue", "models", name)
        return self.file.catalogue

    def alias(self, name: str, providers: Mapping[str, ProviderSettings]) -> tuple[str, ...]:
        found = tuple(dict.fromkeys(self.targets(name, (name,), providers)))
        if not found:
            raise self.wrong("at least one target", "aliases", name)
        return found

    def targets(self, name: str, via: Keys, providers: Mapping[str, ProviderSettings]) -> Iterator[str]:
        """The targets of an alias, those of aliases in it included. `via` are the aliases on the way here."""
        said = self.file.aliases[name]
        for index, target in enumerate((said,) if isinstance(said, str) else said):
            keys = ("aliases", name) if isinstance(said, str) else ("aliases", name, f"[{index}]")
            provider, _, model = target.partition("/")
            if target in self.file.aliases and target not in via:
                yield from self.targets(target, (*via, target), providers)
            elif model and provider in providers:
                yield target
            elif target in via:
                raise self.wrong(f"no circle: {' → '.join((*via, target))}", *keys)
            else:
                raise self.refused(
                    f"provider/model with a known provider, or another alias.{near(provider, providers)}", *keys
                )

    def prefixes(self, providers: Mapping[str, ProviderSettings]) -> tuple[Prefix, ...]:
        table = PREFIXES | {
            prefix: Leads(leads) if isinstance(leads, str) else leads for prefix, leads in self.file.prefixes.items()
        }
        for prefix, leads in table.items():
            if leads.provider not in providers:
                raise self.wrong(
                    f"a known provider, not {leads.provider!r}.{near(leads.provider, providers)}", "prefixes", prefix
                )
        rows = [Prefix(prefix, leads.provider, leads.strip) for prefix, leads in table.items()]
        return tuple(sorted(rows, key=lambda row: (-len(row.prefix), row.prefix)))

    def whole(self, room: Literal["database", "redis"]) -> bool:
        """Is the URL, rather than its parts, what was said last?"""
        written = at(self.root, room)
        parts = [node for name, node in (written.table if written else {}).items() if name != "url" and node.value]
        url = at(self.root, room, "url")
        strongest = min((node.source.layer for node in parts), default=None)
        if url is None or strongest is None:
            return url is not None
        wins = url.source.layer <= strongest
        loser, winner = (parts[0], url) if wins else (url, parts[0])
        self.notices.append(f"{loser.source} is ignored, because {winner.source} says where {room} is.")
        return wins

    def database_url(self) -> Secret:
        said = self.file.database
        if self.whole("database") and said.url:
            try:
                url, ignored = address.database_url(said.url.reveal(), self.folder)
            except ValueError as error:
                raise self.wrong(str(error), "database", "url") from None
            if ignored:
                self.notices.append(f"{self.node('database', 'url').source}: not used here: {', '.join(ignored)}.")
            return Secret(url)
        if said.host or said.port or said.name or said.user or said.password:
            password = said.password.reveal() if said.password else ""
            parts = {"host": said.host, "port": str(said.port or ""), "name": said.name, "user": said.user}
            return Secret(
                self.checked(lambda _: address.postgresql_url({**parts, "password": password}), "", "database")
            )
        return Secret(f"sqlite+aiosqlite:///{self.home / 'headgate.db'}")

    def redis_url(self) -> Secret | None:
        said = self.file.redis
        if self.whole("redis") and said.url:
            return Secret(self.checked(address.redis_url, said.url.reveal(), "redis", "url"))
        if said.host:
            password = said.password.reveal() if said.password else ""
            return Secret(address.redis_url_of(said.host, str(said.port or ""), password))
        return None
