"""The sample files that `headgate config init` writes; the repository's own copies are the same."""

from __future__ import annotations

from pathlib import Path

import msgspec

from headgate.config import VARIABLES, Variable, schema

_TITLES = {
    "": "Files and services",
    "server": "Server",
    "auth": "Callers",
    "providers": "Providers",
    "database": "Database: a URL, or the parts of a PostgreSQL one; without them a SQLite file in the home folder",
    "redis": "Redis: a URL, or its parts",
    "otlp_endpoint": "OpenTelemetry",
    "log": "Log",
}
_HEAD = """\
# The environment of headgate. Copy this to .env and fill in what you need: an empty line sets nothing.
# The environment itself beats this file. `headgate config show` says which value came from where.
"""
_ORGS = """\
# for each NAME of them: NAME_API_KEY, NAME_BASE_URL, and NAME_MODELS (a JSON list or a comma list)
"""


def schema_text() -> str:
    return msgspec.json.format(msgspec.json.encode(schema()), indent=2).decode() + "\n"


def yaml_text() -> str:
    return (Path(__file__).parent / "sample.yaml").read_text("utf-8")


def env_text() -> str:
    """Every variable with its meaning, by subject."""
    parts = [_HEAD]
    for subject, title in _TITLES.items():
        rows = [row for row in VARIABLES if row.setting.partition(".")[0] == subject]
        parts.append(f"\n# {title}\n" + "".join(map(_line, rows)))
    return "".join(parts)


def _line(row: Variable) -> str:
    return f"# {row.meaning}\n{_ORGS if row.name == 'OPENAI_ORGS' else ''}{row.name}=\n"
