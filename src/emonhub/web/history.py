"""The newest values of every node, and how they went in the last hour, in little memory.

A node's frames are kept as they came, at most `POINTS` of them, so that what comes every few seconds covers an hour:
where more came than that, frames that follow each other too closely are left out.
"""

from __future__ import annotations

from array import array
from collections import deque
from math import nan
from typing import TYPE_CHECKING, Any

from emonhub.presence import INTERVALS, LEAST_S, interval_of

if TYPE_CHECKING:
    from emonhub.cargo import Cargo, Layout, Value
    from emonhub.errors import FrameError
    from emonhub.interfacer import Interfacer
    from emonhub.presence import Presence

HOUR_S = 3600.0
POINTS = 720
"""For each node: one in five seconds. At most 256 nodes of ten values make 15 MB, four nodes some 250 kB."""

_MAX_NODES = 256
_MAX_VALUES = 200


class Node:
    """One node as one interfacer hears it."""

    def __init__(self, cargo: Cargo, source: str) -> None:
        self.source = source
        self.layout: Layout = cargo.layout
        self.cargo = cargo
        self.frames = 0
        self.times = array("d")
        self.rows: deque[array[float]] = deque()
        self._gaps: deque[float] = deque(maxlen=INTERVALS)

    def take(self, cargo: Cargo) -> None:
        """Take note of a frame."""
        if cargo.layout is not self.layout:
            if cargo.layout.names != self.layout.names:
                self.times, self.rows = array("d"), deque()
            self.layout = cargo.layout
        if self.frames and cargo.time > self.cargo.time:
            self._gaps.append(cargo.time - self.cargo.time)
        self.frames += 1
        self.cargo = cargo
        if self.times and cargo.time - self.times[-1] < HOUR_S / POINTS:
            return
        self.times.append(cargo.time)
        self.rows.append(array("d", [nan if value is None else value for value in cargo.values[:_MAX_VALUES]]))
        if len(self.times) > POINTS or self.times[0] < cargo.time - HOUR_S:
            del self.times[0]
            self.rows.popleft()

    @property
    def interval(self) -> float | None:
        """Seconds between its frames, learned from those that came; None while that is not known."""
        return interval_of(self._gaps)

    @property
    def missed(self) -> Value:
        """Frames that it sent and that were not heard, by its own count; None where it does not count."""
        names = self.layout.names
        counts = "missed" in names and len(names) == len(self.cargo.values)
        return self.cargo.values[names.index("missed")] if counts else None

    def stale(self, now: float, after: float) -> bool:
        """Whether it should have been heard from since: `after` of its intervals, 0 for never."""
        interval = self.interval or HOUR_S / POINTS * 12
        return after > 0 and now - self.cargo.time > max(LEAST_S, after * interval)

    def series(self, index: int) -> list[float | None]:
        """One value over the times kept; None where the frame had none."""
        return [row[index] if index < len(row) and row[index] == row[index] else None for row in self.rows]


class History:
    """An observer of all interfacers."""

    def __init__(self, presence: Presence) -> None:
        self._presence = presence
        self.nodes: dict[tuple[str, str], Node] = {}

    def passed(self, interfacer: Interfacer, cargos: list[Cargo]) -> None:
        """Take note of frames."""
        for cargo in cargos:
            key = (interfacer.name, str(cargo.layout.node))
            node = self.nodes.get(key)
            if node is None:
                if len(self.nodes) >= _MAX_NODES:
                    continue
                node = self.nodes[key] = Node(cargo, interfacer.name)
            node.take(cargo)

    def discarded(self, interfacer: Interfacer, error: FrameError, raw: bytes | str) -> None:
        """Nothing to take note of."""

    def listing(self, now: float) -> list[dict[str, Any]]:
        """Every node with its newest values, by name."""
        return [
            {
                "id": str(node.layout.node),
                "source": node.source,
                "name": node.layout.label,
                "time": node.cargo.time,
                "age": max(0.0, now - node.cargo.time),
                "stale": node.stale(now, self._presence.stale_after),
                "interval": node.interval,
                "frames": node.frames,
                "missed": node.missed,
                "rssi": node.cargo.rssi or None,
                "values": [
                    {"name": node.layout.name_of(i), "unit": node.layout.unit_of(i), "value": value}
                    for i, value in enumerate(node.cargo.values[:_MAX_VALUES])
                ],
            }
            for node in sorted(self.nodes.values(), key=lambda node: (node.source, node.layout.label))
        ]
