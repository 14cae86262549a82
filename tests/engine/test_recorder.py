"""A sink that keeps what it sends, and lets go of what is too much."""

from __future__ import annotations

from headgate.cache.shelf import Kept
from headgate.engine.exchange import Served
from headgate.engine.recorder import Recorder, replay
from headgate.errors import DeadlinePassed, HeadgateError, StreamCut, UpstreamTimeout
from headgate.ledger.meter import Tab
from headgate.types import Record, Usage

QUESTION = b"q" * 32
USAGE = Usage(1, 2)
SERVED = Served(model="gpt-4o", provider="openai", attempts=1, own_s=0.0, dropped=("seed",))


class Paper:
    """A sink that shows what it was sent."""

    def __init__(self) -> None:
        self.begun = False
        self.sent: list[bytes] = []
        self.media_type = ""
        self.served: Served | None = None
        self.ended = False

    async def whole(self, body: bytes, served: Served) -> None:
        self.begun, self.served, self.ended = True, served, True
        self.sent.append(body)

    async def begin(self, media_type: str, served: Served) -> None:
        self.begun, self.served, self.media_type = True, served, media_type

    async def write(self, data: bytes) -> None:
        self.sent.append(data)

    async def end(self) -> None:
        self.ended = True


class Drawer:
    """A place of 100 bytes."""

    limit = 100

    def __init__(self, paper: Paper) -> None:
        self._paper = paper
        self.kept: list[Kept] = []
        self.landed: list[HeadgateError | None] = []
        self.left = False

    async def keep(self, kept: Kept) -> None:
        assert not self._paper.ended, "who has the whole answer may ask again at once"
        self.kept.append(kept)

    def land(self, kept: Kept | None = None, failure: HeadgateError | None = None, *, left: bool = False) -> None:
        self.landed.append(failure)
        self.left = left

    async def leave(self, error: BaseException | None) -> None:
        """Nothing is held."""


class NoBook:
    def opened(self, record: Record) -> None:
        """Nothing is written."""

    def closed(self, record: Record) -> None:
        """Nothing is written."""


def tab(usage: Usage | None = USAGE) -> Tab:
    made = Tab(NoBook(), (), request_id="r", route="/", at_us=0, began=0.0, session="")
    made.usage = usage
    return made


async def stream(recorder: Recorder, *pieces: bytes) -> None:
    await recorder.begin("text/event-stream", SERVED)
    for piece in pieces:
        await recorder.write(piece)
    await recorder.end()


async def test_a_stream_is_kept_before_its_end_and_given_again() -> None:
    paper, again = Paper(), Paper()
    drawer = Drawer(paper)
    await stream(Recorder(paper, drawer, QUESTION, tab()), b"one", b"two")
    assert paper.sent == [b"one", b"two"]
    assert paper.served is not None
    assert paper.served.cache == "miss"
    (kept,) = drawer.kept
    assert (kept.question, kept.media_type, kept.body) == (QUESTION, "text/event-stream", b"onetwo")
    hit = tab(None)
    await replay(kept, again, hit)
    assert (again.sent, again.media_type, again.ended) == ([b"onetwo"], "text/event-stream", True)
    assert again.served is not None
    assert (again.served.cache, again.served.attempts, again.served.cost_nano) == ("hit", 0, 0)
    assert again.served.dropped == ("seed",)
    assert (hit.provider, hit.served, hit.usage) == ("openai", "gpt-4o", Usage(cost_nano=0))


async def test_a_whole_answer_is_kept_and_given_again() -> None:
    paper, again = Paper(), Paper()
    drawer = Drawer(paper)
    await Recorder(paper, drawer, QUESTION, tab()).whole(b"{}", SERVED)
    await replay(drawer.kept[0], again, tab())
    assert (again.sent, again.media_type, again.ended) == ([b"{}"], "", True)


async def test_what_is_too_large_is_let_go_of_at_once_and_passes() -> None:
    paper = Paper()
    drawer = Drawer(paper)
    recorder = Recorder(paper, drawer, QUESTION, tab())
    await recorder.begin("text/event-stream", SERVED)
    await recorder.write(b"x" * 100)
    assert drawer.landed == []
    await recorder.write(b"y")
    assert drawer.landed == [None], "those who wait need wait no longer"
    await recorder.end()
    assert drawer.kept == []
    assert paper.sent == [b"x" * 100, b"y"]


async def test_what_broke_is_a_failure_for_those_who_wait() -> None:
    paper = Paper()
    drawer, broken = Drawer(paper), tab()
    broken.broke(UpstreamTimeout("it fell asleep"))
    await stream(Recorder(paper, drawer, QUESTION, broken), b"one")
    assert drawer.kept == []
    assert isinstance(drawer.landed[0], StreamCut)
    assert paper.ended


async def test_what_its_own_caller_had_no_time_for_fails_nobody_else() -> None:
    paper = Paper()
    drawer, hurried = Drawer(paper), tab()
    hurried.broke(DeadlinePassed("the time is over"))
    await stream(Recorder(paper, drawer, QUESTION, hurried), b"one")
    assert drawer.kept == []
    assert (drawer.landed, drawer.left) == ([None], True)


async def test_a_hit_that_is_kept_in_another_place_stays_a_hit() -> None:
    paper = Paper()
    drawer = Drawer(paper)
    kept = Kept(QUESTION, 0.0, "", b"{}", "gpt-4o", "openai")
    await replay(kept, Recorder(paper, drawer, QUESTION, tab()), tab())
    assert paper.served is not None
    assert paper.served.cache == "hit"
    assert drawer.kept[0].body == b"{}"
