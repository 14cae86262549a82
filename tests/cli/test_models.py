"""`headgate models` and `headgate models sync`, in processes of their own."""

from __future__ import annotations

import os
import sqlite3
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from headgate.testing import FakeUpstream
from tests.conftest import PROVIDER_KEY
from tests.serving import BIN


@pytest.fixture
def upstream() -> Iterator[FakeUpstream]:
    with FakeUpstream.in_thread() as fake:
        yield fake


def run(folder: Path, environ: Mapping[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    environ = {"PATH": os.environ["PATH"], "HOME": str(folder), **environ}
    return subprocess.run(
        [str(BIN / "headgate"), "models", *words], cwd=folder, env=environ, capture_output=True, text=True, check=False
    )


def environ_of(upstream: FakeUpstream) -> dict[str, str]:
    return {
        "OPENROUTER_API_BASE_URL": upstream.base_url("openrouter"),
        "OPENROUTER_API_KEY": PROVIDER_KEY,
        "OPENAI_BASE_URL": upstream.base_url("openai"),
        "OPENAI_API_KEY": PROVIDER_KEY,
    }


def stored(folder: Path, listed: int) -> dict[str, tuple[int | None, int | None, str]]:
    """Context length, price for a prompt and source, by provider and id."""
    with sqlite3.connect(folder / ".headgate" / "headgate.db") as database:
        rows = database.execute(
            "SELECT provider || '/' || id, context_length, prompt_nano_per_1m, source FROM models WHERE listed = ?",
            (listed,),
        ).fetchall()
    database.close()
    return {name: (context, price, source) for name, context, price, source in rows}


def test_sync_puts_every_list_and_the_book_into_the_database(tmp_path: Path, upstream: FakeUpstream) -> None:
    done = run(tmp_path, environ_of(upstream), "sync")
    assert (done.returncode, done.stderr) == (0, "")
    said = dict(line.split(": ") for line in done.stdout.splitlines()[:-1])
    assert said["openrouter"] == "3"
    assert done.stdout.endswith(f"Success! {sum(map(int, said.values()))} records processed.\n")
    listed, book = stored(tmp_path, 1), stored(tmp_path, 0)
    assert listed["openrouter/openai/gpt-4o"] == (128_000, 250_000_000, "the list of openrouter")
    assert int(said["openai"]) == len([name for name in listed if name.startswith("openai/")])
    assert int(said["the book of prices"]) == len(book)
    context, price, source = book["openai/gpt-4o"]
    assert (context, price) == (128_000, 2_500_000_000)
    assert source.startswith("genai-prices ")


def test_a_source_that_fails_is_named_and_the_others_are_kept(tmp_path: Path, upstream: FakeUpstream) -> None:
    done = run(tmp_path, environ_of(upstream) | {"OLLAMA_BASE_URL": "http://127.0.0.1:9"}, "sync")
    assert done.returncode == 1
    assert "ollama: 127.0.0.1:9: Connection refused" in done.stderr
    assert done.stderr.endswith("ollama could not be fetched\n")
    assert len([name for name in stored(tmp_path, 1) if name.startswith("openrouter/")]) == 3


def test_nothing_to_fetch_is_said(tmp_path: Path) -> None:
    done = run(tmp_path, {}, "sync")
    assert done.returncode == 1
    assert "OPENROUTER_API_KEY" in done.stderr


def test_without_a_word_the_configured_names_are_listed(tmp_path: Path) -> None:
    done = run(tmp_path, {}, "--format", "csv")
    assert done.returncode == 0
    assert "gpt-*,prefix,openai," in done.stdout
