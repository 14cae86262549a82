"""The fake upstream: a server on a real socket that speaks every provider's dialect and fails on demand."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Coroutine, Iterable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import asynccontextmanager, contextmanager
from fnmatch import fnmatchcase
from typing import Self, TypedDict, Unpack
from urllib.parse import unquote

import msgspec

from headgate.testing import pages
from headgate.testing.answers import Answer, Pacing, Refused, Reply
from headgate.testing.dialects import DIALECTS
from headgate.testing.dialects.base import Call, Dialect, Route
from headgate.testing.exchange import Exchange
from headgate.testing.faults import Fault, Honest, Status, named, read
from headgate.testing.http1 import BadHttp, Line, Request, head
from headgate.testing.journal import Entry, Journal
from headgate.testing.sockets import bound

ROOTS = ("openai", "anthropic")
"""The dialects that a fake of all dialects serves without a prefix too; their paths differ but for `/v1/models`."""


class Options(TypedDict, total=False):
    """How a fake is made.

    `dialect` is served without a prefix, alone. A `key` is the only one that is let in; without, any key is. `models`
    (dialect → names) closes a dialect's list: others are refused. The first call of each model waits `cold_start_s`.
    """

    dialect: str
    key: str
    models: Mapping[str, Iterable[str]]
    pacing: Pacing
    cold_start_s: float
    host: str
    port: int


class _Rule(msgspec.Struct):
    fault: Fault
    left: int
    method: str
    path: str
    model: str

    def takes(self, entry: Entry) -> bool:
        return (
            self.left > 0
            and fnmatchcase(entry.method, self.method)
            and fnmatchcase(entry.path, self.path)
            and fnmatchcase(entry.model, self.model)
        )


class _Asked(msgspec.Struct):
    model: str = ""


class FakeUpstream:
    """A fake of OpenAI, Anthropic, DeepSeek, OpenRouter, HuggingFace and Ollama; not a model, and not for the open net.

    `async with FakeUpstream() as fake` serves on `fake.url`. Its answers come from `script`, else they echo the last
    user text; tokens are words. `fault` makes it fail; `journal` knows what it received and charged.
    """

    def __init__(self, **options: Unpack[Options]) -> None:
        self.journal = Journal()
        self.pacing = options.get("pacing", Pacing())
        self.host = options.get("host", "127.0.0.1")
        self.port = options.get("port", 0)
        models, key = options.get("models", {}), options.get("key")
        self.dialects = {name: make(models.get(name), key) for name, make in DIALECTS.items()}
        alone = options.get("dialect")
        self._roots = tuple(self.dialects[name] for name in ((alone,) if alone else ROOTS))
        self._cold_start_s = options.get("cold_start_s", 0.0)
        self._warm: set[str] = set()
        self._answers: list[tuple[str, Answer]] = []
        self._rules: list[_Rule] = []
        self._lines: set[Line] = set()
        self._errors: list[Exception] = []
        self._server: asyncio.Server

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    def base_url(self, dialect: str) -> str:
        """What a client of that provider takes as its base URL."""
        served = self.dialects[dialect]
        return self.url + ("" if served in self._roots else served.prefix) + served.base

    def script(self, *answers: Answer, model: str = "*") -> None:
        """Queues answers for the next calls whose model fits the pattern; each is used once."""
        self._answers += [(model, answer) for answer in answers]

    def fault(
        self, fault: Fault | str, *, times: int = 1, method: str = "POST", path: str = "*", model: str = "*"
    ) -> None:
        """Makes the next `times` calls that fit the patterns fail so. Raises `ValueError` for a text that is none."""
        self._rules.append(_Rule(read(fault) if isinstance(fault, str) else fault, times, method, path, model))

    def clear(self) -> None:
        """Forgets the journal and everything that was queued."""
        self.journal.clear()
        self._answers.clear()
        self._rules.clear()

    def routes(self) -> list[tuple[str, str, str]]:
        """Everything that is served, as (dialect, method, path)."""
        roots = [("", dialect) for dialect in self._roots]
        mounted = roots + [(dialect.prefix, dialect) for dialect in self.dialects.values()]
        return [(dialect.name, route.method, at + route.path) for at, dialect in mounted for route in dialect.routes()]

    async def __aenter__(self) -> Self:
        await self._listen()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Closes everything. Raises the first exception that a bug of the fake itself caused."""
        await self._hang_up()
        if self._errors:
            raise self._errors[0]

    @classmethod
    @contextmanager
    def in_thread(cls, **options: Unpack[Options]) -> Iterator[Self]:
        """The same for tests without an event loop: it runs in a thread of its own."""
        fake = cls(**options)
        started: Future[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = Future()
        ended: Future[None] = Future()
        thread = threading.Thread(target=lambda: _follow(fake._hold(started), started, ended), name="fake-upstream")
        thread.start()
        loop, stop = started.result()
        try:
            yield fake
        finally:
            loop.call_soon_threadsafe(stop.set)
            thread.join()
        ended.result()

    async def _hold(self, started: Future[tuple[asyncio.AbstractEventLoop, asyncio.Event]]) -> None:
        stop = asyncio.Event()
        async with self:
            started.set_result((asyncio.get_running_loop(), stop))
            await stop.wait()

    @asynccontextmanager
    async def refusing(self) -> AsyncIterator[None]:
        """As long as this lasts connections are refused, open ones are reset, and the port stays ours."""
        held = bound(self.host, self.port)
        await self._hang_up()
        try:
            yield
        finally:
            await self._listen()
            held.close()

    async def _listen(self) -> None:
        listening = bound(self.host, self.port)
        self.port = listening.getsockname()[1]
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: Line(self._converse, self._lines), sock=listening)

    async def _hang_up(self) -> None:
        self._server.close()
        lines = list(self._lines)
        for line in lines:
            line.reset()
        await asyncio.gather(*(line.task for line in lines), return_exceptions=True)
        await self._server.wait_closed()

    async def _converse(self, line: Line) -> None:
        try:
            while not line.ours:
                request = await line.request()
                await (self._page(line, request) if pages.has(request) else self._exchange(line, request))
                if request.headers.get("connection", "").lower() == "close":
                    line.close()
        except BadHttp as bad:
            await line.send(head(bad.status, {"connection": "close"}, "length") + str(bad).encode())
            line.close()
        except Exception as error:
            self._errors.append(error)
            line.reset()

    async def _page(self, line: Line, request: Request) -> None:
        status, kind, body = pages.answer(self, request)
        await line.send(head(status, {"content-type": kind}, "length", len(body)) + body)

    async def _exchange(self, line: Line, request: Request) -> None:
        dialect, route, in_path = self._find(request)
        entry = self.journal.open(request.method, request.path, request.headers, request.body)
        entry.dialect = dialect.name
        entry.model = in_path or _model(request.body)
        call = Call(request, entry.number, self._scripted, in_path)
        fault = self._fault(entry)
        entry.fault = "" if isinstance(fault, Honest) else fault.name
        left = False
        try:
            await fault.play(Exchange(line, entry, dialect, call, route.answer, self._pace(entry)))
        except asyncio.CancelledError:
            left = not line.ours and not (entry.whole and line.drained)
            raise
        finally:
            entry.close(left=left)

    def _find(self, request: Request) -> tuple[Dialect, Route, str]:
        path = unquote(request.path)
        roots = self._roots[::-1] if "anthropic-version" in request.headers else self._roots
        mounted = [(dialect.prefix, dialect) for dialect in self.dialects.values()] + [("", root) for root in roots]
        near = [(at, dialect) for at, dialect in mounted if path.startswith(f"{at}/")]
        for at, dialect in near:
            for route in dialect.routes():
                if (in_path := route.match(request.method, path.removeprefix(at))) is not None:
                    return dialect, route, in_path
        return near[0][1], Route(request.method, path, _nothing_there), ""

    def _scripted(self, model: str, default: Answer) -> Answer:
        for index, (pattern, answer) in enumerate(self._answers):
            if fnmatchcase(model, pattern):
                del self._answers[index]
                return answer
        return default

    def _fault(self, entry: Entry) -> Fault:
        try:
            asked = entry.headers.get("x-fake-fault")
            chosen = read(asked) if asked else named(entry.model)
        except ValueError as error:
            return Status(400, str(error))
        if chosen is not None:
            return chosen
        for rule in self._rules:
            if rule.takes(entry):
                rule.left -= 1
                return rule.fault
        return Honest()

    def _pace(self, entry: Entry) -> Pacing:
        if not self._cold_start_s or not entry.model or entry.model in self._warm:
            return self.pacing
        self._warm.add(entry.model)
        return msgspec.structs.replace(self.pacing, first_byte_s=self.pacing.first_byte_s + self._cold_start_s)


def _nothing_there(call: Call) -> Reply:
    raise Refused(404, f"Unknown request URL: {call.request.method} {call.request.path}", code="unknown_url")


def _model(body: bytes) -> str:
    try:
        return msgspec.json.decode(body, type=_Asked).model
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ""


def _follow(
    work: Coroutine[None, None, None],
    started: Future[tuple[asyncio.AbstractEventLoop, asyncio.Event]],
    ended: Future[None],
) -> None:
    try:
        asyncio.run(work)
    except Exception as error:
        (ended if started.done() else started).set_exception(error)
    else:
        ended.set_result(None)
