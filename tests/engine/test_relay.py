"""An opened answer on its way to the caller, and what it was worth."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import msgspec
import pytest

from headgate.engine.exchange import Served
from headgate.engine.failover import Opened
from headgate.engine.naming import as_asked, as_served
from headgate.engine.relay import MODEL_CHARS, relay
from headgate.engine.translation import Incoming
from headgate.errors import HeadgateError, StreamCut, UpstreamFailed
from headgate.ledger.meter import Tab
from headgate.types import Target, Usage
from headgate.upstream.lean import Lean
from tests.engine.reaches import ask, exchange, reach, tab
from tests.providers.configured import KEY

PIECES = (b'data: {"model":"m","n":1}\n\n', b'data: {"model":"m","n":2}\n\n', b"data: [DONE]\n\n")


class Pages:
    """A sink that keeps what it is given; from the piece `leaves` on its caller is gone."""

    def __init__(self, leaves: int = -1) -> None:
        self.begun = False
        self.ended = False
        self.body = b""
        self.served: Served | None = None
        self._leaves = leaves

    async def whole(self, body: bytes, served: Served) -> None:
        self.begun, self.ended, self.body, self.served = True, True, body, served

    async def begin(self, media_type: str, served: Served) -> None:
        self.begun, self.served = True, served

    async def write(self, data: bytes) -> None:
        if self._leaves == 0:
            raise ConnectionError
        self._leaves -= 1
        self.body += data

    async def end(self) -> None:
        self.ended = True


class Pieces:
    """A flow of given pieces, which may then have failed."""

    def __init__(
        self, pieces: Iterable[bytes], failure: HeadgateError | None = None, usage: Usage | None = None
    ) -> None:
        self._pieces = iter(pieces)
        self._then = failure
        self.failure: HeadgateError | None = None
        self.usage = usage
        self.model = "m"
        self.pieces = 0
        self.lingered = False
        self.lingers_s = 0.0

    async def next(self) -> bytes:
        self.pieces += 1
        if (piece := next(self._pieces, b"")) == b"":
            self.failure = self._then
        return piece

    async def linger(self) -> None:
        self.lingered = True
        await asyncio.sleep(self.lingers_s)


class Trip:
    """One answer relayed: to which sink, and onto which tab."""

    def __init__(self, client: Lean, sink: Pages) -> None:
        self.sink = sink
        self.tab: Tab = tab()
        self._reach = reach("one", "http://127.0.0.1:9", client)
        self.naming = as_served

    async def whole(self, incoming: Incoming) -> None:
        await self._relay(Opened(self._reach, Target("one", "m"), ("top_k",), whole=incoming))

    async def stream(self, flow: Pieces) -> None:
        head = await flow.next()
        await self._relay(Opened(self._reach, Target("one", "m"), (), head=head, flow=flow))

    async def _relay(self, opened: Opened) -> None:
        asked = exchange(self.sink)
        await relay(opened, asked, ask(stream=opened.flow is not None), self.tab, self.naming)


@pytest.fixture
def trip(client: Lean) -> Trip:
    return Trip(client, Pages())


async def test_a_whole_answer_passes_with_the_truth_about_it(trip: Trip) -> None:
    usage = Usage(prompt=3, completion=5, cost_nano=7)
    trip.tab.attempt("one", "m")
    await trip.whole(Incoming(b'{"model":"m-2024"}', usage, "m-2024"))
    served = trip.sink.served
    assert served is not None
    assert (served.model, served.provider, served.attempts) == ("m-2024", "one", 1)
    assert (served.dropped, served.cost_nano) == (("top_k",), 7)
    assert (trip.sink.body, trip.tab.usage, trip.tab.served) == (b'{"model":"m-2024"}', usage, "m-2024")
    assert trip.tab.first_token_s is not None


async def test_an_answer_without_usage_is_estimated_and_says_so(trip: Trip) -> None:
    await trip.whole(Incoming(b"{}", None, ""))
    assert trip.tab.usage == Usage(prompt=len(ask().body) // 4, completion=0, estimated=True)
    assert trip.tab.served == "m", "the target's own name, where the provider gives none"


async def test_the_tokens_of_a_whole_answer_without_usage_are_estimated_from_what_it_says(trip: Trip) -> None:
    call = {"id": "c", "type": "function", "function": {"name": "look", "arguments": "{}"}}
    message = {"role": "assistant", "content": "z" * 40, "tool_calls": [call]}
    answer = {"id": "x", "object": "chat.completion", "created": 1, "model": "m"}
    choices = [{"index": 0, "message": message, "finish_reason": "tool_calls"}]
    await trip.whole(Incoming(msgspec.json.encode(answer | {"choices": choices}), None, "m"))
    assert trip.tab.usage == Usage(prompt=len(ask().body) // 4, completion=11, estimated=True)


async def test_a_model_name_is_bounded_and_holds_no_key(trip: Trip) -> None:
    await trip.whole(Incoming(b"{}", None, KEY + "x" * 9 * MODEL_CHARS))
    assert len(trip.tab.served) == MODEL_CHARS
    assert KEY not in trip.tab.served


async def test_a_stream_passes_piece_by_piece_and_its_source_may_say_that_it_is_over(trip: Trip) -> None:
    usage = Usage(prompt=3, completion=2)
    flow = Pieces(PIECES, usage=usage)
    trip.naming = as_asked
    await trip.stream(flow)
    assert trip.sink.body == b"".join(PIECES).replace(b'"m"', b'"asked"')
    assert (trip.sink.ended, flow.lingered) == (True, True)
    assert (trip.tab.usage, trip.tab.partial, trip.tab.error) == (usage, False, "")


async def test_waiting_for_the_end_of_a_connection_is_not_our_own_time(trip: Trip) -> None:
    flow = Pieces(PIECES)
    flow.lingers_s = 0.3
    await trip.stream(flow)
    assert trip.tab.upstream_s >= 0.29


async def test_a_failure_after_the_first_byte_is_an_event_and_no_end_mark(trip: Trip) -> None:
    flow = Pieces(PIECES[:2], StreamCut(f"it broke near {KEY}"))
    await trip.stream(flow)
    rest = trip.sink.body.removeprefix(b"".join(PIECES[:2]))
    said = msgspec.json.decode(rest.removeprefix(b"data: "))["error"]
    assert (said["code"], KEY in said["message"]) == ("upstream_stream_cut", False)
    assert (trip.sink.ended, flow.lingered) == (True, False)
    assert (trip.tab.error, trip.tab.partial, trip.tab.status) == ("upstream_stream_cut", True, 200)


async def test_what_had_passed_is_counted_when_the_caller_leaves(client: Lean) -> None:
    trip = Trip(client, Pages(leaves=1))
    with pytest.raises(ConnectionError):
        await trip.stream(Pieces(PIECES))
    assert trip.tab.usage == Usage(prompt=len(ask(stream=True).body) // 4, completion=2, estimated=True)


@pytest.mark.parametrize(("reported", "counted"), [(1, 3), (50, 50)])
async def test_an_estimate_of_the_provider_is_raised_to_what_passed(trip: Trip, reported: int, counted: int) -> None:
    await trip.stream(Pieces(PIECES[:2], UpstreamFailed("no"), Usage(completion=reported, estimated=True)))
    assert trip.tab.usage == Usage(completion=counted, estimated=True)
