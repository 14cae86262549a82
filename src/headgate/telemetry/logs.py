"""Log lines: one JSON object a line, one line a request, and never a prompt or a secret in it."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from time import monotonic

import msgspec

from headgate.telemetry.outlet import Outlet, Stream
from headgate.telemetry.redaction import Redaction
from headgate.types import Record, Secret, Usage

SLICE = 64
"""Lines encoded in one go, so that the event loop is never held for long."""
SAY_EVERY_S = 10.0
"""The least time between two complaints about dropped lines."""

_UNSAFE = "\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff"
"""What JSON lets pass though terminals and line readers act on it: DEL, C1 controls, line and paragraph separators,
directional overrides; and lone surrogates, which UTF-8 cannot carry."""
_unsafe_in_json = re.compile(f"[{_UNSAFE}]")
_unsafe_in_text = re.compile(f"[\x00-\x1f{_UNSAFE}]")
_unsafe_in_block = re.compile(f"[\x00-\x08\x0b-\x1f{_UNSAFE}]")
_encode = msgspec.json.Encoder().encode
_NO_USAGE = Usage()
_log = logging.getLogger(__name__)


class Line(msgspec.Struct, frozen=True):
    """What the access log says of one request. `overhead_ms` is the gateway's own time, upstream excluded."""

    time: datetime
    level: str
    msg: str
    request_id: str
    key: str
    route: str
    model: str
    served: str
    provider: str
    stream: bool
    status: int
    error: str
    attempts: int
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int
    reasoning_tokens: int
    cost_usd: float | None
    first_token_ms: float | None
    total_ms: float
    overhead_ms: float
    session: str


class NoAccessLog:
    """The access log that is turned off."""

    @property
    def dropped(self) -> int:
        """Lines that were not written because nobody read them in time."""
        return 0

    def line(self, record: Record) -> None:
        """Takes a finished request."""

    def close(self) -> None:
        """Writes what waits."""


class AccessLog(NoAccessLog):
    """One line a request, encoded in slices between other work and written by a thread: never in a request's way.

    JSON, or a short form for people where the stream is a terminal. `flush_ms` is how long a line may wait.
    `line` belongs on the event loop; `close` gives a blocked reader two seconds.
    """

    def __init__(self, stream: Stream, flush_ms: int = 200, redaction: Redaction | None = None) -> None:
        self._records: list[Record] = []
        self._flush_s = flush_ms / 1000
        self._redaction = redaction or Redaction()
        self._text = _human_line if stream.isatty() else _json_line
        self._outlet = Outlet(stream, "access-log")
        self._said = 0
        self._say_at = 0.0

    @property
    def dropped(self) -> int:
        return self._outlet.dropped

    def line(self, record: Record) -> None:
        if not self._records:
            asyncio.get_running_loop().call_later(self._flush_s, self._flush)
        self._records.append(record)

    def close(self) -> None:
        while self._records:
            self._write_slice()
        self._outlet.close()

    def _flush(self) -> None:
        if self._records:
            self._write_slice()
            self._say_dropped()
        if self._records:
            asyncio.get_running_loop().call_soon(self._flush)

    def _write_slice(self) -> None:
        records = self._records[:SLICE]
        text = self._redaction("".join([self._text(record) for record in records]))
        self._outlet.put(text.encode(), len(records))
        del self._records[:SLICE]

    def _say_dropped(self) -> None:
        dropped, now = self.dropped, monotonic()
        if dropped > self._said and now >= self._say_at:
            _log.warning("%d lines of the access log were dropped: nobody reads them in time", dropped - self._said)
            self._said, self._say_at = dropped, now + SAY_EVERY_S


def line_of(record: Record) -> Line:
    """The access log's view of a finished request."""
    usage = record.usage or _NO_USAGE
    first, cost = record.first_token_us, usage.cost_nano
    return Line(
        datetime.fromtimestamp(record.at_us / 1e6, UTC),
        _level(record.status),
        "request",
        record.request_id,
        record.key_id,
        record.route,
        record.model_asked,
        record.model_served,
        record.provider,
        record.stream,
        record.status,
        record.error,
        record.attempts,
        usage.prompt,
        usage.completion,
        usage.cached,
        usage.reasoning,
        None if cost is None else cost / 1e9,
        None if first is None else first / 1e3,
        record.total_us / 1e3,
        max(record.total_us - record.upstream_us, 0) / 1e3,
        record.session,
    )


def _level(status: int) -> str:
    if 100 <= status < 400:
        return "info"
    return "warning" if 400 <= status < 500 else "error"


def _json_line(record: Record) -> str:
    return _json_text(line_of(record))


def _json_text(line: object) -> str:
    try:
        text = _encode(line).decode()
    except UnicodeEncodeError:
        text = json.dumps(msgspec.to_builtins(line))
    if not text.isascii() or "\x7f" in text:
        text = _unsafe_in_json.sub(_escaped, text)
    return text + "\n"


def _escaped(found: re.Match[str]) -> str:
    return f"\\u{ord(found[0]):04x}"


def _human_line(record: Record) -> str:
    line = line_of(record)
    words = [
        f"{line.time.astimezone():%H:%M:%S}",
        str(line.status),
        line.route,
        line.model or "-",
        f"→ {line.provider}/{line.served}" if line.provider else "",
        f"{line.total_ms:.0f} ms",
        f"{line.prompt_tokens}+{line.completion_tokens} tokens" if record.usage else "",
        line.error,
        line.request_id,
    ]
    return _unsafe_in_text.sub(_escaped, "  ".join(filter(None, words))) + "\n"


class JsonLines(logging.Formatter):
    """Log records as JSON lines, secrets masked in message, arguments, extra fields and traceback."""

    def __init__(self, redaction: Redaction) -> None:
        super().__init__()
        self._redaction = redaction

    def format(self, record: logging.LogRecord) -> str:
        fields: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC),
            "level": record.levelname.lower(),
            "msg": self._redaction(_message(record)),
            "logger": record.name,
        }
        for name in record.__dict__.keys() - _STANDARD:
            fields[name] = self._redaction(str(record.__dict__[name]))
        if trace := self.trace(record):
            fields["traceback"] = trace
        return _json_text(fields)

    def trace(self, record: logging.LogRecord) -> str:
        """The traceback and stack of a record, redacted; empty where it has none."""
        trace = self.formatException(record.exc_info) if record.exc_info and record.exc_info[0] else ""
        return self._redaction("\n".join(filter(None, [trace, record.stack_info])))


class HumanLines(JsonLines):
    """The same for a person at a terminal: time, level, message, and the traceback below."""

    def format(self, record: logging.LogRecord) -> str:
        said = _unsafe_in_text.sub(_escaped, self._redaction(_message(record)))
        line = f"{datetime.fromtimestamp(record.created):%H:%M:%S} {record.levelname.lower():7} {said}\n"
        trace = self.trace(record)
        return line + _unsafe_in_block.sub(_escaped, trace) + "\n" if trace else line


_STANDARD = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime"}


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception as error:
        # `logging` would print the raw arguments to stderr, past the redaction.
        return f"{record.msg!r} with arguments that do not fit it: {type(error).__name__}"


class OutletHandler(logging.Handler):
    """Sends formatted records to a stream without ever waiting for its reader."""

    def __init__(self, stream: Stream, redaction: Redaction) -> None:
        super().__init__()
        self.setFormatter(HumanLines(redaction) if stream.isatty() else JsonLines(redaction))
        self._outlet = Outlet(stream, "log")

    def emit(self, record: logging.LogRecord) -> None:
        self._outlet.put(self.format(record).encode(), 1)

    def close(self) -> None:
        self._outlet.close()
        super().close()


TALKATIVE = ("aiosqlite", "alembic", "asyncio", "uvicorn.error")
"""Libraries whose `info` is news to nobody, or whose `debug` repeats what they were given: only warnings pass."""


def setup(level: str, secrets: Iterable[Secret] = (), stream: Stream | None = None) -> Redaction:
    """Sends the standard `logging` to `stream` (standard error) as JSON lines; returns the redaction for other logs.

    `level` is `debug`, `info`, `warning` or `error`. A second call replaces the first.
    """
    redaction = Redaction(secrets)
    root = logging.getLogger()
    for old in [handler for handler in root.handlers if isinstance(handler, OutletHandler)]:
        root.removeHandler(old)
        old.close()
    root.addHandler(OutletHandler(stream or sys.stderr, redaction))
    root.setLevel(level.upper())
    for name in TALKATIVE:
        logging.getLogger(name).setLevel(max(root.level, logging.WARNING))
    return redaction
