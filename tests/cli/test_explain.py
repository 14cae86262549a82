"""`headgate explain`: plans by the settings alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from headgate.cli import main

SETTINGS = """
providers:
  openai: {credentials: {blue: {key: sk-blue}, green: {key: sk-green}}}
aliases: {sturdy: [anthropic/claude-x, echo/echo]}
routes:
  chat:
    strategy: weighted
    targets: [{provider: openai, model: gpt-5, weight: 4}, echo/echo, {provider: deepseek, model: d, priority: 1}]
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("OPENAI_API_KEY", "HEADGATE_HOME", "HEADGATE_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "headgate.yaml").write_text(SETTINGS)
    return tmp_path


def explain(model: str) -> Result:
    return CliRunner().invoke(main, ["explain", model, "--format", "json"])


@pytest.mark.usefixtures("folder")
def test_a_route_is_shown_in_order_with_reasons() -> None:
    rows = json.loads(explain("chat").stdout)
    assert [(row["place"], row["model"], row["credential"], row["found by"], row["reason"]) for row in rows] == [
        ("1", "gpt-5", "blue", "route", "drawn by lot, with weight 2"),
        ("2", "gpt-5", "green", "route", "drawn by lot, with weight 2"),
        ("3", "echo", "default", "route", "drawn by lot, with weight 1"),
        ("4", "d", "default", "route", "alone in tier 2 of 2"),
    ]


@pytest.mark.parametrize(
    ("model", "found"),
    [
        ("sturdy", [("anthropic", "alias"), ("echo", "alias")]),
        ("gpt-4o", [("openai", "prefix"), ("openai", "prefix")]),
        ("deepseek/x", [("deepseek", "provider")]),
    ],
)
@pytest.mark.usefixtures("folder")
def test_every_other_name_is_explained_too(model: str, found: list[tuple[str, str]]) -> None:
    assert [(row["provider"], row["found by"]) for row in json.loads(explain(model).stdout)] == found


@pytest.mark.usefixtures("folder")
def test_an_unknown_name_is_one_sentence() -> None:
    done = explain("sturdi")
    assert done.exit_code == 1
    assert done.stderr == "headgate: The model `sturdi` does not exist here. Did you mean `sturdy`?\n"


def test_plug_ins_are_known(folder: Path) -> None:
    plugins = folder / ".headgate" / "plugins"
    plugins.mkdir(parents=True)
    (plugins / "mine.py").write_text("raise ValueError('not today')\n")
    done = explain("echo")
    assert done.exit_code == 0
    assert "the plug-in cannot be used: ValueError: not today" in done.stderr
