"""How a provider is reached: its adapter, the client that carries its calls, and the limits on them."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

import msgspec

from headgate.errors import WireNotServed
from headgate.providers.base import Provider
from headgate.types import Secret, Target
from headgate.upstream.base import Call, Headers, Limits, Upstream
from headgate.wire.base import Wire

WORDS_CHARS = 2000
"""How much of what a provider says of itself is passed on."""


class Credential(msgspec.Struct, frozen=True):
    """A provider's key, if it has one, and the headers that calls with it carry."""

    key: Secret | None
    headers: Headers


class Reach(msgspec.Struct, frozen=True):
    """One configured provider, ready to be called. `wires` are what it speaks, in order of preference."""

    provider: Provider
    upstream: Upstream
    limits: Limits
    wires: dict[str, Wire]
    credentials: dict[str, Credential]
    """By name; at least one, the first being as good as any."""

    @property
    def name(self) -> str:
        return self.provider.name

    @property
    def configured(self) -> bool:
        """Whether an operator said anything of it that makes it callable."""
        settings = self.provider.settings
        return bool(settings.first_key or settings.base_url or self.provider.responds)

    @property
    def address(self) -> tuple[str, int]:
        """Host and port of its server; an empty host where there is none."""
        url = urlsplit(self.provider.base_url)
        return url.hostname or "", url.port or (443 if url.scheme == "https" else 80)

    def told(self, text: str) -> str:
        """A provider's own words, without what looks like a credential: first that, then cut, so that no half stays."""
        return self.provider.scrub(text)[:WORDS_CHARS]

    @property
    def any_headers(self) -> Headers:
        """For calls that may go with any credential."""
        return next(iter(self.credentials.values())).headers

    def wire_for(self, asked: Wire, credential: str) -> Wire:
        """The asked wire itself where the provider speaks it, else one of its family.

        Raises `WireNotServed` when there is none, `ProviderNotConfigured` when a key or an address is missing.
        """
        self.provider.require(self.credentials[credential].key)
        if asked.name in self.wires:
            return asked
        for wire in self.wires.values():
            if wire.family == asked.family:
                return wire
        raise WireNotServed(f"the provider `{self.name}` does not serve {asked.name}")

    def call(self, wire: Wire, target: Target, body: bytes) -> Call:
        url, headers = self.provider.url(wire.name, target.model), self.credentials[target.credential].headers
        return Call(url=url, headers=headers, body=body, limits=self.limits)


def reach_of(provider: Provider, upstream: Upstream, wires: Mapping[str, Wire]) -> Reach:
    """A provider behind a client; `wires` are all that there are."""
    settings, times = provider.settings, provider.settings.timeouts
    return Reach(
        provider=provider,
        upstream=upstream,
        limits=Limits(times.connect_s, times.first_byte_s, times.idle_s, times.total_s),
        wires={name: wires[name] for name in provider.wires},
        credentials={
            name: Credential(key, [*provider.headers(key), (b"content-type", b"application/json")])
            for name, key in settings.keys.items()
        },
    )
