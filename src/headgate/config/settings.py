"""Settings as they were written: trees in which every value knows its source. No single setting is known here."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from enum import IntEnum
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

import msgspec

from headgate.errors import ConfigError
from headgate.types import Secret

T = TypeVar("T")
Keys = tuple[str, ...]
"""The way to a value, such as `("server", "port")`; an item of a list is `"[0]"`."""


class Layer(IntEnum):
    """Who wins: the smaller over the larger."""

    FLAG = 0
    ENVIRONMENT = 1
    DOTENV = 2
    FILE = 3


class Source(msgspec.Struct, frozen=True):
    """Where a value was written: a flag or variable by `name`, or a file and its line."""

    layer: Layer
    name: str = ""
    file: str = ""
    line: int = 0

    def __str__(self) -> str:
        return " ".join(part for part in (f"{self.file}:{self.line}" if self.file else "", self.name) if part)


class Node(msgspec.Struct, frozen=True):
    """A value and its source. Scalars are text until the setting's own type reads them, so `key: 0123` stays as it is.

    `hidden` marks what came out of a variable: it is never shown.
    """

    value: str | list[Node] | dict[str, Node] | None
    source: Source
    hidden: bool = False

    @property
    def children(self) -> dict[str, Node]:
        """What is inside: by name in a table, by `[index]` in a list."""
        if isinstance(self.value, list):
            return {f"[{index}]": item for index, item in enumerate(self.value)}
        return self.table

    @property
    def table(self) -> dict[str, Node]:
        return self.value if isinstance(self.value, dict) else {}


class Size(int):
    """A number of bytes, written as `33554432` or `32MiB`."""

    def __new__(cls, said: int | str) -> Size:
        if isinstance(said, str):
            found = re.fullmatch(r"(\d{1,15}) ?(?:([KMG])(i?)B)?", said)
            if found is None:
                raise ValueError(said)
            base = 1024 if found[3] else 1000
            said = int(found[1]) * base ** (" KMG".index(found[2]) if found[2] else 0)
        return super().__new__(cls, said)


_WORDS = {
    str: "text",
    Secret: "text",
    Path: "a path",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    Size: "a size such as 33554432 or 32MiB",
}


_TAGS = frozenset(("str", "int", "float", "bool", "null", "timestamp", "map", "seq", "merge", "value"))
"""What YAML's resolver finds by itself; the settings' own types decide in the end."""


def name_of(keys: Keys) -> str:
    return ".".join(keys).replace(".[", "[") or "the whole"


def near(word: str, known: Iterable[str], likeness: float = 0.6) -> str:
    """` Did you mean …?`, or nothing when no known word is close."""
    from difflib import get_close_matches

    found = get_close_matches(word, list(known), 1, likeness)
    return f" Did you mean {found[0]}?" if found else ""


def wrong(node: Node, keys: Keys, expected: str) -> ConfigError:
    """A refusal that does not show the value."""
    return ConfigError(f"{node.source}: {name_of(keys)}: expected {_ended(expected)}", keys)


def refused(node: Node, keys: Keys, expected: str, shows: bool = True) -> ConfigError:
    """A refusal that says what was given, unless it came out of a variable."""
    shapes = {dict: "a table", list: "a list", NoneType: "empty"}
    given = repr(node.value) if shows and not node.hidden else "something else"
    given = shapes.get(type(node.value), given)
    return ConfigError(f"{node.source}: {name_of(keys)} is {given}; expected {_ended(expected)}", keys)


def _ended(sentence: str) -> str:
    return sentence if sentence.endswith((".", "?")) else f"{sentence}."


def _twice(source: Source, name: str, first: Node) -> ConfigError:
    return ConfigError(f"{source.file}:{source.line}: {name} is there twice; the first is in line {first.source.line}.")


def read_yaml(path: Path, variables: Mapping[str, str]) -> Node:
    """Reads a YAML file with plain scalars, `${NAME}` in them replaced. Raises `ConfigError` with file and line."""
    import yaml

    try:
        root = yaml.compose(_text(path), Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        problem = re.sub(r"'[^']{2,}'", "…", error.problem or "it cannot be read")
        raise ConfigError(f"{path}:{line}: not YAML: {problem}.") from None
    except yaml.YAMLError:
        raise ConfigError(f"{path}: not YAML: it holds characters that YAML does not allow.") from None
    if root is None:
        return Node({}, Source(Layer.FILE, file=str(path), line=1))
    return _node(root, str(path), root.start_mark.line + 1, variables, 0)


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8-sig")
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: expected text in UTF-8.") from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}.") from None


def _node(node: Any, file: str, line: int, variables: Mapping[str, str], depth: int) -> Node:
    source = Source(Layer.FILE, file=file, line=line)
    if depth > 8 or node.tag.removeprefix("tag:yaml.org,2002:") not in _TAGS:
        raise ConfigError(f"{source}: expected plain values: no tags, nothing that contains itself.")
    if node.id == "mapping":
        return Node(_table(node, file, variables, depth), source)
    if node.id == "sequence":
        return Node([_node(item, file, item.start_mark.line + 1, variables, depth + 1) for item in node.value], source)
    if node.tag == "tag:yaml.org,2002:null":
        return Node(None, source)
    text = re.sub(r"\$\{(\w+)\}", lambda found: _variable(found[1], source, variables), node.value)
    return Node(text, source, hidden=text != node.value)


def _table(node: Any, file: str, variables: Mapping[str, str], depth: int) -> dict[str, Node]:
    table: dict[str, Node] = {}
    for key, value in node.value:
        line = key.start_mark.line + 1
        if key.id != "scalar":
            raise ConfigError(f"{file}:{line}: expected a name before the colon.")
        if key.value in table:
            raise _twice(Source(Layer.FILE, file=file, line=line), key.value, table[key.value])
        table[key.value] = _node(value, file, line, variables, depth + 1)
    return table


def _variable(name: str, source: Source, variables: Mapping[str, str]) -> str:
    if name not in variables:
        raise ConfigError(f"{source}: ${{{name}}}: expected the environment to set {name}.")
    return variables[name]


def read_dotenv(path: Path, environ: Mapping[str, str]) -> dict[str, Node]:
    """Reads a `.env` file; no file, no values. `${NAME}` is replaced. Raises `ConfigError` with file and line."""
    from io import StringIO

    from dotenv.parser import parse_stream
    from dotenv.variables import parse_variables

    if not path.exists():
        return {}
    found: dict[str, Node] = {}
    for binding in parse_stream(StringIO(_text(path))):
        blank = re.match(r"\s*", binding.original.string)
        line = binding.original.line + len(blank[0].splitlines() if blank else ())
        source = Source(Layer.DOTENV, binding.key or "", path.name, line)
        if binding.error:
            raise ConfigError(f"{source}: expected NAME=value.")
        if binding.key is None:
            continue
        if binding.key in found:
            raise _twice(source, binding.key, found[binding.key])
        known = {name: str(node.value) for name, node in found.items()} | dict(environ)
        value = "".join(atom.resolve(known) for atom in parse_variables(binding.value or ""))
        found[binding.key] = Node(value, source)
    return found


def node_of(value: object, source: Source) -> Node:
    """The tree of a value that did not come from a file: what JSON can say, no variables replaced in it."""
    if isinstance(value, dict):
        return Node({name: node_of(inner, source) for name, inner in value.items()}, source)
    if isinstance(value, list | tuple):
        return Node([node_of(inner, source) for inner in value], source)
    if isinstance(value, bool):
        return Node(str(value).lower(), source)
    return Node(None if value is None else str(value), source)


def place(root: Node, keys: Keys, node: Node) -> None:
    """Puts a value into a tree, over what is there. Raises `ConfigError` where the way leads through a non-table."""
    table = root.table
    for depth, key in enumerate(keys[:-1], 1):
        step = table.get(key)
        if step is None or step.value is None:
            step = table[key] = Node({}, node.source)
        if not isinstance(step.value, dict):
            raise wrong(step, keys[:depth], "a table of settings")
        table = step.value
    table[keys[-1]] = node


def remove(root: Node, keys: Keys) -> bool:
    """Takes a value out of a tree, or an item out of a list; whether anything was there."""
    *way, last = keys
    parent = at(root, *way)
    if parent is None or last not in parent.children:
        return False
    if isinstance(parent.value, list):
        parent.value.remove(parent.children[last])
    else:
        del parent.table[last]
    return True


def at(root: Node, *keys: str) -> Node | None:
    """The value at the end of the way, None where nothing was written."""
    for key in keys:
        if key not in root.children:
            return None
        root = root.children[key]
    return None if root.value is None else root


def fill(kind: type[T], node: Node, keys: Keys = ()) -> T:
    """Reads a tree into its struct. Raises `ConfigError` that names source, setting, what was given and expected."""
    filled: T = _fill(kind, node, keys)
    return filled


def _fill(kind: Any, node: Node, keys: Keys) -> Any:
    origin, inner = get_origin(kind), get_args(kind)
    if not _takes(kind, node):
        raise _refused(kind, node, keys)
    if origin in (Union, UnionType):
        return _fill(next(option for option in inner if _takes(option, node)), node, keys)
    if isinstance(node.value, list):
        return origin(_fill(inner[0], item, (*keys, f"[{index}]")) for index, item in enumerate(node.value))
    if isinstance(node.value, str):
        return _scalar(kind, node.value, node, keys)
    if origin is dict:
        return {key: _fill(inner[1], _named_only(inner[1], child), (*keys, key)) for key, child in node.table.items()}
    return _struct(kind, node, keys)


def _takes(kind: Any, node: Node) -> bool:
    """Could a value of this shape be of this type?"""
    origin = get_origin(kind)
    if origin in (Union, UnionType):
        return any(_takes(option, node) for option in get_args(kind))
    if origin in (list, tuple):
        return isinstance(node.value, list)
    if origin is dict or (isinstance(kind, type) and issubclass(kind, msgspec.Struct)):
        return isinstance(node.value, dict)
    return isinstance(node.value, str) and kind is not NoneType


def _named_only(kind: Any, node: Node) -> Node:
    """A name with nothing behind its colon is an empty table, where a table may stand."""
    empty = Node({}, node.source)
    return empty if node.value is None and _takes(kind, empty) else node


def _given(node: Node) -> list[tuple[str, Node]]:
    return [(key, child) for key, child in node.table.items() if child.value is not None]


def _struct(kind: type[msgspec.Struct], node: Node, keys: Keys) -> msgspec.Struct:
    known = {field.name: field.type for field in msgspec.structs.fields(kind)}
    for key, child in node.table.items():
        if key not in known:
            owner = f"{name_of(keys)} has no setting" if keys else "there is no setting"
            raise ConfigError(f"{child.source}: {owner} {key!r}.{near(key, known)}", (*keys, key))
    return kind(**{key: _fill(known[key], child, (*keys, key)) for key, child in _given(node)})


def _scalar(kind: Any, text: str, node: Node, keys: Keys) -> Any:
    base = get_args(kind)[0] if get_origin(kind) is Annotated else kind
    text = text.lower() if get_origin(base) is Literal else text
    try:
        return msgspec.convert(text, kind, strict=False, dec_hook=lambda own, value: own(value))
    except msgspec.ValidationError:
        raise _refused(kind, node, keys) from None


def _refused(kind: Any, node: Node, keys: Keys) -> ConfigError:
    return refused(node, keys, expected(kind), shows=_takes(kind, node))


def expected(kind: Any) -> str:
    """A type in words."""
    origin, inner = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return next((meta.title for meta in inner[1:] if meta.title), expected(inner[0]))
    if origin is Literal:
        return " or ".join(map(str, inner))
    if origin in (Union, UnionType):
        return " or ".join(expected(option) for option in inner if option is not NoneType)
    return _WORDS.get(kind) or ("a list" if origin in (list, tuple) else "a table of settings")


DEFAULT = "default"
"""The source of a setting that nobody wrote."""


def rows(value: object, root: Node, keys: Keys = ()) -> Iterator[tuple[str, str, str]]:
    """Every setting as (name, value, source); secrets and what came out of variables are hidden."""
    if isinstance(value, msgspec.Struct):
        items = [(field, getattr(value, field)) for field in value.__struct_fields__]
    elif isinstance(value, dict) and value:
        items = list(value.items())
    else:
        node = at(root, *keys)
        yield name_of(keys), _shown(value, node), str(node.source) if node else DEFAULT
        return
    for key, inner in items:
        yield from rows(inner, root, (*keys, key))


def _shown(value: object, node: Node | None) -> str:
    values = value if isinstance(value, list | tuple) else [value]
    nodes = node.value if node is not None and isinstance(node.value, list) else [node]
    if any(isinstance(each, Secret) for each in values) or any(each and each.hidden for each in nodes):
        return "(hidden)"
    return "" if value in (None, {}) else ", ".join(map(str, values))
