"""Secrets out of text: known ones by value, unknown ones by their looks."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from urllib.parse import quote

from headgate.types import Secret

MASK = "****"
SHORT = 8
"""A secret below this length is masked only as a word of its own, or it would tear ordinary words apart."""

# A look-behind stands after the literal that it guards: patterns that begin with a literal are searched far faster.
_LOOKS = {
    "sk-": r"sk-(?<![A-Za-z0-9]sk-)[A-Za-z0-9_-]{8,}",
    "hg-": r"hg-(?<![A-Za-z0-9]hg-)[A-Za-z0-9_-]{20,}",
    "Bearer": r"Bearer\s+[^\s\"',;\\]+",
    "bearer": r"bearer\s+[^\s\"',;\\]+",
}


class Redaction:
    """Replaces secrets by `****`. Text without a trace of one costs a few substring searches."""

    def __init__(self, secrets: Iterable[Secret] = ()) -> None:
        self._forms: set[str] = set()
        self.learn(secrets)

    def learn(self, secrets: Iterable[Secret]) -> None:
        """More secrets; those that it knows it never forgets, as they may still be said."""
        self._forms |= {form for secret in secrets if secret for form in _forms(secret.reveal())}
        patterns = {form: _pattern(form) for form in sorted(self._forms, key=len, reverse=True)} | _LOOKS
        self._patterns = [(hint, re.compile(pattern)) for hint, pattern in patterns.items()]

    def __call__(self, text: str) -> str:
        for hint, pattern in self._patterns:
            if hint in text:
                text = pattern.sub(MASK, text)
        return text


def _forms(secret: str) -> set[str]:
    """The ways a secret is written: as it is, in a URL, in JSON, in a Python repr."""
    return {secret, quote(secret, safe=""), json.dumps(secret)[1:-1], repr(secret)[1:-1]}


def _pattern(form: str) -> str:
    literal = re.escape(form)
    return literal if len(form) >= SHORT else rf"{literal}(?<!\w{literal})(?!\w)"
