"""The command line as a person meets it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from headgate.cli import main

HEAVY = ("sqlalchemy", "uvicorn", "fastapi", "yaml", "dotenv", "rich", "httptools", "pydantic", "redis")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("OPENAI_API_KEY", "HEADGATE_HOME", "HEADGATE_CONFIG", "DATABASE_URL", "REDIS_URL"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def run(*words: str) -> Result:
    return CliRunner().invoke(main, words)


def test_help_imports_nothing_heavy() -> None:
    code = f"import headgate.cli, sys; print([name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_command_explains_itself_with_an_example() -> None:
    for name in main.commands:
        text = run(name, "--help").output
        assert run(name, "--help").exit_code == 0
        assert name == "version" or f"  headgate {name}" in text or f" headgate {name}" in text, name


def test_the_version_is_printed_both_ways() -> None:
    from headgate import __version__

    assert run("version").output.strip() == __version__
    assert run("--version").output.strip() == f"headgate {__version__}"


def test_a_wrong_setting_is_one_sentence_and_exit_code_2(folder: Path) -> None:
    (folder / "headgate.yaml").write_text("server:\n  prot: 1\n")
    for words in (("config", "check"), ("serve",), ("models",), ("keys", "list"), ("db", "current")):
        done = run(*words)
        assert (done.exit_code, done.stdout) == (2, "")
        assert done.stderr == f"headgate: {folder}/headgate.yaml:2: server has no setting 'prot'. Did you mean port?\n"


def test_check_names_everything_that_is_wrong(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("API_KEYS", '["one two", "three four"]')
    monkeypatch.setenv("OPENAI_ORGS", "FOO,my-own")
    monkeypatch.setenv("DEBUG", "perhaps")
    (folder / "headgate.yaml").write_text(
        "server:\n  prot: 1\n  port: 70000\nproviders:\n  mine: {kind: opnai, base_url: http://h}\n"
        "aliases:\n  fast: nobody/m\n  good: openai/m\n"
    )
    done = run("config", "check")
    assert (done.exit_code, done.stdout) == (2, "")
    said = sorted(done.stderr.splitlines())
    file = f"headgate: {folder}/headgate.yaml"
    for start, line in zip(
        (
            f"{file}:2: server has no setting 'prot'",
            f"{file}:3: server.port is '70000'; expected a port",
            f"{file}:7: aliases.fast is 'nobody/m'; expected provider/model",
            "headgate: API_KEYS: auth.keys[0]: expected at most 512",
            "headgate: DEBUG: expected true or false",
            "headgate: provider 'foo': expected FOO_BASE_URL",
            "headgate: provider 'mine': there is no kind 'opnai'",
            "headgate: provider 'my-own': expected MY_OWN_BASE_URL",
        ),
        said,
        strict=True,
    ):
        assert line.startswith(start), said
    for words in (("serve",), ("models",)):
        assert len(run(*words).stderr.splitlines()) == 1


def test_check_names_what_is_accepted_with_a_doubt(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("API_KEYS", "test-key")
    done = run("config", "check")
    assert done.exit_code == 0
    assert done.output.startswith("note: API_KEYS: a weak key is accepted")


def test_check_refuses_a_kind_that_nobody_offers(folder: Path) -> None:
    (folder / "headgate.yaml").write_text("providers:\n  mine: {kind: opnai}\n")
    done = run("config", "check")
    assert done.exit_code == 2
    assert "did you mean openai" in done.stderr


def test_show_says_where_each_value_is_from_and_hides_secrets(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "CANARY-0123456789")
    (folder / "headgate.yaml").write_text("server:\n  port: 81\n")
    lines = [line.split() for line in run("config", "show").output.splitlines()]
    assert ["server.port", "81", f"{folder}/headgate.yaml:2"] in lines
    assert ["providers.openai.key", "(hidden)", "OPENAI_API_KEY"] in lines
    assert "default" not in run("config", "show").output
    assert ["server.workers", "1", "default"] in [
        line.split() for line in run("config", "show", "--all").output.splitlines()
    ]
    assert "CANARY" not in run("config", "show", "--format", "json").output


def test_init_writes_samples_that_are_good_and_spares_what_is_there(folder: Path) -> None:
    assert run("config", "init").exit_code == 0
    assert sorted(path.name for path in folder.iterdir()) == [".env.example", "headgate.schema.json", "headgate.yaml"]
    assert run("config", "check").exit_code == 0
    (folder / "headgate.yaml").write_text("log: {level: debug}\n")
    refused = run("config", "init")
    assert refused.exit_code == 2
    assert "headgate.yaml" in refused.stderr
    assert (folder / "headgate.yaml").read_text() == "log: {level: debug}\n"
    assert run("config", "init", "--force").exit_code == 0
    assert (folder / "headgate.yaml").read_text() != "log: {level: debug}\n"


def test_init_over_what_it_would_write_itself_is_no_fault(folder: Path) -> None:
    assert run("config", "init").exit_code == 0
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    again = run("config", "init")
    assert (again.exit_code, again.output.count("wrote")) == (0, len(before))
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_the_schema_is_printed_as_it_is_kept() -> None:
    assert run("config", "schema").output == (Path(__file__).parents[2] / "headgate.schema.json").read_text("utf-8")


def test_models_says_where_names_lead_and_which_key_is_missing(folder: Path) -> None:
    (folder / "headgate.yaml").write_text(
        "aliases:\n  fast: openai/gpt-4o-mini\nroutes:\n  both: {targets: [openai/a, {provider: echo, model: b}]}\n"
    )
    (folder / ".env").write_text("DEEPSEEK_API_KEY=sk-d\n")
    lines = {line.split()[0]: " ".join(line.split()[1:]) for line in run("models").output.splitlines()}
    assert lines["fast"] == "alias openai/gpt-4o-mini"
    assert lines["both"] == "route openai/a, echo/b priority"
    assert lines["anthropic-*"] == "prefix anthropic prefix removed"
    assert lines["openai/*"].endswith("no key: OPENAI_API_KEY is not set")
    assert lines["deepseek/*"].endswith("key set")
    assert lines["ollama/*"].endswith(":11434")


def test_the_schema_of_the_database_moves_both_ways(folder: Path) -> None:
    assert run("db", "current").output.startswith("no schema")
    assert run("db", "upgrade").exit_code == 0
    newest = run("db", "current").output.split()[0]
    assert newest.isdigit()
    assert run("db", "downgrade", "base", "--yes").exit_code == 0
    assert run("db", "current").output.startswith("no schema")
    unknown = run("db", "upgrade", "9999")
    assert unknown.exit_code == 2
    assert "9999" in unknown.stderr
