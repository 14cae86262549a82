"""The contract of the OpenRouter service that headgate replaces, over real sockets: its seven routes, its whitelist and
its cache, on both databases, with Redis and without."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from uuid import uuid4

import asyncpg
import httpx
import pytest

from headgate.edge.endpoints import ENDPOINTS
from headgate.testing import FakeUpstream
from headgate.testing.gateway import RunningGateway, running
from tests.conftest import PROVIDER_KEY
from tests.needs import needs_postgres, needs_redis
from tests.serving import serving

GPT, CLAUDE, LLAMA = "openai/gpt-4o", "anthropic/claude-sonnet-4", "meta-llama/llama-3.3-70b-instruct"
SEEN_S = 10.0
"""A second is promised; a machine with other work may take longer, and only never is a failure."""


@pytest.fixture
def upstream() -> Iterator[FakeUpstream]:
    """A fake of the test's own: what it lists is changed."""
    with FakeUpstream.in_thread() as fake:
        yield fake


@contextmanager
def postgres() -> Iterator[str]:
    """The URL of an empty PostgreSQL database."""
    server = needs_postgres()
    name = f"headgate_test_{uuid4().hex}"

    async def run(statement: str) -> None:
        owner = await asyncpg.connect(server)
        try:
            await owner.execute(statement)
        finally:
            await owner.close()

    def apart(statement: str) -> None:
        """In a thread: the test may have an event loop of its own."""
        thread = threading.Thread(target=lambda: asyncio.run(run(statement)))
        thread.start()
        thread.join()

    apart(f"CREATE DATABASE {name}")
    try:
        yield server.rpartition("/")[0] + f"/{name}"
    finally:
        apart(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


@pytest.fixture
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/shared.db"
    else:
        with postgres() as url:
            yield url


def environ_of(upstream: FakeUpstream, database_url: str, redis_url: str) -> dict[str, str]:
    """What the replaced service's own users have in their environment, but for where things are."""
    return {
        "OPENROUTER_API_BASE_URL": upstream.base_url("openrouter"),
        "OPENROUTER_API_KEY": PROVIDER_KEY,
        "OLLAMA_BASE_URL": "http://127.0.0.1:9",
        "DATABASE_URL": database_url,
        "REDIS_URL": redis_url,
    }


both_databases = pytest.mark.parametrize("database_url", ["sqlite", "postgresql"], indirect=True)
both_caches = pytest.mark.parametrize("cache", ["memory", "redis"])
SQLITE = pytest.mark.parametrize(("database_url", "cache"), [("sqlite", "memory")], indirect=["database_url"])


@pytest.fixture
def service(upstream: FakeUpstream, database_url: str, cache: str, tmp_path: Path) -> Iterator[RunningGateway]:
    environ = environ_of(upstream, database_url, needs_redis() if cache == "redis" else "")
    with running(tmp_path / "home", environ) as gateway:
        yield gateway


@contextmanager
def client(url: str, key: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=url, headers={"authorization": f"Bearer {key}"}, timeout=20) as made:
        yield made


@pytest.fixture
def admin(service: RunningGateway) -> Iterator[httpx.Client]:
    with client(service.url, service.owner_key) as made:
        yield made


@pytest.fixture
def caller(service: RunningGateway) -> Iterator[httpx.Client]:
    with client(service.url, service.key) as made:
        yield made


def whitelisted(*ids: str) -> dict[str, list[dict[str, str]]]:
    return {"data": [{"id": id, "provider": id.partition("/")[0]} for id in ids]}


def ask(http: httpx.Client, model: str, path: str = "/api/v1/chat/completions") -> httpx.Response:
    said = (
        {"prompt": "Hello"} if path.endswith("/v1/completions") else {"messages": [{"role": "user", "content": "Hi"}]}
    )
    return http.post(path, json={"model": model, **said})


def ids(http: httpx.Client, path: str = "/api/v1/models") -> set[str]:
    return {row["id"] for row in http.get(path).raise_for_status().json()["data"]} - {"echo"}


def eventually(seen: Callable[[], bool]) -> None:
    """Raises `AssertionError` when it is not seen within `SEEN_S`."""
    until = monotonic() + SEEN_S
    pause = threading.Event()
    while not seen():
        assert monotonic() < until, "it was never seen"
        pause.wait(0.02)


@both_databases
@both_caches
def test_the_seven_routes_as_the_replaced_service_had_them(
    admin: httpx.Client, caller: httpx.Client, upstream: FakeUpstream
) -> None:
    assert admin.get("/api/v1/models/update").json() == {"message": "Success! 3 records processed."}

    rows = {row["id"]: row for row in caller.get("/api/v1/models").json()["data"]}
    assert {GPT, CLAUDE, LLAMA} <= set(rows)
    assert (rows[GPT]["name"], rows[GPT]["context_length"], rows[GPT]["provider"]) == (GPT, 128_000, "openrouter")
    assert rows[GPT]["modality"] == "text->text"
    assert rows[GPT]["capabilities"] == ["tools"]
    assert rows[GPT]["source"] == "the list of openrouter"

    complete = {row["id"]: row for row in caller.get("/api/v1/models_complete").json()["data"]}
    assert complete[LLAMA] == {
        "id": LLAMA,
        "name": LLAMA,
        "context_length": "128000",
        "pricing_prompt": "0.00000025",
        "pricing_completion": "0.00000125",
    }

    assert caller.get("/api/v1/models/whitelist").json() == {"data": []}
    wanted = whitelisted(CLAUDE, LLAMA)
    answer = admin.put("/api/v1/models/update_whitelist", json=wanted)
    assert (answer.status_code, answer.json()) == (200, wanted)
    assert caller.get("/api/v1/models/whitelist").json() == wanted
    assert ids(caller) == {CLAUDE, LLAMA}
    assert ids(caller, "/api/v1/models_complete") >= {GPT, CLAUDE, LLAMA}

    chat = ask(caller, LLAMA).json()
    assert chat["choices"][0]["message"]["content"]
    assert ask(caller, CLAUDE, "/api/v1/completions").json()["choices"][0]["text"]
    for path in ("/api/v1/chat/completions", "/v1/chat/completions", "/api/v1/completions", "/v1/completions"):
        refused = ask(caller, GPT, path)
        assert (refused.status_code, refused.json()["error"]["code"]) == (404, "model_not_found"), path


@SQLITE
@pytest.mark.parametrize("path", [endpoint.path for endpoint in ENDPOINTS])
def test_every_inference_route_is_whitelisted(admin: httpx.Client, caller: httpx.Client, path: str) -> None:
    admin.put("/api/v1/models/update_whitelist", json=whitelisted(CLAUDE)).raise_for_status()
    body = {"messages": [{"role": "user", "content": "Hi"}], "prompt": "Hi", "input": "Hi", "max_tokens": 9}
    refused = caller.post(path, json={"model": GPT, **body})
    assert refused.status_code == 404
    assert "not on this gateway's whitelist" in refused.text


@both_databases
@both_caches
def test_streams_are_whitelisted_too(admin: httpx.Client, caller: httpx.Client) -> None:
    admin.get("/api/v1/models/update").raise_for_status()
    admin.put("/api/v1/models/update_whitelist", json=whitelisted(CLAUDE)).raise_for_status()
    body = {"messages": [{"role": "user", "content": "Hi"}], "stream": True}
    streamed = caller.post("/api/v1/chat/completions", json={"model": CLAUDE, **body})
    assert streamed.text.endswith("data: [DONE]\n\n")
    assert caller.post("/api/v1/chat/completions", json={"model": GPT, **body}).status_code == 404
    embedded = caller.post("/v1/embeddings", json={"model": GPT, "input": "Hi"})
    assert (embedded.status_code, embedded.json()["error"]["code"]) == (404, "model_not_found")


@both_databases
@both_caches
def test_a_model_that_came_is_seen_after_an_update_alone(
    admin: httpx.Client, caller: httpx.Client, upstream: FakeUpstream, service: RunningGateway
) -> None:
    admin.get("/api/v1/models/update").raise_for_status()
    before = caller.get("/api/v1/models").content
    assert caller.get("/api/v1/models").content == before
    complete = ids(caller, "/api/v1/models_complete")
    upstream.dialects["openrouter"].models += ("qwen/qwen3-32b",)
    assert caller.get("/api/v1/models").content == before
    assert admin.get("/api/v1/models/update").json() == {"message": "Success! 4 records processed."}
    assert "qwen/qwen3-32b" in ids(caller)
    assert ids(caller, "/api/v1/models_complete") == complete | {"qwen/qwen3-32b"}


@both_databases
@both_caches
def test_what_was_fetched_and_set_outlives_the_process(
    upstream: FakeUpstream, database_url: str, cache: str, tmp_path: Path
) -> None:
    environ = environ_of(upstream, database_url, needs_redis() if cache == "redis" else "")
    with running(tmp_path / "home", environ) as first, client(first.url, first.owner_key) as admin:
        admin.get("/api/v1/models/update").raise_for_status()
        admin.put("/api/v1/models/update_whitelist", json=whitelisted(GPT)).raise_for_status()
    gone = environ | {"OPENROUTER_API_BASE_URL": "http://127.0.0.1:9"}
    with running(tmp_path / "home", gone) as second, client(second.url, second.key) as caller:
        assert ids(caller) == {GPT}
        assert LLAMA in ids(caller, "/api/v1/models_complete")
        assert ask(caller, LLAMA).status_code == 404


@pytest.mark.parametrize(
    ("rows", "field"),
    [
        ([{"id": GPT, "provider": "openai"}, {"id": LLAMA}], "data[1].provider"),
        ([{"id": GPT, "provider": "openai"}, {"provider": "meta"}], "data[1].id"),
        ([{"id": "", "provider": "openai"}], "data[0].id"),
        ([{"id": "x" * 257, "provider": "openai"}], "data[0].id"),
        ([{"id": "a\0b", "provider": "openai"}], "data[0].id"),
        ([{"id": GPT, "provider": 7}], "data[0].provider"),
        ([{"id": None, "provider": "openai"}], "data[0].id"),
        ([[GPT, "openai"]], "data[0]"),
        ([{"id": GPT, "provider": "openai"}] * 2, "data[1]"),
        ("all", "data"),
    ],
)
@both_databases
@pytest.mark.parametrize("cache", ["memory"])
def test_a_bad_row_is_named_and_changes_nothing(
    admin: httpx.Client, caller: httpx.Client, rows: object, field: str
) -> None:
    before = whitelisted(CLAUDE)
    admin.put("/api/v1/models/update_whitelist", json=before).raise_for_status()
    refused = admin.put("/api/v1/models/update_whitelist", json={"data": rows})
    assert refused.status_code == 400
    assert refused.json()["error"]["param"] == field
    assert field in refused.json()["error"]["message"]
    assert caller.get("/api/v1/models/whitelist").json() == before
    assert ask(caller, GPT).status_code == 404


@SQLITE
@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"data":' + b"[" * 5000, b"\xff"])
def test_a_body_that_is_no_whitelist_is_refused(admin: httpx.Client, body: bytes) -> None:
    refused = admin.put("/api/v1/models/update_whitelist", content=body)
    assert (refused.status_code, refused.json()["error"]["type"]) == (400, "invalid_request_error")


@SQLITE
def test_a_body_without_end_is_refused(admin: httpx.Client) -> None:
    refused = admin.put("/api/v1/models/update_whitelist", content=b" " * (9 * 1024 * 1024))
    assert (refused.status_code, refused.json()["error"]["code"]) == (413, "request_too_large")


@SQLITE
def test_an_emptied_whitelist_allows_nothing(admin: httpx.Client, caller: httpx.Client) -> None:
    assert ask(caller, "echo").status_code == 200
    admin.put("/api/v1/models/update_whitelist", json={"data": []}).raise_for_status()
    assert ask(caller, "echo").status_code == 404
    assert caller.get("/v1/models").json()["data"] == []


@SQLITE
def test_what_changes_something_takes_an_owner_and_what_shows_something_any_key(
    service: RunningGateway, caller: httpx.Client
) -> None:
    changes = [("GET", "/api/v1/models/update"), ("PUT", "/api/v1/models/update_whitelist")]
    shows = ["/api/v1/models", "/api/v1/models_complete", "/api/v1/models/whitelist"]
    assert [caller.request(method, path, json=whitelisted(GPT)).status_code for method, path in changes] == [403, 403]
    assert [caller.get(path).status_code for path in shows] == [200, 200, 200]
    assert [httpx.request(method, service.url + path).status_code for method, path in changes] == [401, 401]
    assert [httpx.get(service.url + path).status_code for path in shows] == [401, 401, 401]
    assert caller.get("/api/v1/models/whitelist").json() == {"data": []}


@SQLITE
def test_the_fixed_pages_are_no_models(caller: httpx.Client) -> None:
    assert caller.get("/v1/models/whitelist").status_code == 404
    assert caller.get("/api/v1/models/whitelist/of/nobody").json()["error"]["code"] == "model_not_found"
    assert caller.post("/api/v1/models/whitelist").status_code == 405


@SQLITE
def test_an_update_that_fails_says_so_and_keeps_what_there_was(
    admin: httpx.Client, caller: httpx.Client, upstream: FakeUpstream
) -> None:
    admin.get("/api/v1/models/update").raise_for_status()
    before = ids(caller)
    upstream.fault("status=500", method="GET")
    failed = admin.get("/api/v1/models/update")
    assert failed.status_code == 502
    assert failed.json()["error"]["code"] == "upstream_failed"
    assert ids(caller) == before


def test_what_an_operator_wrote_wins(upstream: FakeUpstream, tmp_path: Path) -> None:
    environ = environ_of(upstream, f"sqlite:///{tmp_path}/shared.db", "")
    settings = f"catalogue: {{models: {{{'openrouter/' + GPT}: {{context_length: 7, prompt_price_per_1k: 0.5}}}}}}"
    with running(tmp_path / "home", environ, settings) as service, client(service.url, service.owner_key) as admin:
        admin.get("/api/v1/models/update").raise_for_status()
        row = admin.get(f"/api/v1/models/{GPT}").json()
        assert (row["context_length"], row["source"], row["fetched_at"]) == (7, "settings", None)
        assert row["pricing"] == {"prompt": "0.0005", "completion": "0.00000125"}


@both_databases
def test_a_change_in_one_process_holds_in_the_other_within_a_second(
    upstream: FakeUpstream, database_url: str, tmp_path: Path
) -> None:
    keys = {"HEADGATE_ADMIN_KEY": "an-owner-key-for-tests-only", "API_KEYS": "a-caller-key-for-tests-only"}
    environ = environ_of(upstream, database_url, needs_redis()) | keys
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
    with (
        serving(tmp_path / "one", environ) as one,
        serving(tmp_path / "other", environ) as other,
        client(one.url, keys["HEADGATE_ADMIN_KEY"]) as admin,
        client(other.url, keys["API_KEYS"]) as caller,
    ):
        admin.get("/api/v1/models/update").raise_for_status()
        eventually(lambda: GPT in ids(caller, "/api/v1/models_complete"))
        assert ask(caller, GPT).status_code == 200
        admin.put("/api/v1/models/update_whitelist", json=whitelisted(CLAUDE)).raise_for_status()
        eventually(lambda: ask(caller, GPT).status_code == 404)
        assert caller.get("/api/v1/models/whitelist").json() == whitelisted(CLAUDE)
        assert ids(caller) == {CLAUDE}
        upstream.dialects["openrouter"].models += ("qwen/qwen3-32b",)
        admin.get("/api/v1/models/update").raise_for_status()
        eventually(lambda: "qwen/qwen3-32b" in ids(caller, "/api/v1/models_complete"))


@SQLITE
def test_a_model_that_is_not_allowed_is_refused_without_asking_the_providers(
    admin: httpx.Client, service: RunningGateway, upstream: FakeUpstream
) -> None:
    admin.get("/api/v1/models/update").raise_for_status()
    admin.put("/api/v1/models/update_whitelist", json=whitelisted(CLAUDE)).raise_for_status()
    service.house.rooms.discovery._refreshed = 0.0
    upstream.clear()
    assert "whitelist" in ask(admin, GPT).json()["error"]["message"]
    assert list(upstream.journal) == []
    assert ask(admin, "nobody-has-this").status_code == 404
    assert [entry.path for entry in upstream.journal] == ["/openrouter/models"]
