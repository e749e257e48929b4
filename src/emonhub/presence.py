"""Which nodes are heard, how often, by whom, and which have fallen silent."""

from __future__ import annotations

import logging
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Container

    from emonhub.cargo import Cargo, NodeId
    from emonhub.errors import FrameError
    from emonhub.interfacer import Interfacer
    from emonhub.nodes.table import Nodes

log = logging.getLogger("emonhub.hub")

INTERVALS = 16
"""Gaps between frames that a node's own interval is learned from."""

LEAST_S = 10.0
"""No node is stale sooner, however often it sends."""

_MAX_NODES = 256


def interval_of(gaps: deque[float]) -> float | None:
    """A node's own interval in seconds, learned from its gaps; None while that is not known."""
    ordered = sorted(gaps)
    return ordered[len(ordered) // 2] if len(ordered) > 2 else None


class _Node:
    """One node as one interfacer hears it; times of the loop's clock, which no setting of the clock concerns."""

    __slots__ = ("gaps", "label", "last", "stale")

    def __init__(self, label: str, now: float) -> None:
        self.label = label
        self.last = now
        self.gaps: deque[float] = deque(maxlen=INTERVALS)
        self.stale = False


class Presence:
    """An observer of all interfacers. `stale_after` is in a node's own intervals, 0 for never."""

    def __init__(self, nodes: Nodes, stale_after: float) -> None:
        self.stale_after = stale_after
        self._nodes = nodes
        self._seen: dict[tuple[str, NodeId], _Node] = {}

    def passed(self, interfacer: Interfacer, cargos: list[Cargo]) -> None:
        """Take note of frames."""
        now = interfacer.world.monotonic()
        source = interfacer.name
        answers = interfacer.packed_frames and interfacer.sends and interfacer.subchannels
        heard_by = self._nodes.heard_by if answers else None
        for layout in {cargo.layout for cargo in cargos}:  # all of them are heard now: once each is enough
            if heard_by is not None and (layout.nodename or len(heard_by) < _MAX_NODES):
                heard_by[str(layout.node)] = source
            if not layout.names and not layout.nodename:
                continue  # of nodes that nobody knows, noise is most
            node = self._seen.get((source, layout.node))
            if node is None:
                if len(self._seen) < _MAX_NODES:
                    self._seen[source, layout.node] = _Node(layout.label, now)
                continue
            gap = now - node.last
            if gap <= 0:
                continue
            if node.stale:
                node.stale = False
                log.info("'%s': node %s is back after %.0f s", source, layout.label, gap)
            else:
                node.gaps.append(gap)
            node.label, node.last = layout.label, now

    def discarded(self, interfacer: Interfacer, error: FrameError, raw: bytes | str) -> None:
        """Nothing to take note of."""

    def look(self, now: float, running: Container[str]) -> None:
        """Each second: tell of nodes that should have been heard from since, each once."""
        for key in [key for key in self._seen if key[0] not in running]:
            del self._seen[key]
        heard_by = self._nodes.heard_by
        for id_ in [id_ for id_, source in heard_by.items() if source not in running]:
            del heard_by[id_]
        for (source, _), node in self._seen.items():
            interval = interval_of(node.gaps)
            if node.stale or not self.stale_after or interval is None:
                continue
            if now - node.last > max(LEAST_S, self.stale_after * interval):
                node.stale = True
                log.warning("'%s': node %s is stale: not heard for %.0f s, and it comes every %.3g s",
                            source, node.label, now - node.last, interval)  # fmt: skip
