from __future__ import annotations

from headgate.errors import UpstreamFailed, UpstreamRateLimited, UpstreamRefused
from headgate.providers.anthropic import Anthropic
from headgate.types import Secret

from .configured import KEY, configured


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
