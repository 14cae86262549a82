"""Faults as texts and as names of models."""

from __future__ import annotations

import pytest

from headgate.testing import faults
from headgate.testing.faults import FAULTS, Fault, named, read


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("status=503", faults.Status(503)),
        ("status=429; retry_after=2", faults.Status(429, retry_after="2")),
        ("status", faults.Status()),
        ("stall=3; seconds=0.5", faults.Stall(3, 0.5)),
        ("cut=12;how=rst ; framing=close", faults.Cut(12, "rst", "close")),
        ("key-echo", faults.KeyEcho()),
        ("lying_length=-5", faults.LyingLength(-5)),
        ("quota", faults.Quota()),
    ],
)
def test_a_text_names_a_fault(text: str, fault: Fault) -> None:
    assert read(text) == fault
    assert type(read(text)) is type(fault)


@pytest.mark.parametrize(
    "text", ["", "nothing", "status=abc", "status=503; color=red", "junk=unheard", "quota=1", "status=1=2"]
)
def test_a_text_that_names_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        read(text)


@pytest.mark.parametrize(
    ("model", "fault"),
    [
        ("fake-status-503", faults.Status(503)),
        ("fake-silence", faults.Silence()),
        ("fake-key-echo-403", faults.KeyEcho(403)),
        ("org/fake-stall-2", faults.Stall(2)),
        ("fake-junk-html:latest", faults.Junk("html")),
        ("gpt-4o", None),
        ("", None),
    ],
)
def test_a_model_names_a_fault(model: str, fault: Fault | None) -> None:
    assert named(model) == fault


def test_a_model_that_wants_a_fault_and_names_none_is_refused() -> None:
    with pytest.raises(ValueError, match="there are honest, status"):
        named("fake-nothing")


@pytest.mark.parametrize("name", FAULTS)
def test_every_fault_is_explained_and_can_be_named_bare(name: str) -> None:
    assert FAULTS[name].__doc__
    assert isinstance(read(name), FAULTS[name])


def test_every_fault_class_is_in_the_table() -> None:
    classes = {value for value in vars(faults).values() if isinstance(value, type) and issubclass(value, Fault)}
    assert set(FAULTS.values()) == classes - {Fault}
