"""The whole house: what it leaves on the disk, and how it closes."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from stat import S_IMODE

import pytest

from headgate.config import load
from headgate.house import House, Rooms
from headgate.types import Caller

OWNER_KEY = "an-owner-key-for-tests-only"
STEPS = {
    "discovery": "stop",
    "shipper": "stop",
    "journal": "close",
    "metrics": "close",
    "gate": "stop",
    "bus": "stop",
    "database": "close",
}
"""Room → how it ends, in the order in which it does."""


@pytest.fixture
def careless() -> Iterator[None]:
    """A process that lets everybody read what it makes."""
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.fixture
async def rooms(tmp_path: Path) -> AsyncIterator[Rooms]:
    home = tmp_path / "a" / "home"
    config = load(environ={"HEADGATE_HOME": str(home), "HEADGATE_ADMIN_KEY": OWNER_KEY}, folder=tmp_path)
    rooms = House(config, lambda: config).rooms
    yield rooms
    await rooms.close()


def use(rooms: Rooms) -> None:
    """One request, for a journal with something in it."""
    with rooms.gateway.meter.tab(request_id="req_1", route="/v1/x", at_us=0, began=0.0, session="") as tab:
        tab.caller = Caller("key_1", "one")
        tab.attempt("one", "m")


@pytest.mark.usefixtures("careless")
async def test_state_is_for_its_owner_alone(rooms: Rooms) -> None:
    await rooms.open()
    use(rooms)
    home = rooms.config.home
    modes = {path.relative_to(home).as_posix(): S_IMODE(path.stat().st_mode) for path in (home, *home.rglob("*"))}
    assert {"headgate.db", "journal"} < set(modes)
    assert any(name.startswith("journal/") for name in modes)
    assert modes["."] == modes["journal"] == 0o700
    assert modes["headgate.db"] == 0o600
    assert {name: oct(mode) for name, mode in modes.items() if mode & 0o077} == {}


def noting(taken: list[str], name: str, closes: object) -> object:
    def close() -> object:
        taken.append(name)
        return closes()  # type: ignore[operator]

    return close


@pytest.mark.parametrize("room", STEPS)
async def test_a_step_of_closing_that_fails_keeps_none_of_the_others_from_being_taken(
    rooms: Rooms, room: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await rooms.open()
    taken: list[str] = []

    def broken(*_: object) -> None:
        raise OSError(f"{room} does not close")

    for name, step in STEPS.items():
        closes = getattr(getattr(rooms, name), step)
        instead = broken if name == room else noting(taken, name, closes)
        monkeypatch.setattr(getattr(rooms, name), step, instead)
    with pytest.raises(OSError, match=f"{room} does not close"):
        await rooms.close()
    assert taken == [name for name in STEPS if name != room]
    monkeypatch.undo()
