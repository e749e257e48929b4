"""Nodes that are heard and not known: their last frames, and which templates may be theirs."""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from emonhub.nodes.decoder import compile_decoder
from emonhub.nodes.likely import remark
from emonhub.nodes.templates import Template, definition_from, fitting, templates

if TYPE_CHECKING:
    from emonhub.cargo import Cargo, Value
    from emonhub.errors import FrameError
    from emonhub.hub import Hub
    from emonhub.interfacer import Interfacer
    from emonhub.nodes.definition import NodeDefinition

_MOST_NODES = 64
"""Noise makes up node ids without end: those that were not heard for longest go."""

_FRAMES = 8
"""Of each node, the newest: what its templates are judged by."""

ENOUGH = 3
"""Frames before anything is said of a template: noise hardly comes three times from one node at one length."""

_JUMP = 10_000
"""Counters of pulses, energy and frames grow by less than this from one frame to the next."""

_LONGEST_RAW = 400
_MOST_BYTES = 66
"""Of a radio frame."""


@dataclass(slots=True)
class Heard:
    """A node that is not known, as one interfacer hears it."""

    source: str
    node: int
    time: float = 0.0
    rssi: int | None = None
    raw: str = ""
    count: int = 0
    frames: deque[bytes] = field(default_factory=lambda: deque(maxlen=_FRAMES))

    def take(self, time: float, rssi: int, raw: bytes, data: bytes) -> None:
        """Take note of a frame; `data` is empty where it carries no bytes."""
        self.time, self.rssi, self.count = time, rssi or None, self.count + 1
        self.raw = raw[:_LONGEST_RAW].decode("utf-8", "backslashreplace")
        if data:
            self.frames.append(data)

    @property
    def alike(self) -> list[bytes]:
        """The newest frames that have the length of the last one, oldest first."""
        size = len(self.frames[-1]) if self.frames else 0
        return [frame for frame in self.frames if len(frame) == size]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A template that has frames of this length.

    fits_node_id  whether its boards use this node id
    plausible     whether all its values are as homes have them, in several frames
    why           in words
    """

    template: Template
    fits_node_id: bool
    plausible: bool
    why: str
    values: list[tuple[str, str, Value]]


class Unknown:
    """An observer of all interfacers, which costs next to nothing for the frames of nodes that are known."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._heard: OrderedDict[tuple[str, int], Heard] = OrderedDict()

    def passed(self, interfacer: Interfacer, cargos: list[Cargo]) -> None:
        """Take note of frames that came without names."""
        for cargo in cargos:
            layout = cargo.layout
            if layout.names or layout.nodename or not cargo.raw or not isinstance(layout.node, int):
                continue
            if str(layout.node) not in self._hub.nodes.definitions:
                found = _frame(cargo.raw)
                heard = self._heard_as(interfacer.name, layout.node)
                heard.take(cargo.time, cargo.rssi, cargo.raw, found[1] if found else b"")

    def discarded(self, interfacer: Interfacer, error: FrameError, raw: bytes | str) -> None:
        """Take note of a frame that could not be read without knowing its node."""
        if not interfacer.packed_frames or not isinstance(raw, bytes):
            return
        found = _frame(raw)
        if found is None:
            return
        node = found[0] + (interfacer.nodeoffset if interfacer.adds_nodeoffset else 0)
        if str(node) not in self._hub.nodes.definitions:
            self._heard_as(interfacer.name, node).take(interfacer.world.time(), found[2], raw, found[1])

    def _heard_as(self, source: str, node: int) -> Heard:
        key = (source, node)
        heard = self._heard.get(key)
        if heard is None:
            heard = self._heard[key] = Heard(source, node)
            while len(self._heard) > _MOST_NODES:
                self._heard.popitem(last=False)
        self._heard.move_to_end(key)
        return heard

    def listing(self) -> list[Heard]:
        """All of them that are still not known, by source and node."""
        known = self._hub.nodes.definitions
        for key in [key for key in self._heard if str(key[1]) in known]:
            del self._heard[key]
        return sorted(self._heard.values(), key=lambda heard: (heard.source, heard.node))

    def forget(self, node: int) -> bool:
        """Forget what was heard of a node. Returns whether there was anything."""
        keys = [key for key in self._heard if key[1] == node]
        for key in keys:
            del self._heard[key]
        return bool(keys)

    def definition(self, node: int, template_name: str) -> NodeDefinition | None:
        """The node that a template makes of an id; None for a template that there is not."""
        found = [template for template in templates() if template.name == template_name]
        return definition_from(found[0], node) if found else None


def candidates(heard: Heard) -> list[Candidate]:
    """The templates that may be a node's, the likeliest first; of several likely ones, none is chosen."""
    frames = heard.alike
    found = [_judge(heard.node, template, frames) for template in (fitting(len(frames[-1])) if frames else [])]
    return sorted(found, key=lambda one: (not one.plausible, not one.fits_node_id))


def as_json(heard: Heard) -> dict[str, Any]:
    """For the API."""
    return {
        "source": heard.source,
        "node": heard.node,
        "size": len(heard.frames[-1]) if heard.frames else 0,
        "frames": heard.count,
        "time": heard.time,
        "rssi": heard.rssi,
        "raw": heard.raw,
        "candidates": [
            {
                "template": one.template.name,
                "fits_node_id": one.fits_node_id,
                "plausible": one.plausible,
                "why": one.why,
                "values": [{"name": name, "unit": unit, "value": value} for name, unit, value in one.values],
            }
            for one in candidates(heard)
        ],
    }


def _judge(node: int, template: Template, frames: list[bytes]) -> Candidate:
    fits = node in template.nodeids
    decoder = compile_decoder(node, definition_from(template, node))
    layout = decoder.layout
    count = len(template.rx.datacodes)
    rows = [decoder.unpack(frame)[:count] for frame in frames]
    against = _unlikely(template, rows)
    values = [(layout.name_of(i), layout.unit_of(i), value) for i, value in enumerate(rows[-1])]
    ids = ", ".join(map(str, template.nodeids))
    usual = f"node {node} is one that it uses" if fits else f"it usually is node {ids}"
    if against:
        return Candidate(template, fits, plausible=False, why=f"{against}; {usual}", values=values)
    if len(frames) < ENOUGH:
        why = f"{len(frames)} of {ENOUGH} frames heard that are needed to tell; {usual}"
        return Candidate(template, fits, plausible=False, why=why, values=values)
    return Candidate(template, fits, True, f"all values of {len(frames)} frames are likely ones; {usual}", values)


def _unlikely(template: Template, rows: list[tuple[Value, ...]]) -> str:
    """What speaks against a template; empty when nothing does."""
    names, units = template.rx.names, template.rx.units
    for index, (name, unit) in enumerate(zip(names, units, strict=False)):
        values = [row[index] for row in rows]
        odd = [value for value in values if remark(value, unit, name) == "unlikely"]
        if odd:
            more = f" in {len(odd)} of {len(values)} frames" if len(values) > 1 else ""
            return f"{name} = {odd[-1]:.10g} {unit} is unlikely{more}"
        numbers = [value for value in values if value is not None]
        if unit in {"n", "p", "Wh"} and any(abs(after - before) > _JUMP for before, after in pairwise(numbers)):
            return f"{name} jumps from {numbers[-2]:.10g} to {numbers[-1]:.10g}"
    if template.rx.counts_frames and len(rows) > 1:
        counts = [row[0] for row in rows if row[0] is not None]
        if len(set(counts)) == 1:
            return f"{names[0]} should count its frames, and stays at {counts[0]:.10g}"
    return ""


def _frame(raw: bytes) -> tuple[int, bytes, int] | None:
    """Node, bytes and signal strength of a line such as `OK 10 97 0 (-47)`; None for anything else."""
    fields = raw.split()
    if fields and fields[0] == b"OK":
        del fields[0]
    rssi = 0
    if fields and fields[-1].startswith(b"("):
        text = fields.pop().strip(b"()")
        rssi = int(text) if text.lstrip(b"-").isdigit() and len(text) < 5 else 0
    if not 2 <= len(fields) <= _MOST_BYTES + 1 or not all(field.isdigit() and len(field) < 4 for field in fields):
        return None
    numbers = [int(field) for field in fields]
    return (numbers[0], bytes(numbers[1:]), rssi) if max(numbers) < 256 else None


__all__ = ["ENOUGH", "Candidate", "Heard", "Unknown", "as_json", "candidates"]
