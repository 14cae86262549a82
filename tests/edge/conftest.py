"""A gateway whose retries do not wait for each other's leftovers, and one that is in a hurry."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import suppress

import httpx
import pytest
import trustme

from headgate.engine import failover
from headgate.testing import FakeUpstream
from headgate.testing.gateway import RunningGateway, running
from tests.conftest import PROVIDER_KEY, environ_for
from tests.edge import routed

HASTY = """
timeouts: {{connect_s: 0.3, first_byte_s: 0.3, idle_s: 0.3, total_s: 1.2}}
server: {{body_limit: 1MiB}}
providers:
  hole: {{kind: compatible, base_url: "http://127.0.0.1:{hole}", key: {key}}}
  nobody: {{kind: compatible, base_url: "http://127.0.0.1:9", key: {key}}}
  keyless: {{kind: compatible, base_url: "http://127.0.0.1:9", key_env: KEYLESS_API_KEY}}
aliases:
  patient: [openai/gpt-4o, anthropic/claude-sonnet-4-5]
  hollow: [hole/m, openai/gpt-4o]
"""


@pytest.fixture
def quick_retries(gateway: RunningGateway, monkeypatch: pytest.MonkeyPatch) -> None:
    """Retries with a full budget and next to no pause."""
    monkeypatch.setattr(failover, "BACKOFF_S", 0.001)
    monkeypatch.setattr(failover, "BACKOFF_OVERLOADED_S", 0.001)
    monkeypatch.setattr(gateway.house.rooms.gateway.failover, "budget", failover.RetryBudget())


@pytest.fixture(scope="session")
def one_hole() -> Iterator[int]:
    """A port that answers no connection: its queue is full, and nobody accepts."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listening:
        port = listening.getsockname()[1]
        queued = [socket.socket() for _ in range(3)]
        for waiting in queued:
            waiting.setblocking(False)
            waiting.connect_ex(("127.0.0.1", port))
        yield port
        for waiting in queued:
            waiting.close()


@pytest.fixture(scope="session")
def one_hasty_gateway(
    one_fake: FakeUpstream, one_hole: int, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningGateway]:
    settings = HASTY.format(hole=one_hole, key=PROVIDER_KEY)
    with running(tmp_path_factory.mktemp("hasty"), environ_for(one_fake), settings) as started:
        yield started


@pytest.fixture
def hasty_gateway(one_hasty_gateway: RunningGateway, fake: FakeUpstream) -> RunningGateway:
    """A gateway with limits of a third of a second, a body limit of one mebibyte, and providers that cannot work."""
    one_hasty_gateway.house.rooms.traffic.forget()
    return one_hasty_gateway


@pytest.fixture
def hasty(hasty_gateway: RunningGateway) -> Iterator[httpx.Client]:
    headers = {"authorization": f"Bearer {hasty_gateway.key}"}
    with httpx.Client(base_url=hasty_gateway.url, headers=headers, timeout=20) as client:
        yield client


@pytest.fixture(scope="session")
def one_stranger() -> Iterator[int]:
    """The port of a TLS server whose certificate nobody trusts."""
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(tls)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=_greet, args=(listening, tls), daemon=True).start()
        yield listening.getsockname()[1]
        listening.shutdown(socket.SHUT_RDWR)


def _greet(listening: socket.socket, tls: ssl.SSLContext) -> None:
    while True:
        try:
            connection, _ = listening.accept()
        except OSError:
            return
        with suppress(OSError), connection:
            tls.wrap_socket(connection, server_side=True).close()


@pytest.fixture(scope="session")
def one_routed_gateway(
    one_fake: FakeUpstream, one_stranger: int, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningGateway]:
    with running(
        tmp_path_factory.mktemp("routed"), environ_for(one_fake), routed.settings(one_fake, one_stranger)
    ) as started:
        yield started


@pytest.fixture
def routed_gateway(
    one_routed_gateway: RunningGateway, fake: FakeUpstream, monkeypatch: pytest.MonkeyPatch
) -> RunningGateway:
    """A gateway with routes (`tests.edge.routed`), nothing held against any target, a full budget and no pauses."""
    rooms = one_routed_gateway.house.rooms
    rooms.traffic.forget()
    monkeypatch.setattr(failover, "BACKOFF_S", 0.001)
    monkeypatch.setattr(failover, "BACKOFF_OVERLOADED_S", 0.001)
    monkeypatch.setattr(rooms.gateway.failover, "budget", failover.RetryBudget())
    return one_routed_gateway


@pytest.fixture
def routed_http(routed_gateway: RunningGateway) -> Iterator[httpx.Client]:
    headers = {"authorization": f"Bearer {routed_gateway.key}"}
    with httpx.Client(base_url=routed_gateway.url, headers=headers, timeout=20) as client:
        yield client
