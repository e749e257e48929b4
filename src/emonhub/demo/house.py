"""A home with a heat pump, solar panels on two roof faces and an electric car, computed from the time and a seed.

What depends on nothing but the time (sun, clouds, weather, meals) is a function of it. What has a memory (room
temperatures, the heat pump, the car's battery) is computed in steps of a minute, day after day, and kept.
Time is the house's own clock: seconds since midnight of its day 0, a Saturday in April.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_DAY_S = 86400.0

_STEP_S = 60.0
"""Short against the half hour that the heat pump runs; a day takes 1440 of them, some tens of milliseconds."""

_DAYS_KEPT = 3
"""Days whose steps are kept; of older ones only the start, from which they are computed again if asked for."""

_DAY_OF_YEAR = 96
"""Day 0. In April there is sun to export as well as a need for heat."""

_WEEKDAY = 5
"""Day 0 is a Saturday (Monday is 0): the car is at home to be charged from the roof."""

_LATITUDE = math.radians(50.0)
_SOLAR_NOON_H = 13.2
"""Summer time in the middle of its zone."""

_TILT = math.radians(35.0)
_SOUTH_KWP, _WEST_KWP = 5.2, 2.8
_SYSTEM_YIELD = 0.86
"""What is left of the cells' power behind warm cells, cables and inverter."""

_CAR_FULL_A, _CAR_LEAST_A, _CAR_V = 32, 6, 230
"""A car charges with 6 A or more (IEC 61851-1), and a wall box of one phase gives 32 A: 7.36 kW."""

_WATER_W_PER_K = 0.28 * 4180.0
"""What the heating water carries for each kelvin between flow and return: 0.28 kg/s of it."""


class _Stream(IntEnum):
    """Independent streams of chance."""

    WEATHER, AIR, SKY, CLOUDS, WISPS, HAZE, BASE, LOADS, COMPRESSOR, CAR, MAINS, FLICKER, HUMIDITY = range(13)
    FRIDGE, MEALS, TRIP = range(13, 16)


def chance(seed: int, stream: int, index: int) -> float:
    """A number from 0 to 1, always the same for the same three: SplitMix64's finalizer (Steele and others, 2014)."""
    x = (seed * 0x9E3779B97F4A7C15 + stream * 0xD1B54A32D192ED03 + (index + 1) * 0x8CB92BA72F3D8DD7) & _MASK
    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9 & _MASK
    x = (x ^ x >> 27) * 0x94D049BB133111EB & _MASK
    return (x ^ x >> 31) / 2**64


_MASK = (1 << 64) - 1


@dataclass(frozen=True, slots=True)
class HouseState:
    """The house at one time. Powers are whole watts, so that their sums are exact."""

    time_s: float
    base_w: int
    """Sockets, lights, fridge."""
    kettle_w: int
    cooker_w: int
    heat_pump_w: int
    car_w: int
    solar_south_w: int
    solar_west_w: int
    heat_w: int
    """What the heat pump gives to the heating water."""
    vrms_v: float
    outside_c: float
    living_room_c: float
    bedroom_c: float
    flow_c: float
    return_c: float
    inverter_c: float
    humidity_pct: float
    """In the living room."""
    battery_v: float
    """Two AA cells of the sensor in the living room."""

    @property
    def solar_w(self) -> int:
        """Both roof faces."""
        return self.solar_south_w + self.solar_west_w

    @property
    def use_w(self) -> int:
        """All that the house takes."""
        return self.base_w + self.kettle_w + self.cooker_w + self.heat_pump_w + self.car_w

    @property
    def grid_w(self) -> int:
        """Import; negative is export."""
        return self.use_w - self.solar_w


METERS: dict[str, Callable[[HouseState], int]] = {
    "grid_import": lambda state: max(state.grid_w, 0),
    "grid_export": lambda state: max(-state.grid_w, 0),
    "use": lambda state: state.use_w,
    "solar": lambda state: state.solar_w,
    "solar_south": lambda state: state.solar_south_w,
    "solar_west": lambda state: state.solar_west_w,
    "base": lambda state: state.base_w,
    "kettle": lambda state: state.kettle_w,
    "cooker": lambda state: state.cooker_w,
    "heat_pump": lambda state: state.heat_pump_w,
    "heat": lambda state: state.heat_w,
    "car": lambda state: state.car_w,
}
"""The powers that are metered, in W; none of them is ever negative."""


class Energy:
    """Energies in Wh by the names of METERS, all 0 at first: the powers summed up over the states it was given."""

    def __init__(self) -> None:
        self.wh = dict.fromkeys(METERS, 0.0)
        self._last: HouseState | None = None

    def add(self, state: HouseState) -> None:
        """Count up to `state`, as if each power had gone evenly from the last state's. Raises ValueError if older."""
        if self._last is not None:
            half_hours = (state.time_s - self._last.time_s) / 7200.0
            if half_hours < 0:
                raise ValueError(f"{state.time_s} s is before {self._last.time_s} s")
            for name, power in METERS.items():
                self.wh[name] += (power(self._last) + power(state)) * half_hours
        self._last = state


@dataclass(frozen=True, slots=True)
class _Memory:
    """What one step hands to the next."""

    living_room_c: float
    bedroom_c: float
    flow_c: float
    drop_k: float
    """Flow less return."""
    running_s: float
    """Since the compressor has started; 0 = it stands."""
    car_lacks_wh: float
    surplus: bool
    """The car takes what the roof gives beyond the house's use."""


@dataclass(frozen=True, slots=True)
class _Plan:
    """What people do on one day. Times are seconds of the day; meals are (start, end, watts)."""

    kettle: tuple[tuple[float, float, int], ...]
    cooker: tuple[tuple[float, float, int], ...]
    leave_s: float
    back_s: float
    drive_wh: float
    weekend: bool


@dataclass(frozen=True, slots=True)
class _Day:
    plan: _Plan
    steps: list[_Memory]


_MOVED_IN = _Memory(19.8, 18.0, 30.0, 0.0, 0.0, 0.0, surplus=False)


class House:
    """The house that `seed` chooses."""

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed
        self._starts = [_MOVED_IN]
        self._days: dict[int, _Day] = {}

    def at(self, time_of_day_s: float, day: int = 0) -> HouseState:
        """The house at a time of `day`; seconds beyond its end count on into the next. Raises ValueError below 0."""
        time_s = day * _DAY_S + time_of_day_s
        if time_s < 0:
            raise ValueError(f"{time_s} s is before the house's first day")
        number, second = divmod(time_s, _DAY_S)
        today = self._day(int(number))
        index, within = divmod(second, _STEP_S)
        before, after = today.steps[int(index)], today.steps[int(index) + 1]
        share = within / _STEP_S
        now = replace(
            before,
            living_room_c=_mix(before.living_room_c, after.living_room_c, share),
            bedroom_c=_mix(before.bedroom_c, after.bedroom_c, share),
            flow_c=_mix(before.flow_c, after.flow_c, share),
            drop_k=_mix(before.drop_k, after.drop_k, share),
        )
        return self._state(time_s, today.plan, now)

    def _day(self, number: int) -> _Day:
        day = self._days.get(number)
        if day is not None:
            return day
        for missing in range(min(number, len(self._starts) - 1), number + 1):
            day = self._live(missing)
            self._days[missing] = day
            if missing + 1 == len(self._starts):
                self._starts.append(day.steps[-1])
            if len(self._days) > _DAYS_KEPT:
                del self._days[next(iter(self._days))]
        assert day is not None
        return day

    def _live(self, number: int) -> _Day:
        """Every step of one day, and the first of the next."""
        plan = self._plan(number)
        memory = self._starts[number]
        steps = [memory]
        for index in range(int(_DAY_S / _STEP_S)):
            time_s = number * _DAY_S + index * _STEP_S
            memory = _next(memory, self._state(time_s, plan, memory), plan)
            steps.append(memory)
        return _Day(plan, steps)

    def _state(self, time_s: float, plan: _Plan, memory: _Memory) -> HouseState:
        second = time_s % _DAY_S
        outside_c = self._outside_c(time_s)
        south_w, west_w = self._solar_w(time_s)
        base_w = self._base_w(time_s, plan)
        kettle_w, cooker_w = _meal_w(plan.kettle, second), _meal_w(plan.cooker, second)
        heat_pump_w, heat_w = self._heat_pump_w(time_s, outside_c, memory.running_s)
        others_w = base_w + kettle_w + cooker_w + heat_pump_w
        car_w = self._car_w(time_s, plan, memory, south_w + west_w - others_w)
        grid_w = others_w + car_w - south_w - west_w
        humidity = 47.0 + 0.5 * (outside_c - 7.0) - 2.0 * (memory.living_room_c - 20.5) + 0.001 * (kettle_w + cooker_w)
        return HouseState(
            time_s=time_s,
            base_w=base_w,
            kettle_w=kettle_w,
            cooker_w=cooker_w,
            heat_pump_w=heat_pump_w,
            car_w=car_w,
            solar_south_w=south_w,
            solar_west_w=west_w,
            heat_w=heat_w,
            vrms_v=237.0
            + 2.2 * self._noise(_Stream.MAINS, time_s / 2400)
            + 0.3 * self._noise(_Stream.FLICKER, time_s / 7)
            - 0.0004 * grid_w,
            outside_c=outside_c,
            living_room_c=memory.living_room_c,
            bedroom_c=memory.bedroom_c,
            flow_c=memory.flow_c,
            return_c=memory.flow_c - memory.drop_k,
            inverter_c=outside_c + 9.0 + 0.0045 * (south_w + west_w),
            humidity_pct=_clamp(humidity + 2.5 * self._noise(_Stream.HUMIDITY, time_s / 1500), 20.0, 85.0),
            battery_v=3.1 - 0.7 * (time_s / _DAY_S / 450.0 % 1.0),  # a pair lasts well over a year
        )

    def _noise(self, stream: int, x: float) -> float:
        """From -1 to 1, smooth, with a new direction about once in every 1 of `x`."""
        index = math.floor(x)
        part = x - index
        a, b = chance(self.seed, stream, index), chance(self.seed, stream, index + 1)
        return 2.0 * _mix(a, b, part * part * (3.0 - 2.0 * part)) - 1.0

    def _outside_c(self, time_s: float) -> float:
        season = math.cos(math.tau * (_DAY_OF_YEAR + time_s / _DAY_S - 20.0) / 365.0)
        of_day = math.cos(math.tau * (time_s / _DAY_S - 15.5 / 24.0))
        weather = 3.0 * self._noise(_Stream.WEATHER, time_s / (1.7 * _DAY_S))
        return 9.8 - 9.3 * season + 4.2 * of_day + weather + 0.3 * self._noise(_Stream.AIR, time_s / 1200)

    def _solar_w(self, time_s: float) -> tuple[int, int]:
        """(south, west) face: the sun's direct and diffuse light on each, through passing clouds."""
        up, south, west = _sun(time_s)
        if up <= 0.0:
            return 0, 0
        cloud = (
            0.42
            + 0.40 * self._noise(_Stream.SKY, time_s / (0.8 * _DAY_S))
            + 0.30 * self._noise(_Stream.CLOUDS, time_s / 4000)
            + 0.28 * self._noise(_Stream.WISPS, time_s / 420)
            + 0.06 * self._noise(_Stream.HAZE, time_s / 45)
        )
        cover = _clamp((cloud - 0.25) / 0.6, 0.0, 1.0)
        beam = 1353.0 * math.pow(0.7, math.pow(up + 0.03, -0.678))  # W/m² in clear sky (Meinel, 1976)
        diffuse = beam * up * (0.12 + 0.25 * cover * (1.0 - 0.65 * cover))
        direct = beam * (1.0 - 0.95 * cover)

        def face_w(kwp: float, towards: float) -> int:
            facing = max(up * math.cos(_TILT) + towards * math.sin(_TILT), 0.0)
            return round(kwp * _SYSTEM_YIELD * (direct * facing + diffuse))

        return face_w(_SOUTH_KWP, south), face_w(_WEST_KWP, west)

    def _base_w(self, time_s: float, plan: _Plan) -> int:
        hour = time_s % _DAY_S / 3600.0
        fridge_w = 82 if (time_s / 2900 + chance(self.seed, _Stream.FRIDGE, 0)) % 1.0 < 0.38 else 0
        awake_w = 130 * _bump(hour, 6.4, 8.3) + 260 * _bump(hour, 17.3, 23.3)
        if plan.weekend:
            awake_w += 110 * _bump(hour, 8.0, 19.0)
        lively = 1.0 + 0.35 * self._noise(_Stream.LOADS, time_s / 700)
        return round(115 + fridge_w + awake_w * lively + 9 * self._noise(_Stream.BASE, time_s / 20))

    def _heat_pump_w(self, time_s: float, outside_c: float, running_s: float) -> tuple[int, int]:
        """(electrical, heat): its COP is 45 % of an ideal machine's between the air outside and the flow."""
        if running_s <= 0.0:
            return 14, 0
        flow_c = _flow_target_c(outside_c)
        cop = _clamp(0.45 * (flow_c + 273.15) / max(flow_c - outside_c, 10.0), 1.5, 5.5)
        power = 0.55 + 0.45 * min(running_s / 300.0, 1.0) + 0.02 * self._noise(_Stream.COMPRESSOR, time_s / 15)
        heat_w = power * _clamp(4200.0 + 130.0 * (20.0 - outside_c), 3500.0, 9000.0)
        return round(heat_w / cop), round(heat_w)

    def _car_w(self, time_s: float, plan: _Plan, memory: _Memory, surplus_w: int) -> int:
        second = time_s % _DAY_S
        if memory.car_lacks_wh <= 0.0 or plan.leave_s <= second < plan.back_s:
            return 0
        if _is_night(second):
            return round(_CAR_FULL_A * _CAR_V + 25 * self._noise(_Stream.CAR, time_s / 30))
        if not memory.surplus:
            return 0
        return _CAR_V * int(_clamp(surplus_w / _CAR_V, _CAR_LEAST_A, _CAR_FULL_A))

    def _plan(self, number: int) -> _Plan:
        weekend = (number + _WEEKDAY) % 7 >= 5

        def any_of(stream: int, index: int, low: float, high: float) -> float:
            return _mix(low, high, chance(self.seed, stream, number * 64 + index))

        def meal(index: int, hour: float, minutes: float, watts: int) -> tuple[float, float, int]:
            start_s = (hour + any_of(_Stream.MEALS, index, -0.35, 0.35)) * 3600.0
            return start_s, start_s + minutes * 60.0, watts

        hours = (6.9, 9.2, 11.1, 12.7, 15.6, 20.4) if weekend else (6.7, 7.3, 16.9, 20.4)
        kettle = tuple(meal(i, hour, any_of(_Stream.MEALS, 20 + i, 2.0, 3.6), 2750) for i, hour in enumerate(hours))
        hob = meal(10, 18.6, 22.0, 1450)
        oven = meal(11, 18.3, 9.0, 2400)
        # Once hot, the oven's thermostat switches it on for 100 s in every 5 minutes.
        held = tuple((oven[1] + 300.0 * i + 200.0, oven[1] + 300.0 * (i + 1), 2400) for i in range(7))
        lunch = (meal(12, 12.4, 18.0, 1600),) if weekend else ()
        baking = (oven, *held) if any_of(_Stream.MEALS, 13, 0.0, 1.0) < 0.6 else ()
        return _Plan(
            kettle=kettle,
            cooker=(*lunch, hob, *baking),
            leave_s=3600.0 * ((8.4 if weekend else 7.6) + any_of(_Stream.TRIP, 0, -0.2, 0.2)),
            back_s=3600.0 * ((10.2 if weekend else 17.3) + any_of(_Stream.TRIP, 1, -0.4, 0.4)),
            drive_wh=1000.0 * any_of(_Stream.TRIP, 2, 14.0 if weekend else 8.0, 26.0 if weekend else 20.0),
            weekend=weekend,
        )


def _next(memory: _Memory, state: HouseState, plan: _Plan) -> _Memory:
    """The memory one step after `state`."""
    second = state.time_s % _DAY_S
    living_c, bedroom_c, outside_c = memory.living_room_c, memory.bedroom_c, state.outside_c
    # W into each room, over its J/K.
    gains_w = 330.0 + 0.4 * (state.base_w + state.cooker_w) + 0.05 * state.solar_w
    exchange_w = 80.0 * (living_c - bedroom_c)
    living_w = 0.75 * state.heat_w + gains_w - exchange_w - 150.0 * (living_c - outside_c)
    bedroom_w = 0.25 * state.heat_w + exchange_w - 60.0 * (bedroom_c - outside_c)

    target_c = 21.0 if 5.0 * 3600 <= second < 22.5 * 3600 else 19.0
    limit_c = target_c + (0.35 if memory.running_s else -0.35)
    running = living_c < limit_c
    flow_target_c, flow_s = (_flow_target_c(outside_c), 360.0) if running else (living_c, 1800.0)

    lacks_wh = memory.car_lacks_wh - state.car_w * _STEP_S / 3600.0
    if second <= plan.back_s < second + _STEP_S:
        lacks_wh = max(lacks_wh, 0.0) + plan.drive_wh
    spare_w = state.car_w - state.grid_w
    return _Memory(
        living_room_c=living_c + living_w * _STEP_S / 10e6,
        bedroom_c=bedroom_c + bedroom_w * _STEP_S / 6e6,
        flow_c=_mix(memory.flow_c, flow_target_c, _STEP_S / flow_s),
        drop_k=_mix(memory.drop_k, state.heat_w / _WATER_W_PER_K, _STEP_S / 180.0),
        running_s=memory.running_s + _STEP_S if running else 0.0,
        car_lacks_wh=max(lacks_wh, 0.0),
        # A little import is better than to switch the car's contactor at every cloud.
        surplus=spare_w > (700 if memory.surplus else 1600),
    )


def _sun(time_s: float) -> tuple[float, float, float]:
    """The direction of the sun, of length 1: (up, south, west)."""
    declination = math.radians(23.45) * math.sin(math.tau * (284 + _DAY_OF_YEAR + int(time_s / _DAY_S)) / 365.0)
    angle = math.tau * (time_s % _DAY_S / 3600.0 - _SOLAR_NOON_H) / 24.0
    equator = math.cos(declination) * math.cos(angle)
    up = math.sin(_LATITUDE) * math.sin(declination) + math.cos(_LATITUDE) * equator
    south = math.sin(_LATITUDE) * equator - math.cos(_LATITUDE) * math.sin(declination)
    return up, south, math.cos(declination) * math.sin(angle)


def _flow_target_c(outside_c: float) -> float:
    """The heating curve: hotter water for colder days."""
    return _clamp(32.0 + 0.7 * (20.0 - outside_c), 30.0, 55.0)


def _is_night(second: float) -> bool:
    """Whether the car no longer waits for the sun."""
    return second >= 18 * 3600 or second < 6 * 3600


def _meal_w(meals: tuple[tuple[float, float, int], ...], second: float) -> int:
    return sum(watts for start, end, watts in meals if start <= second < end)


def _bump(hour: float, begin: float, end: float) -> float:
    """1 between two hours, 0 far from them, with flanks of about half an hour."""
    return 1.0 / (1.0 + math.exp(8.0 * (begin - hour))) / (1.0 + math.exp(8.0 * (hour - end)))


def _mix(a: float, b: float, share: float) -> float:
    return a + (b - a) * share


def _clamp(value: float, low: float, high: float) -> float:
    return min(max(value, low), high)


__all__ = ["METERS", "Energy", "House", "HouseState", "chance"]
