"""A provider that costs next to nothing: fixed answers, and streams whose every event is a `send` of its own.

Speaks just enough HTTP/1.1 for keep-alive clients that send `content-length`. `/v1/chat/completions` and
`/v1/messages`, streaming where the body says `"stream":true`.
"""

from __future__ import annotations

import argparse
import json
import re
import selectors
import socket
from collections.abc import Iterator

BURST = 32
"""Events that one stream sends before the next has its turn."""

LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.I)
STREAM = re.compile(rb'"stream" *: *true')
USAGE = {"prompt_tokens": 20, "completion_tokens": 100, "total_tokens": 120}


def chat_events(count: int) -> Iterator[bytes]:
    """A chat completion as a stream of `count` pieces of text and the events around them."""

    def chunk(delta: dict[str, str], stop: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": stop}
        return event({"id": "chatcmpl-bench", "object": "chat.completion.chunk", "created": 1, "choices": [choice]})

    yield chunk({"role": "assistant", "content": ""})
    yield from [chunk({"content": " word"})] * count
    yield chunk({}, "stop")
    yield event(
        {"id": "chatcmpl-bench", "object": "chat.completion.chunk", "created": 1, "choices": [], "usage": USAGE}
    )
    yield b"data: [DONE]\n\n"


def message_events(count: int) -> Iterator[bytes]:
    """The same in Anthropic's dialect."""
    usage = {"input_tokens": 20, "output_tokens": 1}
    message = {"id": "msg_bench", "type": "message", "role": "assistant", "model": "claude-bench", "content": []}
    yield event({"type": "message_start", "message": {**message, "usage": usage}}, "message_start")
    block = {"type": "text", "text": ""}
    yield event({"type": "content_block_start", "index": 0, "content_block": block}, "content_block_start")
    delta = {"type": "text_delta", "text": " word"}
    yield from [event({"type": "content_block_delta", "index": 0, "delta": delta}, "content_block_delta")] * count
    yield event({"type": "content_block_stop", "index": 0}, "content_block_stop")
    stopped = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": count}}
    yield event(stopped, "message_delta")
    yield event({"type": "message_stop"}, "message_stop")


def event(data: object, name: str = "") -> bytes:
    head = f"event: {name}\n" if name else ""
    return f"{head}data: {json.dumps(data, separators=(',', ':'))}\n\n".encode()


def chat_answer() -> bytes:
    """A whole chat completion of about 600 bytes."""
    message = {"role": "assistant", "content": "word " * 60, "refusal": None}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    head = {"id": "chatcmpl-bench", "object": "chat.completion", "created": 1, "model": "gpt-4o-mini"}
    return json.dumps({**head, "choices": [choice], "usage": USAGE}, separators=(",", ":")).encode()


def message_answer() -> bytes:
    head = {"id": "msg_bench", "type": "message", "role": "assistant", "model": "claude-bench"}
    rest = {"stop_reason": "end_turn", "usage": {"input_tokens": 20, "output_tokens": 100}}
    content = [{"type": "text", "text": "word " * 60}]
    return json.dumps({**head, "content": content, **rest}, separators=(",", ":")).encode()


def whole(body: bytes) -> list[bytes]:
    """An answer with a known length, as the one piece it is sent in."""
    head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    return [head.encode() + body]


def chunked(events: Iterator[bytes]) -> list[bytes]:
    """An event stream, one chunk and so one `send` an event."""
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
    return [head, *(b"%x\r\n%b\r\n" % (len(one), one) for one in events), b"0\r\n\r\n"]


NOT_FOUND = [b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n"]


class Connection:
    """One client: what it has sent so far, and what it is still to get."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.received = b""
        self.pieces: list[bytes] = []
        self.sent = 0

    def request(self) -> tuple[bytes, bytes] | None:
        """The next whole request as (path, body), or None."""
        head, end, rest = self.received.partition(b"\r\n\r\n")
        found = LENGTH.search(head)
        length = int(found[1]) if found else 0
        if not end or len(rest) < length:
            return None
        self.received = rest[length:]
        return head.split(b" ", 2)[1], rest[:length]

    def send_some(self) -> bool:
        """Sends up to `BURST` pieces, each by itself. Returns whether the answer is complete."""
        pieces, send = self.pieces, self.sock.send
        for at in range(self.sent, min(self.sent + BURST, len(pieces))):
            self.sent = at
            taken = send(pieces[at])
            if taken < len(pieces[at]):
                self.pieces = [pieces[at][taken:], *pieces[at + 1 :]]
                self.sent = 0
                return False
            self.sent = at + 1
        return self.sent == len(pieces)


class Upstream:
    """All clients on one thread."""

    def __init__(self, listener: socket.socket, events: int) -> None:
        self._listener = listener
        self._selector = selectors.DefaultSelector()
        self._selector.register(listener, selectors.EVENT_READ)
        self._sending: set[Connection] = set()
        self._answers = {
            (b"/v1/chat/completions", False): whole(chat_answer()),
            (b"/v1/chat/completions", True): chunked(chat_events(events)),
            (b"/v1/messages", False): whole(message_answer()),
            (b"/v1/messages", True): chunked(message_events(events)),
        }

    def run(self) -> None:
        while True:
            for key, ready in self._selector.select(0 if self._sending else None):
                if key.data is None:
                    self._accept()
                elif ready & selectors.EVENT_WRITE:
                    self._selector.modify(key.fileobj, selectors.EVENT_READ, key.data)
                    self._sending.add(key.data)
                else:
                    self._read(key.data)
            for connection in tuple(self._sending):
                self._send(connection)

    def _accept(self) -> None:
        sock, _ = self._listener.accept()
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._selector.register(sock, selectors.EVENT_READ, Connection(sock))

    def _read(self, connection: Connection) -> None:
        try:
            data = connection.sock.recv(65536)
        except ConnectionError:
            data = b""
        if not data:
            self._drop(connection)
            return
        connection.received += data
        if connection.sent == len(connection.pieces):
            self._answer(connection)

    def _answer(self, connection: Connection) -> None:
        if (request := connection.request()) is None:
            return
        path, body = request
        asked = (path.partition(b"?")[0], STREAM.search(body) is not None)
        connection.pieces = self._answers.get(asked, NOT_FOUND)
        connection.sent = 0
        self._send(connection)

    def _send(self, connection: Connection) -> None:
        try:
            over = connection.send_some()
        except BlockingIOError:
            self._sending.discard(connection)
            self._selector.modify(connection.sock, selectors.EVENT_READ | selectors.EVENT_WRITE, connection)
        except ConnectionError:
            self._drop(connection)
        else:
            (self._sending.discard if over else self._sending.add)(connection)

    def _drop(self, connection: Connection) -> None:
        self._sending.discard(connection)
        self._selector.unregister(connection.sock)
        connection.sock.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--events", type=int, default=1000, help="pieces of text in a stream")
    options = parser.parse_args()
    Upstream(socket.create_server(("127.0.0.1", options.port), backlog=1024), options.events).run()


if __name__ == "__main__":
    main()
