"""Which templates may be those of a node that is heard and not known: by its frames, its id and its values."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

from emonhub.nodes.decoder import compile_decoder
from emonhub.nodes.likely import remark
from emonhub.nodes.templates import Template, definition_from, fitting

if TYPE_CHECKING:
    from emonhub.cargo import Value

_FRAMES = 8
"""Of each node, the newest: what its templates are judged by."""

ENOUGH = 3
"""Frames before anything is said of a template: noise hardly comes three times from one node at one length."""

SURE = 5
"""Frames before a node is accepted without anybody being asked."""

_HELD = 1000
"""Frames of a node that are kept until it is accepted: at one in ten seconds those of almost three hours."""

_VOLTS_APART = 60
"""Mains do not change by more from one frame to the next, but for a plug that is pulled (0 V)."""

_JUMP = 10_000
"""Counters of pulses, energy and frames grow by less than this from one frame to the next."""

_LONGEST_RAW = 400
_MOST_BYTES = 66
"""Of a radio frame."""


class Held(NamedTuple):
    """A frame that was not published, for nobody knew how to read it."""

    time: float
    rssi: int
    raw: bytes
    data: bytes


@dataclass(slots=True)
class Heard:
    """A node that is not known, as one interfacer hears it.

    held     frames that nobody could read, which are to be published once it is known
    judged   how many frames it had when it was judged last
    fitting  the templates that have its length, the likeliest first, as of then
    """

    source: str
    node: int
    time: float = 0.0
    rssi: int | None = None
    raw: str = ""
    count: int = 0
    frames: deque[bytes] = field(default_factory=lambda: deque(maxlen=_FRAMES))
    held: deque[Held] = field(default_factory=lambda: deque(maxlen=_HELD))
    judged: int = 0
    fitting: tuple[str, ...] = ()

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


def candidates(heard: Heard) -> list[Candidate]:
    """The templates that may be a node's, the likeliest first; of several likely ones, none is chosen."""
    frames = heard.alike
    found = [_judge(heard.node, template, frames) for template in (fitting(len(frames[-1])) if frames else [])]
    return sorted(found, key=lambda one: (not one.plausible, not one.fits_node_id))


def proposed(found: list[Candidate]) -> list[Candidate]:
    """Those of the candidates that fit in everything. One alone is a proposal; of several, somebody has to choose."""
    return [one for one in found if one.plausible and one.fits_node_id]


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
        if unit == "V" and any(
            before and after and abs(after - before) > _VOLTS_APART for before, after in pairwise(numbers)
        ):
            return f"{name} jumps by more than {_VOLTS_APART} V"
    if template.rx.counts_frames and len(rows) > 1:
        counts = [row[0] for row in rows if row[0] is not None]
        if len(set(counts)) == 1:
            return f"{names[0]} should count its frames, and stays at {counts[0]:.10g}"
    return ""


def frame_of(raw: bytes) -> tuple[int, bytes, int] | None:
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


__all__ = ["ENOUGH", "SURE", "Candidate", "Heard", "Held", "as_json", "candidates", "frame_of", "proposed"]
