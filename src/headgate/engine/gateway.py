"""The story of one request, in the order in which it happens."""

from __future__ import annotations

from time import monotonic

from headgate.access.gate import Gate
from headgate.engine import deadline
from headgate.engine.discovery import Discovery
from headgate.engine.exchange import Exchange
from headgate.engine.failover import Failover
from headgate.engine.naming import Naming
from headgate.engine.recall import Recall
from headgate.engine.relay import relay
from headgate.ledger.meter import Meter


class Gateway:
    """Every door calls `serve`; nothing else answers a model call."""

    def __init__(
        self, gate: Gate, meter: Meter, models: Discovery, recall: Recall, failover: Failover, naming: Naming
    ) -> None:
        self.gate = gate
        self.meter = meter
        self.models = models
        self.recall = recall
        self.failover = failover
        self.naming = naming

    async def serve(self, exchange: Exchange) -> None:
        """Answers one request into its sink. Raises `HeadgateError` while nothing has been sent yet."""
        with self.meter.tab(
            request_id=exchange.request_id,
            route=exchange.route,
            at_us=exchange.at_us,
            began=exchange.began,
            session=exchange.session,
        ) as tab:
            tab.caller = caller = await self.gate.identify(exchange.authorization, exchange.api_key)
            asked = monotonic()
            try:
                body = await exchange.body()
            finally:
                tab.upstream_s += monotonic() - asked
            ask = exchange.wire.ask(body)
            tab.model, tab.stream = ask.model, ask.stream
            plan = await self.models.plan(ask.model)
            reaches = self.failover.reaches  # those that the plan was made for: they may be replaced while it waits
            due = deadline.due(exchange)
            async with self.gate.admit(caller, plan), self.recall.turn(exchange, ask, tab, due) as turn:
                if turn.answered:
                    return
                async with self.failover.open(exchange.wire, ask, plan, reaches, tab, due) as opened:
                    await relay(opened, turn.exchange, ask, tab, self.naming)
