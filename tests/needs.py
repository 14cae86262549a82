"""What a test needs from the machine: its absence is a skip with a reason, and a failure where CI demands it."""

from __future__ import annotations

import os
import shutil

import pytest


def needs_binary(name: str) -> str:
    """The path of a program."""
    return shutil.which(name) or _missing(f"no {name} on PATH")


def _missing(reason: str) -> str:
    if os.environ.get("HEADGATE_CI") == "1":
        pytest.fail(reason)
    pytest.skip(reason)
