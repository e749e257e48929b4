"""Cargo, one reading in transit, and Layout, what its values mean."""

from __future__ import annotations

from typing import TypeAlias

NodeId: TypeAlias = int | str
Value: TypeAlias = int | float | None
"""A number, or None where the device sent something that is no number (NaN, infinity)."""


class Layout:
    """What the values of a node's cargo mean: made once per node and configuration, shared by every cargo of it.

    So names cost nothing per frame, and a frame keeps the names in force when it was read. Compared by identity.

    `names` and `units` have one text per value, or are empty when nobody named them; `names` may differ in number
    from the values, as in `[nodes]` sections that people wrote by hand.
    """

    __slots__ = ("names", "node", "nodename", "units")

    def __init__(
        self, node: NodeId, nodename: str = "", names: tuple[str, ...] = (), units: tuple[str, ...] = ()
    ) -> None:
        self.node = node
        self.nodename = nodename
        self.names = names
        self.units = units

    @property
    def label(self) -> str:
        """The node's name where it has one, else its id."""
        return self.nodename or str(self.node)

    def name_of(self, index: int) -> str:
        """The name of the value at `index`; a value without one is called by its position, counted from 1."""
        return self.names[index] if index < len(self.names) else str(index + 1)

    def unit_of(self, index: int) -> str:
        """The unit of the value at `index`, or an empty text."""
        return self.units[index] if index < len(self.units) else ""

    def __repr__(self) -> str:
        return f"Layout({self.node!r}, {self.nodename!r}, names={self.names!r}, units={self.units!r})"


class Cargo:
    """One reading in transit. Only for transport: emptied as early as possible, changed by nobody.

    layout  what the values mean
    values  the numbers, in the layout's order
    time    when it was read, Unix seconds; fixed at receipt or taken from the device, never restamped
    rssi    signal strength in dBm, 0 when there is none
    target  the node it is to be sent to, 0 for none
    raw     the line or bytes that it was decoded from, where there is such a thing
    device_time  the time is the device's own: no change of this machine's clock concerns it
    """

    __slots__ = ("device_time", "layout", "raw", "rssi", "target", "time", "values")

    def __init__(
        self,
        layout: Layout,
        values: tuple[Value, ...],
        time: float,
        rssi: int = 0,
        target: NodeId = 0,
        *,
        device_time: bool = False,
        raw: bytes = b"",
    ) -> None:
        self.layout = layout
        self.values = values
        self.time = time
        self.rssi = rssi
        self.target = target
        self.device_time = device_time
        self.raw = raw

    def __repr__(self) -> str:
        return f"Cargo({self.layout.label}, {self.values}, time={self.time}, rssi={self.rssi}, target={self.target})"
