"""How long a frame takes from the socket to the request that carries it, at interval 0."""

from __future__ import annotations

import socket
import tempfile
import time
from pathlib import Path

from bench.frames import configuration, make_frames, reporter, source
from bench.processes import connect, free_port, hub
from bench.table import Table, at_most

ORDER = 40

_PAUSE_S = 0.005  # so that the hub sleeps when the next frame comes, as it does in life


def measure(*, quick: bool) -> Table:
    """One frame at a time: the next one is sent after the request of the last has been answered."""
    frames = 50 if quick else 2_000
    table = Table("Latency: from a frame sent into the socket to its request received, interval = 0")
    for mode in ("memory", "journal"):
        taken = sorted(_latencies(frames, mode))
        table.add(f"median, buffer_mode = {mode}", *at_most(1000 * taken[len(taken) // 2], 5, "ms", 2))
        table.add("    99 of 100", f"{1000 * taken[len(taken) * 99 // 100]:.2f} ms")
    table.note(f"{frames} frames each.")
    return table


def _latencies(frames: int, mode: str) -> list[float]:
    with tempfile.TemporaryDirectory(prefix="emonhub-bench-") as name, socket.create_server(("127.0.0.1", 0)) as server:
        folder, port = Path(name), free_port()
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        conf = configuration(folder / "state", source(port), reporter(url, init=f"buffer_mode = {mode}", interval=0))
        with hub(conf, folder), connect(port) as connection:
            lines = make_frames(frames + 1).splitlines(keepends=True)
            connection.sendall(lines.pop())
            requests, _ = server.accept()
            requests.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with requests:
                answer_one(requests)
                return [_one(connection, requests, line) for line in lines]


def _one(connection: socket.socket, requests: socket.socket, line: bytes) -> float:
    time.sleep(_PAUSE_S)
    started = time.perf_counter()
    connection.sendall(line)
    return answer_one(requests) - started


def answer_one(requests: socket.socket) -> float:
    """Take one request and say ok. Returns when it was there."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += requests.recv(1 << 16)
    head, _, body = data.partition(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length:")[2].split()[0])
    while len(body) < length:
        body += requests.recv(1 << 16)
    there = time.perf_counter()
    requests.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    return there
