"""The bus over Redis publish/subscribe, and answers kept there: the only file that knows Redis."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from contextlib import suppress

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from headgate.errors import StorageUnavailable
from headgate.storage.answers import KEPT_S
from headgate.storage.bus import Check, LocalBus
from headgate.types import Secret

CHANNEL = "headgate:changed"
CACHE_CHANNEL = "cache_invalidation"
CACHED = frozenset(("models", "models_complete", "whitelist"))
"""Names of kept answers. News of them go over `CACHE_CHANNEL`, where programs that know nothing else of headgate may
hear and say them too."""
PUBLISH_S = 0.1
ANSWER_S = 0.1
CONNECT_S = 2.0
AGAIN_S = 1.0
QUIET_S = 5.0
"""After so long without news Redis is asked whether it is there; after as long again it counts as away."""

log = logging.getLogger(__name__)


class RedisBus(LocalBus):
    """Tells every process that listens on the same Redis. While Redis is away, only this one hears."""

    def __init__(self, url: Secret, channel: str = CHANNEL) -> None:
        super().__init__()
        self._redis = Redis.from_url(
            url.reveal(),
            socket_connect_timeout=CONNECT_S,
            socket_timeout=CONNECT_S + QUIET_S,
            retry=Retry(NoBackoff(), 0),
        )
        self._channel = channel
        self._listening: asyncio.Task[None] | None = None
        self._away = False
        self.ready = asyncio.Event()
        """Set while messages of others are heard."""

    @property
    def checks(self) -> Mapping[str, Check]:
        return {"redis": self.check}

    async def check(self) -> None:
        """Raises `StorageUnavailable` when Redis does not answer."""
        try:
            async with asyncio.timeout(CONNECT_S):
                await self._redis.ping()
        except (RedisError, OSError, TimeoutError) as error:
            raise StorageUnavailable(f"Redis does not answer: {type(error).__name__}") from None

    async def start(self) -> None:
        self._listening = asyncio.create_task(self._listen())

    async def stop(self) -> None:
        if self._listening is not None:
            self._listening.cancel()
            with suppress(asyncio.CancelledError):
                await self._listening
        await self._redis.aclose()

    async def publish(self, topic: str) -> None:
        await super().publish(topic)
        try:
            async with asyncio.timeout(PUBLISH_S):
                await self._redis.publish(CACHE_CHANNEL if topic in CACHED else self._channel, topic)
        except (RedisError, OSError, TimeoutError) as error:
            self._say_away(error)

    async def _listen(self) -> None:
        while True:
            try:
                await self._hear()
            except (RedisError, OSError, TimeoutError) as error:
                self._say_away(error)
            self.ready.clear()
            await asyncio.sleep(AGAIN_S)

    async def _hear(self) -> None:
        async with self._redis.pubsub() as channel:
            await channel.subscribe(self._channel, CACHE_CHANNEL)
            asked = False
            while True:
                message = await channel.get_message(timeout=QUIET_S)
                if message is None and asked:
                    raise TimeoutError
                asked = message is None
                if message is None:
                    await channel.ping()
                elif message["type"] == "subscribe":
                    if message["data"] == 2:
                        self._say_back()
                elif message["type"] == "message":
                    await self._heard(message["data"].decode("utf-8", "replace"))

    async def _heard(self, topic: str) -> None:
        try:
            await super().publish(topic)
        except StorageUnavailable as error:
            log.warning("a change of %s could not be taken in yet: %s", topic, error.message)

    def _say_away(self, error: Exception) -> None:
        if not self._away:
            log.warning("Redis is away, changes reach other processes by polling: %s", type(error).__name__)
        self._away = True

    def _say_back(self) -> None:
        if self._away:
            log.warning("Redis is back")
        self._away = False
        self.ready.set()


class RedisAnswers:
    """The answers of all processes that share a Redis. While it is away, nothing is kept."""

    def __init__(self, url: Secret) -> None:
        self._redis = Redis.from_url(
            url.reveal(), socket_connect_timeout=CONNECT_S, socket_timeout=CONNECT_S, retry=Retry(NoBackoff(), 0)
        )

    async def get(self, name: str) -> bytes | None:
        with suppress(RedisError, OSError, TimeoutError):
            async with asyncio.timeout(ANSWER_S):
                found = await self._redis.get(name)
                return found if isinstance(found, bytes) else None
        return None

    async def put(self, name: str, body: bytes) -> None:
        with suppress(RedisError, OSError, TimeoutError):
            async with asyncio.timeout(ANSWER_S):
                await self._redis.set(name, body, ex=KEPT_S)

    async def drop(self, name: str) -> None:
        with suppress(RedisError, OSError, TimeoutError):
            async with asyncio.timeout(ANSWER_S):
                await self._redis.delete(name)

    async def close(self) -> None:
        await self._redis.aclose()
