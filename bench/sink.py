"""An emoncms for measuring: says `ok` to bulk requests after a while, and counts. `python -m bench.sink PORT DELAY_S`.

It prints its port. `GET /stats` answers with

    frames, requests    taken so far
    first_at, last_at   when the first and the last request came, by the clock of all processes (time.monotonic)
    unordered           requests that start with a frame older than the first of the request before
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
import time
import zlib

_LENGTH = re.compile(rb"(?i)content-length: *(\d+)")
_FIRST_TIME = re.compile(rb"\[\[(\d+)")


class Stats:
    def __init__(self) -> None:
        self.frames = 0
        self.requests = 0
        self.first_at = 0.0
        self.last_at = 0.0
        self.unordered = 0
        self._newest = 0

    def take(self, body: bytes, *, packed: bool) -> None:
        self.last_at = time.monotonic()
        self.first_at = self.first_at or self.last_at
        text = zlib.decompress(body) if packed else body.partition(b"data=")[2]
        self.requests += 1
        self.frames += text.count(b"],[") + 1
        if match := _FIRST_TIME.match(text):
            self.unordered += int(match[1]) < self._newest
            self._newest = max(self._newest, int(match[1]))

    def json(self) -> bytes:
        return json.dumps({key: value for key, value in vars(self).items() if not key.startswith("_")}).encode()


class Connection(asyncio.Protocol):
    def __init__(self, stats: Stats, delay_s: float) -> None:
        self._stats = stats
        self._delay_s = delay_s
        self._data = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._data += data
        while (end := self._data.find(b"\r\n\r\n")) >= 0:
            head = bytes(self._data[:end])
            length = _LENGTH.search(head)
            size = int(length[1]) if length else 0
            if len(self._data) < end + 4 + size:
                return
            body = bytes(self._data[end + 4 : end + 4 + size])
            del self._data[: end + 4 + size]
            self._take(head, body)

    def _take(self, head: bytes, body: bytes) -> None:
        if head.startswith(b"GET"):
            self._answer(self._stats.json())
            return
        self._stats.take(body, packed=b"cb=1" in head.partition(b"\r\n")[0])
        if self._delay_s:
            asyncio.get_running_loop().call_later(self._delay_s, self._answer, b"ok")
        else:
            self._answer(b"ok")

    def _answer(self, body: bytes) -> None:
        self._transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))


async def _main(port: int, delay_s: float) -> None:
    stats = Stats()
    server = await asyncio.get_running_loop().create_server(lambda: Connection(stats, delay_s), "127.0.0.1", port)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_main(int(sys.argv[1]), float(sys.argv[2])))
