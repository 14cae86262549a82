"""The shipped conformance suite over every provider that is found."""

from __future__ import annotations

from typing import ClassVar

import pytest

from headgate.providers.base import Provider
from headgate.providers.found import discover
from headgate.testing.conformance import ProviderConformance

FOUND = discover()


@pytest.fixture(params=sorted(FOUND), autouse=True)
def each(request: pytest.FixtureRequest) -> None:
    request.cls.provider = FOUND[request.param]


class TestEveryProvider(ProviderConformance):
    provider: ClassVar[type[Provider]] = Provider
    models = ("some-model", "gpt-5", "gpt-5.1", "o3", "deepseek-chat")
