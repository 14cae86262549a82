"""The bus over Redis publish/subscribe, values that end by themselves, kept answers: the only file that knows Redis."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from time import monotonic
from typing import Any

from redis.asyncio import BlockingConnectionPool, Redis
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
CONNECT_S = 2.0
AGAIN_S = 1.0
ANSWER_S = 0.1
STEPS = 20
CONNECTIONS = 32
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


CLAIM = """
local there = redis.call('GET', KEYS[1])
if there then return there end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return false
"""
RENEW = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('PEXPIRE', KEYS[1], ARGV[2]) end return 0"
RELEASE = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0"


class RedisValues:
    """Bytes by key, each with its end, and claims: marks that only the first may put.

    Everything raises `StorageUnavailable` after `ANSWER_S` without an answer. A Redis that did not answer is left alone
    for `AGAIN_S`, so that it holds up nobody for long.
    """

    def __init__(self, url: Secret) -> None:
        pool = BlockingConnectionPool.from_url(
            url.reveal(),
            max_connections=CONNECTIONS,
            timeout=None,
            socket_connect_timeout=CONNECT_S,
            retry=Retry(NoBackoff(), 0),
        )
        self._redis = Redis.from_pool(pool)
        self._claim = self._redis.register_script(CLAIM)
        self._renew = self._redis.register_script(RENEW)
        self._release = self._redis.register_script(RELEASE)
        self._again_at = 0.0
        self._away = False

    async def get(self, key: str) -> bytes | None:
        value = await self._ask(lambda: self._redis.get(key))
        return value if isinstance(value, bytes) else None

    async def put(self, key: str, value: bytes, ttl_s: float) -> None:
        await self._ask(lambda: self._redis.set(key, value, px=_ms(ttl_s)))

    async def claim(self, key: str, mark: bytes, ttl_s: float) -> bytes | None:
        """Puts a mark where there is none, and returns nothing; else returns the mark that is there."""
        there: bytes | None = await self._ask(lambda: self._claim(keys=[key], args=[mark, _ms(ttl_s)]))
        return there

    async def renew(self, key: str, mark: bytes, ttl_s: float) -> None:
        """Gives a mark more time, if it is still there."""
        await self._ask(lambda: self._renew(keys=[key], args=[mark, _ms(ttl_s)]))

    async def release(self, key: str, mark: bytes) -> None:
        """Takes a mark away, if it is still there."""
        await self._ask(lambda: self._release(keys=[key], args=[mark]))

    async def stop(self) -> None:
        await self._redis.aclose()

    async def _ask(self, question: Callable[[], Awaitable[Any]]) -> Any:
        """Waits in small steps: where the event loop itself is late, that is not held against Redis."""
        if monotonic() < self._again_at:
            raise StorageUnavailable("Redis did not answer a moment ago")
        asked = asyncio.ensure_future(question())
        try:
            for _ in range(STEPS):
                done, _ = await asyncio.wait((asked,), timeout=ANSWER_S / STEPS)
                if done:
                    break
            else:
                raise TimeoutError
            answer = asked.result()
        except (RedisError, OSError, TimeoutError) as error:
            raise self._failed(error) from None
        finally:
            asked.cancel()
        self._say_back()
        return answer

    def _failed(self, error: Exception) -> StorageUnavailable:
        self._again_at = monotonic() + AGAIN_S
        if not self._away:
            log.warning("Redis is away, each process keeps its own answers: %s", type(error).__name__)
        self._away = True
        return StorageUnavailable(f"Redis does not answer: {type(error).__name__}")

    def _say_back(self) -> None:
        if self._away:
            log.warning("Redis is back, answers are kept for all processes")
        self._away = False


def _ms(seconds: float) -> int:
    return max(int(seconds * 1000), 1)


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
