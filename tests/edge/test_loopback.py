"""A gateway without keys, or with weak ones, answers this machine only."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from headgate.config import load
from headgate.edge.loopback import LoopbackOnly, came_by_loopback
from headgate.edge.reply import Message, Receive, Scope, Send


@pytest.mark.parametrize(
    "server", [("127.0.0.1", 80), ("::1", 80), ("::ffff:127.0.0.1", 80), ("/run/socket", None), None]
)
def test_this_machine_is_let_in(server: tuple[str, int | None] | None) -> None:
    assert came_by_loopback(server)


@pytest.mark.parametrize("server", [("192.168.1.4", 80), ("fe80::1%eth0", 80), ("::ffff:10.0.0.1", 80)])
def test_a_network_is_not(server: tuple[str, int | None]) -> None:
    assert not came_by_loopback(server)


async def test_who_comes_by_a_network_is_told_what_to_set() -> None:
    sent: list[Message] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        raise AssertionError("must not be reached")

    async def receive() -> Message:
        return {"type": "http.request"}

    async def send(message: Message) -> None:
        sent.append(message)

    await LoopbackOnly(app)({"type": "http", "server": ("10.0.0.1", 8000)}, receive, send)
    assert sent[0]["status"] == 403
    assert b"ALLOW_OPEN_NETWORK" in sent[1]["body"]


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"AUTH_MODE": "open"}, True),
        ({"API_KEYS": "test-key"}, True),
        ({"AUTH_MODE": "open", "ALLOW_OPEN_NETWORK": "true"}, False),
        ({"API_KEYS": "a-key-that-nobody-guesses"}, False),
    ],
)
def test_the_settings_decide(environ: dict[str, str], expected: bool, tmp_path: Path) -> None:
    assert load(environ=environ, folder=tmp_path).loopback_only is expected


def test_socket_families_that_are_served_are_understood() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        assert came_by_loopback(listener.getsockname()[:2])
