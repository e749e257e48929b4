"""From hub to hub: many readings in one message, with all that a reading has, compressed.

    {"emonhub":1,"frames":[[time,node,nodename,names,units,values,rssi,target],…]}

    time      Unix seconds
    node      its id, a number or a text
    nodename  its name, or ""
    names     a list of texts, may be empty
    units     a list of texts, may be empty
    values    a list of numbers; null where a value is missing
    rssi      dBm, 0 or left out for none
    target    the node it is to be sent to, 0 or left out for none

as JSON, mostly deflated (RFC 1950, told by its first byte 0x78). What is to be sent again is sent as the same bytes, so
that a receiver knows a message that it has had.
"""

from __future__ import annotations

import json
import zlib
from typing import TYPE_CHECKING, Any

from emonhub import Cargo, FrameError, Layout, NodeId, Value
from emonhub.interfacers.core.mqtt.topics import sound

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_VERSION = 1
_LEVEL = 6
"""Of compression: a batch waits for nothing, and bytes cost more than time on the links that hubs are far apart on."""

_MAX_INFLATED = 1 << 24
"""Bytes that a message may inflate to: one of a few bytes could mean gigabytes."""

_MAX_LAYOUTS = 4096
_LATEST = 1e11
"""Times beyond this are not in seconds."""


def encoder(layout: Layout) -> Callable[[Cargo], str]:
    """Writes readings of this layout, all but their times."""
    fixed = [layout.node, layout.nodename, layout.names, layout.units]
    start = json.dumps(fixed, separators=(",", ":"))[1:-1] + ",["

    def write(cargo: Cargo) -> str:
        values = ",".join("null" if value is None else str(value) for value in cargo.values)
        if cargo.target:
            return f"{start}{values}],{cargo.rssi},{json.dumps(cargo.target)}"
        return f"{start}{values}],{cargo.rssi}" if cargo.rssi else f"{start}{values}]"

    return write


def pack(frames: Iterable[tuple[float, str]], *, compress: bool) -> bytes:
    """The message that these readings make: the time of each, and what the encoder wrote."""
    inside = ",".join([f"[{round(time, 3)},{record}]" for time, record in frames])
    text = f'{{"emonhub":{_VERSION},"frames":[{inside}]}}'.encode()
    return zlib.compress(text, _LEVEL) if compress else text


class Unpacker:
    """Reads messages; readings that mean the same share their layout."""

    def __init__(self) -> None:
        self._layouts: dict[str, Layout] = {}

    def unpack(self, payload: bytes) -> tuple[list[Cargo], list[FrameError]]:
        """The readings in a message, and what is wrong with those that can't be used.

        Raises FrameError for a message of which nothing can be used.
        """
        try:
            message = json.loads(_inflate(payload))
            version, frames = message["emonhub"], message["frames"]
        except (ValueError, KeyError, TypeError, RecursionError):
            raise FrameError("bad message", "it is no message from hub to hub") from None
        if version != _VERSION or not isinstance(frames, list):
            raise FrameError("bad message", f"it is of version {str(version)[:20]}, and only {_VERSION} is known")
        cargos, errors = [], []
        for frame in frames:
            try:
                cargos.append(self._cargo(frame))
            except FrameError as error:
                errors.append(error)
        return cargos, errors

    def _cargo(self, frame: Any) -> Cargo:
        if not isinstance(frame, list) or not 6 <= len(frame) <= 8:
            raise FrameError("bad frame", f"{str(frame)[:80]} is no reading")
        time, node, nodename, names, units, values, *rest = frame
        if isinstance(time, bool) or not isinstance(time, int | float) or not 0 < time < _LATEST:
            raise FrameError("bad time", f"{str(time)[:40]} is no time in Unix seconds")
        if not isinstance(values, list) or not values:
            raise FrameError("no values", f"node {str(node)[:40]}: there are no values")
        rssi, target = (*rest, 0, 0)[:2]
        if not isinstance(rssi, int):
            raise FrameError("bad frame", f"node {str(node)[:40]}: rssi is {str(rssi)[:40]}")
        layout = self._layout(node, nodename, names, units)
        return Cargo(layout, tuple(map(_value, values)), time, rssi, _node(target))

    def _layout(self, node: Any, nodename: Any, names: Any, units: Any) -> Layout:
        key = repr((node, nodename, names, units))
        layout = self._layouts.get(key)
        if layout is None:
            if not isinstance(nodename, str):
                raise FrameError("bad frame", f"node {str(node)[:40]}: its name is no text")
            made = Layout(_node(node), sound(nodename), _texts(names), _texts(units))
            if len(self._layouts) >= _MAX_LAYOUTS:
                self._layouts.clear()
            layout = self._layouts[key] = made
        return layout


def _inflate(payload: bytes) -> bytes:
    if not payload.startswith(b"\x78"):
        return payload
    inflater = zlib.decompressobj()
    try:
        text = inflater.decompress(payload, _MAX_INFLATED)
    except zlib.error:
        raise FrameError("bad message", "it is cut or damaged") from None
    if inflater.unconsumed_tail:
        raise FrameError("too long", f"it inflates to more than {_MAX_INFLATED} bytes")
    return text


def _node(node: Any) -> NodeId:
    if isinstance(node, str):
        return sound(node)
    if isinstance(node, int) and not isinstance(node, bool):
        return node
    raise FrameError("bad node id", f"{str(node)[:40]} is no node id")


def _value(value: Any) -> Value:
    if value is None:
        return None
    if isinstance(value, int | float) and value - value == 0:
        return +value
    raise FrameError("non-numeric", f"{str(value)[:40]} is no number")


def _texts(names: Any) -> tuple[str, ...]:
    if isinstance(names, list) and all(isinstance(name, str) for name in names):
        return tuple(map(sound, names))
    raise FrameError("bad frame", f"{str(names)[:80]} is no list of names")
