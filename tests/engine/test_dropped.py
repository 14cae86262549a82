"""Settings that a target could not be given are named, within bounds: callers make their names up."""

from __future__ import annotations

from headgate.engine.reach import Credential, Reach
from headgate.engine.translation import NAME_CHARS, NAMED, outgoing
from headgate.providers.anthropic import Anthropic
from headgate.types import DEFAULT, Target
from headgate.upstream.lean import Lean
from headgate.wire.base import encode
from headgate.wire.chat import CHAT
from headgate.wire.messages import MESSAGES
from tests.engine.reaches import LIMITS
from tests.providers.configured import configured


async def test_names_are_few_and_short(client: Lean) -> None:
    provider = configured(Anthropic)
    credential = Credential(provider.settings.first_key, [])
    reach = Reach(provider, client, LIMITS, {"messages": MESSAGES}, {DEFAULT: credential})
    made_up = {f"{number}{'x' * 1000}": 1 for number in range(200)}
    body = encode({"model": "m", "max_tokens": 5, "messages": [{"role": "user", "content": "Hello"}], **made_up})
    dropped = outgoing(CHAT, CHAT.ask(body), reach, Target("anthropic", "claude-sonnet-4-5")).dropped
    assert len(dropped) == NAMED
    assert {len(name) for name in dropped} == {NAME_CHARS}
