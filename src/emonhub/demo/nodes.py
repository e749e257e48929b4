"""The four nodes of the simulated house: what each measures, when it sends it, and how that is packed.

    5   emonpi      consumer unit    grid, solar, mains voltage
    15  emontx3_cm  loft             the two roof faces, with their energies; its bytes are whitened
    17  emonTx4     plant room       heat pump, car, kitchen and the rest, with their energies
    23  emonth2     living room      temperatures, humidity, its battery

Each packs its frames as the template library says, so that the hub's decoders take them like those of real boards.
"""

from __future__ import annotations

from dataclasses import dataclass
from heapq import heapify, heapreplace
from typing import TYPE_CHECKING

from emonhub.demo.house import Energy, House, HouseState, chance
from emonhub.nodes.encoder import encode
from emonhub.nodes.templates import definition_from, templates

if TYPE_CHECKING:
    from collections.abc import Callable

    from emonhub.nodes.definition import Codec, NodeDefinition
    from emonhub.nodes.templates import Template

EMONPI_PERIOD_S = 5.0
"""An emonPi reads its sensors every 5 s."""

EMONTX_PERIOD_S = 9.8
"""The emonTx firmwares send a little faster than every 10 s, so that no 10 s slot of a feed stays empty."""

EMONTH_PERIOD_S = 60.0
"""An emonTH sleeps for a minute between frames, for its battery to last a year."""

LOST_SHARE = 1 / 200
"""Frames that collide in the air: few, but a look at the hub's missed counter shows some within the hour."""

_NO_TEMPERATURE_C = 300.0
"""What the emonTx firmwares send for a temperature sensor that is not there."""

_WH_PER_HEAT_PULSE = 10.0
"""The heat meter's pulse; the electricity meters' is 1 Wh."""

_SWITCH_ON_S = 4.0
"""Within this time the nodes are switched on one after the other, so that they don't send at once for ever."""

_RSSI_SPREAD_DB = 4.0

_JITTER, _LOSS, _PHASE = 1000, 2000, 3000  # streams of chance, one for each node from here on

Reading = tuple[float, ...]
Frame = tuple[float, int, bytes, int]
"""(time in s, node id, payload, rssi in dBm)"""


def _emonpi(state: HouseState, energy: Energy, _count: int) -> Reading:
    # The firmware leaves temperatures without a sensor at 0. What is imported and what the roof gives is what is used.
    temperatures = (state.outside_c, 0, 0, 0, 0, 0)
    return (state.grid_w, state.solar_w, state.use_w, state.vrms_v, *temperatures, int(energy.wh["grid_import"]))


def _emontx3(state: HouseState, energy: Energy, count: int) -> Reading:
    wh = energy.wh
    powers = (state.solar_south_w, state.solar_west_w, 0, 0)
    energies = (int(wh["solar_south"]), int(wh["solar_west"]), 0, 0)
    temperatures = (state.inverter_c, _NO_TEMPERATURE_C, _NO_TEMPERATURE_C)
    return (count, state.vrms_v, *powers, *energies, *temperatures, int(wh["solar"]))


def _emontx4(state: HouseState, energy: Energy, count: int) -> Reading:
    wh = energy.wh
    powers = (state.heat_pump_w, state.car_w, state.cooker_w, state.kettle_w, state.base_w, state.use_w)
    energies = (int(wh[name]) for name in ("heat_pump", "car", "cooker", "kettle", "base", "use"))
    temperatures = (state.flow_c, state.return_c, _NO_TEMPERATURE_C)
    return (count, state.vrms_v, *powers, *energies, *temperatures, int(wh["heat"] / _WH_PER_HEAT_PULSE))


def _emonth2(state: HouseState, _energy: Energy, _count: int) -> Reading:
    # Its second sensor is on a lead into the bedroom; nothing is connected to its pulse input.
    return (state.living_room_c, state.bedroom_c, state.humidity_pct, state.battery_v, 0)


@dataclass(frozen=True, slots=True)
class SimulatedNode:
    """One node: `read` gives the values of its template from the house, its energies, and the count of frames."""

    id: int
    template: str
    period_s: float
    rssi_dbm: int
    read: Callable[[HouseState, Energy, int], Reading]

    @property
    def codec(self) -> Codec:
        """How its frames are packed: as the hub's template library decodes them."""
        return self._template().rx

    @property
    def definition(self) -> NodeDefinition:
        """What `[nodes]` has to say of it."""
        return definition_from(self._template(), self.id)

    def frame(self, state: HouseState, energy: Energy, count: int) -> bytes:
        """The bytes of its frame number `count`, from 1 on. Raises FrameError if a value does not fit."""
        return encode(self.read(state, energy, count), self.codec)

    def _template(self) -> Template:
        return next(template for template in templates() if template.name == self.template)


NODES = (
    SimulatedNode(5, "emonpi", EMONPI_PERIOD_S, -34, _emonpi),
    SimulatedNode(15, "emontx3_cm", EMONTX_PERIOD_S, -66, _emontx3),
    SimulatedNode(17, "emonTx4", EMONTX_PERIOD_S, -52, _emontx4),
    SimulatedNode(23, "emonth2", EMONTH_PERIOD_S, -78, _emonth2),
)


class SimulatedNodes:
    """The nodes of the house that `seed` chooses, switched on with the first call of `due`."""

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed
        self.house = House(seed)
        self.energy = Energy()
        self._first_s: dict[int, float] = {}
        self._counts = dict.fromkeys((node.id for node in NODES), 0)
        self._queue: list[tuple[float, int]] = []  # (when it sends next, index in NODES)

    def due(self, since_s: float, until_s: float) -> list[Frame]:
        """The frames that are heard from `since_s` to before `until_s`, in the order of time.

        Times are the house's: seconds since midnight of its day 0. To be called with one span after the other:
        the nodes go on through a gap unheard, and do not send again what was due before. How time is cut into spans
        changes nothing.
        """
        if not self._queue:
            self._switch_on(since_s)
        heard = []
        while self._queue[0][0] < until_s:
            time_s, index = self._queue[0]
            node = NODES[index]
            count = self._counts[node.id] = self._counts[node.id] + 1
            heapreplace(self._queue, (self._first_s[node.id] + count * node.period_s, index))
            state = self.house.at(time_s)
            self.energy.add(state)
            if time_s >= since_s and chance(self.seed, _LOSS + node.id, count) >= LOST_SHARE:
                heard.append((time_s, node.id, node.frame(state, self.energy, count), self._rssi(node, count)))
        return heard

    def _switch_on(self, now_s: float) -> None:
        for index, node in enumerate(NODES):
            wait_s = _SWITCH_ON_S * (index + chance(self.seed, _PHASE, node.id)) / len(NODES)
            self._first_s[node.id] = now_s + wait_s
            self._queue.append((now_s + wait_s, index))
        heapify(self._queue)

    def _rssi(self, node: SimulatedNode, count: int) -> int:
        swing = chance(self.seed, _JITTER + node.id, 2 * count) + chance(self.seed, _JITTER + node.id, 2 * count + 1)
        return round(node.rssi_dbm + _RSSI_SPREAD_DB * (swing - 1.0))


__all__ = ["LOST_SHARE", "NODES", "Frame", "SimulatedNode", "SimulatedNodes"]
