"""Autoconf that invents no nodes: what is heard is proposed, and what fits beyond doubt is accepted.

seen       frames of a node that nobody knows: kept, not published where a template may be for them
proposed   several frames fit a template by their length, the node's id and all values
accepted   written to nodes.conf in the state directory; what was kept is decoded, and published with its own time
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from emonhub.cargo import Cargo
from emonhub.config import accepted
from emonhub.config.save import write
from emonhub.errors import FrameError
from emonhub.nodes.proposals import SURE, Heard, Held, as_json, candidates, frame_of, proposed
from emonhub.nodes.templates import definition_from

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from emonhub.cargo import Layout
    from emonhub.interfacer import Interfacer
    from emonhub.nodes.definition import NodeDefinition
    from emonhub.nodes.proposals import Candidate
    from emonhub.nodes.table import Nodes

log = logging.getLogger("emonhub.hub")

LISTING = "heard.json"
"""In the state directory: what `emonhub nodes list` shows where no hub answers."""

_MOST_NODES = 64
"""Noise makes up node ids without end: those that were not heard for longest go."""

_MOST_HELD = 5000
"""Frames kept for all nodes together: 2 MB."""

_LISTING_S = 60.0
"""Between two writings of the listing, for the life of a memory card."""


class Autoconf:
    """An observer of all interfacers, which costs next to nothing for the frames of nodes that are known."""

    def __init__(self, nodes: Nodes, state: Path | None) -> None:
        self._nodes = nodes
        self._state = state
        self._heard: OrderedDict[tuple[str, int], Heard] = OrderedDict()
        self._held = 0
        self._asked: set[tuple[str, int, tuple[str, ...]]] = set()
        self._chosen: set[str] = set()  # accepted already, even where the hub could not take them up yet
        self._listed: list[Any] = []
        self._listed_at = float("-inf")
        self.unsaved: dict[str, NodeDefinition] = {}  # accepted, where there is no state directory

    # What is seen

    def passed(self, interfacer: Interfacer, cargos: list[Cargo]) -> None:
        """Take note of frames that came without names."""
        unknown = {layout for layout in {cargo.layout for cargo in cargos} if self._is_unknown(layout)}
        for cargo in cargos if unknown else ():
            if cargo.layout in unknown and cargo.raw and isinstance(cargo.layout.node, int):
                found = frame_of(cargo.raw)
                heard = self._heard_as(interfacer.name, cargo.layout.node)
                heard.take(cargo.time, cargo.rssi, cargo.raw, found[1] if found else b"")

    def _is_unknown(self, layout: Layout) -> bool:
        return not (layout.names or layout.nodename or str(layout.node) in self._nodes.definitions)

    def discarded(self, interfacer: Interfacer, _error: FrameError, raw: bytes | str) -> None:
        """Take note of a frame that could not be read without knowing its node, and keep it."""
        if not interfacer.packed_frames or not isinstance(raw, bytes):
            return
        found = frame_of(raw)
        if found is None:
            return
        node = found[0] + (interfacer.nodeoffset if interfacer.adds_nodeoffset else 0)
        if str(node) not in self._nodes.definitions:
            now = interfacer.world.time()
            heard = self._heard_as(interfacer.name, node)
            heard.take(now, found[2], raw, found[1])
            self._hold(heard, Held(now, found[2], raw, found[1]))

    def _heard_as(self, source: str, node: int) -> Heard:
        key = (source, node)
        heard = self._heard.get(key)
        if heard is None:
            heard = self._heard[key] = Heard(source, node)
            while len(self._heard) > _MOST_NODES:
                self._held -= len(self._heard.popitem(last=False)[1].held)
        self._heard.move_to_end(key)
        return heard

    def _hold(self, heard: Heard, frame: Held) -> None:
        self._held += len(heard.held) < (heard.held.maxlen or 0)
        heard.held.append(frame)
        if self._held > _MOST_HELD:
            next(other for other in self._heard.values() if other.held).held.popleft()
            self._held -= 1

    def listing(self) -> list[Heard]:
        """All of them that are still not known, by source and node."""
        unknown = [heard for key, heard in self._heard.items() if str(key[1]) not in self._nodes.definitions]
        return sorted(unknown, key=lambda heard: (heard.source, heard.node))

    def forget(self, node: int) -> bool:
        """Forget what was heard of a node. Returns whether there was anything."""
        keys = [key for key in self._heard if key[1] == node]
        for key in keys:
            self._held -= len(self._heard.pop(key).held)
        return self.unsaved.pop(str(node), None) is not None or bool(keys)

    # What comes of it

    async def tend(self, interfacers: Mapping[str, Interfacer], barred: Iterable[str], now: float) -> bool:
        """Each second: judge what was heard. Returns whether nodes were accepted, which the hub then has to take up.

        `barred` are nodes that must not be accepted unasked.
        """
        new: dict[str, NodeDefinition] = {}
        listing = self.listing()
        kept_out = self._chosen.union(barred)
        if listing and self._nodes.autoconf:
            kept_out |= await self._forgotten()
        for heard in listing:
            if heard.judged == heard.count or len(heard.alike) < SURE:
                continue
            heard.judged = heard.count
            found = candidates(heard)
            heard.fitting = tuple(one.template.name for one in found)
            interfacer = interfacers.get(heard.source)
            if interfacer is None or not interfacer.packed_frames:
                continue
            free = self._nodes.autoconf and not interfacer.nodelistonly and str(heard.node) not in kept_out
            if free and len(sure := proposed(found)) == 1 and str(heard.node) not in new:
                new[str(heard.node)] = definition_from(sure[0].template, heard.node)
                log.info("Node %d of '%s' is accepted: %s, %s", heard.node, heard.source, sure[0].template.name,
                         sure[0].why)  # fmt: skip
            elif self._nodes.autoconf:
                self._ask(heard, found)
        await self._write_listing(listing, now)
        return bool(new) and await self._accept(new)

    def _ask(self, heard: Heard, found: list[Candidate]) -> None:
        """Once for what it may be."""
        likely = tuple(one.template.name for one in proposed(found) or [one for one in found if one.plausible])
        fit = likely or tuple(one.template.name for one in found if one.fits_node_id)
        key = (heard.source, heard.node, fit)
        if not fit or key in self._asked or len(self._asked) > _MOST_NODES:
            return
        self._asked.add(key)
        log.warning(
            "Node %d of '%s' is not known, and may be %s (%s): emonhub nodes accept %d %s",
            heard.node, heard.source, " or ".join(fit), found[0].why, heard.node,
            fit[0] if len(fit) == 1 else "TEMPLATE",
        )  # fmt: skip

    async def _forgotten(self) -> set[str]:
        return await asyncio.to_thread(accepted.forgotten, self._state / accepted.NAME) if self._state else set()

    async def _accept(self, new: dict[str, NodeDefinition]) -> bool:
        self._chosen |= new.keys()
        if self._state is not None:
            path = self._state / accepted.NAME
            try:
                await asyncio.to_thread(accepted.accept, path, *new.values())
            except OSError as error:
                log.warning("%s can't be written: %s", path, error, extra={"repeats": str(path)})
            else:
                return True
        self.unsaved |= new
        return True

    def release(self, interfacers: Iterable[Interfacer]) -> None:
        """Publish what was kept of nodes that are known by now."""
        by_name = {interfacer.name: interfacer for interfacer in interfacers}
        for key in [key for key in self._heard if str(key[1]) in self._nodes.definitions]:
            heard = self._heard.pop(key)
            self._held -= len(heard.held)
            if (interfacer := by_name.get(heard.source)) is not None and heard.held:
                _publish(interfacer, heard)

    async def _write_listing(self, listing: list[Heard], now: float) -> None:
        known = [(one.source, one.node, one.fitting) for one in listing if one.judged]
        if self._state is None or known == self._listed or now - self._listed_at < _LISTING_S:
            return
        self._listed, self._listed_at = known, now
        data = json.dumps([as_json(one) for one in listing if one.judged]).encode()
        try:
            await asyncio.to_thread(write, self._state / LISTING, data, 0o640)
        except OSError as error:
            log.debug("%s can't be written: %s", LISTING, error)


def _publish(interfacer: Interfacer, heard: Heard) -> None:
    interfacer.decoders.refresh()
    cargos = []
    for frame in heard.held:
        try:
            decoder = interfacer.decoders.by_id(heard.node)
            values = decoder.unpack(frame.data)
            cargos.append(Cargo(decoder.layout, values, frame.time, frame.rssi, raw=frame.raw))
        except FrameError as error:
            interfacer.discard(error, frame.raw)
    log.info("'%s': %d frames of node %d that were kept are published", interfacer.name, len(cargos), heard.node)
    interfacer.publish(cargos)
