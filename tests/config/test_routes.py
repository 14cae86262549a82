"""Routes and named credentials: what is accepted, and what is refused with its line."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
import yaml as pyyaml

from headgate.cli.samples import yaml_text
from headgate.config import load
from headgate.config.faults import find
from headgate.config.routes import RouteSettings, RouteTarget
from headgate.errors import ConfigError
from headgate.types import Secret
from tests.cli.test_samples import uncommented

ROUTES = """
providers:
  openai:
    credentials:
      blue: {key: sk-blue}
      green: {key_env: GREEN_KEY}
routes:
  chat:
    strategy: weighted
    sticky_s: 60
    context_length: long
    targets:
      - {provider: openai, model: gpt-5, weight: 3, priority: 1, credential: green}
      - anthropic/claude/x
  long: {targets: [openrouter/google/gemini]}
"""


def test_a_route_keeps_all_that_was_written(tmp_path: Path) -> None:
    (tmp_path / "headgate.yaml").write_text(ROUTES)
    made = load({}, {"GREEN_KEY": "sk-green"}, tmp_path)
    chat = made.routes["chat"]
    assert (chat.strategy, chat.sticky_s, chat.context_length, chat.content_filter) == ("weighted", 60.0, "long", "")
    assert chat.legs() == (
        RouteTarget("openai", "gpt-5", 3.0, 1, "green"),
        RouteTarget("anthropic", "claude/x", 1.0, 0, ""),
    )
    assert made.providers["openai"].keys == {"blue": Secret("sk-blue"), "green": Secret("sk-green")}
    assert str(chat.legs()[0]) == "openai/gpt-5 (weight 3, priority 1, credential green)"
    assert {Secret("sk-blue"), Secret("sk-green")} <= set(made.secrets())


def test_a_providers_own_key_is_the_default_credential(tmp_path: Path) -> None:
    (tmp_path / "headgate.yaml").write_text("providers: {openai: {credentials: {blue: {key: sk-blue}}}}")
    made = load({}, {"OPENAI_API_KEY": "sk-own"}, tmp_path).providers["openai"]
    assert made.keys == {"default": Secret("sk-own"), "blue": Secret("sk-blue")}
    assert made.first_key == Secret("sk-own")
    assert load({}, {}, tmp_path).providers["openai"].first_key == Secret("sk-blue")


@pytest.mark.parametrize(
    ("yaml", "message"),
    [
        (
            "routes:\n  r:\n    targets:\n      - {provider: opnai, model: m}\n",
            "headgate.yaml:4: routes.r.targets[0].provider is 'opnai'; expected a known provider. Did you mean openai?",
        ),
        (
            "routes:\n  r:\n    targets:\n      - openai/m\n      - nobody/m\n",
            "headgate.yaml:5: routes.r.targets[1] is 'nobody/m'; expected provider/model with a known provider.",
        ),
        ("routes: {r: {targets: [openai]}}", "headgate.yaml:1: routes.r.targets[0]: expected provider/model."),
        (
            "routes:\n  r:\n    targets:\n      - provider: openai\n",
            "headgate.yaml:4: routes.r.targets[0]: expected a model.",
        ),
        (
            "routes:\n  r:\n    targets:\n      - provider: openai\n        model: m\n        weight: -1\n",
            "headgate.yaml:6: routes.r.targets[0].weight is '-1'; expected a number from 0 to 1000000.",
        ),
        (
            "routes:\n  r:\n    targets:\n      - {provider: openai, model: m, priority: x}\n",
            "headgate.yaml:4: routes.r.targets[0].priority is 'x'; expected a whole number from 0 to 1000.",
        ),
        (
            "routes:\n  r:\n    targets:\n      - {provider: openai, model: m, weight: 0}\n",
            "headgate.yaml:2: routes.r: expected a weight above 0 for at least one target.",
        ),
        (
            "routes:\n  r:\n    targets:\n      - {provider: openai, model: m, credential: blue}\n",
            "headgate.yaml:4: routes.r.targets[0].credential is 'blue'; expected a credential of openai: default.",
        ),
        ("routes:\n  r: {strategy: best}\n", "headgate.yaml:2: routes.r.strategy is 'best'; expected priority or"),
        ("routes:\n  r: {targets: []}\n", "headgate.yaml:2: routes.r: expected at least one target."),
        ("routes:\n  r: {sticky_s: 0, targets: [echo/x]}\n", "headgate.yaml:2: routes.r.sticky_s is '0'; expected"),
        (
            "aliases: {r: echo/x}\nroutes:\n  r: {targets: [echo/x]}\n",
            "headgate.yaml:3: routes.r: expected a name that is not an alias",
        ),
        (
            "routes:\n  r:\n    targets: [echo/x]\n    content_filter: q\n",
            "headgate.yaml:4: routes.r.content_filter is 'q'; expected the name of another route.",
        ),
        (
            "routes:\n  a:\n    targets: [echo/x]\n    context_length: b\n"
            "  b:\n    targets: [echo/x]\n    content_filter: a\n",
            "headgate.yaml:7: routes.b.content_filter: expected fallbacks that end, not a circle: a → b → a.",
        ),
        (
            "routes:\n  a:\n    targets: [echo/x]\n    context_length: a\n",
            "headgate.yaml:4: routes.a.context_length: expected fallbacks that end, not a circle: a → a.",
        ),
        (
            "providers: {openai: {credentials: {blue: {}}}}",
            "headgate.yaml:1: providers.openai.credentials.blue: expected key or key_env, one of them.",
        ),
        (
            "providers:\n  openai:\n    credentials:\n      blue: {key_env: NO_SUCH_KEY}\n",
            "headgate.yaml:4: providers.openai.credentials.blue: expected the environment to set NO_SUCH_KEY.",
        ),
        (
            "providers: {openai: {credentials: {default: {key: a}}}}",
            "headgate.yaml:1: providers.openai.credentials.default: expected a name of lower-case letters",
        ),
        (
            "providers: {openai: {credentials: {blue: {key: 'a b'}}}}",
            "headgate.yaml:1: providers.openai.credentials.blue: expected printable ASCII",
        ),
    ],
)
def test_a_wrong_route_is_refused_with_its_line(yaml: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "headgate.yaml").write_text(yaml, "utf-8")
    with pytest.raises(ConfigError) as caught:
        load({}, {}, tmp_path)
    assert caught.value.message.removeprefix(f"{tmp_path}/").startswith(message)


def test_the_sample_names_every_setting_of_a_route() -> None:
    tree = pyyaml.safe_load(uncommented(yaml_text()))
    routes = tree["routes"].values()
    assert {key for route in routes for key in route} == {field.name for field in msgspec.structs.fields(RouteSettings)}
    targets = [target for route in routes for target in route["targets"] if isinstance(target, dict)]
    assert {key for target in targets for key in target} == set(RouteTarget.__struct_fields__)


def test_every_fault_is_found_in_one_go_and_none_that_follows_from_another(tmp_path: Path) -> None:
    (tmp_path / "headgate.yaml").write_text(
        "providers: {openai: {credentials: {blue: {key_env: NOPE}}}}\n"
        "routes:\n"
        "  r: {targets: [{provider: opnai, model: m}, echo/x]}\n"
        "  s: {targets: [echo/x], context_length: q}\n"
        "  t: {targets: [{provider: echo, model: x, weight: 0}]}\n"
    )
    _, faults = find({}, {}, tmp_path)
    assert [fault.message.removeprefix(f"{tmp_path}/headgate.yaml:") for fault in faults] == [
        "1: providers.openai.credentials.blue: expected the environment to set NOPE.",
        "3: routes.r.targets[0].provider is 'opnai'; expected a known provider. Did you mean openai?",
        "4: routes.s.context_length is 'q'; expected the name of another route.",
        "5: routes.t: expected a weight above 0 for at least one target.",
    ]
