"""The one place where a caller is known and let in: `identify` says who asks, `admit` whether now."""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from contextlib import suppress
from time import monotonic
from types import TracebackType

from headgate.access.keys import Key, digest
from headgate.access.repository import KeyRepository
from headgate.config import Auth
from headgate.errors import KeysUnavailable, NotAllowed, NotAuthenticated, ShuttingDown, StorageUnavailable
from headgate.storage.bus import Bus
from headgate.types import Caller, Plan

TOPIC = "keys"
POLL_S = 2.0
"""How late a key that was made or revoked elsewhere is noticed without the bus."""
UNKNOWN_S = 2.0
UNKNOWN_KEPT = 10_000
TOKEN_BYTES = 4096
OPEN = Caller(key_id="open", name="open", role="caller")

log = logging.getLogger(__name__)


class Gate:
    """Knows every caller by the digest of its key, from memory; the database is asked for strangers only."""

    def __init__(self, auth: Auth, keys: KeyRepository, bus: Bus) -> None:
        self._keys = keys
        self._bus = bus
        self._open = auth.mode == "open"
        self._configured = _configured(auth)
        self._known: dict[bytes, Caller] = dict(self._configured)
        self._unknown: OrderedDict[bytes, float] = OrderedDict()
        self._asking: dict[bytes, asyncio.Task[Caller | None]] = {}
        self._version = 0
        self._polling: asyncio.Task[None] | None = None
        self.in_flight = 0
        self.draining = False

    async def start(self) -> None:
        """Loads all keys, and follows their changes. Raises `StorageUnavailable`."""
        await self.refresh()
        await self._bus.subscribe(TOPIC, self.refresh)
        self._polling = asyncio.create_task(self._poll())

    async def stop(self) -> None:
        if self._polling is not None:
            self._polling.cancel()
            with suppress(asyncio.CancelledError):
                await self._polling

    async def refresh(self) -> None:
        """Takes in what changed since the last time."""
        for key in await self._keys.newer_than(self._version):
            self._learn(key)

    async def identify(self, authorization: bytes | None, api_key: bytes | None) -> Caller:
        """Who shows these values of `Authorization` and `X-API-Key`.

        Raises `NotAuthenticated`, or `KeysUnavailable` where a stranger's key cannot be looked up just now.
        """
        token = _token(authorization, api_key)
        if token is None:
            if self._open:
                return OPEN
            raise NotAuthenticated("no API key was given: send `Authorization: Bearer <key>` or `X-API-Key: <key>`")
        token_digest = digest(token)
        caller = self._known.get(token_digest)
        if caller is None:
            caller = await self._stranger(token_digest)
        if caller is None:
            if self._open:
                return OPEN
            raise NotAuthenticated("this API key is not known here")
        return caller

    def require_owner(self, caller: Caller) -> None:
        """Raises `NotAllowed` for everybody but an owner."""
        if caller.role != "owner":
            raise NotAllowed("this route needs an owner's key: the first-run key or HEADGATE_ADMIN_KEY")

    def admit(self, caller: Caller, plan: Plan) -> Admission:
        """The scope of one admitted request, the place for limits. Entering raises `ShuttingDown` while draining."""
        return Admission(self)

    def _learn(self, key: Key) -> None:
        self._version = max(self._version, key.version)
        self._unknown.pop(key.digest, None)
        if key.revoked_us is None:
            self._known[key.digest] = key.caller
        elif key.digest not in self._configured:
            self._known.pop(key.digest, None)

    async def _stranger(self, token_digest: bytes) -> Caller | None:
        if monotonic() - self._unknown.get(token_digest, -UNKNOWN_S) < UNKNOWN_S:
            return None
        asking = self._asking.get(token_digest)
        if asking is None:
            asking = self._asking[token_digest] = asyncio.create_task(self._look_up(token_digest))
            asking.add_done_callback(lambda _: self._asking.pop(token_digest, None))
        try:
            return await asyncio.shield(asking)
        except StorageUnavailable:
            raise KeysUnavailable("this key cannot be checked just now: the database does not answer") from None

    async def _look_up(self, token_digest: bytes) -> Caller | None:
        key = await self._keys.find(token_digest)
        if key is not None and key.revoked_us is None:
            self._known[token_digest] = key.caller
            return key.caller
        self._unknown[token_digest] = monotonic()
        if len(self._unknown) > UNKNOWN_KEPT:
            self._unknown.popitem(last=False)
        return None

    async def _poll(self) -> None:
        away = False
        while True:
            await asyncio.sleep(POLL_S)
            try:
                await self.refresh()
            except StorageUnavailable as error:
                if not away:
                    log.warning("keys are served from memory for now: %s", error.message)
                away = True
            else:
                if away:
                    log.warning("keys are followed in the database again")
                away = False


class Admission:
    """One request inside. Leaving gives its place back."""

    __slots__ = ("_gate",)

    def __init__(self, gate: Gate) -> None:
        self._gate = gate

    async def __aenter__(self) -> None:
        if self._gate.draining:
            raise ShuttingDown("headgate is shutting down; try again, another instance may serve you")
        self._gate.in_flight += 1

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._gate.in_flight -= 1


def _configured(auth: Auth) -> dict[bytes, Caller]:
    callers: dict[bytes, Caller] = {}
    for number, key in enumerate(auth.keys, 1):
        token_digest = digest(key.reveal().encode())
        callers[token_digest] = Caller(f"env:{token_digest.hex()[:12]}", f"env-{number}")
    if auth.admin_key:
        callers[digest(auth.admin_key.reveal().encode())] = Caller("env:admin", "admin", "owner")
    return callers


def _token(authorization: bytes | None, api_key: bytes | None) -> bytes | None:
    """The key that was shown. Raises `NotAuthenticated` for two different ones and for what no key looks like."""
    bearer = None
    if authorization is not None:
        scheme, _, rest = authorization.partition(b" ")
        if scheme.lower() != b"bearer":
            raise NotAuthenticated("the `Authorization` header must be `Bearer <key>`")
        bearer = rest.strip()
    shown = bearer or api_key
    if bearer and api_key and bearer != api_key:
        raise NotAuthenticated("`Authorization` and `X-API-Key` show two different keys; send one")
    if not shown:
        return None
    if len(shown) > TOKEN_BYTES:
        raise NotAuthenticated("this API key is not known here")
    return shown
