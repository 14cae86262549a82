"""docs/providers.md, compared with the program and run."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from headgate.config import VARIABLES, Timeouts
from headgate.providers.base import Provider
from headgate.providers.compatible import PROVIDERS
from headgate.providers.found import discover
from headgate.providers.plugin_files import load
from headgate.testing.conformance import ProviderConformance
from headgate.wire.conversation import Conversation, Message, Text, TextDelta

from .configured import configured, fields, plain

PAGE = (Path(__file__).parents[2] / "docs" / "providers.md").read_text()


def example(name: str) -> str:
    found = re.search(rf"<!-- example: {name} -->\n```python\n(.*?)```\n<!-- /example -->", PAGE, re.S)
    assert found is not None, f"docs/providers.md has no example {name!r}"
    return found[1]


def rows() -> Iterator[str]:
    for name, cls in sorted(discover().items()):
        key = " or ".join(f"`{variable}`" for variable in cls.key_env) or "none"
        key += "" if cls.key_needed or not cls.key_env else ", if it wants one"
        base = " or ".join(f"`{variable}`" for variable in cls.base_env)
        wires = ", ".join(cls.paths) or "answers by itself"
        yield f"| `{name}` | {key} | {base} | {wires} |"


def test_the_table_lists_every_provider_with_its_variables_and_wires() -> None:
    table = re.search(r"<!-- providers -->\n(.*?)\n<!-- /providers -->", PAGE, re.S)
    assert table is not None
    assert table[1].splitlines() == list(rows())


def test_every_variable_of_the_table_is_one_that_the_configuration_reads() -> None:
    read = {variable.name for variable in VARIABLES}
    mentioned = {cls.name.upper() for cls in PROVIDERS}
    for name, cls in discover().items():
        for variable in (*cls.key_env, *cls.base_env):
            owner = variable.removesuffix("_API_KEY").removesuffix("_BASE_URL")
            assert variable in read or owner in mentioned, f"{name}: nobody reads {variable}"


@pytest.fixture(scope="module")
def acme() -> type[Provider]:
    names: dict[str, Any] = {"__name__": __name__}
    exec(example("class"), names)
    cls: type[Provider] = names["Acme"]
    return cls


def test_the_example_of_a_class_does_what_it_says(acme: type[Provider]) -> None:
    mine = configured(acme)
    assert mine.headers(mine.settings.key)[0][0] == b"x-acme-key"
    body = fields(max_completion_tokens=5, logit_bias={})
    assert mine.adjust("chat", "m", body) == ("logit_bias",)
    assert plain(body) == {"max_tokens": 5}
    assert "coffee" in mine.failure(418, {}, b"").message


def test_the_example_of_a_class_passes_the_conformance_suite_as_the_example_runs_it(acme: type[Provider]) -> None:
    names: dict[str, Any] = {"Acme": acme, "__name__": __name__}
    exec(example("conformance"), names)
    suite = names["TestAcme"]()
    assert isinstance(suite, ProviderConformance)
    checks = [getattr(suite, name) for name in dir(suite) if name.startswith("test_")]
    assert len(checks) > 15
    for check in checks:
        check()


@pytest.mark.parametrize("stream", [False, True])
async def test_the_example_of_a_plug_in_answers(tmp_path: Path, stream: bool) -> None:
    (tmp_path / "shout.py").write_text(example("plugin"))
    found = load(tmp_path, lambda name: None, Timeouts())
    assert found.notices == ()
    assert [(row.prefix, row.provider) for row in found.prefixes] == [("shout-", "shout")]
    conversation = Conversation("shout-1", (Message("user", (Text("hey you"),)),), stream=stream)
    events = [event async for event in found.providers["shout"].respond(conversation)]
    said = [event.text for event in events if isinstance(event, TextDelta)]
    assert said == (["HEY", "YOU"] if stream else ["HEY YOU"])
