"""An outage of ten days: 691,200 frames with names, in memory and on disk, and what it takes to send them."""

from __future__ import annotations

import shutil
import socket
import tempfile
import threading
import time
from pathlib import Path
from typing import Self

from bench.frames import configuration, make_frames, reporter, source
from bench.parts.latency import answer_one
from bench.processes import Process, connect, free_port, hub, sink
from bench.table import Table, at_most
from emonhub.buffer.segments import named, pack

ORDER = 50

_FRAMES = 691_200
_DAYS = 10

_FRAMES_PER_S = 20_000
_PIECE = 1_000

_SLOW_S = 0.2
_LIVE_EVERY_S = 0.05

_MB = 1 << 20


def measure(*, quick: bool) -> Table:
    """Take it all in while nobody answers, then restart and send it to a quick and to a slow target."""
    frames = 20_000 if quick else _FRAMES
    step_s = _DAYS * 86_400 / frames
    data = make_frames(frames, start=time.time() - _DAYS * 86_400, step_s=step_s)
    table = Table(f"Outage: {frames:,} frames of 6 values while nobody answers")
    with tempfile.TemporaryDirectory(prefix="emonhub-bench-") as name:
        folder = Path(name)
        _take_in(table, data, frames, folder)
        for delay_s, limit in ((0.0, 20), (_SLOW_S, 240)):
            _drain(table, frames, folder, delay_s=delay_s, limit=limit)
    table.note(
        f"Taken in at {_FRAMES_PER_S:,} frames a second or less; growth is from the first few hundred frames on."
    )
    table.note("Drained in requests of 1000, in order; a live frame of another reporter every 50 ms meanwhile.")
    return table


def _take_in(table: Table, data: bytes, frames: int, folder: Path) -> None:
    growth = _outage(data, folder / "memory", "memory", names=True)
    table.add("memory mode, names: growth of RSS", *at_most(growth / _MB, 10, "MB"))
    table.add("    for a frame", *at_most(growth / frames, 15, "bytes"))
    growth = _outage(data, folder / "names", "journal", names=True)
    table.add("journal, names: growth of RSS", *at_most(growth / _MB, 4, "MB"))
    table.add("    on disk, for a frame", *at_most(_size(folder / "names") / frames, 110, "bytes"))
    cold = sum(_packed(file) for file in _files(folder / "names"))
    table.add("    the same cold (.xz, keep)", *at_most(cold / frames, 15, "bytes"))
    growth = _outage(data, folder / "plain", "journal", names=False)
    table.add("journal, by index: growth of RSS", *at_most(growth / _MB, 4, "MB"))
    table.add("    on disk, for a frame", *at_most(_size(folder / "plain") / frames, 60, "bytes"))


def _packed(file: Path) -> int:
    """Bytes of a journal file once it is cold."""
    segment = named(file.name)
    assert segment is not None
    return len(pack(file.read_bytes(), segment, "emoncms"))


def _outage(data: bytes, folder: Path, mode: str, *, names: bool) -> int:
    """Let a hub take these frames in that it can't deliver. Returns the growth of its memory, in bytes."""
    folder.mkdir()
    port = free_port()
    target = reporter("http://127.0.0.1:9", init=f"buffer_mode = {mode}", sendnames=int(names))
    conf = configuration(folder / "state", source(port, timestamped=1), target)
    with hub(conf, folder) as process, connect(port) as connection:
        first = data.index(b"\n", len(data) // 500) + 1
        connection.sendall(data[:first])
        _until_quiet(process)
        before = process.rss
        _send_steadily(connection, data[first:])
        _until_quiet(process)
        return process.rss - before


def _send_steadily(connection: socket.socket, data: bytes) -> None:
    """As fast as a thousand houses: what is measured is what the hub keeps, not how it stands a burst."""
    lines = data.splitlines(keepends=True)
    for start in range(0, len(lines), _PIECE):
        connection.sendall(b"".join(lines[start : start + _PIECE]))
        time.sleep(_PIECE / _FRAMES_PER_S)


def _until_quiet(process: Process) -> None:
    before = -1.0
    while process.cpu_s - before > 0.03:
        before = process.cpu_s
        time.sleep(1.0)


def _files(folder: Path) -> list[Path]:
    return sorted(folder.glob("state/**/*.log"))


def _size(folder: Path) -> int:
    return sum(file.stat().st_size for file in _files(folder))


def _drain(table: Table, frames: int, outage: Path, *, delay_s: float, limit: float) -> None:
    name = f"drain-{delay_s:g}"
    folder = outage / name
    shutil.copytree(outage / "names", folder)
    live_port = free_port()
    with sink(delay_s=delay_s) as target, socket.create_server(("127.0.0.1", 0)) as server:
        conf = configuration(
            folder / "state",
            source(live_port, name="Live", channel="Live"),
            reporter(target.url, init="buffer_mode = journal", sendnames=1),
            reporter(f"http://127.0.0.1:{server.getsockname()[1]}", name="live", channel="Live", interval=0),
        )
        started = time.monotonic()
        with hub(conf, folder) as process, _Live(live_port, server) as live:
            stats = target.wait_for(frames)
            rss, cpu_s = process.rss, process.cpu_s
        label = f"{1000 * delay_s:.0f} ms a request" if delay_s else "a local sink"
        table.add(f"restart to first request, {label}", *at_most(stats["first_at"] - started, 1, "s", 2))
        table.add("    drained in", *at_most(stats["last_at"] - stats["first_at"], limit, "s"))
        table.add("    CPU for it, with the start", f"{cpu_s:.1f} s")
        table.add("    RSS at the end", f"{rss / _MB:.1f} MB")
        table.add("    live frames meanwhile, the latest", *at_most(1000 * max(live.taken), 1000, "ms", 0))
    assert stats["frames"] == frames, f"{stats['frames']:.0f} frames arrived of {frames}"
    assert not stats["unordered"], "frames came out of order"


class _Live(threading.Thread):
    """Sends a frame now and then, and takes the time until the request with it comes."""

    def __init__(self, port: int, server: socket.socket) -> None:
        super().__init__(daemon=True)
        self.taken: list[float] = []
        self._port = port
        self._server = server
        self._over = threading.Event()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self.join()

    def run(self) -> None:
        line = make_frames(1)
        with connect(self._port) as connection:
            connection.sendall(line)
            requests, _ = self._server.accept()
            with requests:
                answer_one(requests)
                while not self._over.wait(_LIVE_EVERY_S):
                    started = time.perf_counter()
                    connection.sendall(line)
                    self.taken.append(answer_one(requests) - started)
