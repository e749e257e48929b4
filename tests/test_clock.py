"""The clock: when it is believed, when frames wait for it, and how wrong times are put right."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from emonhub.clock import FLOOR, WAIT_S, Clock

if TYPE_CHECKING:
    from pathlib import Path

NOW = 1_800_000_000.0
HOUR = 3600.0


class Machine:
    """A machine with a wall clock that somebody sets, and one that runs evenly since its start."""

    def __init__(self, wall: float = NOW, *, is_set: bool = True, boot: str = "first") -> None:
        self.wall = wall
        self.up = 10.0
        self.is_set = is_set
        self.boot = boot
        self.heard: list[tuple[float, bool]] = []
        self.clock = self.start()

    def start(self) -> Clock:
        """The hub starts, perhaps again."""
        self.clock = Clock(lambda: self.wall, lambda: self.up, self.boot, lambda: self.is_set)
        self.clock.on_change(lambda shift, good: self.heard.append((round(shift, 3), good)))
        return self.clock

    def run(self, seconds: float) -> None:
        self.wall += seconds
        self.up += seconds

    def reboot(self, wall: float, boot: str) -> Clock:
        self.wall, self.up, self.boot, self.is_set = wall, 5.0, boot, False
        return self.start()


def test_a_clock_that_is_set_is_believed() -> None:
    machine = Machine()
    assert machine.clock.trusted
    assert not machine.clock.holding
    machine.run(1e6)
    machine.clock.look()
    assert machine.heard == []


def test_a_time_of_the_past_is_never_believed() -> None:
    assert not Machine(FLOOR - 1).clock.trusted  # whatever the kernel says


def test_frames_wait_for_the_time_but_not_for_ever() -> None:
    machine = Machine(100.0, is_set=False)
    assert machine.clock.holding
    machine.run(WAIT_S)
    assert (machine.clock.holding, machine.clock.trusted) == (False, False)
    machine.clock.wait_s = 2 * WAIT_S
    assert (machine.clock.holding, machine.clock.trusted) == (True, False)


def test_from_1970_to_now() -> None:
    machine = Machine(100.0, is_set=False)
    stamp = machine.clock.stamp()
    read_at = machine.wall + 20
    machine.run(60)
    assert machine.clock.correction(stamp) is None
    machine.wall, machine.is_set = NOW, True
    machine.clock.look()
    assert machine.clock.trusted
    assert machine.heard == [(NOW - 160, True)]
    correction = machine.clock.correction(stamp)
    assert correction is not None
    assert read_at + correction == pytest.approx(NOW - 40)


def test_a_stale_time_that_looks_right_steps_hours_later() -> None:
    machine = Machine(NOW - 86_400, is_set=False)
    stamp = machine.clock.stamp()
    for _ in range(120):
        machine.run(60)
        machine.clock.look()
    assert machine.heard == []
    machine.wall += 86_400
    machine.is_set = True
    machine.clock.look()
    assert machine.heard == [(86_400, True)]
    assert machine.clock.correction(stamp) == pytest.approx(86_400)


def test_several_steps_add_up() -> None:
    machine = Machine(100.0, is_set=False)
    stamp = machine.clock.stamp()
    for step in (HOUR, -60.0, 2 * HOUR):
        machine.run(30)
        machine.wall += step
        machine.clock.look()
        machine.clock.look()
    assert machine.heard == [(HOUR, False), (-60, False), (2 * HOUR, False)]
    machine.wall, machine.is_set = NOW, True
    machine.clock.look()
    assert len(machine.heard) == 4
    assert sum(shift for shift, _ in machine.heard) == pytest.approx(NOW - 190)
    assert machine.clock.correction(stamp) == pytest.approx(NOW - 190)


def test_being_set_without_a_step() -> None:
    machine = Machine(is_set=False)
    stamp = machine.clock.stamp()
    machine.run(30)
    machine.wall += 0.4  # put right by less than what matters
    machine.is_set = True
    machine.clock.look()
    assert machine.heard == [(0.0, True)]
    assert machine.clock.correction(stamp) == pytest.approx(0.0)


@pytest.mark.parametrize("step", [HOUR, -HOUR, 365 * 86_400.0, -365 * 86_400.0])
def test_a_clock_that_was_right_may_step_and_nothing_is_rewritten(step: float) -> None:
    machine = Machine(FLOOR + 800 * 86_400)
    before = machine.clock.stamp()
    machine.wall += step
    machine.clock.look()
    assert machine.heard == []
    assert machine.clock.trusted
    assert machine.clock.stamp() != before  # what is written from now on is by another clock


def test_a_restart_of_the_hub_before_the_step(tmp_path: Path) -> None:
    machine = Machine(100.0, is_set=False)
    stamp = machine.clock.stamp()
    machine.run(60)
    machine.start().remember(tmp_path / "clocks.json")
    machine.wall, machine.is_set = NOW, True
    machine.clock.look()
    assert machine.clock.correction(stamp) == pytest.approx(NOW - 160)


def test_the_hub_was_not_running_when_the_clock_was_set(tmp_path: Path) -> None:
    """And the machine is restarted before the frames are delivered."""
    machine = Machine(100.0, is_set=False)
    stamp = machine.clock.stamp()
    machine.run(60)
    machine.wall, machine.is_set = NOW, True
    machine.start().remember(tmp_path / "clocks.json")
    assert machine.clock.correction(stamp) == pytest.approx(NOW - 160)
    machine.reboot(NOW - 5000, "second").remember(tmp_path / "clocks.json")
    assert machine.clock.correction(stamp) == pytest.approx(NOW - 160)


def test_a_restart_of_the_machine_before_it_was_ever_set(tmp_path: Path) -> None:
    machine = Machine(100.0, is_set=False)
    machine.clock.remember(tmp_path / "clocks.json")
    stamp = machine.clock.stamp()
    machine.reboot(200.0, "second").remember(tmp_path / "clocks.json")
    second = machine.clock.stamp()
    machine.wall, machine.is_set = NOW, True
    machine.clock.look()
    assert machine.clock.correction(stamp) is None  # nobody will ever know
    assert machine.clock.correction(second) == pytest.approx(NOW - 200)


def test_only_so_many_starts_are_remembered(tmp_path: Path) -> None:
    file = tmp_path / "clocks.json"
    machine = Machine()
    for number in range(50):
        machine.reboot(NOW, f"boot {number}")
        machine.is_set = True
        machine.start().remember(file)
    known = json.loads(file.read_text())
    assert list(known) == [f"boot {number}" for number in range(30, 50)]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"a": "b"}', '{"a": null}', "\0\0"])
def test_a_damaged_file_is_no_knowledge(tmp_path: Path, text: str) -> None:
    file = tmp_path / "clocks.json"
    file.write_text(text)
    machine = Machine()
    machine.clock.remember(file)
    assert machine.clock.correction({"boot": "a", "offset": 1.0}) is None
    assert json.loads(file.read_text()) == {"first": NOW - 10}


@pytest.mark.parametrize("stamp", [{}, {"boot": "first"}, {"boot": "first", "offset": "x"}, {"offset": 1.0}])
def test_a_stamp_that_says_nothing(stamp: dict[str, object]) -> None:
    assert Machine().clock.correction(stamp) is None
