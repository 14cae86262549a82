"""docs/testing.md, compared with the program and run."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import msgspec

import headgate.testing
from headgate.testing import Way

PAGE = (Path(__file__).parents[2] / "docs" / "testing.md").read_text()


def test_the_example_prints_what_it_says(tmp_path: Path) -> None:
    found = re.search(r"<!-- example: proxy -->\n```python\n(.*?)```\n<!-- /example -->", PAGE, re.S)
    assert found is not None
    done = subprocess.run([sys.executable, "-c", found[1]], capture_output=True, text=True, check=True, cwd=tmp_path)
    promised = re.search(r"# (\[.*\])$", found[1], re.M)
    assert promised is not None
    assert done.stdout.splitlines()[-1] == promised[1]


def test_every_field_of_a_way_is_listed_and_no_other() -> None:
    table = PAGE[PAGE.index("| field of `Way` |") :].split("\n\n")[0]
    assert re.findall(r"^\| `(\w+)` \|", table, re.M) == [field.name for field in msgspec.structs.fields(Way)]
    assert f"| {Way().slice_bytes} |" in table


def test_every_name_of_the_table_is_there() -> None:
    table = PAGE[PAGE.index("| name | what it is |") :].split("\n\n")[0]
    for name in re.findall(r"^\| `([\w.]+)` \|", table, re.M):
        module, _, last = name.rpartition(".")
        place = __import__(f"headgate.testing.{module}", fromlist=[last]) if module else headgate.testing
        assert hasattr(place, last), name
