"""Requests that are wrong, through the whole gateway: what is wrong is named, and no provider hears of it."""

from __future__ import annotations

import json
from collections.abc import Iterator

import httpx
import pytest

from headgate.testing import FakeUpstream
from headgate.testing.gateway import RunningGateway
from tests.clients.judge import assert_error
from tests.conftest import calls

HELLO = [{"role": "user", "content": "Hello"}]
CHAT: dict[str, object] = {"model": "claude-sonnet-4-5", "messages": HELLO}
TEXT: dict[str, object] = {"model": "claude-sonnet-4-5", "prompt": "Hello"}
EMBED: dict[str, object] = {"model": "echo", "input": "Hello"}
TOOL = {"type": "function", "function": {"name": "look"}}
MIB = 1024 * 1024
UPGRADE = {
    "connection": "Upgrade",
    "upgrade": "WebSocket",
    "sec-websocket-version": "13",
    "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
}

Fault = tuple[dict[str, object], str]
CHAT_FIELDS: list[Fault] = [
    ({"model": None}, "model"),
    ({"model": 5}, "model"),
    ({"model": ""}, "model"),
    ({"model": "x" * 600}, "model"),
    ({"model": "gpt-4o\r\nx-headgate-cost: 0"}, "model"),
    ({"model": "gpt-\0"}, "model"),
    ({"messages": "Hello"}, "messages"),
    ({"messages": []}, "messages"),
    ({"messages": [5]}, "messages[0]"),
    ({"messages": [*HELLO, {"role": "king", "content": "x"}]}, "messages[1].role"),
    ({"messages": [{"content": "x"}]}, "messages[0].role"),
    ({"messages": [{"role": "user"}]}, "messages[0].content"),
    ({"messages": [{"role": "user", "content": [{"type": "smell"}]}]}, "messages[0].content[0].type"),
    ({"messages": HELLO * 10_000}, "messages"),
    ({"tools": [TOOL] * 10_000}, "tools"),
    ({"tools": "x"}, "tools"),
    ({"tools": [{"type": "function"}]}, "tools[0].function"),
    ({"stream": "yes"}, "stream"),
    ({"stream_options": 5}, "stream_options"),
    ({"n": 0}, "n"),
    ({"n": 10**6}, "n"),
    ({"max_tokens": 2**63}, "max_tokens"),
    ({"max_completion_tokens": "many"}, "max_completion_tokens"),
    ({"temperature": "hot"}, "temperature"),
    ({"temperature": 9}, "temperature"),
    ({"stop": 5}, "stop"),
    ({"response_format": {"type": "xml"}}, "response_format.type"),
]
TEXT_FIELDS: list[Fault] = [
    ({"model": None}, "model"),
    ({"prompt": 5}, "prompt"),
    ({"prompt": {"text": "x"}}, "prompt"),
    ({"max_tokens": "x"}, "max_tokens"),
    ({"n": 10**6}, "n"),
]
EMBED_FIELDS: list[Fault] = [
    ({"model": 5}, "model"),
    ({"input": 5}, "input"),
    ({"input": []}, "input"),
    ({"input": [1.5]}, "input[0]"),
    ({"encoding_format": "hex"}, "encoding_format"),
    ({"dimensions": 0}, "dimensions"),
]
FIELDS = [
    *(("/v1/chat/completions", CHAT | wrong, param) for wrong, param in CHAT_FIELDS),
    *(("/v1/completions", TEXT | wrong, param) for wrong, param in TEXT_FIELDS),
    *(("/v1/embeddings", EMBED | wrong, param) for wrong, param in EMBED_FIELDS),
]

GOOD = json.dumps({"model": "gpt-4o", "messages": HELLO}).encode()
BODIES = {
    "nothing": b"",
    "null": b"null",
    "list": b"[]",
    "number": b"5",
    "half": GOOD[:-5],
    "twice": GOOD + GOOD,
    "bom": b"\xef\xbb\xbf" + GOOD,
    "utf-16": GOOD.decode().encode("utf-16"),
    "invalid utf-8": GOOD.replace(b"Hello", b"\xff\xfe"),
    "cut utf-8": GOOD.replace(b"Hello", "🌳".encode()[:3]),
    "lone surrogate in the model": GOOD.replace(b"gpt-4o", b"gpt-\\ud800"),
    "nan": GOOD[:-1] + b',"temperature":NaN}',
    "infinity": GOOD[:-1] + b',"top_p":Infinity}',
    "deep": GOOD[:-1] + b',"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "deep messages": GOOD.replace(b'"Hello"', b"[" * 100_000 + b"]" * 100_000),
    "deep and open": GOOD[:-1] + b',"x":' + b'{"a":' * 100_000,
    "long number": GOOD[:-1] + b',"max_tokens":' + b"9" * 100_000 + b"}",
    "many keys": b"{" + b",".join(b'"k%d":1' % number for number in range(50_000)) + b"}",
}


@pytest.mark.parametrize(("path", "body", "param"), FIELDS, ids=lambda value: str(value)[-60:])
def test_the_field_at_fault_is_named(
    http: httpx.Client, fake: FakeUpstream, path: str, body: dict[str, object], param: str
) -> None:
    answer = http.post(path, json=body)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param), answer.text
    assert_error(answer.content)
    assert answer.headers["x-request-id"]
    assert calls(fake) == []


@pytest.mark.parametrize(
    ("path", "body", "param"),
    [
        ("/v1/chat/completions", {"model": "gpt-4o"}, "messages"),
        ("/v1/chat/completions", {"messages": HELLO}, "model"),
        ("/v1/completions", {"model": "gpt-4o"}, "prompt"),
        ("/v1/embeddings", {"model": "echo"}, "input"),
        ("/v1/embeddings", {}, "model"),
    ],
)
def test_a_missing_field_is_named(http: httpx.Client, path: str, body: dict[str, object], param: str) -> None:
    answer = http.post(path, json=body)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/completions", "/v1/embeddings"])
@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_what_is_no_json_object_is_a_bad_request(
    http: httpx.Client, fake: FakeUpstream, path: str, body: bytes
) -> None:
    answer = http.post(path, content=body)
    assert answer.status_code == 400, answer.text[:300]
    assert_error(answer.content)
    assert len(answer.content) < 2_000, "what was sent is not sent back"
    assert calls(fake) == []


def test_a_body_over_the_limit_is_refused_by_its_declared_length(hasty: httpx.Client) -> None:
    answer = hasty.post("/v1/chat/completions", content=b" " * (MIB + 1))
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "request_too_large")


def test_a_body_over_the_limit_is_refused_while_it_comes(hasty: httpx.Client) -> None:
    def chunks() -> Iterator[bytes]:
        for _ in range(17):
            yield b" " * (MIB // 16)

    answer = hasty.post("/v1/chat/completions", content=chunks())
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "request_too_large")


def test_a_body_of_just_the_limit_is_served(hasty: httpx.Client) -> None:
    body = json.dumps({"model": "echo", "messages": HELLO}).encode()
    assert hasty.post("/v1/chat/completions", content=body.ljust(MIB)).status_code == 200


def test_an_unknown_model_is_not_found_and_near_names_are_said(http: httpx.Client) -> None:
    answer = http.post("/v1/chat/completions", json={"model": "qwen3-8b", "messages": HELLO})
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "model_not_found")
    assert "`qwen3:8b`" in answer.json()["error"]["message"]


def test_a_provider_without_a_key_names_the_variable(hasty: httpx.Client) -> None:
    answer = hasty.post("/v1/chat/completions", json={"model": "keyless/m", "messages": HELLO})
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "provider_not_configured")
    assert "KEYLESS_API_KEY" in answer.json()["error"]["message"]
    assert answer.headers["x-should-retry"] == "false"


def test_a_wire_that_a_provider_does_not_speak_is_said(http: httpx.Client) -> None:
    answer = http.post("/v1/embeddings", json={"model": "claude-sonnet-4-5", "input": "x"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "not_supported_by_model")


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("GET", "/v1/chat/completions", "POST"),
        ("PUT", "/api/v1/embeddings", "POST"),
        ("POST", "/v1/models", "GET"),
        ("DELETE", "/v1/models/echo", "GET"),
        ("POST", "/health", "GET"),
        ("DELETE", "/metrics", "GET"),
        ("POST", "/api/v1/admin/usage", "GET"),
    ],
)
def test_a_wrong_method_is_told_the_right_one(http: httpx.Client, method: str, path: str, allow: str) -> None:
    answer = http.request(method, path)
    assert (answer.status_code, answer.headers["allow"]) == (405, allow)
    assert answer.json()["error"]["code"] == "method_not_allowed"


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": "Bearer nobody-knows-this-key"},
        {"authorization": "Basic dXNlcjpwYXNz"},
        {"authorization": "Bearer"},
        {"x-api-key": "nobody-knows-this-key"},
        {"x-api-key": "' OR 1=1 --"},
        {"authorization": "Bearer {key}", "x-api-key": "another-key"},
        [("authorization", "Bearer {key}"), ("authorization", "Bearer another-key")],
        [("authorization", "Bearer another-key"), ("authorization", "Bearer {key}")],
        {"authorization": "Bearer " + "x" * 10_000},
    ],
    ids=str,
)
def test_a_wrong_or_ambiguous_credential_is_not_let_in(
    gateway: RunningGateway, fake: FakeUpstream, headers: dict[str, str] | list[tuple[str, str]]
) -> None:
    pairs = headers if isinstance(headers, list) else list(headers.items())
    shown = [(name, value.replace("{key}", gateway.key)) for name, value in pairs]
    for path in ("/v1/chat/completions", "/v1/embeddings"):
        answer = httpx.post(gateway.url + path, json=CHAT, headers=shown)
        assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
        assert answer.json()["error"]["code"] == "invalid_api_key"
    assert httpx.get(f"{gateway.url}/v1/models", headers=shown).status_code == 401
    assert httpx.get(f"{gateway.url}/api/v1/admin/usage", headers=shown).status_code == 401
    assert calls(fake) == []


@pytest.mark.parametrize("path", ["/api/v1/admin/usage", "/api/v1/%61dmin/usage"])
def test_an_admin_route_is_closed_to_callers(http: httpx.Client, gateway: RunningGateway, path: str) -> None:
    assert http.get(path).status_code == 403
    assert httpx.get(gateway.url + path).status_code == 401


@pytest.mark.parametrize("path", ["/api/v1//admin/usage", "/api/v1/admin/usage/", "/api/v1/admin;x/usage", "//admin"])
def test_a_path_that_is_none_of_ours_is_not_found(http: httpx.Client, gateway: RunningGateway, path: str) -> None:
    owner = {"authorization": f"Bearer {gateway.owner_key}"}
    assert http.request("GET", gateway.url + path, headers=owner).status_code == 404


@pytest.mark.parametrize("path", ["/v1/responses", "/v1/chat/completions", "/api/v1/models", "/anywhere"])
def test_a_websocket_is_refused_at_once(http: httpx.Client, path: str) -> None:
    assert http.get(path, headers=UPGRADE).status_code == 426


def test_errors_under_v1_are_openais_and_under_api_v1_everyones(http: httpx.Client) -> None:
    for path in ("/v1/chat/completions", "/v1/models/none", "/v1/none"):
        assert_error(http.post(path, json=CHAT | {"model": "none-such"}).content)
    for path in ("/api/v1/chat/completions", "/api/v1/models/none", "/api/v1/none", "/api/v1/admin/usage"):
        answer = http.post(path, json=CHAT | {"model": "none-such"})
        body, error = answer.json(), answer.json()["error"]
        assert set(body) == {"error", "code", "message", "request_id", "details", "detail"}
        assert set(error) == {
            "message", "type", "param", "code", "details", "request_id", "timestamp", "status_code",
        }  # fmt: skip
        assert error["status_code"] == answer.status_code
        assert error["request_id"] == body["request_id"] == answer.headers["x-request-id"]
        assert body["message"] == body["detail"] == error["message"]


@pytest.mark.parametrize(
    "twice",
    [
        '"model":"echo","model":"gpt-4o"',
        '"model":"echo","stream":false,"stream" : true',
        '"model":"echo","model":"gpt-4o","\\u0022\\u0022\\u0022\\u0022":0',
    ],
)
def test_a_field_that_comes_twice_is_refused(http: httpx.Client, fake: FakeUpstream, twice: str) -> None:
    body = f'{{{twice},"messages":[{{"role":"user","content":"a \\"quoted\\" word"}}]}}'
    answer = http.post("/v1/chat/completions", content=body)
    assert answer.status_code == 400
    assert "twice" in answer.json()["error"]["message"]
    assert calls(fake) == []


def test_more_dimensions_than_any_model_has_are_refused(http: httpx.Client) -> None:
    answer = http.post("/v1/embeddings", json={"model": "echo", "input": "a", "dimensions": 5_000_000})
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == "dimensions"


def test_more_fields_than_any_route_has_are_refused(http: httpx.Client) -> None:
    body = {"model": "echo", "messages": [{"role": "user", "content": "x"}], **{f"f{n}": n for n in range(1001)}}
    assert http.post("/v1/chat/completions", json=body).status_code == 400


def test_a_status_that_is_none_is_refused(gateway: RunningGateway) -> None:
    headers = {"authorization": f"Bearer {gateway.owner_key}"}
    answer = httpx.get(f"{gateway.url}/api/v1/admin/usage?status=99999999999999999999", headers=headers)
    assert answer.status_code == 400
