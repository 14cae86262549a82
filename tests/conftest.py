"""Fixtures that every room's tests share: a fake upstream and a whole gateway in front of it, one of each a process."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from headgate.testing import FakeUpstream
from headgate.testing.gateway import VARIABLES, RunningGateway, running
from headgate.testing.journal import Entry

PROVIDER_KEY = "sk-provider-canary-0123456789abcdefghijklmn"


@pytest.fixture(scope="session")
def anyio_backend() -> tuple[str, dict[str, bool]]:
    """Async tests run on uvloop, as the server does."""
    return "asyncio", {"use_uvloop": True}


@pytest.fixture(scope="session")
def one_fake() -> Iterator[FakeUpstream]:
    models = {"ollama": ("llama2:latest", "qwen3:8b"), "huggingface": ("meta-llama/Llama-3.1-8B-Instruct",)}
    with FakeUpstream.in_thread(models=models) as fake:
        yield fake


@pytest.fixture
def fake(one_fake: FakeUpstream) -> FakeUpstream:
    """The fake upstream with nothing queued and an empty journal."""
    one_fake.clear()
    return one_fake


def calls(fake: FakeUpstream) -> list[Entry]:
    """The model calls that the fake received; the gateway asks for lists of models besides."""
    return [entry for entry in fake.journal if entry.method == "POST"]


def environ_for(fake: FakeUpstream) -> dict[str, str]:
    """Variables that point every provider to the fake."""
    environ = {}
    for provider, (base, key) in VARIABLES.items():
        environ[base] = fake.base_url(provider)
        environ[key] = PROVIDER_KEY
    return environ


def settings_for(fake: FakeUpstream) -> str:
    return f"""
providers:
  huggingface: {{base_url: "{fake.base_url("huggingface")}"}}
  spare: {{kind: compatible, base_url: "{fake.base_url("openai")}", key: {PROVIDER_KEY}, models: [spare-model]}}
  nobody: {{kind: compatible, base_url: "http://127.0.0.1:9", key: {PROVIDER_KEY}}}
aliases:
  fast: openai/gpt-4o-mini
  sturdy: [nobody/gone, spare/gpt-4o-mini]
"""


@pytest.fixture(scope="session")
def one_gateway(one_fake: FakeUpstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    with running(tmp_path_factory.mktemp("gateway"), environ_for(one_fake), settings_for(one_fake)) as gateway:
        yield gateway


@pytest.fixture
def gateway(one_gateway: RunningGateway, fake: FakeUpstream) -> RunningGateway:
    """A whole gateway whose six providers are the fake upstream. No failure of another test is held against them."""
    one_gateway.house.rooms.traffic.forget()
    return one_gateway


@pytest.fixture
def http(gateway: RunningGateway) -> Iterator[httpx.Client]:
    """A plain HTTP client with a caller's key."""
    headers = {"authorization": f"Bearer {gateway.key}"}
    with httpx.Client(base_url=gateway.url, headers=headers, timeout=20) as client:
        yield client
