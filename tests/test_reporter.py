"""The taking half of a reporter: what it makes of frames that no target could take as they are."""

from __future__ import annotations

from math import inf, nan
from typing import TYPE_CHECKING

import pytest

from emonhub import Batch, Cargo, Delivered, Encoder, FrameError, Layout, Outcome, Reporter
from emonhub.buffer.lines import frame_lines, note_line, parse, seed
from tests.conservation import assert_conserved

if TYPE_CHECKING:
    from emonhub.world import World


class Texts(Reporter):
    """Writes a frame as its node's name."""

    def encoder(self, layout: Layout) -> Encoder:
        def write(cargo: Cargo) -> str:
            if cargo.values == (0,):
                raise FrameError("no value", "nothing to write")
            return layout.nodename

        return write

    async def deliver(self, batch: Batch) -> Outcome:
        return Delivered()


def cargo(name: str, time: float = 1000.0, value: int = 1) -> Cargo:
    return Cargo(Layout(1, name), (value,), time)


async def test_half_a_character_stops_no_journal() -> None:
    """A lone surrogate, as JSON can carry it in a name, can't be written as UTF-8."""
    reporter = Texts("texts")
    reporter.accept([cargo("good"), cargo("b\ud800d")])
    batch = await reporter.buffer.fetch(10)
    assert batch is not None
    assert batch.records == ["good", "b?d"]
    start = seed("texts", 0)
    lines = frame_lines(start, 0, 0.0, batch.records, batch.times, [False, False])
    lines.append(note_line(start, {"nodename": "b\ud800d"}))
    assert len(list(parse(b"".join(lines), start, 0.0))) == 3
    assert_conserved(reporter)


async def test_a_newline_in_a_record_is_none_in_the_journal() -> None:
    reporter = Texts("texts")
    reporter.accept([cargo("two\nlines")])
    batch = await reporter.buffer.fetch(10)
    assert batch is not None
    assert batch.records == ["two lines"]


@pytest.mark.parametrize("times", [(1000.0004, 1000.0004), (1000.0004, 1001.9996)])
async def test_a_time_is_the_same_wherever_it_is_sent_from(times: tuple[float, float]) -> None:
    """To the millisecond, as a journal keeps it: else a frame that is sent again would be another one."""
    reporter = Texts("texts")
    reporter.accept([cargo("a", times[0]), cargo("b", times[1])])
    batch = await reporter.buffer.fetch(10)
    assert batch is not None
    assert batch.times == [round(time, 3) for time in times]


@pytest.mark.parametrize("time", [nan, inf, -inf])
async def test_a_time_that_is_none_is_now(time: float) -> None:
    reporter = Texts("texts")
    before = reporter.world.time()
    reporter.accept([cargo("a", time)])
    batch = await reporter.buffer.fetch(10)
    assert batch is not None
    assert before - 1 <= batch.times[0] <= reporter.world.time() + 1


async def test_a_frame_that_cant_be_encoded_is_counted_and_costs_no_other() -> None:
    reporter = Texts("texts")
    reporter.accept([cargo("a"), cargo("b", value=0), cargo("c")])
    batch = await reporter.buffer.fetch(10)
    assert batch is not None
    assert batch.records == ["a", "c"]
    assert reporter.dropped == {"can't be encoded": 1}
    assert_conserved(reporter)


def clock_is_not_set(world: World) -> None:
    world.clock.trusted = False
    world.clock._is_set = lambda: False


async def test_a_devices_own_time_is_never_put_right() -> None:
    reporter = Texts("texts")
    clock_is_not_set(reporter.world)
    by_device = Cargo(Layout(1, "device"), (1,), 5000.0, device_time=True)
    reporter.accept([cargo("hub", 1000.0), by_device])
    reporter.buffer.correct(100.0, for_good=True)
    found = {}
    batch = await reporter.buffer.fetch(10)
    assert batch is not None
    found = dict(zip(batch.records, batch.times, strict=True))
    assert found == {"hub": 1100.0, "device": 5000.0}
