"""What the fake tells a person over HTTP: what it serves, how it fails, what it saw; and a door for scripts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from headgate.testing.answers import Answer
from headgate.testing.faults import FAULTS
from headgate.testing.http1 import Request

if TYPE_CHECKING:
    from headgate.testing.fake import FakeUpstream

TEXT = "text/plain; charset=utf-8"
JSON = "application/json"

PLACES = {("GET", "/"), ("GET", "/fake"), ("GET", "/fake/journal"), ("POST", "/fake/script")}


def has(request: Request) -> bool:
    """Whether this request is for the fake itself and not for a provider."""
    return (request.method, request.path) in PLACES


def answer(fake: FakeUpstream, request: Request) -> tuple[int, str, bytes]:
    """Status, content type and body of a page."""
    if request.path == "/fake/journal":
        return 200, JSON, journal(fake)
    if request.path != "/fake/script":
        return 200, TEXT, front(fake).encode()
    try:
        fake.script(*msgspec.json.decode(request.body, type=list[Answer]))
    except msgspec.DecodeError as error:
        return 400, TEXT, f"a list of answers was expected: {error}\n".encode()
    return 200, TEXT, b"queued\n"


def front(fake: FakeUpstream) -> str:
    """The address, the routes, and every fault with its fields."""
    lines = [f"headgate fake upstream on {fake.url}", "", "Base URLs:"]
    lines += [f"  {name:<12} {fake.base_url(name)}" for name in fake.dialects]
    lines += ["", "Routes:"]
    lines += [f"  {name:<12} {method:<5} {path}" for name, method, path in fake.routes()]
    lines += ["", "Faults (header `x-fake-fault: status=429; retry_after=2`, or a model named `fake-status-503`):"]
    for name, fault in FAULTS.items():
        lines.append(f"  {name:<13} {_sentence(fault.__doc__ or '')}")
        if fault.__struct_fields__:
            lines.append(f"  {'':<13} fields: {_fields(fault)}")
    lines += [
        "",
        "GET /fake/journal lists what was received and charged.",
        'POST /fake/script queues answers: [{"text": "four"}]',
    ]
    return "\n".join(lines) + "\n"


def journal(fake: FakeUpstream) -> bytes:
    """The journal without headers and bodies: keys and prompts stay where they came from."""
    shown = ("number", "method", "path", "dialect", "model", "fault", "status", "whole", "left", "over", "bytes_sent")
    rows = [{name: getattr(entry, name) for name in shown} | {"charged": entry.charged} for entry in fake.journal]
    return msgspec.json.encode(rows)


def _sentence(doc: str) -> str:
    return " ".join(doc.partition("\n\n")[0].split())


def _fields(fault: type[msgspec.Struct]) -> str:
    return ", ".join(f"{field.name}={field.default!r}" for field in msgspec.structs.fields(fault))
