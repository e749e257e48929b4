"""How long after its start a hub accepts a frame, and when that frame is at its target."""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path

from bench.frames import configuration, make_frames, reporter, source
from bench.processes import connect, free_port, hub, sink
from bench.table import Table, at_most

ORDER = 30


def measure(*, quick: bool) -> Table:
    """Starts, one after the other; medians."""
    rounds = 1 if quick else 7
    starts = [_start() for _ in range(rounds)]
    table = Table("Start: from the start of the process")
    table.add("it accepts a frame", *at_most(statistics.median(s[0] for s in starts), 1, "s", 2))
    table.add("the frame is at the target (interval = 0)", f"{statistics.median(s[1] for s in starts):.2f} s")
    table.note(f"Medians of {rounds} starts, with a journal.")
    return table


def _start() -> tuple[float, float]:
    with tempfile.TemporaryDirectory(prefix="emonhub-bench-") as name, sink() as target:
        folder, port = Path(name), free_port()
        started = time.monotonic()
        with hub(configuration(folder / "state", source(port), reporter(target.url, interval=0)), folder):
            with connect(port) as connection:
                accepted = time.monotonic()
                connection.sendall(make_frames(1))
                stats = target.wait_for(1)
            return accepted - started, stats["first_at"] - started
