"""What OpenAI's routes share: opening a body, usage, errors, and following a stream whose bytes pass unchanged."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection
from typing import Annotated, ClassVar, TypeVar

import msgspec

from headgate.errors import (
    BadRequest,
    HeadgateError,
    UpstreamError,
    UpstreamFailed,
    UpstreamProtocolError,
    UpstreamRefused,
)
from headgate.wire import sse
from headgate.wire.base import Ask, Fields, Look, Passage, TextWire, Wire, encode
from headgate.wire.refusals import told
from headgate.wire.streams import EventPassage
from headgate.wire.usage import read_usage

Body = TypeVar("Body")
TokenLimit = Annotated[int, msgspec.Meta(ge=-1, le=2**31 - 1)]
Choices = Annotated[int, msgspec.Meta(ge=1, le=128)]


FIELDS_MAX = 1000
"""Top-level fields of one body; documented routes have fewer than a hundred."""


class StreamOptions(msgspec.Struct):
    include_usage: bool | None = None


class Envelope(msgspec.Struct):
    """The fields that the road reads; everything else stays undecoded."""

    model: Annotated[str, msgspec.Meta(min_length=1, max_length=512)]
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: TokenLimit | None = None
    max_completion_tokens: TokenLimit | None = None
    n: Choices | None = None
    temperature: float | None = None
    top_p: float | None = None


_NULL = msgspec.Raw(b"null")
_fields = msgspec.json.Decoder(Fields).decode
_PATH = re.compile(r" - at `(?:key in )?\$\.?(.*)`$", re.S)
_MISSING = re.compile(r"missing required field `(\w+)`")


def open_body(body: bytes) -> Fields:
    """Opens a body at its top level. Raises `BadRequest` for anything that is not one JSON object in UTF-8."""
    try:
        if not body.isascii():
            body.decode()
        fields = _fields(body)
    except UnicodeDecodeError as error:
        raise BadRequest(f"the body is not UTF-8: byte {error.start} cannot be read") from None
    except RecursionError:
        raise BadRequest("the body is nested too deeply") from None
    except msgspec.ValidationError:
        raise BadRequest("the body must be a JSON object") from None
    except msgspec.DecodeError as error:
        raise BadRequest(f"the body is not JSON: {error}") from None
    # A field that came twice is in `fields` once: its quotes tell, unless a name holds quotes written as escapes.
    if body.count(b'"') != encode(fields).count(b'"') or (b"\\u0022" in body and _doubled(body)):
        raise BadRequest("the body has a field twice: readers would differ about which counts")
    if len(fields) > FIELDS_MAX:
        raise BadRequest(f"the body has {len(fields)} fields; {FIELDS_MAX} are served")
    return fields


def _doubled(body: bytes) -> bool:
    """Whether a field of a JSON object comes twice, read by the standard library, which shows each. Raises `BadRequest`
    for what only the faster reader takes."""
    try:
        outermost: list[tuple[str, object]] = json.loads(body, object_pairs_hook=list)
    except (ValueError, RecursionError):
        raise BadRequest("the body has numbers of thousands of digits, or is nested too deeply") from None
    return len(outermost) != len({name for name, _ in outermost})


def bad_request(error: msgspec.ValidationError) -> BadRequest:
    """The caller's view of a failed validation: the message without the library's path, the path as `param`."""
    message, path, *_ = [*_PATH.split(str(error), maxsplit=1), ""]
    if missing := _MISSING.search(message):
        path = f"{path}.{missing[1]}" if path else missing[1]
    field = path or None
    return BadRequest(f"`{field}`: {message}" if field else message, param=field)


def read_body(decode: Callable[[bytes], Body], body: bytes) -> Body:
    """Decodes a caller's body with a typed decoder. Raises `BadRequest` that names the field."""
    try:
        return decode(body)
    except msgspec.ValidationError as error:
        raise bad_request(error) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        open_body(body)
        raise BadRequest(f"the body is not JSON: {error}") from None


def unread(body: bytes, known: Collection[str]) -> tuple[str, ...]:
    """The top-level fields of a body that say something and are not known: what a translation cannot carry on."""
    return tuple(name for name, value in open_body(body).items() if name not in known and value != _NULL)


class ErrorFacts(msgspec.Struct, frozen=True):
    message: str
    type: str
    param: str | None
    code: str | None


class ErrorBody(msgspec.Struct, frozen=True):
    """An error as OpenAI's clients read it."""

    error: ErrorFacts


def error_body(error: HeadgateError, request_id: str) -> bytes:
    """An error answer. OpenAI says the request id in a header, so it is not in the body."""
    return encode(ErrorBody(ErrorFacts(error.message, error.type, error.param, error.code_said)))


def error_event(error: HeadgateError, request_id: str) -> bytes:
    """An error inside a stream: clients raise on it, and no `[DONE]` follows."""
    return sse.write(error_body(error, request_id))


class _ErrorSeen(msgspec.Struct):
    message: str | None = None
    code: str | int | None = None
    type: str | None = None
    detail: str | None = None


_error = msgspec.json.Decoder(_ErrorSeen | str).decode


def failure_event(raw: msgspec.Raw | bytes) -> UpstreamError:
    """An error object inside a stream, as what it is."""
    try:
        seen = _error(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        seen = _ErrorSeen()
    if isinstance(seen, str):
        seen = _ErrorSeen(message=seen)
    message = f"the provider failed: {seen.message or seen.detail or 'it gave no reason'}"
    return told(message, "" if seen.code is None else str(seen.code), seen.type or "")


def failure_inside(raw: msgspec.Raw | bytes) -> UpstreamError:
    """An error object where a whole answer should be: a failure, as a 200 is no way to refuse a request."""
    failure = failure_event(raw)
    if isinstance(failure, UpstreamRefused):
        return UpstreamFailed(failure.message, upstream_status=failure.upstream_status)
    return failure


class _Whole(msgspec.Struct):
    model: str | None = None
    usage: msgspec.Raw = msgspec.Raw(b"null")
    error: msgspec.Raw = msgspec.Raw(b"null")
    choices: msgspec.Raw = msgspec.Raw(b"")
    data: msgspec.Raw = msgspec.Raw(b"")


_whole_answer = msgspec.json.Decoder(_Whole).decode
FAILED = re.compile(rb'"finish_reason"\s*:\s*"error"')
"""A whole answer in which the provider gave up. Quotes inside strings are escaped, so that only a field is found."""
NO_ERRORS = (b"null", b"false", b'""', b"{}")
"""What stands in a field `error` where there is none."""


def look_at(body: bytes, result: str = "choices") -> Look:
    """As `Wire.look`, for an answer that lies in the field `result`."""
    try:
        seen = _whole_answer(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise UpstreamProtocolError("the provider's answer is not JSON of the expected shape") from None
    if bytes(seen.error) not in NO_ERRORS:
        raise failure_inside(seen.error)
    start = bytes(memoryview(getattr(seen, result))[:64])
    if not start.startswith(b"[") or start[1:].lstrip().startswith(b"]"):
        raise UpstreamProtocolError(f"the provider's answer has nothing in its `{result}`")
    if b'"error"' in body and result == "choices" and FAILED.search(body):
        raise failure_inside(body)
    return Look(usage=read_usage(seen.usage), model=seen.model or "")


class OpenAIShape(Wire):
    """What OpenAI's wires do alike. Subclasses state `envelope`, and `result`: the field that holds the answer."""

    envelope: ClassVar[type[Envelope]]
    result: ClassVar[str] = "choices"
    _open: msgspec.json.Decoder[Envelope]

    def __init__(self) -> None:
        self._open = msgspec.json.Decoder(self.envelope)

    def ask(self, body: bytes) -> Ask:
        fields = open_body(body)
        seen = read_body(self._open.decode, body)
        if not seen.model.isprintable():
            raise BadRequest("`model`: a name has no control characters", param="model")
        return Ask(
            model=seen.model,
            body=body,
            fields=fields,
            stream=bool(seen.stream),
            counts=bool(seen.stream_options and seen.stream_options.include_usage),
            choices=seen.n or 1,
        )

    def look(self, body: bytes) -> Look:
        return look_at(body, self.result)

    def error(self, error: HeadgateError, request_id: str) -> bytes:
        return error_body(error, request_id)

    def error_event(self, error: HeadgateError, request_id: str) -> bytes:
        return error_event(error, request_id)

    def want_usage(self, fields: Fields) -> None:
        options = msgspec.json.decode(fields.get("stream_options", b"null"), type=dict[str, msgspec.Raw] | None) or {}
        options["include_usage"] = msgspec.Raw(b"true")
        fields["stream_options"] = msgspec.Raw(encode(options))


class OpenAIWire(OpenAIShape, TextWire):
    """A text wire whose streams are OpenAI's."""

    def passage(self, ask: Ask) -> Passage:
        return ChunkPassage(ask)


class _ChunkChoice(msgspec.Struct):
    index: int = 0
    finish_reason: str | None = None


class _Chunk(msgspec.Struct):
    model: str | None = None
    choices: list[_ChunkChoice] | None = None
    usage: msgspec.Raw = msgspec.Raw(b"null")
    error: msgspec.Raw = msgspec.Raw(b"null")


_chunk = msgspec.json.Decoder(_Chunk).decode


class ChunkPassage(EventPassage):
    """Opens the events with usage, an error or a finish reason, and those that a client must not see (comments before
    the first event, empty frames, the usage that only we had asked for)."""

    piece = b"\n\n"

    def __init__(self, ask: Ask) -> None:
        super().__init__(look_at)
        self._counts = ask.counts
        self._unfinished = set(range(ask.choices))

    def finish(self) -> bytes:
        out = super().finish()
        if self.failure or self.ended:
            return out
        self.ended = True
        return out + sse.DONE

    def complete(self) -> bool:
        return self.begun and not self._unfinished

    def notable(self, events: bytes) -> bool:
        """Whether any event here is more than one chunk of an answer, plain to see."""
        count = events.count(b"\n\n")
        return (
            events.startswith(b"data: {") + events.count(b"\n\ndata: {") != count
            or events.count(b"}\n\n") != count
            or events.count(b'"choices"') != count
            or b'"error"' in events
            or b"[DONE]" in events
            or b'"finish_reason":"' in events
            or b'"finish_reason": "' in events
            or (b'"usage"' in events and events.count(b'"usage"') != events.count(b'"usage":null'))
        )

    def passes(self, name: str, data: bytes) -> bool:
        data = data.strip()
        if name == "error":
            raise failure_event(data)
        if data == b"[DONE]":
            if not self.begun:
                raise UpstreamProtocolError("the provider's stream has no event in it")
            self.ended = True
            return True
        return bool(data) and self._chunk_passes(data)

    def _chunk_passes(self, data: bytes) -> bool:
        try:
            chunk = _chunk(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise UpstreamProtocolError("an event of the provider's stream is not JSON of the expected shape") from None
        usage = read_usage(chunk.usage) if chunk.usage != _NULL else None
        stops = [choice.finish_reason for choice in chunk.choices or ()]
        said = bytes(chunk.error) not in NO_ERRORS
        if said or "error" in stops or (chunk.choices is None and usage is None):
            raise failure_event(chunk.error if said else data)
        self.begun = True
        self.model = self.model or chunk.model or ""
        if usage is not None:
            self.usage = usage
        for choice in chunk.choices or ():
            if choice.finish_reason:
                self._unfinished.discard(choice.index)
        if chunk.choices:
            self.pieces += 1
        return bool(chunk.choices) or usage is None or self._counts
