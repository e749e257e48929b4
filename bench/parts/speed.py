"""Frames per CPU-second, from bytes on a socket to acknowledged requests, against a straight loop without a hub."""

from __future__ import annotations

import statistics
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from bench.frames import configuration, make_frames, reporter, source
from bench.processes import MEASURED, Process, connect, free_port, hub, sink
from bench.table import Table, at_least

if TYPE_CHECKING:
    from bench.processes import Sink

ORDER = 10

MODES = ("memory", "journal")

_WITH_PAGE = "memory, with the web page"

_IN_FLIGHT = 4_000
"""Frames that are sent and not acknowledged yet, at most: the hub is kept busy, and no backlog grows."""

_PIECE = 2_000
"""Frames that are sent at once."""


def measure(*, quick: bool) -> Table:
    """Rounds of the loop and of a hub with each buffer, one after the other; medians of them all."""
    frames, rounds = (20_000, 1) if quick else (300_000, 3)
    data = make_frames(frames)
    loop: list[float] = []
    speeds: dict[str, list[float]] = {mode: [] for mode in (*MODES, _WITH_PAGE)}
    for _ in range(rounds):
        loop.append(_straight(frames))
        for mode in MODES:
            speeds[mode].append(hub_speed(data, frames, mode))
        speeds[_WITH_PAGE].append(hub_speed(data, frames, "memory", web=free_port()))
    table = Table("Speed: frames per CPU-second, from a socket to acknowledged bulk requests (6 packed values, zlib)")
    alone = statistics.median(loop)
    table.add("the straight loop: split, unpack, scale, format, join, compress", f"{alone:,.0f}")
    for mode in MODES:
        speed = statistics.median(speeds[mode])
        table.add(f"the hub, buffer_mode = {mode}", *at_least(speed, 100_000, "frames/s"))
        share = statistics.median(s / a for s, a in zip(speeds[mode], loop, strict=True))
        table.add("    of the loop's speed", *at_least(100 * share, 60, "%"))
    table.add(f"the hub, buffer_mode = {_WITH_PAGE}", f"{statistics.median(speeds[_WITH_PAGE]):,.0f} frames/s")
    table.note(f"{rounds} rounds of {frames:,} frames, medians. Hub, feeder and sink are processes of their own.")
    return table


def hub_speed(data: bytes, frames: int, mode: str, *, web: int = 0) -> float:
    """Frames per CPU-second of a hub that gets these frames."""
    with tempfile.TemporaryDirectory(prefix="emonhub-bench-") as name, sink() as target:
        folder, port = Path(name), free_port()
        target_section = reporter(target.url, init=f"buffer_mode = {mode}", interval=1, batchsize=1000)
        conf = configuration(folder / "state", source(port), target_section, web=web)
        with hub(conf, folder) as process, connect(port) as connection:
            before = process.cpu_s
            sent = 0
            for piece in _pieces(data):
                connection.sendall(piece)
                sent += piece.count(b"\n")
                if sent > _IN_FLIGHT:
                    target.wait_for(sent - _IN_FLIGHT, look_s=0.002)
            _all_of_them(target, frames)
            return frames / (process.cpu_s - before)


def _pieces(data: bytes) -> list[bytes]:
    lines = data.splitlines(keepends=True)
    return [b"".join(lines[start : start + _PIECE]) for start in range(0, len(lines), _PIECE)]


def _all_of_them(target: Sink, frames: int) -> None:
    stats = target.wait_for(frames)
    assert stats["frames"] == frames, f"{stats['frames']:.0f} frames arrived of {frames}"
    assert not stats["unordered"]


def _straight(frames: int) -> float:
    process = Process("-m", "bench.straight", str(frames), cores=MEASURED)
    done, seconds = process.line().split()
    process.stop()
    return int(done) / float(seconds)
