"""Every list in the documentation is the program's own."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import pytest

from headgate.cli import main
from headgate.config import VARIABLES, load
from headgate.config.routes import Strategy
from headgate.edge.endpoints import ENDPOINTS, MODELS
from headgate.errors import HeadgateError
from headgate.house import WIRES
from headgate.providers.found import discover
from headgate.routing.strategies import STRATEGIES

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
ARCHITECTURE = (ROOT / "docs" / "architecture.md").read_text()
DOCUMENTS = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")] + sorted(
    ROOT.glob("docs/**/*.md")
)


def rows(text: str, heading: str) -> list[list[str]]:
    """The cells of the table whose first heading is this."""
    table = text[text.index(f"| {heading} |") :].split("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table]


def test_the_readme_lists_the_providers_with_their_variables_and_abilities() -> None:
    classes = discover()
    known = {variable.name for variable in VARIABLES}
    listed = {row[0].strip("`"): row for row in rows(README, "provider") if row[0].startswith("`")}
    assert set(listed) == {"openai", "anthropic", "deepseek", "openrouter", "huggingface", "ollama", "echo"}
    for name, (_, variables, speaks, _, embeddings) in listed.items():
        assert set(re.findall(r"`(\w+)`", variables)) <= known
        cls = classes[name]
        wires = set(cls.paths)
        assert ("embeddings" in speaks or "feature extraction" in speaks or name in ("ollama", "echo")) == (
            embeddings == "yes"
        )
        vectors = {wire for wire in wires if WIRES[wire].family == "vectors"}
        assert (embeddings == "yes") == bool(vectors or cls.embeds), name
        for wire in ("chat", "completions", "messages"):
            if re.search(rf"\b{wire}\b", speaks):
                assert wire in wires, f"{name} does not speak {wire}"


def test_the_readme_shows_the_prefix_table_as_it_is(tmp_path: Path) -> None:
    section = README[README.index("3. the prefix table") : README.index("4. what the providers' own lists")]
    shown = set(re.findall(r"`([\w-]+)`", section))
    assert shown == {row.prefix for row in load(environ={}, folder=tmp_path).prefixes}


def test_variables_named_in_the_readme_are_read_by_the_program() -> None:
    named = set(re.findall(r"\b[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+\b", README))
    known = {variable.name for variable in VARIABLES}
    assert named - known - {"POSTGRES_PASSWORD"} == set()


def test_every_strategy_is_explained() -> None:
    routing = (ROOT / "docs" / "routing.md").read_text()
    assert [row[0].strip("`") for row in rows(routing, "strategy")] == list(get_args(Strategy)) == list(STRATEGIES)


def test_commands_named_in_the_readme_exist() -> None:
    for command in re.findall(r"`headgate (\w+)|^headgate (\w+)", README, re.M):
        assert "".join(command) in main.commands


def test_the_architecture_lists_every_room() -> None:
    listed = {row[0].strip("`") for row in rows(ARCHITECTURE, "room")}
    rooms = {path.parent.name for path in (ROOT / "src" / "headgate").glob("*/__init__.py")}
    assert listed == rooms


def test_every_route_stands_under_both_prefixes() -> None:
    paths = {endpoint.path for endpoint in ENDPOINTS}
    assert {path.removeprefix("/api") for path in paths if path.startswith("/api")} == {
        path for path in paths if not path.startswith("/api")
    }


def test_the_error_tree_is_the_family() -> None:
    import headgate.errors

    drawn = re.findall(r"[├└]── (\w+)", headgate.errors.__doc__ or "")
    family = [cls for cls in vars(headgate.errors).values() if isinstance(cls, type) and issubclass(cls, HeadgateError)]
    assert sorted(drawn) == sorted(cls.__name__ for cls in family if cls is not HeadgateError)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_between_documents_lead_somewhere(document: Path) -> None:
    for link in re.findall(r"\]\(([^)#]+)\)", document.read_text()):
        if not link.startswith(("http:", "https:")):
            assert (document.parent / link).exists(), link


def test_the_document_of_models_lists_their_routes() -> None:
    from headgate.control.models import router

    text = (ROOT / "docs" / "models.md").read_text()
    listed = {route.strip("`") for row in rows(text, "route") for route in re.findall(r"`[^`]+`", row[0])}
    served = {f"{method} {route.path}" for route in router.routes for method in route.methods}  # type: ignore[attr-defined]
    assert listed == served | {f"GET {path}{one}" for path in MODELS for one in ("", "/{id}")}
