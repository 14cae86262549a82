"""What a provider's answers say of how much is left before its rate limit."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime

LOW = 0.05
"""Less than this part of a limit is little."""
MOST_S = 60.0
"""However far off a provider says that its counters begin anew: it is asked again after this."""
UNSAID_S = 5.0

_SUBJECTS = ("requests", "tokens")
NAMES = tuple(
    tuple(f"{start}{order}".format(subject=subject, fact=fact).encode() for fact in ("remaining", "limit", "reset"))
    for start, order in (("x-ratelimit-", "{fact}-{subject}"), ("anthropic-ratelimit-", "{subject}-{fact}"))
    for subject in _SUBJECTS
)
"""remaining, limit and reset of each counter, as OpenAI and its like say them, and as Anthropic does."""
_DURATION = re.compile(r"(?:(\d+)h)?(?:(\d+)m(?!s))?(?:(\d+(?:\.\d+)?)s)?(?:(\d+(?:\.\d+)?)ms)?")


def low_for_s(headers: Mapping[bytes, bytes], now: float) -> float:
    """For how long little is left, in seconds; 0 when there is enough or nothing is said. `now` in epoch seconds.

    What cannot be read counts as not said. Source: https://platform.openai.com/docs/guides/rate-limits, "Rate limits in
    headers", and https://docs.anthropic.com/en/api/rate-limits, "Response headers".
    """
    return max((_clamped(reset_s(headers.get(reset, b""), now)) for reset in _low(headers)), default=0.0)


def _low(headers: Mapping[bytes, bytes]) -> Iterator[bytes]:
    """The reset headers of those counters that are low."""
    for remaining, limit, reset in NAMES:
        if (said := headers.get(remaining)) is None:
            continue
        left, whole = _count(said), _count(headers.get(limit, b""))
        if left is not None and (left <= 0 or (whole is not None and left < whole * LOW)):
            yield reset


def _count(said: bytes) -> float | None:
    return float(said) if said.isdigit() and len(said) < 16 else None


def _clamped(seconds: float) -> float:
    return min(max(0.1, seconds), MOST_S)  # in this order no number (`nan`) becomes the least


def reset_s(said: bytes, now: float) -> float:
    """A wait as providers write it: `6m0s`, `20ms`, plain seconds, a moment in epoch seconds or milliseconds, or a
    date in ISO 8601."""
    text = said.decode("latin-1").strip()
    if (found := _DURATION.fullmatch(text)) and text:
        hours, minutes, seconds, ms = (float(part or 0) for part in found.groups())
        return hours * 3600 + minutes * 60 + seconds + ms / 1000
    try:
        number = float(text)
        return number if number < 1e9 else (number if number < 1e12 else number / 1000) - now
    except ValueError:
        pass
    try:
        return datetime.fromisoformat(text).timestamp() - now
    except (ValueError, OverflowError):
        return UNSAID_S
