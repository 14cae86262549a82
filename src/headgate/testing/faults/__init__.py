"""What can go wrong with a provider, each a small class in a table.

Every fault can be written as text: its name, the first field after `=`, more fields after `;`, such as
`status=429; retry_after=2` or `stall=3`. That text is what the header `x-fake-fault` takes; a model named
`fake-<name>` or `fake-<name>-<first field>` chooses it as well.
"""

from __future__ import annotations

import msgspec

from headgate.testing.faults.base import Fault, Honest
from headgate.testing.faults.failures import (
    Cut,
    Drip,
    ErrorEvent,
    Junk,
    KeyEcho,
    Loading,
    NearLimit,
    Quota,
    Reset,
    Silence,
    Stall,
    Status,
)
from headgate.testing.faults.hostile import (
    BadChunks,
    BadLength,
    EndlessLine,
    Flood,
    GzipBomb,
    HeaderBomb,
    LyingLength,
    Raw,
    TinyChunks,
)

FAULTS: dict[str, type[Fault]] = {
    fault.name: fault
    for fault in (
        Honest,
        Status,
        Quota,
        Loading,
        NearLimit,
        KeyEcho,
        Silence,
        Stall,
        Junk,
        ErrorEvent,
        Cut,
        Reset,
        Drip,
        Raw,
        EndlessLine,
        Flood,
        TinyChunks,
        GzipBomb,
        LyingLength,
        BadLength,
        HeaderBomb,
        BadChunks,
    )
}
"""Every fault by its name."""


def read(text: str) -> Fault:
    """The fault that a text names. Raises `ValueError` that says what is wrong."""
    first, *rest = (part.strip() for part in text.split(";"))
    name, equals, value = first.partition("=")
    fault = FAULTS.get(name.strip().replace("-", "_"))
    if fault is None:
        raise ValueError(f"no fault is called {name!r}; there are {', '.join(FAULTS)}")
    fields: dict[str, str] = {}
    if equals:
        if not fault.__struct_fields__:
            raise ValueError(f"{name} takes no field")
        fields[fault.__struct_fields__[0]] = value.strip()
    for part in filter(None, rest):
        field, _, said = part.partition("=")
        fields[field.strip()] = said.strip()
    return msgspec.convert(fields, fault, strict=False)


def named(model: str) -> Fault | None:
    """The fault that a model's name chooses, if it is one of `fake-<fault>[-<first field>]`."""
    bare = model.rpartition("/")[2].partition(":")[0]
    if not bare.startswith("fake-"):
        return None
    asked = bare.removeprefix("fake-")
    for name in sorted(FAULTS, key=len, reverse=True):
        dashed = name.replace("_", "-")
        if asked == dashed or asked.startswith(f"{dashed}-"):
            value = asked.removeprefix(dashed).removeprefix("-")
            return read(f"{name}={value}" if value else name)
    raise ValueError(f"no fault is called {asked!r}; there are {', '.join(FAULTS)}")


__all__ = [
    "FAULTS",
    "BadChunks",
    "BadLength",
    "Cut",
    "Drip",
    "EndlessLine",
    "ErrorEvent",
    "Fault",
    "Flood",
    "GzipBomb",
    "HeaderBomb",
    "Honest",
    "Junk",
    "KeyEcho",
    "Loading",
    "LyingLength",
    "Quota",
    "Raw",
    "Reset",
    "Silence",
    "Stall",
    "Status",
    "TinyChunks",
    "named",
    "read",
]
