"""Keys from the command line, in a real database."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from headgate.access.keys import digest
from headgate.access.known import TOPIC
from headgate.access.repository import KeyRepository
from headgate.cli import main
from headgate.storage.redis import RedisBus
from headgate.storage.session import Database
from headgate.types import Secret
from tests.needs import needs_redis
from tests.serving import free_port


def run(home: Path, *words: str) -> Result:
    return CliRunner().invoke(main, ["keys", *words, "--home", str(home)])


def listed(home: Path) -> list[dict[str, str]]:
    rows: list[dict[str, str]] = json.loads(run(home, "list", "--format", "json").stdout)
    return rows


def test_a_key_is_printed_alone_and_kept_as_a_digest(tmp_path: Path) -> None:
    made = run(tmp_path, "create", "--name", "mobile")
    secret = made.stdout.strip()
    assert secret.startswith("hg-")
    [row] = listed(tmp_path)
    assert (row["name"], row["role"], row["revoked"]) == ("mobile", "caller", "")
    assert row["id"] in made.stderr
    assert secret not in str(row) + run(tmp_path, "list").output
    assert secret.encode() not in b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())


async def test_a_key_that_was_made_is_found_by_its_digest(tmp_path: Path) -> None:
    database = Database(Secret(f"sqlite+aiosqlite:///{tmp_path}/headgate.db"))
    from asyncio import to_thread

    secret = (await to_thread(run, tmp_path, "create", "--owner")).stdout.strip()
    found = await KeyRepository(database).find(digest(secret.encode()))
    await database.close()
    assert found is not None
    assert found.role == "owner"


@pytest.mark.parametrize("by", ["id", "key"])
def test_a_revoked_key_stays_in_the_list(by: str, tmp_path: Path) -> None:
    run(tmp_path, "create", "--name", "old")
    run(tmp_path, "create", "--name", "new")
    old = next(row for row in listed(tmp_path) if row["name"] == "old")
    done = run(tmp_path, "revoke", old[by].rstrip("…"))
    assert (done.exit_code, done.stdout) == (0, f"revoked {old['id']} old\n")
    assert {row["name"]: bool(row["revoked"]) for row in listed(tmp_path)} == {"old": True, "new": False}


def test_a_key_is_revoked_by_its_whole_secret(tmp_path: Path) -> None:
    lost, kept = (run(tmp_path, "create", "--name", name).stdout.strip() for name in ("lost", "kept"))
    done = run(tmp_path, "revoke", lost)
    assert done.exit_code == 0
    assert {row["name"]: bool(row["revoked"]) for row in listed(tmp_path)} == {"lost": True, "kept": False}
    assert lost not in done.output
    almost = run(tmp_path, "revoke", kept[:-1])
    assert almost.exit_code == 1
    assert kept[:-1] not in almost.output, "a secret that was mistyped is still not for a log"


def test_revoking_what_is_not_there_fails(tmp_path: Path) -> None:
    done = run(tmp_path, "revoke", "key_nobody")
    assert done.exit_code == 1
    assert "key_nobody" in done.stderr


@pytest.mark.parametrize("name", ["\x1b[2J", "a\nb", "x" * 201])
def test_a_name_that_acts_on_a_terminal_is_refused(name: str, tmp_path: Path) -> None:
    done = run(tmp_path, "create", "--name", name)
    assert (done.exit_code, done.stdout) == (2, "")
    assert listed(tmp_path) == []


def test_a_database_that_does_not_answer_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://nobody:CANARY-12345@127.0.0.1:9/none")
    done = run(tmp_path, "list")
    assert done.exit_code == 1
    assert done.stderr.startswith("headgate: the database does not serve")
    assert "CANARY" not in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("words", [("create", "--name", "x"), ("revoke",)])
async def test_servers_that_listen_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    url = needs_redis()
    if words == ("revoke",):
        words = ("revoke", (await asyncio.to_thread(run, tmp_path, "create")).stdout.strip())
    monkeypatch.setenv("REDIS_URL", url)
    heard = asyncio.Event()

    async def hear() -> None:
        heard.set()

    listening = RedisBus(Secret(url))
    await listening.subscribe(TOPIC, hear)
    await listening.start()
    async with asyncio.timeout(10):
        await listening.ready.wait()
        assert (await asyncio.to_thread(run, tmp_path, *words)).exit_code == 0
        await heard.wait()
    await listening.stop()


def test_a_redis_that_is_away_takes_no_key_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("REDIS_URL", f"redis://127.0.0.1:{free_port()}/0")
    made = run(tmp_path, "create")
    assert made.exit_code == 0
    assert made.stdout.startswith("hg-")
    assert "Redis is away" in caplog.text
    assert len(listed(tmp_path)) == 1
