"""Reading what was written, with the place of every value."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from headgate.config.settings import Layer, Node, Size, Source, at, fill, place, read_dotenv, read_yaml
from headgate.errors import ConfigError
from headgate.types import Secret


class Inner(msgspec.Struct, frozen=True):
    port: int = 0
    on: bool = False
    token: Secret | None = None


class Outer(msgspec.Struct, frozen=True):
    inner: Inner = Inner()
    by_name: dict[str, Inner] = {}
    names: tuple[str, ...] | str = ()
    limit: Size = Size(1)


def written(folder: Path, text: str, **variables: str) -> Node:
    (folder / "a.yaml").write_text(text, "utf-8")
    return read_yaml(folder / "a.yaml", variables)


def refusal(folder: Path, text: str, **variables: str) -> str:
    with pytest.raises(ConfigError) as caught:
        fill(Outer, written(folder, text, **variables))
    return caught.value.message.removeprefix(f"{folder}/")


def test_values_keep_their_file_and_line(tmp_path: Path) -> None:
    root = written(tmp_path, "inner:\n  port: 1\nnames:\n  - a\n  - b\n")
    lines = {keys: node.source.line for keys in [("inner", "port"), ("names", "[1]")] if (node := at(root, *keys))}
    assert lines == {("inner", "port"): 2, ("names", "[1]"): 5}


def test_plain_scalars_are_text_until_their_setting_reads_them(tmp_path: Path) -> None:
    filled = fill(Outer, written(tmp_path, "inner: {port: 80, token: 0123}\nnames: no\nby_name: {off: {}, empty: }\n"))
    assert filled.inner.token == Secret("0123")
    assert filled.names == "no"
    assert list(filled.by_name) == ["off", "empty"]


@pytest.mark.parametrize(("said", "size"), [("33554432", 2**25), ("32MiB", 2**25), ("1 KB", 1000), ("2GiB", 2**31)])
def test_sizes_are_written_with_units(said: str, size: int, tmp_path: Path) -> None:
    assert fill(Outer, written(tmp_path, f"limit: {said}")).limit == size


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("inner:\n  port: many\n", "a.yaml:2: inner.port is 'many'; expected a whole number."),
        ("inner:\n  on: yes\n", "a.yaml:2: inner.on is 'yes'; expected true or false."),
        ("by_name:\n  x:\n    port: []\n", "a.yaml:3: by_name.x.port is a list; expected a whole number."),
        ("limit: 3 furlongs\n", "a.yaml:1: limit is '3 furlongs'; expected a size such as 33554432 or 32MiB."),
        ("names: {a: b}\n", "a.yaml:1: names is a table; expected a list or text."),
        ("inner:\n  prot: 1\n", "a.yaml:2: inner has no setting 'prot'. Did you mean port?"),
        ("iner: {}\n", "a.yaml:1: there is no setting 'iner'. Did you mean inner?"),
        ("inner: {}\nnames: a\ninner: {}\n", "a.yaml:3: inner is there twice; the first is in line 1."),
        ("inner:\n  port: ${NOWHERE}\n", "a.yaml:2: ${NOWHERE}: expected the environment to set NOWHERE."),
        ("inner: !!python/object:os.system {}\n", "a.yaml:1: expected plain values: no tags"),
        ("a: &a [*a]\n", "a.yaml:1: expected plain values"),
        ("inner: [\n", "a.yaml:2: not YAML"),
        ("? [a]\n: b\n", "a.yaml:1: expected a name before the colon."),
        ("just text\n", "a.yaml:1: the whole is something else; expected a table"),
    ],
)
def test_a_wrong_file_is_refused_with_its_line(text: str, message: str, tmp_path: Path) -> None:
    assert refusal(tmp_path, text).startswith(message)


def test_refusals_show_no_secret(tmp_path: Path) -> None:
    canary = "CANARY" * 7
    for text in (
        f"inner: {{token: [{canary}]}}",
        f"inner: {canary}",
        "inner: {port: '${IT}'}",
        f"inner: {{token: *{canary}}}",
        f"inner: {{token: '{canary}}}",
        f"inner: {{token: !{canary} x}}",
    ):
        assert canary not in refusal(tmp_path, text, IT=canary)


def test_variables_in_values_are_replaced(tmp_path: Path) -> None:
    filled = fill(Outer, written(tmp_path, "inner: {token: 'a-${IT}-${IT}'}", IT="b"))
    assert filled.inner.token == Secret("a-b-b")


def test_an_unreadable_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "latin.yaml").write_bytes(b"a: \xff")
    for path in (tmp_path / "latin.yaml", tmp_path / "nowhere.yaml", tmp_path):
        with pytest.raises(ConfigError, match=str(path)):
            read_yaml(path, {})


def test_dotenv_values_keep_their_line(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text('# keys\n\nexport A="x # y"\n\n\nB=${A}-${C:-d} # why\nEMPTY=\n', "utf-8")
    found = read_dotenv(tmp_path / ".env", {})
    assert {name: (node.value, str(node.source)) for name, node in found.items()} == {
        "A": ("x # y", ".env:3 A"),
        "B": ("x # y-d", ".env:6 B"),
        "EMPTY": ("", ".env:7 EMPTY"),
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [("A=1\n\nB='open\n", ".env:3: expected NAME=value."), ("A=1\nB=2\nA=3\n", ".env:3: A is there twice")],
)
def test_a_wrong_dotenv_is_refused_with_its_line(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(text, "utf-8")
    with pytest.raises(ConfigError) as caught:
        read_dotenv(tmp_path / ".env", {})
    assert caught.value.message.startswith(message)


def test_a_value_cannot_be_placed_below_a_text() -> None:
    source = Source(Layer.FILE, file="a.yaml", line=1)
    root = Node({"inner": Node("text", source)}, source)
    with pytest.raises(ConfigError, match=r"a\.yaml:1: inner: expected a table"):
        place(root, ("inner", "port"), Node("1", Source(Layer.FLAG, "--port")))
