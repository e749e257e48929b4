"""What a hub writes to its card in a day: 4 nodes every 10 s, with a target that answers and with none."""

from __future__ import annotations

import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from bench.frames import configuration, make_frames, reporter, source
from bench.processes import connect, free_port, hub, sink
from bench.table import Table, at_most

ORDER = 60

_DAY_S = 86_400.0
_ROUND_S = 10.0
_SYNC_S = 60.0
_PAGE = 4096
_MB = 1_000_000
_IN_MEMORY = "/dev/shm"


def measure(*, quick: bool) -> Table:
    """Hubs side by side for some minutes; what they write is counted by the kernel."""
    rounds = 2 if quick else 60
    with ExitStack() as stack:
        temporary = tempfile.TemporaryDirectory
        folder = Path(stack.enter_context(temporary(prefix="emonhub-bench-", dir=_on_a_disk())))
        memory = Path(stack.enter_context(temporary(prefix="emonhub-bench-", dir=_IN_MEMORY)))
        target = stack.enter_context(sink())
        hubs = {}
        for name, mode, url, front in (
            ("journal", "journal", target.url, memory / "journal"),
            ("hybrid", "hybrid", target.url, None),
            ("outage", "journal", "http://127.0.0.1:9", memory / "outage"),
            ("container", "journal", target.url, folder / "container" / "front"),
        ):
            place, port = folder / name, free_port()
            place.mkdir()
            target_section = reporter(url, init=f"buffer_mode = {mode}", interval=30)
            conf = configuration(place / "state", source(port), target_section)
            process = stack.enter_context(hub(conf, place, memory=front))
            hubs[name] = (process, stack.enter_context(connect(port)))
        time.sleep(2.0)
        before = {name: process.written for name, (process, _) in hubs.items()}
        started = time.monotonic()
        for index in range(rounds):
            for _, connection in hubs.values():
                connection.sendall(make_frames(4, seed=index))
            time.sleep(max(0.0, started + (index + 1) * _ROUND_S - time.monotonic()))
        seconds = time.monotonic() - started
        written = {name: process.written - before[name] for name, (process, _) in hubs.items()}
        payload = sum(file.stat().st_size for file in folder.glob("outage/state/**/*.log"))
    return _table(written, seconds, payload)


def _table(written: dict[str, int], seconds: float, payload: int) -> Table:
    table = Table("Wear: bytes written (/proc/PID/io, less those cancelled), 4 nodes every 10 s, interval 30")
    day = {name: count * _DAY_S / seconds / _MB for name, count in written.items()}
    table.add("journal, target answers, a day", *at_most(day["journal"], 3, "MB", 2))
    table.add("hybrid, target answers, a day", *at_most(day["hybrid"], 0.3, "MB", 2))
    syncs = max(1, round(seconds / _SYNC_S))
    limit = (3 * payload + syncs * _PAGE) / 1000
    table.add(f"journal, nobody answers, {seconds / 60:.0f} min", *at_most(written["outage"] / 1000, limit, "kB", 0))
    table.add("journal without a file system in memory, target answers, a day", f"{day['container']:,.2f} MB")
    table.note(f"Measured over {seconds / 60:.1f} min; a day is that many times more. The limit without a target is")
    table.note(f"3 times the payload ({payload:,} bytes) and a page for each of the {syncs} syncs.")
    return table


def _on_a_disk() -> str | None:
    """A folder that is not in memory, where nothing would be counted; None for the usual one."""
    usual = Path(tempfile.gettempdir())
    mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
    in_memory = {Path(fields[1]) for fields in mounts if fields[2] in {"tmpfs", "ramfs"}}
    return str(Path.cwd()) if any(usual.is_relative_to(mount) for mount in in_memory) else None
