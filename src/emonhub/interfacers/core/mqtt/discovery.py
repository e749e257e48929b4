"""Home Assistant's MQTT discovery: retained messages that describe every value, so that it shows up there by itself.

    homeassistant/sensor/<hub id>/n_17_2/config   {"name": "Vrms", "unique_id": "<hub id>_n_17_2", "state_topic": …}

A value of a node in `[nodes]` is known by the node's id and its own place among the values, so that it keeps its
history when it gets another name. Other nodes' values are known by name.

Rules of the payload: https://www.home-assistant.io/integrations/mqtt/#mqtt-discovery and /integrations/sensor.mqtt/;
which unit goes with which class: https://developers.home-assistant.io/docs/core/entity/sensor/.
"""

from __future__ import annotations

import json
import re
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from emonhub import __version__
from emonhub.interfacers.core.mqtt.topics import level

if TYPE_CHECKING:
    from emonhub import Cargo, Layout
    from emonhub.interfacers.core.mqtt.control import Nodes
    from emonhub.interfacers.core.mqtt.formats import Bases

    Published = tuple[str, str]

_UNFIT = re.compile(r"[^a-zA-Z0-9_-]+")
_BY_PLACE = re.compile(r"n_(.+)_(\d+|rssi)")

_INTERVALS = 9
"""Times between a node's readings that its usual interval is told from."""

_EXPIRES_S = (30, 60, 120, 300, 600, 1800, 3600, 7200, 21600, 86400, 604800)
"""How long a value may hold good. In steps, so that it is not announced anew with every small delay."""

_MISSED = 3
"""Readings in a row that have to fail before a value is called unavailable."""

_ORIGIN = {"name": "emonHub", "sw": __version__, "url": "https://github.com/openenergymonitor/emonhub"}

MEASUREMENT, COUNTER = "measurement", "total_increasing"


@dataclass(frozen=True, slots=True)
class _Kind:
    """How Home Assistant knows a unit."""

    unit: str | None = None
    device_class: str | None = None
    state_class: str = MEASUREMENT


_KINDS = {
    "W": _Kind("W", "power"),
    "kW": _Kind("kW", "power"),
    "MW": _Kind("MW", "power"),
    "VA": _Kind("VA", "apparent_power"),
    "kVA": _Kind("kVA", "apparent_power"),
    "var": _Kind("var", "reactive_power"),
    "kvar": _Kind("kvar", "reactive_power"),
    "Wh": _Kind("Wh", "energy", COUNTER),
    "kWh": _Kind("kWh", "energy", COUNTER),
    "MWh": _Kind("MWh", "energy", COUNTER),
    "V": _Kind("V", "voltage"),
    "mV": _Kind("mV", "voltage"),
    "A": _Kind("A", "current"),
    "mA": _Kind("mA", "current"),
    "Hz": _Kind("Hz", "frequency"),
    "C": _Kind("°C", "temperature"),
    "F": _Kind("°F", "temperature"),
    "K": _Kind("K", "temperature"),
    "%RH": _Kind("%", "humidity"),
    "dBm": _Kind("dBm", "signal_strength"),
    "lx": _Kind("lx", "illuminance"),
    "hPa": _Kind("hPa", "pressure"),
    "mbar": _Kind("mbar", "pressure"),
    "bar": _Kind("bar", "pressure"),
    "W/m²": _Kind("W/m²", "irradiance"),
    "m³": _Kind("m³", "volume", COUNTER),
    "L": _Kind("L", "volume", COUNTER),
    "m³/h": _Kind("m³/h", "volume_flow_rate"),
    "L/min": _Kind("L/min", "volume_flow_rate"),
    "m/s": _Kind("m/s", "speed"),
    "s": _Kind("s", "duration"),
    "min": _Kind("min", "duration"),
    "h": _Kind("h", "duration"),
    "p": _Kind(None, None, COUNTER),
    "n": _Kind(),
    "": _Kind(),
}

_SPELLINGS = {
    "°C": "C",
    "degC": "C",
    "ºC": "C",
    "°F": "F",
    "VAr": "var",
    "VAR": "var",
    "kVAr": "kvar",
    "KW": "kW",
    "KWh": "kWh",
    "lux": "lx",
    "m3": "m³",
    "l": "L",
    "m3/h": "m³/h",
    "l/min": "L/min",
    "W/m2": "W/m²",
    "pulses": "p",
    "RH": "%RH",
}


def kind_of(unit: str, name: str) -> _Kind:
    """How Home Assistant knows a value; `name` decides what a percentage is of."""
    unit = unit.strip()
    if unit == "%":
        lowered = name.lower()
        if "hum" in lowered:
            return _KINDS["%RH"]
        return _Kind("%", "battery") if "batt" in lowered or "soc" in lowered else _Kind("%")
    return _KINDS.get(_SPELLINGS.get(unit, unit)) or _Kind(unit)


@dataclass(slots=True)
class _Announced:
    """One layout, and what was said of it."""

    layout: Layout
    last: float | None = None
    gaps: deque[float] = field(default_factory=lambda: deque(maxlen=_INTERVALS))
    expires_s: int = 0
    with_rssi: bool = False
    messages: dict[str, str] = field(default_factory=dict)


class Discovery:
    """Says what is to be published for Home Assistant to know the values; publishes nothing itself.

    expires_s  how long values hold good, seconds; 0 = told from each node's own interval
    """

    def __init__(
        self, prefix: str, hub_id: str, status_topic: str, bases: Bases, nodes: Nodes, *, expires_s: int = 0
    ) -> None:
        self._prefix = f"{prefix}/sensor/{_slug(hub_id)}/"
        self._hub = _slug(hub_id)
        self._status_topic = status_topic
        self._bases = bases
        self._nodes = nodes
        self._expires_s = expires_s
        self._known: dict[Layout, _Announced] = {}
        self.birth_topic = f"{prefix}/status"
        self.own_filter = f"{self._prefix}+/config"

    def notice(self, cargo: Cargo, now: float) -> list[Published]:
        """What a reading makes it necessary to publish; mostly nothing. `now` on a monotonic clock, seconds."""
        known = self._known.get(cargo.layout)
        if known is None:
            return self._meet(cargo)
        if known.last is not None:
            known.gaps.append(now - known.last)
        known.last = now
        if cargo.rssi and not known.with_rssi:
            known.with_rssi = True
            return self._announce(known)
        if not self._expires_s and len(known.gaps) >= _MISSED:
            expires = _expires_after(known.gaps)
            if expires > known.expires_s:
                known.expires_s = expires
                return self._announce(known)
        return []

    def everything(self) -> list[Published]:
        """All that was announced, for a broker or a Home Assistant that has just started."""
        return [message for known in self._known.values() for message in known.messages.items()]

    def forget_removed(self) -> list[Published]:
        """What takes back values of nodes that are not in `[nodes]` any more."""
        gone = [known for known in self._known.values() if known.messages and self._is_gone(known)]
        for known in gone:
            del self._known[known.layout]
        still = {topic for known in self._known.values() for topic in known.messages}
        return [(topic, "") for known in gone for topic in known.messages if topic not in still]

    def take_back(self, topic: str) -> list[Published]:
        """What takes back a value found on the broker that a former run of this hub announced, if it is no more."""
        found = _BY_PLACE.fullmatch(topic.removeprefix(self._prefix).removesuffix("/config"))
        if not topic.startswith(self._prefix) or not found:
            return []
        definitions = {_slug(id_): definition for id_, definition in self._nodes.definitions.items()}
        definition = definitions.get(found[1])
        names = definition.rx.names if definition is not None and definition.rx else ()
        if names and (found[2] == "rssi" or int(found[2]) <= len(names)):
            return []
        return [(topic, "")]

    def _meet(self, cargo: Cargo) -> list[Published]:
        layout = cargo.layout
        known = self._known[layout] = _Announced(layout, with_rssi=bool(cargo.rssi), expires_s=self._expires_s)
        if not layout.names:
            return []  # nobody has said what its values are
        before: dict[str, str] = {}
        for other in [other for other in self._known if other.node == layout.node and other is not layout]:
            if self._by_place(layout) or other.names == layout.names:
                old = self._known.pop(other)  # the same node, described anew
                before.update(old.messages)
                known.gaps, known.expires_s = old.gaps, old.expires_s
                known.with_rssi = known.with_rssi or old.with_rssi
        known.messages = before
        published = self._announce(known)
        return [(topic, "") for topic in before if topic not in known.messages] + published

    def _announce(self, known: _Announced) -> list[Published]:
        layout = known.layout
        made = [self._value(known, index) for index in range(len(layout.names))]
        if known.with_rssi:
            made.append(self._rssi(known))
        changed = [(topic, payload) for topic, payload in made if known.messages.get(topic) != payload]
        known.messages = dict(made)
        return changed

    def _value(self, known: _Announced, index: int) -> Published:
        layout = known.layout
        name = layout.names[index]
        kind = kind_of(layout.unit_of(index), name)
        return self._message(known, self._object_id(layout, str(index + 1), name), name, kind, {})

    def _rssi(self, known: _Announced) -> Published:
        object_id = self._object_id(known.layout, "rssi", "rssi")
        return self._message(known, object_id, "rssi", _KINDS["dBm"], {"entity_category": "diagnostic"})

    def _object_id(self, layout: Layout, place: str, name: str) -> str:
        node = _slug(str(layout.node))
        return f"n_{node}_{place}" if self._by_place(layout) else f"v_{node}_{_slug(name)}"

    def _message(self, known: _Announced, object_id: str, name: str, kind: _Kind, more: dict[str, Any]) -> Published:
        layout = known.layout
        payload: dict[str, Any] = {
            "name": name,
            "unique_id": f"{self._hub}_{object_id}",
            **self._state(layout, name),
            "state_class": kind.state_class,
            "device": {"identifiers": [f"{self._hub}_{_slug(str(layout.node))}"], "name": layout.label},
            "availability_topic": self._status_topic,
            "origin": _ORIGIN,
            **more,
        }
        if kind.unit is not None:
            payload["unit_of_measurement"] = kind.unit
        if kind.device_class is not None:
            payload["device_class"] = kind.device_class
        if known.expires_s:
            payload["expire_after"] = known.expires_s
        return f"{self._prefix}{object_id}/config", json.dumps(payload, ensure_ascii=False)

    def _state(self, layout: Layout, name: str) -> dict[str, str]:
        """Where the value is published, and how to get at it there."""
        label = level(layout.label)
        if self._bases.nodevar is not None:
            return {"state_topic": f"{self._bases.nodevar}{label}/{level(name)}"}
        return {
            "state_topic": f"{self._bases.json}{label}",
            "value_template": f"{{{{ value_json.get({json.dumps(name)}) }}}}",
        }

    def _by_place(self, layout: Layout) -> bool:
        definition = self._nodes.definitions.get(str(layout.node))
        return definition is not None and definition.rx is not None and definition.rx.names == layout.names

    def _is_gone(self, known: _Announced) -> bool:
        by_place = any(_BY_PLACE.fullmatch(topic.split("/")[-2]) for topic in known.messages)
        return by_place and str(known.layout.node) not in self._nodes.definitions


def _expires_after(gaps: deque[float]) -> int:
    """How long values hold good that come with these gaps between them; one gap may be a reading that got lost."""
    usual = sorted(gaps)[-2]
    return next((step for step in _EXPIRES_S if step >= usual * _MISSED), _EXPIRES_S[-1])


def _slug(text: str) -> str:
    return _UNFIT.sub("_", text)
