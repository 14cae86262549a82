"""Requests to a gateway that keeps answers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import httpx

from headgate.testing.gateway import RunningGateway


def question(model: str = "gpt-4o", *, stream: bool = False, **more: Any) -> dict[str, Any]:
    """A body that nobody has sent before."""
    said = f"Say this again: {uuid4().hex}"
    return {"model": model, "stream": stream, "messages": [{"role": "user", "content": said}], **more}


def post(
    gateway: RunningGateway, body: dict[str, Any] | bytes, path: str = "/v1/chat/completions", **headers: str
) -> httpx.Response:
    """One request. An underscore in a header's name is a hyphen."""
    said = {"authorization": f"Bearer {gateway.key}", "content-type": "application/json"}
    said |= hyphened(headers)
    sent: dict[str, Any] = {"content": body} if isinstance(body, bytes) else {"json": body}
    return httpx.post(gateway.url + path, headers=said, timeout=20, **sent)


def hyphened(headers: dict[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}


def cached(answer: httpx.Response) -> str:
    """What a good answer says about the cache."""
    assert answer.status_code == 200, answer.text
    return answer.headers["x-headgate-cache"]


async def many(gateway: RunningGateway, body: dict[str, Any], number: int, **headers: str) -> list[httpx.Response]:
    said = {"authorization": f"Bearer {gateway.key}", **hyphened(headers)}
    limits = httpx.Limits(max_connections=number)
    async with httpx.AsyncClient(headers=said, limits=limits, timeout=60) as client:
        url = f"{gateway.url}/v1/chat/completions"
        return await asyncio.gather(*(client.post(url, json=body) for _ in range(number)))


@asynccontextmanager
async def leaver(gateway: RunningGateway, body: dict[str, Any], **headers: str) -> AsyncIterator[None]:
    """A caller that is there until the scope is left, and then hangs up without an answer."""
    url, sent = httpx.URL(gateway.url), json.dumps(body).encode()
    _, writer = await asyncio.open_connection(url.host, url.port)
    said = "".join(f"{name}: {value}\r\n" for name, value in hyphened(headers).items())
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: gate\r\nauthorization: Bearer {gateway.key}\r\n{said}"
    writer.write(f"{head}content-length: {len(sent)}\r\n\r\n".encode() + sent)
    try:
        yield
    finally:
        writer.transport.abort()
