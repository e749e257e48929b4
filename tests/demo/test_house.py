from __future__ import annotations

import itertools
import math
from dataclasses import astuple

import pytest

from emonhub.demo.house import METERS, Energy, House, HouseState

DAY_S = 86400
DAYS = 4


@pytest.fixture(scope="module")
def states() -> list[HouseState]:
    """Four days, Saturday to Tuesday, every half minute."""
    house = House(1)
    return [house.at(second, day) for day in range(DAYS) for second in range(0, DAY_S, 30)]


def hour(state: HouseState) -> float:
    return state.time_s % DAY_S / 3600


def test_what_the_grid_gives_is_what_the_roof_does_not(states: list[HouseState]) -> None:
    for state in states:
        assert state.grid_w == state.use_w - state.solar_w
        parts = (state.base_w, state.kettle_w, state.cooker_w, state.heat_pump_w, state.car_w)
        assert state.use_w == sum(parts)
        assert min(*parts, state.solar_south_w, state.solar_west_w, state.heat_w) >= 0
    assert min(state.grid_w for state in states) < -1000
    assert max(state.grid_w for state in states) > 7000


@pytest.mark.parametrize("seed", range(5))
def test_the_sun_shines_by_day_only(seed: int) -> None:
    house = House(seed)
    for day in range(3):
        assert all(house.at(second, day).solar_w == 0 for second in (*range(0, 5 * 3600, 60), 22 * 3600))
    assert any(house.at(13 * 3600, day).solar_w > 1000 for day in range(5))


def test_the_south_face_leads_and_the_west_face_follows(states: list[HouseState]) -> None:
    morning = [state for state in states if 8 <= hour(state) < 12]
    evening = [state for state in states if 18.5 <= hour(state) < 20]
    assert sum(s.solar_south_w for s in morning) > 3 * sum(s.solar_west_w for s in morning)
    assert sum(s.solar_west_w for s in evening) > sum(s.solar_south_w for s in evening)


@pytest.mark.slow
def test_the_same_seed_is_the_same_house_and_another_is_not() -> None:
    times = [3600.0 * step + 7.5 for step in range(60)]
    once, again, other = ([House(seed).at(time) for time in times] for seed in (3, 3, 4))
    assert once == again
    assert once != other


def test_a_state_does_not_depend_on_what_was_asked_before() -> None:
    wandering = House(2)
    for day in (9, 0, 5, 1, 9):
        assert wandering.at(40000.0, day) == House(2).at(40000.0, day)


def test_seconds_beyond_a_day_are_those_of_the_next() -> None:
    house = House(1)
    assert house.at(DAY_S + 100.0) == house.at(100.0, day=1)
    with pytest.raises(ValueError, match="before the house's first day"):
        house.at(-1.0)


def test_temperatures_go_on_smoothly_through_midnight(states: list[HouseState]) -> None:
    for before, after in itertools.pairwise(states):
        assert abs(after.living_room_c - before.living_room_c) < 0.05
        assert abs(after.bedroom_c - before.bedroom_c) < 0.05
        assert abs(after.outside_c - before.outside_c) < 0.2
        assert abs(after.flow_c - before.flow_c) < 5


def test_the_heat_pump_cycles_and_keeps_the_rooms_warm(states: list[HouseState]) -> None:
    running = [state.heat_w > 0 for state in states]
    starts = sum(after and not before for before, after in itertools.pairwise(running))
    assert 3 * DAYS <= starts <= 24 * DAYS
    assert all(18 < state.living_room_c < 24 for state in states)
    assert all(state.flow_c >= state.return_c for state in states)
    assert all(state.heat_w > 1.5 * state.heat_pump_w for state in states if state.heat_w)


@pytest.mark.slow
def test_the_heat_pump_works_harder_when_it_is_colder() -> None:
    house = House(1)
    spring = [house.at(600.0 * step, day) for day in range(7) for step in range(144)]
    january = [house.at(600.0 * step, day) for day in range(280, 287) for step in range(144)]

    def mean(values: list[float]) -> float:
        return sum(values) / len(values)

    assert mean([s.outside_c for s in january]) < mean([s.outside_c for s in spring]) - 3
    assert mean([s.heat_pump_w for s in january]) > 1.5 * mean([s.heat_pump_w for s in spring])
    assert mean([s.heat_pump_w for s in january if s.heat_w]) > mean([s.heat_pump_w for s in spring if s.heat_w])


def test_the_car_takes_7_kw_in_the_evening_and_the_surplus_by_day(states: list[HouseState]) -> None:
    evenings = [max(s.car_w for s in states if s.time_s // DAY_S == day and hour(s) >= 18) for day in range(DAYS)]
    assert max(evenings) > 7000
    by_day = [state for state in states if 7 <= hour(state) < 18 and state.car_w]
    assert by_day
    assert all(1380 <= state.car_w <= 7360 for state in by_day)
    assert sum(state.grid_w for state in by_day) / len(by_day) < 300


def test_the_mains_sag_under_load_and_rise_with_export(states: list[HouseState]) -> None:
    def mean_v(some: list[HouseState]) -> float:
        return sum(state.vrms_v for state in some) / len(some)

    loaded = [state for state in states if state.grid_w > 5000]
    exporting = [state for state in states if state.grid_w < -1000]
    assert mean_v(loaded) < mean_v(exporting) - 1
    assert all(216 < state.vrms_v < 253 for state in states)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 7])
def test_a_whole_year_stays_within_reason(seed: int) -> None:
    house = House(seed)
    for day in range(0, 365, 7):
        for second in range(0, DAY_S, 3600):
            state = house.at(second, day)
            assert -25 < state.outside_c < 40
            assert 17 < state.living_room_c < 32
            assert 13 < state.bedroom_c < 32
            assert 20 <= state.humidity_pct <= 85
            assert 2.4 <= state.battery_v <= 3.1
            assert abs(state.grid_w) < 20_000
            assert all(map(math.isfinite, astuple(state)))


def test_energies_never_fall_and_are_the_integral_of_the_powers(states: list[HouseState]) -> None:
    energy = Energy()
    last = dict(energy.wh)
    for state in states:
        energy.add(state)
        assert all(energy.wh[name] >= last[name] for name in METERS)
        last = dict(energy.wh)
    for name, power in METERS.items():
        powers = [power(state) for state in states]
        assert last[name] == pytest.approx((sum(powers) - (powers[0] + powers[-1]) / 2) * 30 / 3600)
    parts = sum(last[name] for name in ("base", "kettle", "cooker", "heat_pump", "car"))
    assert last["use"] == pytest.approx(parts)
    assert last["grid_import"] - last["grid_export"] == pytest.approx(last["use"] - last["solar"])


def test_energies_do_not_run_backwards() -> None:
    house, energy = House(1), Energy()
    energy.add(house.at(100.0))
    with pytest.raises(ValueError, match="is before"):
        energy.add(house.at(99.0))
