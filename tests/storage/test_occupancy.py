from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from headgate.config import load
from headgate.house import Rooms
from headgate.storage.occupancy import Occupancy

HOLD = """
import sys
from pathlib import Path
from headgate.storage.occupancy import Occupancy

occupancy = Occupancy(Path(sys.argv[1]))
print(repr(occupancy.enter()), flush=True)
sys.stdin.read()
"""


def test_the_second_is_warned_until_the_first_is_gone(tmp_path: Path) -> None:
    home = tmp_path / "home"
    first = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(home)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert first.stdout is not None
    assert first.stdout.readline() == "''\n"
    second = Occupancy(home)
    assert f"another server uses {home} too" in second.enter()
    second.leave()
    first.kill()
    first.communicate()
    assert second.enter() == ""
    second.leave()


def test_a_home_that_cannot_be_written_is_no_reason_not_to_start(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("a file")
    assert "cannot be seen" in Occupancy(tmp_path / "home").enter()


async def test_two_houses_in_one_home_say_so_unless_they_share_redis(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = load({"home": tmp_path / "home"}, environ={}, folder=tmp_path)
    first, second = Rooms(config, lambda: config), Rooms(config, lambda: config)
    await first.open()
    assert "another server" not in caplog.text
    await second.open()
    assert caplog.text.count("another server uses") == 1
    await second.close()
    await first.close()
    third = Rooms(config, lambda: config)
    await third.open()
    assert caplog.text.count("another server uses") == 1
    await third.close()
