"""Both clients against the servers that the world runs: nginx, uvicorn, aiohttp, node."""

from __future__ import annotations

import asyncio
import getpass
import socket
import subprocess
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from aiohttp import web

from headgate.upstream.base import Call, Limits, Upstream
from tests.needs import needs_binary

BIG = bytes(range(256)) * 16 * 1024
NODE = """
const http = require('http');
const big = Buffer.alloc(%d, Buffer.from([...Array(256).keys()]));
const server = http.createServer((request, response) => {
  if (request.url == '/big') return response.end(big);
  if (request.url == '/stream') {
    let left = 20;
    const next = () => left-- ? (response.write('data: x\\n\\n'), setImmediate(next)) : response.end();
    return next();
  }
  request.pipe(response);
});
server.listen(0, '127.0.0.1', () => console.log(server.address().port));
"""
NGINX = """
user {user}; daemon off; worker_processes 1; pid {home}/pid; error_log stderr crit;
events {{ worker_connections 512; }}
http {{
  access_log off; client_body_temp_path {home}; proxy_temp_path {home}; fastcgi_temp_path {home};
  uwsgi_temp_path {home}; scgi_temp_path {home}; client_max_body_size 64m;
  keepalive_requests 7; default_type text/plain;
  server {{
    listen 127.0.0.1:{port}; root {home};
    location = /echo {{ proxy_pass http://127.0.0.1:{behind}; proxy_http_version 1.1; }}
    location = /stream {{ proxy_pass http://127.0.0.1:{behind}; proxy_http_version 1.1; proxy_buffering off; }}
  }}
}}
"""


async def app(
    scope: dict[str, Any], receive: Callable[[], Awaitable[Any]], send: Callable[[Any], Awaitable[None]]
) -> None:
    assert scope["type"] == "http"
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message.get("body", b""), message.get("more_body", False)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    if scope["path"] == "/stream":
        for _ in range(20):
            await send({"type": "http.response.body", "body": b"data: x\n\n", "more_body": True})
    await send({"type": "http.response.body", "body": {"/big": BIG, "/stream": b""}.get(scope["path"], body)})


@asynccontextmanager
async def on_uvicorn(home: Path) -> AsyncIterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        settings = uvicorn.Config(app, log_level="warning", lifespan="off", timeout_graceful_shutdown=1)
        server = uvicorn.Server(settings)
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            server.should_exit = True
            await asyncio.to_thread(thread.join)


@asynccontextmanager
async def on_aiohttp(home: Path) -> AsyncIterator[int]:
    async def echo(request: web.Request) -> web.Response:
        return web.Response(body=BIG if request.path == "/big" else await request.read())

    async def stream(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for _ in range(20):
            await response.write(b"data: x\n\n")
        return response

    application = web.Application(client_max_size=64 * 1024 * 1024)
    application.add_routes([web.post("/echo", echo), web.get("/big", echo), web.post("/stream", stream)])
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


@asynccontextmanager
async def on_node(home: Path) -> AsyncIterator[int]:
    command = [needs_binary("node"), "-e", NODE % len(BIG)]
    process = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE)
    assert process.stdout is not None
    try:
        yield int(await process.stdout.readline())
    finally:
        process.kill()
        await process.communicate()


@asynccontextmanager
async def on_nginx(home: Path) -> AsyncIterator[int]:
    binary = needs_binary("nginx")
    (home / "big").write_bytes(BIG)
    async with on_aiohttp(home) as behind:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
        (home / "conf").write_text(NGINX.format(home=home, user=getpass.getuser(), port=port, behind=behind))
        process = await asyncio.create_subprocess_exec(
            binary, "-p", str(home), "-c", str(home / "conf"), "-e", "stderr"
        )
        try:
            await listening(port)
            yield port
        finally:
            process.terminate()
            await process.wait()


async def listening(port: int) -> None:
    async with asyncio.timeout(10):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                return writer.close()
            except ConnectionRefusedError:
                await asyncio.sleep(0.02)


SERVERS = {"nginx": on_nginx, "uvicorn": on_uvicorn, "aiohttp": on_aiohttp, "node": on_node}


@pytest.fixture(params=SERVERS)
async def url(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[str]:
    async with SERVERS[request.param](tmp_path) as port:
        yield f"http://127.0.0.1:{port}"


async def test_serves_us_in_every_way(upstream: Upstream, url: str) -> None:
    """One test for all ways: starting a server is what takes the time."""
    await one_after_another(upstream, url)
    await many_at_once(upstream, url)
    await streamed(upstream, url)
    await large(upstream, url)


async def ask(upstream: Upstream, url: str, body: bytes) -> None:
    async with upstream.open(Call(f"{url}/echo", [(b"content-type", b"text/plain")], body, limits=Limits())) as answer:
        assert (answer.status, await answer.read()) == (200, body)


async def one_after_another(upstream: Upstream, url: str) -> None:
    for number in range(30):
        await ask(upstream, url, b"%d" % number)


async def many_at_once(upstream: Upstream, url: str) -> None:
    for _ in range(3):
        await asyncio.gather(*(ask(upstream, url, b"%d" % number) for number in range(30)))


async def streamed(upstream: Upstream, url: str) -> None:
    async with upstream.open(Call(f"{url}/stream", [], b"{}")) as answer:
        assert b"".join([chunk async for chunk in answer]) == b"data: x\n\n" * 20


async def large(upstream: Upstream, url: str) -> None:
    async with upstream.open(Call(f"{url}/big", [], method="GET")) as answer:
        assert await answer.read() == BIG
    await ask(upstream, url, BIG)
