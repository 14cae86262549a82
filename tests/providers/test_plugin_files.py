from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import msgspec
import pytest

from headgate.config import Prefix, Timeouts
from headgate.errors import UpstreamProtocolError
from headgate.providers.plugin_files import Loaded, load
from headgate.wire.conversation import AnyEvent, Conversation, Message, Stopped, Text, TextDelta

from .configured import KEY

IMPORTS = """
from typing import Any, AsyncGenerator, Dict

import httpx

from headgate.plugins import (
    ChatCompletionRequest,
    ChatCompletionResponse,
    ChatCompletionStreamResponse,
    LLMProvider,
    LLMProviderFactory,
)
"""

SKELETON = """
@LLMProviderFactory.register("your_provider")
class YourProvider(LLMProvider):
    async def chat_completion(self, request: ChatCompletionRequest) -> ChatCompletionResponse:
        # Implement non-streaming chat completion
        pass

    async def chat_completion_stream(
        self,
        request: ChatCompletionRequest
    ) -> AsyncGenerator[ChatCompletionStreamResponse, None]:
        # Implement streaming chat completion
        pass

    def prepare_headers(self) -> Dict[str, str]:
        # Prepare request headers
        pass

    def prepare_payload(self, request: ChatCompletionRequest) -> Dict[str, Any]:
        # Convert request to provider format
        pass

    def process_response(self, response: Dict[str, Any]) -> ChatCompletionResponse:
        # Convert provider response to standard format
        pass

    async def process_stream_response(
        self,
        response: httpx.Response
    ) -> AsyncGenerator[ChatCompletionStreamResponse, None]:
        # Process streaming response
        pass
"""

FILLED = """
import json

@LLMProviderFactory.register("your_provider")
class YourProvider(LLMProvider):
    async def chat_completion(self, request: ChatCompletionRequest) -> ChatCompletionResponse:
        async with httpx.AsyncClient() as client:
            response = await client.post(
                f"{self.api_base}/chat", headers=self.prepare_headers(), json=self.prepare_payload(request)
            )
            response.raise_for_status()
            return self.process_response(response.json())

    async def chat_completion_stream(
        self,
        request: ChatCompletionRequest
    ) -> AsyncGenerator[ChatCompletionStreamResponse, None]:
        async with httpx.AsyncClient() as client:
            async with client.stream(
                "POST", f"{self.api_base}/chat", headers=self.prepare_headers(), json=self.prepare_payload(request)
            ) as response:
                response.raise_for_status()
                async for chunk in self.process_stream_response(response):
                    yield chunk

    def prepare_headers(self) -> Dict[str, str]:
        return {"Authorization": f"Bearer {self.api_key}"}

    def prepare_payload(self, request: ChatCompletionRequest) -> Dict[str, Any]:
        return {"text": request.messages[-1].content, "stream": request.stream}

    def process_response(self, response: Dict[str, Any]) -> ChatCompletionResponse:
        message = {"role": "assistant", "content": response["text"]}
        return ChatCompletionResponse(model="yours", choices=[{"message": message}])

    async def process_stream_response(
        self,
        response: httpx.Response
    ) -> AsyncGenerator[ChatCompletionStreamResponse, None]:
        async for line in response.aiter_lines():
            choice = {"index": 0, "delta": {"content": json.loads(line)["text"]}, "finish_reason": None}
            yield ChatCompletionStreamResponse(model="yours", choices=[choice])
        last = {"index": 0, "delta": {}, "finish_reason": "stop"}
        yield ChatCompletionStreamResponse(model="yours", choices=[last])
"""

CONFIGURATION = """
from typing import Dict

# Your Provider Endpoints
YOUR_PROVIDER_API_KEY: str = ""
YOUR_PROVIDER_API_BASE: str = "https://api.your-provider.com/v1"

# Add to PROVIDER_CONFIGS
PROVIDER_CONFIGS: Dict[str, Dict[str, str]] = {
    "your-prefix": {
        "provider": "your_provider",
        "api_key": "YOUR_PROVIDER_API_KEY",
        "api_base": "YOUR_PROVIDER_API_BASE"
    }
}
"""


def loaded(folder: Path, environ: Mapping[str, str] | None = None, **files: str) -> Loaded:
    for name, text in files.items():
        (folder / f"{name}.py").write_text(text)
    return load(folder, (environ or {}).get, Timeouts(first_byte_s=5), taken=("openai",))


async def ask(found: Loaded, *, stream: bool) -> list[AnyEvent]:
    conversation = Conversation("your-prefix-1", (Message("user", (Text("hello"),)),), stream=stream)
    return [event async for event in found.providers["your_provider"].respond(conversation)]


class Service:
    """A little HTTP service in no known dialect, which keeps the heads of what it was sent."""

    def __init__(self) -> None:
        self.heads: list[str] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        self.heads.append(head)
        length = int(head.split("content-length: ")[1].split("\r\n")[0])
        asked = msgspec.json.decode(await reader.readexactly(length))
        lines = [{"text": word} for word in ("you ", "said ", asked["text"])]
        body = (
            b"\n".join(map(msgspec.json.encode, lines))
            if asked["stream"]
            else b'{"text":"you said %s"}' % asked["text"].encode()
        )
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\nconnection: close\r\n\r\n%b" % (len(body), body))
        await writer.drain()
        writer.close()
        await writer.wait_closed()


@pytest.mark.parametrize("stream", [False, True])
async def test_a_file_written_as_the_readme_says_answers(tmp_path: Path, stream: bool) -> None:
    service = Service()
    server = await asyncio.start_server(service.serve, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        environ = {"YOUR_PROVIDER_API_KEY": KEY, "YOUR_PROVIDER_API_BASE": f"http://127.0.0.1:{port}"}
        found = loaded(tmp_path, environ, yours=IMPORTS + FILLED + CONFIGURATION)
        assert found.notices == ()
        events = await ask(found, stream=stream)
    assert "".join(event.text for event in events if isinstance(event, TextDelta)) == "you said hello"
    assert events[-1] == Stopped("stop")
    assert f"authorization: bearer {KEY}" in service.heads[0]


async def test_the_skeleton_of_the_readme_loads_and_its_empty_methods_fail_by_name(tmp_path: Path) -> None:
    found = loaded(tmp_path, yours=IMPORTS + SKELETON + CONFIGURATION)
    assert found.notices == ()
    assert found.prefixes == (Prefix("your-prefix", "your_provider"),)
    for stream in (False, True):
        with pytest.raises(UpstreamProtocolError, match="the plug-in `your_provider` gave NoneType"):
            await ask(found, stream=stream)


def test_class_and_configuration_may_be_two_files(tmp_path: Path) -> None:
    found = loaded(tmp_path, a_config=CONFIGURATION, b_provider=IMPORTS + SKELETON)
    assert set(found.providers) == {"your_provider"}
    assert found.prefixes == (Prefix("your-prefix", "your_provider"),)


def test_a_variable_wins_over_the_files_own_constant(tmp_path: Path) -> None:
    ours = loaded(tmp_path, yours=IMPORTS + SKELETON + CONFIGURATION).providers["your_provider"]
    assert ours.base_url == "https://api.your-provider.com/v1"
    environ = {"YOUR_PROVIDER_API_BASE": "http://h/v2", "YOUR_PROVIDER_API_KEY": KEY}
    theirs = loaded(tmp_path, environ).providers["your_provider"]
    assert theirs.base_url == "http://h/v2"
    assert theirs.settings.key is not None
    assert theirs.settings.key.reveal() == KEY
    assert KEY not in repr(theirs.settings)


def test_a_plug_in_without_configuration_is_reached_by_its_name(tmp_path: Path) -> None:
    found = loaded(tmp_path, yours=IMPORTS + SKELETON)
    assert (set(found.providers), found.prefixes, found.notices) == ({"your_provider"}, (), ())


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("import nowhere_at_all\n", 1, "ModuleNotFoundError"),
        ("\n\ndef broken(:\n", 3, "SyntaxError"),
        ("import sys\n\nsys.exit(3)\n", 3, "SystemExit"),
        ("def f():\n    raise ValueError('odd')\nf()\n", 2, "ValueError: odd"),
        (IMPORTS + "LLMProviderFactory.register('x')(int)\n", 13, "is no LLMProvider"),
    ],
)
def test_a_file_that_cannot_be_run_is_told_with_its_line_and_stops_nothing(
    tmp_path: Path, text: str, line: int, words: str
) -> None:
    found = loaded(tmp_path, broken=text, yours=IMPORTS + SKELETON)
    assert set(found.providers) == {"your_provider"}
    (notice,) = found.notices
    assert notice.startswith(f"{tmp_path / 'broken.py'}:{line}: ")
    assert words in notice


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (IMPORTS + SKELETON.replace("your_provider", "openai"), "'openai' is the name of another provider"),
        (IMPORTS + SKELETON.replace("your_provider", "Your Provider"), "is no name for a provider"),
        (CONFIGURATION, "nothing is registered as 'your_provider'"),
        ("PROVIDER_CONFIGS = {'p': {'api_key': 'K'}}", "missing required field `provider`"),
        ("PROVIDER_CONFIGS = 4", "Expected `object`"),
        (IMPORTS + "@LLMProviderFactory.register('half')\nclass Half(LLMProvider): pass\n", "abstract method"),
        (
            IMPORTS + SKELETON + "A = 'a'\nPROVIDER_CONFIGS = {"
            "'p': {'provider': 'your_provider', 'api_key': 'A'}, 'q': {'provider': 'your_provider'}}",
            "has two keys or addresses",
        ),
    ],
)
def test_what_cannot_be_used_is_told_with_its_file(tmp_path: Path, text: str, words: str) -> None:
    (notice,) = loaded(tmp_path, odd=text).notices
    assert notice.startswith(f"{tmp_path / 'odd.py'}: ")
    assert words in notice


def test_code_from_outside_the_folder_is_not_run(tmp_path: Path) -> None:
    outside, folder = tmp_path / "outside", tmp_path / "plugins"
    outside.mkdir()
    folder.mkdir()
    (outside / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    (folder / "evil.py").symlink_to(outside / "evil.py")
    (notice,) = loaded(folder).notices
    assert "outside the plug-in folder" in notice
    assert not (tmp_path / "ran").exists()


def test_private_files_and_an_absent_folder_are_passed_over(tmp_path: Path) -> None:
    empty = Loaded({}, (), ())
    assert loaded(tmp_path, __init__="1/0", _draft="1/0") == empty
    assert load(tmp_path / "nowhere", lambda name: None, Timeouts()) == empty


def test_pydantic_is_not_loaded_where_there_are_no_plug_ins(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from headgate.config import Timeouts\n"
        "from headgate.providers.found import discover; from headgate.providers.plugin_files import load\n"
        f"discover(); load(Path({str(tmp_path)!r}), lambda name: None, Timeouts()); sys.exit('pydantic' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=30)
