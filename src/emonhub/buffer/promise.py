"""What a reporter's buffer promises, in words and numbers: how much may be lost when, and what it costs the disk.

The numbers come from the settings in force. How often nodes send is not known before they do: it is assumed, and said.
"""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from emonhub.buffer.choose import _DISK_BYTES, _MEMORY_BYTES, _policy, mode_of
from emonhub.buffer.folder import folder_name
from emonhub.buffer.lines import frame_lines
from emonhub.cargo import Cargo, Layout
from emonhub.state import memory_dir

if TYPE_CHECKING:
    from pathlib import Path

    from emonhub.nodes.definition import NodeDefinition
    from emonhub.reporter import Reporter

FRAME_INTERVAL_S = 10.0
"""How often a node is taken to send: as emonTx and its like do."""

NODES = 4
"""How many there are taken to be where none is configured."""

_VALUES = 6
_DAY_S = 86400.0
_PAGE = 4096
"""What a disk writes at least, however little changes."""

_PACKED_BYTES = 20
"""A frame in the memory buffer, compressed: 13 to 19 bytes were measured."""

_SQL_FACTOR = 2.4
"""What SQLite writes more than a journal for the same frames."""

_RECORD_SPILL_S = 900.0
"""Between two writes of frames that are only kept for the record."""

_WRITEBACK_S = 30.0
"""After which Linux writes a changed file to the disk by itself."""


@dataclass(frozen=True, slots=True)
class Promise:
    """One reporter's, in numbers. Times in seconds, None for no limit; sizes in bytes.

    where            what holds the frames
    killed_s         what the end of the process loses: frames read in so many seconds, and not delivered
    power_cut_s      the same for a power cut; both are None in memory, where all that waits is lost
    outage_s         how long the target may be away before anything is lost
    limit            what ends that: max_bytes, max_age, or the disk
    healthy_a_day    bytes that are written to the disk in a day while the target takes what it is sent
    outage_a_day     the same while it does not
    nodes, frame_interval_s, frame_bytes    what that is worked out from
    """

    reporter: str
    mode: str
    where: str
    killed_s: float | None
    power_cut_s: float | None
    outage_s: float | None
    limit: str
    healthy_a_day: float
    outage_a_day: float
    nodes: int
    nodes_assumed: bool
    frame_interval_s: float
    frame_bytes: int
    thin: bool

    def as_json(self) -> dict[str, Any]:
        """For machines."""
        return asdict(self)

    def lines(self) -> list[str]:
        """For people."""
        full = "every second frame goes" if self.thin else "the oldest go"
        said = "none configured: " if self.nodes_assumed else ""
        found = [f"{self.mode}: {self.where}", *self._losses()]
        if self.outage_s is None:
            found.append("target down: nothing is lost for as long as the disk lasts")
        else:
            found.append(
                f"target down: nothing is lost for about {_length(self.outage_s)} ({self.limit}); then {full}, counted"
            )
        if self.mode != "memory":
            healthy, failing = (f"about {_amount(size)}" if size else "nothing" for size in self._a_day)
            found.append(f"written to the disk in a day: {healthy} while the target takes frames, {failing} while not")
        assumed = f"{said}{self.nodes} node{'' if self.nodes == 1 else 's'}, a frame each every"
        found.append(f"assumed: {assumed} {_length(self.frame_interval_s)}, {self.frame_bytes} bytes a frame")
        return found

    @property
    def _a_day(self) -> tuple[float, float]:
        return self.healthy_a_day, self.outage_a_day

    def _losses(self) -> list[str]:
        if self.killed_s is None or self.power_cut_s is None:
            return ["hub killed, or power cut: all that waits is lost; at a stop, what can't be delivered in time is"]
        cut = f"power cut: {_lost(self.power_cut_s)}"
        if self.killed_s == self.power_cut_s:
            return [f"hub killed, or {cut}"]
        return [f"hub killed: {_lost(self.killed_s)}", cut]


def promise(reporter: Reporter, state: Path | None) -> list[str]:
    """The promise in words, a line each; `state` is the state directory."""
    return promised(reporter, state).lines()


def promised(reporter: Reporter, state: Path | None) -> Promise:
    """The promise in numbers."""
    mode = mode_of(reporter, state)
    policy = _policy(reporter, mode)
    definitions = [d for d in reporter.nodes.definitions.values() if d.rx is not None]
    nodes = len(definitions) or NODES
    frame_bytes = _frame_bytes(reporter, definitions)
    rate = nodes / FRAME_INTERVAL_S
    if mode == "memory":
        capacity = (reporter.max_bytes or _MEMORY_BYTES) / _PACKED_BYTES
        killed = cut = None
    else:
        capacity = _disk_bytes(reporter, state, mode) / frame_bytes
        cut = policy.sync_s if mode != "hybrid" else max(policy.sync_s, min(policy.idle_s, reporter.interval))
        killed = 0.0 if mode in {"journal", "sql"} else cut
    outage, limit = capacity / rate, _limit(reporter, state, mode)
    if reporter.max_age and reporter.max_age < outage:
        outage, limit = reporter.max_age, "max_age"
    healthy, failing = _written(reporter, state, mode, rate * _DAY_S, frame_bytes)
    return Promise(
        reporter.name,
        mode,
        _where(reporter, state, mode),
        killed,
        cut,
        outage,
        limit,
        healthy,
        failing,
        nodes,
        not definitions,
        FRAME_INTERVAL_S,
        frame_bytes,
        reporter.when_full == "thin" and mode in {"journal", "hybrid"},
    )


def _where(reporter: Reporter, state: Path | None, mode: str) -> str:
    if mode == "memory":
        none = reporter.buffer_mode != "memory"
        lacking = ", as there is no state directory that can be written: set state_dir in [hub]" if none else ""
        return f"frames wait in the hub's memory only{lacking}"
    folder = f"{state}/buffer/{folder_name(reporter.name)}"
    if mode == "sql":
        # The address has a password in it.
        return "frames wait in a database" + (f" in {folder}" if not reporter.sql_url else "")
    if mode == "hybrid":
        return f"frames wait in memory, and in {folder} while the target takes nothing"
    return f"frames wait in {folder}, the newest in files in {_front(state) or folder + '/front'}"


def _front(state: Path | None) -> Path | None:
    """Where there is memory that outlives the process; None where such files are on the disk as well."""
    return memory_dir("") if state is not None else None


def _disk_bytes(reporter: Reporter, state: Path | None, mode: str) -> float:
    bound = float(reporter.max_bytes or _DISK_BYTES)
    free = _free(state) if mode != "sql" else None
    return bound if free is None else max(0.0, min(bound, free - reporter.min_free))


def _limit(reporter: Reporter, state: Path | None, mode: str) -> str:
    if mode == "memory":
        return f"max_bytes = {_amount(reporter.max_bytes or _MEMORY_BYTES)}"
    bound = reporter.max_bytes or _DISK_BYTES
    if _disk_bytes(reporter, state, mode) < bound:
        return f"free on the disk but for min_free = {_amount(reporter.min_free)}"
    return f"max_bytes = {_amount(bound)}"


def _free(state: Path | None) -> float | None:
    if state is None:
        return None
    try:
        found = os.statvfs(state)
    except OSError:
        return None
    return float(found.f_bavail * found.f_frsize)


def _written(reporter: Reporter, state: Path | None, mode: str, frames: float, frame_bytes: int) -> tuple[float, float]:
    """Bytes written to the disk in a day: while the target takes what it is sent, and while it does not."""
    if mode == "memory":
        return 0.0, 0.0
    policy = _policy(reporter, mode)
    payload = frames * frame_bytes
    failing = payload + _PAGE * (_DAY_S / policy.sync_s if policy.sync_s else frames)
    if not policy.sync_s:
        healthy = failing + _PAGE * _DAY_S / max(1.0, reporter.interval)
    elif reporter.interval >= policy.idle_s:
        # A frame is on the disk before it is acknowledged, and the cursor follows it there.
        healthy = payload + _PAGE * (_DAY_S / policy.idle_s + _DAY_S / max(1.0, policy.sync_s, reporter.interval))
    else:
        healthy = payload + 2 * _PAGE * _DAY_S / _RECORD_SPILL_S if policy.keep else 0.0
    if mode in {"journal", "sql"} and _front(state) is None:
        front = payload + 2 * _PAGE * _DAY_S / _WRITEBACK_S
        healthy, failing = healthy + front, failing + front
    factor = _SQL_FACTOR if mode == "sql" else 1.0
    return healthy * factor, failing * factor


def _frame_bytes(reporter: Reporter, definitions: list[NodeDefinition]) -> int:
    """The line of a frame in the journal, as this reporter writes it: on average of the nodes."""
    layouts = []
    for definition in definitions:
        rx = definition.rx
        assert rx is not None
        node: int | str = int(definition.id) if definition.id.isdecimal() else definition.id
        count = len(rx.datacodes) if len(rx.datacodes) > 1 else len(rx.names) or _VALUES
        layouts.append((Layout(node, definition.nodename, rx.names, rx.units), count))
    sizes = [_line(reporter, layout, count) for layout, count in layouts or [(Layout(10), _VALUES)]]
    return round(sum(sizes) / len(sizes))


def _line(reporter: Reporter, layout: Layout, count: int) -> int:
    # Powers, voltages, counters: the size is what matters, and it is much alike.
    values = tuple(1234 if index % 2 else 234.5 for index in range(count))
    try:
        record = reporter.encoder(layout)(Cargo(layout, values, 0.0, -50))
    except Exception:  # noqa: BLE001 - somebody's encoder may raise anything, and an estimate is not worth it
        record = "x" * 8 * count
    return len(frame_lines(0, 10_000, 0.0, [record], [40_000.0], [False])[0])


def _lost(seconds: float) -> str:
    if not seconds:
        return "nothing is lost"
    return f"lost is what was read in the last {_length(seconds)} and not delivered"


def _length(seconds: float) -> str:
    for unit_s, one, many in ((86400 * 365.25, "year", "years"), (86400, "day", "days"), (3600, "hour", "hours")):
        if seconds >= 2 * unit_s:
            count = seconds / unit_s
            return f"{count:.1f} {many}" if count < 10 and not count.is_integer() else f"{count:.0f} {many}"
        if seconds == unit_s:
            return f"1 {one}"
    return f"{seconds / 60:.0f} min" if seconds >= 120 else f"{seconds:g} s"


def _amount(count: float) -> str:
    for unit in ("bytes", "kB", "MB"):
        if count < 999.5:
            return f"{count:.0f} {unit}" if count >= 10 or unit == "bytes" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} GB" if count < 10 else f"{count:.0f} GB"
