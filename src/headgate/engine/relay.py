"""Sends an opened answer to the caller, and notices what it was worth."""

from __future__ import annotations

import msgspec

from headgate.engine.exchange import Exchange, Served
from headgate.engine.failover import Opened
from headgate.engine.flow import Flow
from headgate.engine.naming import Naming
from headgate.errors import UpstreamError
from headgate.ledger.meter import Tab
from headgate.types import Usage
from headgate.wire.base import Ask, TextWire, Wire
from headgate.wire.conversation import Refusal, Text, Thinking, ToolCall

MODEL_CHARS = 512


async def relay(opened: Opened, exchange: Exchange, ask: Ask, tab: Tab, naming: Naming) -> None:
    """A failure after the first byte becomes an error event of the caller's dialect, and the stream has no end mark."""
    if opened.whole is not None:
        tab.first_token()
        tab.usage = opened.whole.usage or estimate(ask, spoken(exchange.wire, opened.whole.body))
        told = served(opened, tab, opened.whole.model)
        await exchange.sink.whole(naming(opened.whole.body, told.model, ask.model), told)
    elif opened.flow is not None:
        await stream(opened.flow, opened, exchange, ask, tab, naming)


async def stream(flow: Flow, opened: Opened, exchange: Exchange, ask: Ask, tab: Tab, naming: Naming) -> None:
    sink, named = exchange.sink, exchange.wire.event_model
    tab.first_token()
    try:
        told = served(opened, tab, flow.model)
        await sink.begin(exchange.wire.stream_type, told)
        piece = opened.head
        while piece:
            await sink.write(naming(piece, told.model, ask.model, named))
            piece = await tab.waiting(flow.next())
        if flow.failure is not None:
            flow.failure.message = opened.reach.told(flow.failure.message)
            tab.broke(flow.failure)
            await sink.write(exchange.wire.error_event(flow.failure, exchange.request_id))
    finally:
        tab.usage = spent(flow, ask)
    await sink.end()
    if flow.failure is None:
        await tab.waiting(flow.linger())


def served(opened: Opened, tab: Tab, model: str) -> Served:
    tab.served = opened.target.model
    if model and model != opened.target.model:
        tab.served = opened.reach.told(model)[:MODEL_CHARS]
    return Served(
        model=tab.served,
        provider=opened.target.provider,
        attempts=tab.attempts,
        own_s=tab.own_s,
        dropped=opened.dropped,
        cost_nano=tab.usage.cost_nano if tab.usage else None,
    )


def spent(flow: Flow, ask: Ask) -> Usage:
    """What a stream was worth so far: what was reported wins, what was not is counted by pieces."""
    reported = flow.usage
    if reported is None:
        return estimate(ask, flow.pieces)
    if reported.estimated:
        return msgspec.structs.replace(reported, completion=max(reported.completion, flow.pieces))
    return reported


def spoken(wire: Wire, body: bytes) -> int:
    """Tokens of a whole answer that nobody counted: four bytes each of its text, reasoning and calls.

    Vectors have none, and neither has an answer that cannot be read, which passes all the same.
    """
    if not isinstance(wire, TextWire):
        return 0
    try:
        reply = wire.read_reply(body)
    except UpstreamError:
        return 0
    said = 0
    for choice in reply.choices:
        for part in choice.parts:
            if isinstance(part, Text | Thinking | Refusal):
                said += len(part.text.encode())
            elif isinstance(part, ToolCall):
                said += len(part.arguments.encode())
    return -(-said // 4)


def estimate(ask: Ask, completion: int) -> Usage:
    """Counts that no provider reported, marked so: about four bytes a token of a request or a whole answer, one
    completion token a piece of a stream."""
    return Usage(prompt=len(ask.body) // 4, completion=completion, estimated=True)
