"""What was measured, beside its targets: a table for people, JSON for programs, a plot, a part of the documentation."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import msgspec

RESULTS = Path(__file__).parent / "results"
DOCUMENT = Path(__file__).parent.parent / "docs" / "benchmarks.md"
BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"

Aim = Literal["at least", "at most"]


class Row(msgspec.Struct):
    """One figure. `value` is None where it could not be measured; `why` says so."""

    name: str
    unit: str
    value: float | None = None
    aim: Aim | None = None
    target: float | None = None
    why: str = ""

    @property
    def verdict(self) -> str:
        if self.value is None:
            return "not measured"
        if self.target is None:
            return ""
        return "met" if self.met else "missed"

    @property
    def met(self) -> bool:
        assert self.value is not None
        assert self.target is not None
        return self.value >= self.target if self.aim == "at least" else self.value <= self.target


class Report(msgspec.Struct):
    """One run of all measurements."""

    at: str
    machine: dict[str, str]
    quick: bool
    rows: list[Row]

    def value(self, name: str) -> float | None:
        return next((row.value for row in self.rows if row.name == name), None)


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def machine(nginx: str = "") -> dict[str, str]:
    """What the figures depend on; nginx's version where the path of one is given."""
    cpu = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.M)
    return {
        "processor": cpu[1] if cpu else platform.machine(),
        "cores": str(len(os.sched_getaffinity(0))),
        "kernel": platform.release(),
        "python": platform.python_version(),
        **_nginx(nginx),
        "load before the run": f"{os.getloadavg()[0]:.1f}",
    }


def _nginx(program: str) -> dict[str, str]:
    if not program:
        return {}
    said = subprocess.run([program, "-v"], capture_output=True, text=True, check=False).stderr
    return {"nginx": said.strip().rpartition("/")[2]}


def number(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def table(report: Report) -> str:
    """The rows as a Markdown table, columns aligned."""
    head = ("figure", "measured", "unit", "target", "")
    body = [
        (row.name, number(row.value), row.unit, f"{row.aim} {number(row.target)}" if row.aim else "", row.verdict)
        for row in report.rows
    ]
    widths = [max(map(len, column)) for column in zip(head, *body, strict=True)]
    lines = [head, tuple("-" * width for width in widths), *body]
    return "\n".join("| " + " | ".join(map(str.ljust, line, widths)) + " |" for line in lines)


def reasons(report: Report) -> str:
    """Why figures are missing, each reason once."""
    return "\n".join(f"Not measured: {why}" for why in dict.fromkeys(row.why for row in report.rows if row.why))


def write(report: Report) -> None:
    """Writes `latest.json` and `latest.svg`."""
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "latest.json").write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n")
    _plot(report, RESULTS / "latest.svg")


SHOWN = 3.0
"""Where the plot's bars are cut."""


def _merit(row: Row) -> float:
    """How many times better than its target a figure is: 1 just meets it, below 1 misses it."""
    assert row.value is not None
    assert row.target is not None
    if row.aim == "at least":
        return min(row.value / row.target, SHOWN)
    return min(row.target / row.value, SHOWN) if row.value > 0 else SHOWN


def _plot(report: Report, path: Path) -> None:
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "headgate"
    from matplotlib import pyplot

    rows = [row for row in report.rows if row.value is not None and row.target is not None][::-1]
    figure, axes = pyplot.subplots(figsize=(9, 0.42 * len(rows) + 1.2), layout="constrained")
    colours = ["#2a7f62" if row.met else "#c8553d" for row in rows]
    bars = axes.barh([row.name for row in rows], [_merit(row) for row in rows], color=colours)
    said = [f" {number(row.value)} {row.unit} ({row.aim} {number(row.target)})" for row in rows]
    axes.bar_label(bars, said, fontsize=8)
    axes.axvline(1, color="0.7", linewidth=1, zorder=0)
    axes.set_xlim(0, SHOWN * 1.4)
    axes.set_xlabel(f"times better than the target: 1 meets it; cut at {SHOWN:g}")
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)


def write_document(report: Report, document: Path = DOCUMENT) -> None:
    """Puts the table and its machine between the marks of a page."""
    machine = ", ".join(f"{name} {value}" for name, value in report.machine.items())
    part = f"{BEGIN}\n\nMeasured {report.at[:10]} on: {machine}.\n\n{table(report)}\n\n{END}"
    before, _, rest = document.read_text().partition(BEGIN)
    after = rest.partition(END)[2]
    document.write_text(before + part + after)
