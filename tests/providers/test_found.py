from __future__ import annotations

import sys
from pathlib import Path

import pytest

from headgate.config import ProviderSettings
from headgate.errors import ConfigError
from headgate.providers.compatible import ROWS, Compatible
from headgate.providers.found import discover, make
from headgate.providers.openai import OpenAI

STRANGER = """
from headgate.providers.base import Provider

class Stranger(Provider):
    name = "stranger"
    base_url = "https://stranger.test/v1"
    paths = {"chat": "/chat/completions"}

class Impostor(Stranger):
    name = "openai"

class Shouting(Stranger):
    name = "Not A Name"

NOTHING = 4
"""


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> str:
    """A package whose entry points are the test's parameter; returns its module's name."""
    module = f"stranger_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{module}.py").write_text(STRANGER)
    info = tmp_path / f"{module}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.0\n")
    points = "\n".join(f"point{index} = {point}" for index, point in enumerate(request.param))
    (info / "entry_points.txt").write_text("[headgate.providers]\n" + points.replace("MODULE", module))
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, module, raising=False)
    return module


def test_the_folder_offers_the_six_the_compatible_and_the_echo() -> None:
    notices: list[str] = []
    found = discover(notices.append)
    six = {"openai", "anthropic", "deepseek", "openrouter", "huggingface", "ollama"}
    assert {*six, "compatible", "echo", *(row.name for row in ROWS)} <= set(found)
    assert "" not in found
    assert found["openai"] is OpenAI
    assert notices == []


@pytest.mark.parametrize("installed", [["MODULE:Stranger"]], indirect=True)
def test_another_package_adds_a_provider_by_an_entry_point(installed: str) -> None:
    found = discover()
    assert found["stranger"].__module__ == installed
    assert (
        make(ProviderSettings("stranger", "stranger", ""), found).url("chat", "m")
        == "https://stranger.test/v1/chat/completions"
    )


@pytest.mark.parametrize("installed", [["MODULE"]], indirect=True)
def test_an_entry_point_may_name_a_module(installed: str) -> None:
    notices: list[str] = []
    assert "stranger" in discover(notices.append)
    assert len(notices) == 2


@pytest.mark.parametrize(
    ("installed", "words"),
    [
        (["MODULE:Missing"], "AttributeError"),
        (["nowhere_at_all:X"], "ModuleNotFoundError"),
        (["MODULE:NOTHING"], "not a Provider class"),
        (["MODULE:Impostor"], "'openai' is taken by headgate.providers.openai"),
        (["MODULE:Shouting"], "no name for a provider"),
    ],
    indirect=["installed"],
)
@pytest.mark.usefixtures("installed")
def test_a_broken_entry_point_is_reported_and_not_fatal(words: str) -> None:
    notices: list[str] = []
    found = discover(notices.append)
    assert found["openai"] is OpenAI
    (notice,) = notices
    assert words in notice
    assert "entry point point0" in notice


def test_a_compatible_service_that_is_listed_has_its_rows_habits() -> None:
    found = discover()
    groq = make(ProviderSettings("groq", "compatible", "", key_env="GROQ_API_KEY"), found)
    assert groq.url("chat", "m") == "https://api.groq.com/openai/v1/chat/completions"
    mine = make(ProviderSettings("mine", "compatible", "http://h/v1"), found)
    assert type(mine) is Compatible


def test_a_kind_that_nobody_offers_is_refused_with_near_ones() -> None:
    with pytest.raises(ConfigError, match="did you mean anthropic"):
        make(ProviderSettings("mine", "antropic", ""), discover())
    with pytest.raises(ConfigError, match="there are anthropic, cerebras"):
        make(ProviderSettings("mine", "xyzzyx", ""), discover())


def test_a_service_without_an_address_is_refused_by_its_variable() -> None:
    with pytest.raises(ConfigError, match="expected MY_OWN_BASE_URL, or its base_url"):
        make(ProviderSettings("my-own", "compatible", ""), discover())
    with pytest.raises(ConfigError, match="expected VLLM_BASE_URL"):
        make(ProviderSettings("vllm", "compatible", ""), discover())
