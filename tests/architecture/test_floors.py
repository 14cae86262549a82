"""Keeps the floors and the doors of the house (docs/architecture.md): imports go downwards only, and every outside
library comes in by one door."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src" / "headgate"

FLOORS: dict[str, int] = {
    "types": 1, "errors": 1, "config": 1, "outbox": 1,
    "wire": 2, "upstream": 2, "storage": 2, "telemetry": 2, "migrations": 2,
    "access": 3, "routing": 3, "ledger": 3, "cache": 3, "providers": 3, "plugins": 3,
    "engine": 4,
    "edge": 5, "control": 5, "cli": 5,
    "house": 6, "testing": 7,
}  # fmt: skip
"""Room → floor. `house` builds all rooms and `testing` a whole house, so both stand above the doors."""

FRIENDS = {
    ("providers", "plugins"),
    ("plugins", "providers"),
    ("cli", "house"),
    ("cli", "edge"),
    ("migrations", "ledger"),
    ("migrations", "access"),
    ("migrations", "routing"),
    ("storage", "migrations"),
    ("control", "edge"),
}
"""Imports between siblings, or upwards, that are meant: the plug-in names are the providers' public face, the command
line starts the house, and the migrations know every table."""

DOORS: dict[str, tuple[str, ...]] = {
    "sqlalchemy": ("storage/", "migrations/", "*/tables.py", "*/repository.py"),
    "alembic": ("storage/", "migrations/"),
    "aiosqlite": ("storage/",),
    "asyncpg": ("storage/",),
    "redis": ("storage/redis.py",),
    "genai_prices": ("routing/pricebook.py",),
    "httptools": ("upstream/", "edge/protocol.py", "edge/head.py"),
    "pyqwest": ("upstream/",),
    "fastapi": ("control/",),
    "starlette": ("control/",),
    "prometheus_client": ("telemetry/",),
    "opentelemetry": ("telemetry/",),
    "uvicorn": ("cli/", "edge/protocol.py", "edge/connections.py", "testing/"),
    "yaml": ("config/settings.py", "cli/"),
    "dotenv": ("config/settings.py",),
    "click": ("cli/",),
    "rich": ("cli/",),
}

LONG: dict[str, str] = {
    "config/__init__.py": "the nouns of the settings file and the table of variables are read side by side",
    "config/resolve.py": "every decision that needs more than one setting stands in one place, in the order it is made",
}
"""Files above 400 lines, each with the reason why it is not two."""

FILES = sorted(SOURCE.rglob("*.py"))


def name_of(path: Path) -> str:
    return path.relative_to(SOURCE).as_posix()


def room_of(path: Path) -> str:
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def imports(path: Path) -> Iterator[str]:
    """Every module that a file imports, wherever in it the import stands."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name_of(path)}: relative import"
            yield node.module or ""
            if node.module == "headgate":
                yield from (f"headgate.{alias.name}" for alias in node.names if not alias.name.startswith("__"))


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_imports_go_downwards_only(path: Path) -> None:
    room = room_of(path)
    if room == "__init__":
        return
    assert room in FLOORS, f"{name_of(path)}: a new room needs a floor in FLOORS"
    for module in imports(path):
        parts = module.split(".")
        if parts[0] != "headgate" or len(parts) < 2 or parts[1] == room:
            continue
        other = parts[1]
        both_words = FLOORS[other] == FLOORS[room] == 1
        allowed = both_words or FLOORS[other] < FLOORS[room] or (room, other) in FRIENDS
        assert allowed, f"{name_of(path)} (floor {FLOORS[room]}) imports {module} (floor {FLOORS[other]})"


@pytest.mark.parametrize("path", [p for p in FILES if room_of(p) == "providers"], ids=name_of)
def test_providers_know_only_wires_and_words(path: Path) -> None:
    for module in imports(path):
        if module.startswith("headgate."):
            assert module.split(".")[1] in {"wire", "providers", "plugins", "types", "errors", "config"}, module


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_outside_libraries_come_in_by_their_door(path: Path) -> None:
    for module in imports(path):
        library = module.split(".")[0]
        if library in DOORS:
            where = name_of(path)
            doors = DOORS[library]
            assert any(
                where.startswith(door) or where == door or (door.startswith("*/") and where.endswith(door[1:]))
                for door in doors
            ), f"{where} imports {module}, which belongs to {', '.join(doors)}"


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_only_the_configuration_reads_the_environment(path: Path) -> None:
    if name_of(path) == "config/__init__.py":
        return
    tree = ast.parse(path.read_text())
    read = [
        node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and node.attr in {"environ", "getenv", "environb", "putenv"}
    ]
    assert not read, f"{name_of(path)}: lines {read} touch the environment"


def test_long_files_have_a_reason() -> None:
    long = {name_of(path): len(path.read_text().splitlines()) for path in FILES}
    long = {name: lines for name, lines in long.items() if lines > 400}
    sys.stdout.write("".join(f"{lines} lines  {name}: {LONG.get(name)}\n" for name, lines in long.items()))
    assert set(long) == set(LONG), "every file above 400 lines needs its line in LONG, and no other has one"


def test_gateway_serve_fits_on_a_screen() -> None:
    tree = ast.parse((SOURCE / "engine" / "gateway.py").read_text())
    serve = next(node for node in ast.walk(tree) if isinstance(node, ast.AsyncFunctionDef) and node.name == "serve")
    assert serve.end_lineno is not None
    assert serve.end_lineno - serve.lineno < 40
