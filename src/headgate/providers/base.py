"""What a provider is: facts first, then a few small methods, none of which touches a network."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from datetime import datetime
from typing import ClassVar, TypeVar
from urllib.parse import quote

import msgspec

from headgate.config import ProviderSettings
from headgate.errors import (
    ModelNotFound,
    ProviderNotConfigured,
    UpstreamAuthFailed,
    UpstreamError,
    UpstreamProtocolError,
)
from headgate.providers.failure import failure_from, read_error, scrubber
from headgate.types import ModelCard, Secret
from headgate.wire.base import Fields, encode
from headgate.wire.conversation import AnyEvent, Conversation
from headgate.wire.vectors import EmbeddingReply, EmbeddingRequest

Headers = list[tuple[bytes, bytes]]

T = TypeVar("T")


class Provider:
    """A service that speaks one or more wires.

    Subclasses state facts. `paths` maps each wire that the service speaks to the path behind `base_url`; it is the list
    of abilities too. `{model}` in a path is replaced. `renames` and `drops` act on a request's top-level fields.
    An instance is one configured service: its `name` and `base_url` are the settings' own where these say them.
    """

    name: str = ""
    base_url: str = ""
    base_env: ClassVar[tuple[str, ...]] = ()
    """Environment variables that replace `base_url`."""
    key_env: tuple[str, ...] = ()
    """Environment variables that hold the key, the first one being the one to name to a person."""
    key_needed: bool = True
    paths: ClassVar[Mapping[str, str]] = {}
    models_path: ClassVar[str] = ""
    """Where the service lists its models; empty: nowhere."""
    known_models: ClassVar[tuple[str, ...]] = ()
    """Models that are there without asking, where the settings name none."""
    renames: ClassVar[Mapping[str, str]] = {}
    drops: ClassVar[frozenset[str]] = frozenset()
    responds: ClassVar[bool] = False
    """Answers conversations by itself through `respond`, without an upstream."""
    embeds: ClassVar[bool] = False
    """Makes vectors by itself through `embed`, without an upstream."""

    def __init__(self, settings: ProviderSettings) -> None:
        self.settings = settings
        self.name = settings.name
        self.base_url = _base(settings.base_url or type(self).base_url, self.paths)
        if settings.key_env:
            self.key_env = (settings.key_env,)
        self.wires = tuple(wire for wire in self.paths if not settings.wires or wire in settings.wires)
        """The wires that may be used: `paths`, as far as the settings allow them."""
        keys = [key.reveal() for key in settings.keys.values() if key]
        self.scrub = scrubber([*keys, *settings.headers.values()])
        """Hides the credential, and everything that looks like one, in a text that came from the service."""
        self._own_headers = {name.lower().encode(): value.encode() for name, value in settings.headers.items()}

    def require(self, key: Secret | None) -> None:
        """Raises `ProviderNotConfigured`, which names the variable, where an address or a needed key is missing."""
        if not self.base_url and not (self.responds or self.embeds):
            raise ProviderNotConfigured(f"the provider `{self.name}` has no address: set {_first(self.base_env)}")
        if self.key_needed and not key:
            raise ProviderNotConfigured(f"the provider `{self.name}` has no key: set {_first(self.key_env)}")

    @property
    def ready(self) -> bool:
        """Whether it has what `require` wants."""
        try:
            self.require(self.settings.key)
        except ProviderNotConfigured:
            return False
        return True

    @property
    def models_url(self) -> str:
        """Where the service lists its models; empty: nowhere."""
        return self.base_url + self.models_path if self.models_path else ""

    def url(self, wire: str, model: str) -> str:
        """The absolute URL for a call. Raises `ModelNotFound` for a model name that would leave the path."""
        path = self.paths[wire]
        return self.base_url + (path.replace("{model}", _path_safe(model)) if "{model}" in path else path)

    def headers(self, key: Secret | None) -> Headers:
        """Headers that every call to the service carries: credential, habits, then the settings' own, which win.

        Names are lower-case. `content-type` is the sender's to add. Never the caller's own credential.
        """
        return list({**dict(self.credential(key)), **self._own_headers}.items())

    def credential(self, key: Secret | None) -> Headers:
        """The headers that show the key, and those that the service wants besides."""
        return [(b"authorization", b"Bearer " + key.reveal().encode())] if key else []

    def suit(self, conversation: Conversation) -> Conversation:
        """A conversation that goes to one of the service's wires, with what its model makes differ.

        Raises `WireNotServed` for one that the model refuses as a whole.
        """
        return conversation

    def adjust(self, wire: str, model: str, fields: Fields) -> tuple[str, ...]:
        """Changes a request's fields to this service's habits; returns the names of settings that had to go."""
        for old, new in self.renames.items():
            rename(fields, old, new)
        return drop(fields, self.drops)

    def failure(self, status: int, headers: Mapping[bytes, bytes], body: bytes) -> UpstreamError:
        """Reads an answer that is not 200 into the error family. `headers` have lower-case names."""
        error = failure_from(self.name, status, headers, read_error(body), self.scrub)
        if isinstance(error, UpstreamAuthFailed) and not (self.settings.key or self._own_headers):
            error.message = f"{self.name} asks for a key, and the gateway has none for it: set {_first(self.key_env)}"
        return error

    def models(self, body: bytes) -> list[ModelCard]:
        """Reads the answer of `models_path`. Raises `UpstreamProtocolError` for junk."""
        rows = self.read_models(body, _ModelList).data
        return [
            ModelCard(id=row.id, provider=self.name, created=int(row.created or 0), context_length=row.window)
            for row in rows
        ]

    def cards(self) -> list[ModelCard]:
        """Models that are there without asking."""
        return [ModelCard(id=name, provider=self.name) for name in self.settings.models or self.known_models]

    def respond(self, conversation: Conversation) -> AsyncGenerator[AnyEvent, None]:
        """Answers a conversation without an upstream (only where `responds`). Raises `UpstreamError`s only."""
        raise NotImplementedError

    def embed(self, request: EmbeddingRequest) -> EmbeddingReply:
        """One vector for each input, without an upstream (only where `embeds`)."""
        raise NotImplementedError

    def read_models(self, body: bytes, shape: type[T]) -> T:
        """Decodes a model list. Raises `UpstreamProtocolError` for junk."""
        try:
            return msgspec.json.decode(body, type=shape)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise UpstreamProtocolError(f"{self.name}: the model list is not readable: {error}") from None


class _ModelRow(msgspec.Struct):
    """A row as OpenAI lists it, with the names under which services tell the context length: Together and OpenRouter,
    Groq, Mistral, vLLM."""

    id: str
    created: float | None = None
    context_length: object = None
    context_window: object = None
    max_context_length: object = None
    max_model_len: object = None

    @property
    def window(self) -> int | None:
        said = (self.context_length, self.context_window, self.max_context_length, self.max_model_len)
        return next((number for number in said if type(number) is int and number > 0), None)


class _ModelList(msgspec.Struct):
    data: list[_ModelRow]


def rename(fields: Fields, old: str, new: str) -> None:
    """Moves a field to another name, unless the other is there already."""
    if old in fields:
        value = fields.pop(old)
        fields.setdefault(new, value)


def drop(fields: Fields, names: frozenset[str]) -> tuple[str, ...]:
    """Takes fields out; returns the names of those that were there."""
    gone = tuple(name for name in fields if name in names)
    for name in gone:
        del fields[name]
    return gone


def epoch_s(moment: str) -> int:
    """Epoch seconds of an RFC 3339 time; 0 where it cannot be read."""
    try:
        return int(datetime.fromisoformat(moment).timestamp())
    except (ValueError, OverflowError):
        return 0


def _first(variables: tuple[str, ...]) -> str:
    return variables[0] if variables else "it in headgate.yaml"


def _base(url: str, paths: Mapping[str, str]) -> str:
    url = url.rstrip("/")
    return url.removesuffix("/v1") if any(path.startswith("/v1/") for path in paths.values()) else url


def _path_safe(model: str) -> str:
    if any(segment in ("", ".", "..") for segment in model.split("/")):
        raise ModelNotFound(f"no model can be named {model[:200]!r}", param="model")
    return quote(model, safe="/:@")


__all__ = ["Fields", "Headers", "Provider", "drop", "encode", "epoch_s", "rename"]
