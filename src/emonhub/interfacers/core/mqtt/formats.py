"""How a reading looks in the topics of emonHub: one topic a value, one list a node, one JSON object a node.

    nodevar   emon/emonTx4_17/P1     = 100
    node      emonhub/rx/17/values   = 100,240.1,-44
    JSON      emon/emonTx4_17        = {"P1": 100, "Vrms": 240.1, "time": 1669888253.994, "rssi": -44}

What stays the same from reading to reading is made once per layout.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from emonhub.interfacers.core.mqtt.topics import level

if TYPE_CHECKING:
    from emonhub import Cargo, Layout

_MAX_REMEMBERED = 4096
"""Layouts whose topics are remembered: they come and go with configurations and with noise."""


@dataclass(frozen=True, slots=True)
class Bases:
    """What the topics of each format start with; None for a format that is not wanted."""

    nodevar: str | None = None
    node: str | None = None
    json: str | None = None
    json_units: bool = False


class Formats:
    """Writes readings as messages."""

    def __init__(self, bases: Bases) -> None:
        self._bases = bases
        self._nodes: dict[Layout, _Node] = {}

    def messages(self, cargo: Cargo) -> list[tuple[str, str]]:
        """(topic, payload) of every message that this reading makes."""
        node = self._nodes.get(cargo.layout)
        if node is None:
            if len(self._nodes) >= _MAX_REMEMBERED:
                self._nodes.clear()
            node = self._nodes[cargo.layout] = _Node(cargo.layout, self._bases)
        return node.messages(cargo)


class _Node:
    def __init__(self, layout: Layout, bases: Bases) -> None:
        self._layout = layout
        label = level(layout.label)
        self._nodevar = None if bases.nodevar is None else f"{bases.nodevar}{label}/"
        self._node = None if bases.node is None else f"{bases.node}rx/{level(str(layout.node))}/values"
        self._json = None if bases.json is None else f"{bases.json}{label}"
        self._topics: list[str] = []
        self._keys = [json.dumps(name) for name in layout.names]
        units = {name: unit for name, unit in zip(layout.names, layout.units, strict=False) if unit}
        self._units = f', "units": {json.dumps(units)}' if bases.json_units and units else ""

    def messages(self, cargo: Cargo) -> list[tuple[str, str]]:
        values, rssi = cargo.values, cargo.rssi
        found = []
        if self._nodevar is not None:
            if len(self._topics) < len(values):
                names = map(self._layout.name_of, range(len(values)))
                self._topics = [self._nodevar + level(name) for name in names]
            found += [(t, str(v)) for t, v in zip(self._topics, values, strict=False) if v is not None]
            if rssi:
                found.append((f"{self._nodevar}rssi", str(rssi)))
        if self._node is not None:
            texts = ["" if v is None else str(v) for v in values]
            if rssi:
                texts.append(str(rssi))
            found.append((self._node, ",".join(texts)))
        if self._json is not None:
            found.append((self._json, self._object(cargo)))
        return found

    def _object(self, cargo: Cargo) -> str:
        pairs = [f"{k}: {v}" for k, v in zip(self._keys, cargo.values, strict=False) if v is not None]
        pairs.append(f'"time": {round(cargo.time, 3)}')
        if cargo.rssi:
            pairs.append(f'"rssi": {cargo.rssi}')
        return f"{{{', '.join(pairs)}{self._units}}}"
