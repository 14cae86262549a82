"""The samples load, and name everything that the program knows."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from headgate.cli.samples import env_text, schema_text, yaml_text
from headgate.config import VARIABLES, File, Service, load

ROOT = Path(__file__).parents[2]


def uncommented(sample: str) -> str:
    return re.sub(r"^( *)#(?=\S)", r"\1", sample, flags=re.M)


def settings_of(kind: Any, way: str = "") -> Iterator[str]:
    for field in msgspec.structs.fields(kind):
        here = f"{way}{field.name}"
        if isinstance(field.type, type) and issubclass(field.type, msgspec.Struct):
            yield from settings_of(field.type, f"{here}.")
        else:
            yield here


@pytest.mark.parametrize(
    ("name", "text"),
    [("headgate.example.yaml", yaml_text), (".env.example", env_text), ("headgate.schema.json", schema_text)],
)
def test_the_files_of_the_repository_are_current(name: str, text: Any) -> None:
    assert (ROOT / name).read_text("utf-8") == text()


def test_both_samples_load_as_they_are(tmp_path: Path) -> None:
    (tmp_path / "headgate.yaml").write_text(yaml_text(), "utf-8")
    (tmp_path / ".env").write_text(env_text(), "utf-8")
    assert load({}, {}, tmp_path) == load({}, {}, tmp_path)
    assert load({}, {}, tmp_path).notices == ()


def test_the_whole_sample_loads_without_its_comment_signs(tmp_path: Path) -> None:
    for name in ("client.pem", "client-key.pem", "roots.pem", "plugins"):
        (tmp_path / name).touch()
    (tmp_path / "headgate.yaml").write_text(uncommented(yaml_text()), "utf-8")
    names = set(re.findall(r"\$\{(\w+)\}", uncommented(yaml_text()))) - {"NAME"}
    made = load({}, {name: f"value-of-{name}" for name in names}, tmp_path)
    plain = load({}, {}, tmp_path.parent)
    assert (made.server, made.log, made.journal, made.timeouts, made.cache, made.idempotency) == (
        plain.server,
        plain.log,
        plain.journal,
        plain.timeouts,
        plain.cache,
        plain.idempotency,
    ), "the sample claims to show the defaults"


def test_the_yaml_sample_names_every_setting() -> None:
    import yaml

    tree = yaml.safe_load(uncommented(yaml_text()))
    for setting in settings_of(File):
        step: Any = tree
        for key in setting.split("."):
            assert key in step, f"{setting} is missing in the sample"
            step = step[key]
    providers = tree["providers"].values()
    written = {key for provider in providers for key in provider}
    assert written == {field.name for field in msgspec.structs.fields(Service)}


def test_the_env_sample_names_every_variable_and_no_other() -> None:
    written = re.findall(r"^(\w+)=$", env_text(), re.M)
    assert sorted(written) == sorted(variable.name for variable in VARIABLES)


def test_the_schema_describes_the_sample() -> None:
    """Every setting of the sample is in the schema, and the schema allows no other."""
    schema = msgspec.json.decode(schema_text())
    tables = {name: table for name, table in schema["$defs"].items() if "properties" in table}
    assert all(table["additionalProperties"] is False for table in tables.values())
    assert set(tables["File"]["properties"]) == {field.name for field in msgspec.structs.fields(File)}
    assert set(tables["Service"]["properties"]) == {field.name for field in msgspec.structs.fields(Service)}
    assert schema["$ref"] == "#/$defs/File"
