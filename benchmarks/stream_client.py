"""A client that does nothing but count events: `--connections` streams at a time, for some seconds."""

from __future__ import annotations

import argparse
import json
import selectors
import socket
from time import perf_counter

MARK = b"data: "
TAIL = 64
"""Bytes of what came before that are looked at again, because marks may be cut."""


class Reading:
    """One connection with one stream at a time."""

    def __init__(self, port: int) -> None:
        self.sock = socket.create_connection(("127.0.0.1", port))
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.tail = b""


class Count:
    """Events and streams of all connections. A stream without its end mark, or not 200, is `broken`."""

    def __init__(self, port: int, request: bytes, end: bytes) -> None:
        self._port = port
        self._request = request
        self._end = end
        self._selector = selectors.DefaultSelector()
        self.events = self.streams = self.broken = 0

    def run(self, connections: int, seconds: float) -> float:
        """Returns how long it took."""
        for _ in range(connections):
            self._begin()
        start = perf_counter()
        while perf_counter() < start + seconds:
            for key, _ in self._selector.select(1):
                self._read(key.data)
        return perf_counter() - start

    def _begin(self) -> None:
        reading = Reading(self._port)
        reading.sock.sendall(self._request)
        self._selector.register(reading.sock, selectors.EVENT_READ, reading)

    def _read(self, reading: Reading) -> None:
        data = reading.sock.recv(262144)
        self.events += (reading.tail[1 - len(MARK) :] + data).count(MARK)
        reading.tail = (reading.tail + data)[-TAIL:]
        if self._end in reading.tail:
            self._over(reading, whole=True)
        elif not data:
            self._over(reading, whole=False)

    def _over(self, reading: Reading, whole: bool) -> None:
        self._selector.unregister(reading.sock)
        reading.sock.close()
        self.streams += whole
        self.broken += not whole
        if self.broken < 100:
            self._begin()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--path", default="/v1/chat/completions")
    parser.add_argument("--model", required=True)
    parser.add_argument("--key", default="none")
    parser.add_argument("--end", default="[DONE]", help="what the end of a stream looks like")
    parser.add_argument("--connections", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=3)
    options = parser.parse_args()
    message = {"role": "user", "content": "Say some words."}
    body = json.dumps({"model": options.model, "stream": True, "messages": [message]}).encode()
    head = (
        f"POST {options.path} HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer {options.key}\r\n"
        f"content-type: application/json\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n"
    )
    count = Count(options.port, head.encode() + body, options.end.encode())
    seconds = count.run(options.connections, options.seconds)
    print(json.dumps({"events": count.events, "streams": count.streams, "broken": count.broken, "seconds": seconds}))


if __name__ == "__main__":
    main()
