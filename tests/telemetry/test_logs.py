"""Log lines, read from the other end of a real pipe."""

from __future__ import annotations

import json
import logging
import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from io import FileIO
from timeit import repeat

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate.telemetry.logs import AccessLog, NoAccessLog, OutletHandler, line_of, setup
from headgate.types import Secret, Usage
from tests.telemetry.records import PLAIN, record
from tests.telemetry.waiting import until

CANARY = "canary-0123456789-0123456789-0123456789"


@pytest.fixture
def pipe() -> Iterator[tuple[FileIO, FileIO]]:
    read, write = os.pipe()
    with FileIO(read) as reader, FileIO(write, "w") as writer:
        yield reader, writer


@pytest.fixture
def root() -> Iterator[logging.Logger]:
    """The root logger without the handlers of a gateway that another test may have running."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    root.handlers = [handler for handler in handlers if not isinstance(handler, OutletHandler)]
    yield root
    for handler in set(root.handlers) - set(handlers):
        handler.close()
    root.handlers = handlers
    root.setLevel(level)


def rest(reader: FileIO, writer: FileIO) -> list[str]:
    """All lines that came through the pipe, now that their writer has closed its own end."""
    writer.close()
    text = reader.readall() or b""
    assert text.endswith(b"\n") or not text
    return text.decode().splitlines()


async def test_a_request_is_one_json_line(pipe: tuple[FileIO, FileIO]) -> None:
    log = AccessLog(pipe[1])
    log.line(record(session="s1", stream=True))
    log.close()
    (line,) = rest(*pipe)
    assert json.loads(line) == {
        "time": "2023-11-14T22:13:20Z",
        "level": "info",
        "msg": "request",
        "request_id": "req-1",
        "key": "k1",
        "route": "/v1/chat/completions",
        "model": "small",
        "served": "gpt-4o-mini",
        "provider": "openai",
        "stream": True,
        "status": 200,
        "error": "",
        "attempts": 1,
        "prompt_tokens": 100,
        "completion_tokens": 20,
        "cached_tokens": 5,
        "reasoning_tokens": 3,
        "cost_usd": 0.0015,
        "first_token_ms": 1.2,
        "total_ms": 1.5,
        "overhead_ms": 0.7,
        "session": "s1",
    }


async def test_lines_come_unasked_and_in_order(pipe: tuple[FileIO, FileIO]) -> None:
    log = AccessLog(pipe[1], flush_ms=1)
    for number in range(150):
        log.line(record(request_id=str(number)))
    got = b""
    with anyio.fail_after(5):
        while got.count(b"\n") < 150:
            await anyio.wait_readable(pipe[0])
            got += os.read(pipe[0].fileno(), 65536)
    assert [json.loads(line)["request_id"] for line in got.splitlines()] == [str(number) for number in range(150)]
    log.close()


@pytest.mark.parametrize(
    ("status", "level"), [(200, "info"), (404, "warning"), (499, "warning"), (502, "error"), (0, "error")]
)
def test_the_level_follows_the_status(status: int, level: str) -> None:
    assert line_of(record(status=status)).level == level


def test_what_is_not_known_is_null() -> None:
    line = line_of(record(usage=Usage(prompt=1), first_token_us=None))
    assert (line.cost_usd, line.first_token_ms) == (None, None)


@pytest.mark.parametrize("hostile", ["\x1b[2J\r\n\u2028\x85\x9b\x7f", "\ud800\x7f\u2028"])
@given(st.text(st.characters(codec=None), max_size=20))
def test_no_value_breaks_a_line_or_steers_a_terminal(hostile: str, value: str) -> None:
    read, write = os.pipe()
    with FileIO(read) as reader, FileIO(write, "w") as writer:
        log = AccessLog(writer)
        log._records.append(record(model_asked=hostile + value))
        log.close()
        (line,) = rest(reader, writer)
    assert not set("\x1b\r\n\u2028\x85\x9b\x7f") & set(line)
    assert json.loads(line)["model"] == hostile + value


async def test_a_blocked_reader_holds_up_nothing_and_the_loss_is_said(
    pipe: tuple[FileIO, FileIO], caplog: pytest.LogCaptureFixture
) -> None:
    log = AccessLog(pipe[1], flush_ms=1)
    padded = record(session="x" * 4096)
    with anyio.fail_after(20):
        while not log.dropped:
            for _ in range(200):
                log.line(padded)
            await anyio.sleep(0.002)
    await until(lambda: "were dropped" in caplog.text)
    pipe[0].close()
    log.close()


async def test_a_closed_reader_is_counted_and_nothing_else(pipe: tuple[FileIO, FileIO]) -> None:
    pipe[0].close()
    log = AccessLog(pipe[1], flush_ms=1)
    log.line(record())
    await until(lambda: log.dropped == 1)
    log.close()


async def test_a_descriptor_that_does_not_block_is_waited_for(pipe: tuple[FileIO, FileIO]) -> None:
    os.set_blocking(pipe[1].fileno(), False)
    log = AccessLog(pipe[1], flush_ms=1)
    for _ in range(100):
        log.line(record(session="x" * 4096))
    got = 0
    with anyio.fail_after(5):
        while got < 100:
            await anyio.wait_readable(pipe[0])
            got += os.read(pipe[0].fileno(), 65536).count(b"\n")
    log.close()
    assert log.dropped == 0


def test_a_process_whose_output_is_blocked_ends(pipe: tuple[FileIO, FileIO]) -> None:
    program = (
        "import sys\nfrom headgate.telemetry.logs import AccessLog\nfrom tests.telemetry.records import record\n"
        "log = AccessLog(sys.stdout)\nlog._records.extend([record(session='x' * 4096)] * 100)\nlog.close()"
    )
    ended = subprocess.run([sys.executable, "-c", program], stdout=pipe[1], timeout=20, check=False)
    assert ended.returncode == 0


async def test_the_access_log_masks_secrets(pipe: tuple[FileIO, FileIO], root: logging.Logger) -> None:
    log = AccessLog(pipe[1], redaction=setup("info", [Secret(CANARY)]))
    log.line(record(model_asked=CANARY, error="Bearer abc"))
    log.close()
    (line,) = rest(*pipe)
    assert (json.loads(line)["model"], json.loads(line)["error"]) == ("****", "****")


async def test_taking_a_line_is_cheap(pipe: tuple[FileIO, FileIO]) -> None:
    log = AccessLog(pipe[1], flush_ms=60_000)
    best_s = min(repeat(lambda: log.line(PLAIN), number=100, repeat=10)) / 100
    assert best_s < 5e-6, "1 µs is the aim; five times that on a busy machine is a fault"
    log._records.clear()
    log.close()


def test_no_access_log_does_nothing() -> None:
    log = NoAccessLog()
    log.line(record())
    log.close()
    assert log.dropped == 0


def told(pipe: tuple[FileIO, FileIO], root: logging.Logger) -> list[dict[str, str]]:
    (handler,) = [handler for handler in root.handlers if isinstance(handler, OutletHandler)]
    handler.close()
    return [json.loads(line) for line in rest(*pipe)]


def test_log_records_are_json_lines_without_secrets(pipe: tuple[FileIO, FileIO], root: logging.Logger) -> None:
    setup("info", [Secret(CANARY)], pipe[1])
    log = logging.getLogger("some.library")
    log.debug("not said")
    log.info("line one\nof %s", CANARY, extra={"target": f"https://x/?key={CANARY}"})
    try:
        raise ValueError(f"refused {CANARY}")
    except ValueError:
        log.exception("failed")
    first, second = told(pipe, root)
    assert (first["level"], first["msg"], first["logger"]) == ("info", "line one\nof ****", "some.library")
    assert first["target"] == "https://x/?key=****"
    assert first["time"].endswith("Z")
    assert second["traceback"].endswith("ValueError: refused ****")


def test_arguments_that_do_not_fit_are_said_without_being_shown(
    pipe: tuple[FileIO, FileIO], root: logging.Logger, capfd: pytest.CaptureFixture[str]
) -> None:
    setup("info", [Secret(CANARY)], pipe[1])
    handler = next(handler for handler in root.handlers if isinstance(handler, OutletHandler))
    handler.handle(logging.LogRecord("x", logging.INFO, "", 0, "%d", (CANARY,), None))
    (said,) = told(pipe, root)
    assert said["msg"] == "'%d' with arguments that do not fit it: TypeError"
    assert CANARY not in capfd.readouterr().err


def test_a_second_setup_replaces_the_first(pipe: tuple[FileIO, FileIO], root: logging.Logger) -> None:
    setup("info", [], pipe[1])
    setup("warning", [], pipe[1])
    logging.getLogger("x").info("not said")
    logging.getLogger("x").warning("once")
    assert [one["msg"] for one in told(pipe, root)] == ["once"]


def test_a_terminal_gets_lines_for_people_that_cannot_steer_it(root: logging.Logger) -> None:
    ours, theirs = pty.openpty()
    with FileIO(ours) as reader, FileIO(theirs, "w") as terminal:
        redaction = setup("info", [Secret(CANARY)], terminal)
        logging.getLogger("x").warning("careful \x1b[2J %s", CANARY)
        log = AccessLog(terminal, redaction=redaction)
        log._records.append(record(model_asked="\x1b[2J"))
        next(handler for handler in root.handlers if isinstance(handler, OutletHandler)).close()
        log.close()
        shown = ""
        while "req-1" not in shown:
            shown += os.read(reader.fileno(), 65536).decode()
    assert "warning careful \\u001b[2J ****" in shown
    assert "200  /v1/chat/completions  \\u001b[2J  → openai/gpt-4o-mini  2 ms  100+20 tokens  req-1" in shown
    assert "\x1b" not in shown
