from __future__ import annotations

from typing import Any

import pytest

from headgate.errors import UpstreamFailed, UpstreamRateLimited, UpstreamRefused, WireNotServed
from headgate.providers.anthropic import Anthropic
from headgate.types import Secret
from headgate.wire.conversation import Conversation, Message, Settings, Text, ToolCall, ToolResult
from headgate.wire.messages import MESSAGES

from .configured import KEY, configured, fields, plain

SAMPLING = {"temperature": 0.2, "top_p": 0.9, "top_k": 5}
ENABLED = {"type": "enabled", "budget_tokens": 16_384}
ADAPTIVE = {"type": "adaptive", "display": "summarized"}
THINKS_ALWAYS = [
    "claude-opus-5-5",
    "claude-fable-5",
    "claude-fable-5-2",
    "claude-mythos-5-1",
    "claude-mythos-preview",
]
THINKS_UNLESS_DISABLED = [
    "claude-opus-4-7",
    "claude-opus-4-8-20260528",
    "claude-opus-5",
    "claude-opus-5-latest",
    "claude-sonnet-5-20260630",
    "claude-haiku-5-5",
    "anthropic/claude-opus-4.7",
    "anthropic/claude-4.8-opus-20260528",
    "us.anthropic.claude-opus-4-7-v1:0",
    "claude-opus-4-10",
]
THINKS_UNLESS_BETWEEN_TOOLS = ["claude-sonnet-5-5", "claude-sonnet-5-5-latest"]
TEMPERATURE_OR_TOP_P = [
    "claude-opus-4-1",
    "claude-opus-4-1-20250805",
    "claude-opus-4-6",
    "claude-sonnet-4-5-20250929",
    "claude-sonnet-4-6",
    "claude-haiku-4-5@20251001",
    "anthropic.claude-sonnet-4-6-v1",
]
OLD = [
    "claude-2.1",
    "claude-instant-1.2",
    "claude-3-opus-20240229",
    "claude-3-5-haiku-latest",
    "anthropic/claude-3-7-sonnet-20250219",
    "claude-opus-4-0",
    "claude-opus-4-20250514",
    "claude-sonnet-4@20250514",
    "kimi-k2",
]

adaptive_models = pytest.mark.parametrize(
    "model", [*THINKS_ALWAYS, *THINKS_UNLESS_DISABLED, *THINKS_UNLESS_BETWEEN_TOOLS]
)


def adjusted(model: str, **asked: Any) -> tuple[dict[str, Any], set[str]]:
    """The fields that leave, and the names of those that had to go."""
    body = fields(**asked)
    dropped = configured(Anthropic).adjust("messages", model, body)
    again = dict(body)
    assert configured(Anthropic).adjust("messages", model, again) == ()
    assert again == body, "the second time changed the fields again"
    return plain(body), set(dropped)


def test_the_key_goes_in_its_own_header_beside_the_version() -> None:
    headers = dict(configured(Anthropic).headers(Secret(KEY)))
    assert headers == {b"x-api-key": KEY.encode(), b"anthropic-version": b"2023-06-01"}


def test_the_settings_may_ask_for_betas_and_another_version() -> None:
    settings = {"anthropic-beta": "context-1m", "Anthropic-Version": "2027-01-01"}
    headers = dict(configured(Anthropic, headers=settings).headers(Secret(KEY)))
    assert headers[b"anthropic-beta"] == b"context-1m"
    assert headers[b"anthropic-version"] == b"2027-01-01"


def test_the_address_has_no_version_of_its_own_and_may_be_given_one() -> None:
    assert configured(Anthropic).url("messages", "m") == "https://api.anthropic.com/v1/messages"
    assert configured(Anthropic, base_url="http://h:1/v1/").url("messages", "m") == "http://h:1/v1/messages"


def test_529_is_an_overload() -> None:
    body = b'{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"},"request_id":"req_1"}'
    error = configured(Anthropic).failure(529, {}, body)
    assert type(error) is UpstreamFailed
    assert (error.status_said, error.message) == (503, "anthropic: Overloaded")


def test_its_error_shape_is_read() -> None:
    body = b'{"type":"error","error":{"type":"invalid_request_error","message":"max_tokens: too large"}}'
    error = configured(Anthropic).failure(400, {}, body)
    assert type(error) is UpstreamRefused
    assert (error.code_said, error.message) == ("invalid_request_error", "anthropic: max_tokens: too large")


def test_an_account_without_credit_is_no_fault_of_the_request() -> None:
    body = (
        b'{"type":"error","error":{"type":"invalid_request_error",'
        b'"message":"Your credit balance is too low to access the Anthropic API."}}'
    )
    error = configured(Anthropic).failure(400, {}, body)
    assert type(error) is UpstreamRateLimited
    assert (error.code_said, error.elsewhere) == ("insufficient_quota", True)


def test_its_model_list_is_read() -> None:
    body = (
        b'{"data":[{"type":"model","id":"claude-x","display_name":"Claude X","created_at":"2025-05-14T00:00:00Z"}],'
        b'"has_more":false,"first_id":"claude-x","last_id":"claude-x"}'
    )
    (card,) = configured(Anthropic).models(body)
    assert (card.id, card.name, card.created, card.provider) == ("claude-x", "Claude X", 1747180800, "anthropic")


@adaptive_models
def test_an_adaptive_model_gets_no_sampling_settings(model: str) -> None:
    assert adjusted(model, max_tokens=9, **SAMPLING) == ({"max_tokens": 9}, set(SAMPLING))


@pytest.mark.parametrize("model", TEMPERATURE_OR_TOP_P)
def test_a_model_that_takes_one_of_temperature_and_top_p_gets_the_temperature(model: str) -> None:
    assert adjusted(model, thinking=ENABLED, **SAMPLING) == (
        {"thinking": ENABLED, "temperature": 0.2, "top_k": 5},
        {"top_p"},
    )
    for alone in ({"top_p": 0.9}, {"temperature": 0.2}, {"temperature": None, "top_p": 0.9}):
        assert adjusted(model, **alone) == (alone, set())


@pytest.mark.parametrize("model", OLD)
def test_an_older_model_is_sent_what_came(model: str) -> None:
    asked = {"thinking": ENABLED, **SAMPLING}
    assert adjusted(model, **asked) == (asked, set())


@adaptive_models
def test_a_budget_for_thinking_becomes_an_effort(model: str) -> None:
    assert adjusted(model, thinking=ENABLED) == ({"thinking": ADAPTIVE, "output_config": {"effort": "high"}}, set())


@pytest.mark.parametrize(
    ("budget", "effort"),
    [(1024, "low"), (2048, "low"), (8192, "medium"), (16_385, "xhigh"), (24_577, "max"), (200_000, "max")],
)
def test_the_effort_is_the_least_that_covers_the_budget(budget: int, effort: str) -> None:
    sent, _ = adjusted("claude-opus-5", thinking={"type": "enabled", "budget_tokens": budget})
    assert sent["output_config"] == {"effort": effort}


def test_the_effort_joins_what_the_output_must_be() -> None:
    shape = {"type": "json_schema", "schema": {"type": "object"}}
    sent, _ = adjusted("claude-opus-5", thinking=ENABLED, output_config={"format": shape})
    assert sent["output_config"] == {"format": shape, "effort": "high"}
    sent, _ = adjusted("claude-opus-5", thinking=ENABLED, output_config=None)
    assert sent["output_config"] == {"effort": "high"}


def test_what_the_caller_says_of_effort_and_thinking_wins() -> None:
    thinking = ENABLED | {"display": "omitted", "of_tomorrow": [1]}
    sent, _ = adjusted("claude-opus-5", thinking=thinking, output_config={"effort": "low"})
    assert sent == {
        "thinking": {"type": "adaptive", "display": "omitted", "of_tomorrow": [1]},
        "output_config": {"effort": "low"},
    }


@adaptive_models
@pytest.mark.parametrize("thinking", [None, {"type": "adaptive"}, ADAPTIVE])
def test_adaptive_thinking_passes_as_it_came(model: str, thinking: Any) -> None:
    assert adjusted(model, thinking=thinking) == ({"thinking": thinking}, set())


@pytest.mark.parametrize(
    "off", [{"type": "disabled"}, {"type": "between_tools"}, {"type": "enabled", "budget_tokens": 0}]
)
def test_no_thinking_is_said_in_the_models_own_word(off: Any) -> None:
    for model in THINKS_UNLESS_DISABLED:
        assert adjusted(model, thinking=off) == ({"thinking": {"type": "disabled"}}, set())
    for model in THINKS_UNLESS_BETWEEN_TOOLS:
        assert adjusted(model, thinking=off) == ({"thinking": {"type": "between_tools"}}, set())


def test_the_models_own_word_passes_with_all_that_stands_beside_it() -> None:
    thinking = {"type": "disabled", "of_tomorrow": 1}
    assert adjusted("claude-opus-5", thinking=thinking) == ({"thinking": thinking}, set())


@pytest.mark.parametrize("model", THINKS_ALWAYS)
def test_a_model_that_cannot_stop_thinking_is_asked_for_the_least_effort(model: str) -> None:
    off = {"type": "disabled"}
    assert adjusted(model, thinking=off) == ({"output_config": {"effort": "low"}}, {"thinking"})
    assert adjusted(model, thinking=off, output_config={"effort": "max"}) == (
        {"output_config": {"effort": "max"}},
        {"thinking"},
    )


@pytest.mark.parametrize(
    "asked",
    [
        {"thinking": "hard"},
        {"thinking": {"type": 1}},
        {"thinking": {"type": "enabled"}},
        {"thinking": {"type": "enabled", "budget_tokens": -1}},
        {"thinking": ENABLED, "output_config": "json"},
    ],
)
def test_thinking_of_no_known_shape_is_left_to_the_service(asked: dict[str, Any]) -> None:
    assert adjusted("claude-opus-5", temperature=0.2, **asked) == (asked, {"temperature"})


@adaptive_models
@pytest.mark.parametrize("effort", ["low", "medium", "high", "xhigh", "max"])
@pytest.mark.parametrize("max_tokens", [None, 16, 1024, 3000])
def test_an_effort_reaches_an_adaptive_model_as_it_was_asked_for(
    model: str, effort: str, max_tokens: int | None
) -> None:
    called = Message("assistant", (ToolCall("call_1", "f", "{}"),))
    told = Message("user", (ToolResult("call_1", (Text("1"),)),))
    settings = Settings(effort=effort, max_tokens=max_tokens)
    asked = Conversation(model, (Message("user", (Text("hi"),)), called, told), settings=settings)
    provider = configured(Anthropic)
    written = MESSAGES.write(provider.suit(asked))
    assert provider.adjust("messages", model, written.fields) == ()
    sent = plain(written.fields)
    assert (sent["output_config"], sent["thinking"]) == ({"effort": effort}, ADAPTIVE)
    assert written.dropped == ()
    assert max_tokens in (None, sent["max_tokens"])


@pytest.mark.parametrize("model", OLD + TEMPERATURE_OR_TOP_P)
def test_other_models_are_asked_as_before(model: str) -> None:
    asked = Conversation(model, (), settings=Settings(effort="high"))
    assert configured(Anthropic).suit(asked) is asked


@adaptive_models
def test_an_answer_that_was_begun_goes_to_another_target(model: str) -> None:
    begun = (Message("user", (Text("hi"),)), Message("assistant", (Text("Hel"),)), Message("system", (Text("short"),)))
    with pytest.raises(WireNotServed, match="last message"):
        configured(Anthropic).suit(Conversation(model, begun))
    configured(Anthropic).suit(Conversation(model, begun[:1]))
    configured(Anthropic).suit(Conversation("claude-sonnet-4-5", begun))
