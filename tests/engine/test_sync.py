"""Lists that are fetched on a schedule."""

from __future__ import annotations

import threading
from pathlib import Path
from time import monotonic

import httpx
import pytest

from headgate.engine import sync
from headgate.testing import FakeUpstream
from headgate.testing.gateway import running
from tests.conftest import PROVIDER_KEY


def test_a_schedule_fetches_again_and_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sync, "APART_S", 0.01)
    with FakeUpstream.in_thread() as upstream:
        environ = {"OPENROUTER_API_BASE_URL": upstream.base_url("openrouter"), "OPENROUTER_API_KEY": PROVIDER_KEY}
        with running(tmp_path, environ, "catalogue: {sync_hours: 0.00003}") as gateway:
            for number in range(2):
                upstream.dialects["openrouter"].models += (f"new/model-{number}",)
                await_listed(gateway.url, gateway.key, f"new/model-{number}")


def await_listed(url: str, key: str, model: str) -> None:
    until = monotonic() + 20
    pause = threading.Event()
    while httpx.get(f"{url}/v1/models/{model}", headers={"authorization": f"Bearer {key}"}).status_code != 200:
        assert monotonic() < until, f"{model} was never listed"
        pause.wait(0.02)


def test_without_a_schedule_nothing_is_stored_unasked(tmp_path: Path) -> None:
    with running(tmp_path) as gateway:
        assert gateway.house.rooms.sync._rounds is None
