"""The one place where a caller is known and let in: `identify` says who asks, `admit` whether now."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager, nullcontext

from headgate.access.keys import digest, minted
from headgate.access.known import KnownKeys
from headgate.access.repository import KeyRepository
from headgate.config import Auth
from headgate.errors import NotAllowed, NotAuthenticated
from headgate.storage.bus import Bus
from headgate.types import Caller, Plan

OPEN = Caller(key_id="open", name="open", role="caller")
"""Everybody, in the open mode: an owner still needs a key."""
UNLIMITED = nullcontext()


class Gate:
    """Who asks, and whether they may come in now. It keeps no secret: keys are compared by their digests."""

    def __init__(self, auth: Auth, keys: KeyRepository, bus: Bus) -> None:
        self._nobody = OPEN if auth.mode == "open" else None
        self._keys = KnownKeys(_configured(auth), keys, bus)

    async def start(self) -> None:
        """Loads all keys, and follows their changes. Raises `StorageUnavailable`."""
        await self._keys.start()

    async def stop(self) -> None:
        await self._keys.stop()

    def configure(self, auth: Auth) -> None:
        """Replaces the keys that the settings name; the mode stays."""
        self._keys.configure(_configured(auth))

    async def refresh(self) -> None:
        """Takes in what changed in the database. Raises `StorageUnavailable`."""
        await self._keys.refresh()

    async def identify(self, authorization: bytes | None, api_key: bytes | None) -> Caller:
        """Who shows these values of `Authorization` and `X-API-Key`.

        Raises `NotAuthenticated`, or `KeysUnavailable` where a stranger's key cannot be looked up just now.
        """
        token = _token(authorization, api_key)
        if token is None:
            return self._stranger("no API key was given: send `Authorization: Bearer <key>` or `X-API-Key: <key>`")
        token_digest = digest(token)
        caller = self._keys.get(token_digest)
        if caller is None and minted(token):
            caller = await self._keys.ask(token_digest)
        return caller or self._stranger("this API key is not known here")

    def require_owner(self, caller: Caller) -> None:
        """Raises `NotAllowed` for everybody but an owner."""
        if caller.role != "owner":
            raise NotAllowed(
                "this route needs an owner's key: the first-run key, HEADGATE_ADMIN_KEY, or a `keys create --owner`"
            )

    def admit(self, caller: Caller, plan: Plan) -> AbstractAsyncContextManager[None]:
        """The scope of one admitted request: the one place for limits. Without any, it holds nothing."""
        return UNLIMITED

    def _stranger(self, why: str) -> Caller:
        if self._nobody is None:
            raise NotAuthenticated(why)
        return self._nobody


def _configured(auth: Auth) -> dict[bytes, Caller]:
    """Callers from the settings; a key that is listed as both is the owner's."""
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
    return shown or None
