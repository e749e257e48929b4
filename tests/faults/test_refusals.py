"""Targets that refuse frames, or take part of a batch and fail: what is good arrives, what is bad is set aside."""

from __future__ import annotations

import asyncio
import json
import math
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emonhub import Cargo, Delivered, DeliveredUpTo, Layout, Outcome, Rejected, Reporter, RetryAfter
from emonhub.interfacers.emoncms.http import EmoncmsHttpReporter
from tests.conservation import assert_conserved
from tests.fakes import emoncms_faults as faults
from tests.fakes.emoncms import FakeEmoncms
from tests.fakes.virtual import run_virtual
from tests.fakes.virtual_world import START, VirtualWorld
from tests.faults.buffers import FakeWorld, stored

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from emonhub import Batch
    from emonhub.buffer.base import Buffer
    from emonhub.reporter import Encoder

NODE = Layout(17, "emonTx", ("count",))


def numbers(batch: Batch) -> list[int]:
    return [int(text.split(",")[1]) for text in batch.records]


class Shop(Reporter):
    """A target in this process: takes batches whole, or refuses them because of what is in them."""

    def __init__(
        self, bad: Iterable[int] = (), buffer: Buffer | None = None, world: Any = None, **settings: Any
    ) -> None:
        super().__init__("shop", {"interval": 0.0} | settings, world=world or VirtualWorld(), buffer=buffer)
        self.poison = set(bad)
        self.got: list[int] = []
        self.answer: Callable[[list[int]], Outcome | None] = lambda _numbers: None

    def encoder(self, layout: Layout) -> Encoder:
        return lambda cargo: f"17,{cargo.values[0]}"

    async def deliver(self, batch: Batch) -> Outcome:
        await asyncio.sleep(0.01)
        wanted = numbers(batch)
        outcome = self.answer(wanted)
        if outcome is None:
            outcome = Rejected("there is a bad one in it") if self.poison.intersection(wanted) else Delivered()
        if isinstance(outcome, Delivered):
            self.got += wanted
        elif isinstance(outcome, DeliveredUpTo):
            self.got += wanted[: outcome.count]
        return outcome

    def fill(self, count: int) -> None:
        self.accept([Cargo(NODE, (n,), START + n) for n in range(count)])

    async def until_empty(self, within_s: float = 36_000.0) -> None:
        task = asyncio.create_task(self.run_delivery())
        try:
            async with asyncio.timeout(within_s):
                while self.buffer.frames:
                    await asyncio.sleep(0.05)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        assert_conserved(self)

    @property
    def letters(self) -> list[int]:
        return [int(letter.record.split(",")[1]) for letter in self.dead_letters.all()]


@pytest.mark.parametrize("size", [2, 3, 10, 100, 1000])
def test_a_bad_frame_is_found_in_few_requests(size: int) -> None:
    async def go() -> None:
        for bad in range(0, size, max(1, size // 20)):
            shop = Shop({bad}, batchsize=size)
            shop.fill(size + 5)
            await shop.until_empty()
            assert shop.letters == [bad]
            assert sorted(set(shop.got)) == [n for n in range(size + 5) if n != bad]
            assert shop.requests <= 2 * math.log2(size) + 7

    run_virtual(go)


@given(st.integers(2, 400), st.integers(1, 400), st.sets(st.integers(0, 399), max_size=8))
@settings(max_examples=60, deadline=None, derandomize=True)
def test_bad_frames_alone_are_set_aside(count: int, batchsize: int, bad: set[int]) -> None:
    async def go() -> None:
        shop = Shop(bad, batchsize=batchsize)
        shop.fill(count)
        shop.accept([Cargo(NODE, (n,), START + n) for n in range(400, 410)])  # so that some are good
        await shop.until_empty()
        assert shop.letters == sorted(n for n in bad if n < count)
        assert first_times(shop.got) == [n for n in [*range(count), *range(400, 410)] if n not in bad]
        per_bad = 2 * math.log2(batchsize) + 8
        assert shop.requests <= math.ceil(count / batchsize) + per_bad * len(bad) + 12

    run_virtual(go)


def first_times(numbers: list[int]) -> list[int]:
    return list(dict.fromkeys(numbers))


def test_a_poisoned_frame_in_a_large_backlog_on_disk() -> None:
    """And the files have gaps: thinned, or damaged."""

    async def go() -> None:
        world = FakeWorld()
        buffer = await stored(world, segment_bytes=100_000)
        shop = Shop({50_000}, buffer, world, batchsize=1000)
        for first in range(0, 100_000, 10_000):
            shop.accept([Cargo(NODE, (n,), START + n) for n in range(first, first + 10_000)])
            await asyncio.sleep(61)
        assert buffer._front.start == 100_000
        data = next(file.data for file in world.disk.files.values() if b"17,50000\n" in file.data)
        at = data.index(b"17,50000\n") + 9
        data[at : at + 40] = b"#" * 40  # what follows the poisoned one
        await shop.until_empty()
        assert shop.letters == [50_000]
        assert shop.dead == 1
        got = first_times(shop.got)
        assert got == sorted(got)
        assert len(got) == 100_000 - 1 - shop.dropped.total()
        assert 1 <= shop.dropped["damaged on disk"] <= 3

    run_virtual(go)


def test_refused_frames_with_gaps_between_them() -> None:
    async def go() -> None:
        world = FakeWorld()
        buffer = await stored(world, thin=True, segment_bytes=3000)
        shop = Shop(batchsize=100)
        shop.equip(buffer)
        for first in range(0, 600, 60):
            shop.accept([Cargo(NODE, (n,), START + n) for n in range(first, first + 60)])
            await asyncio.sleep(61)
        for _ in range(3):
            buffer.store._room.thin_one(buffer.store._files.owed(0))  # type: ignore[attr-defined]
        lost = buffer.store._room.tell_lost()  # type: ignore[attr-defined]
        buffer._counted.count_lost(lost, buffer._counted.removed)
        left: list[int] = []
        while batch := await buffer.fetch(1000, len(left)):
            left += numbers(batch)
        assert 300 < len(left) < 600
        shop.poison = set(left[150:153]) | set(left[200:210:2]) | {left[-2]}
        await shop.until_empty()
        assert shop.letters == sorted(shop.poison)
        assert first_times(shop.got) == [n for n in left if n not in shop.poison]

    run_virtual(go)


def test_a_target_that_refuses_everything_costs_nothing() -> None:
    async def go() -> None:
        shop = Shop(batchsize=100)
        shop.fill(1000)
        shop.answer = lambda _numbers: Rejected("I hate you")
        with pytest.raises(TimeoutError):
            await shop.until_empty(3600)
        assert_conserved(shop)
        assert shop.dead == 0
        assert shop.buffer.frames == 1000
        assert shop.requests < 6000
        assert "every frame is refused" in shop.trouble
        shop.answer = lambda _numbers: None
        shop.hurry()
        await shop.until_empty()
        assert first_times(shop.got) == list(range(1000))

    run_virtual(go)


def test_a_target_that_takes_a_part_at_a_time() -> None:
    async def go() -> None:
        shop = Shop(batchsize=100)
        shop.fill(1000)
        shop.answer = lambda numbers: DeliveredUpTo(min(7, len(numbers)))
        await shop.until_empty()
        assert shop.got == list(range(1000))

    run_virtual(go)


@pytest.mark.parametrize("seed", range(12))
def test_a_target_of_many_moods(seed: int) -> None:
    async def go() -> None:
        world = FakeWorld()
        world.random.seed(seed)
        bad = set(world.random.sample(range(2000), 5))
        shop = Shop(bad, await stored(world, segment_bytes=5000), world, batchsize=90, retry_max=5.0)

        def mood(numbers: list[int]) -> Outcome | None:
            match world.random.randrange(8):
                case 0:
                    return RetryAfter("busy", 2.0)
                case 1:
                    return RetryAfter("cut off", ambiguous=True)
                case 2 if not bad.intersection(numbers):
                    return DeliveredUpTo(world.random.randrange(len(numbers) + 1))
                case 3:
                    raise ZeroDivisionError
            return None

        shop.answer = mood
        delivering = asyncio.create_task(shop.run_delivery())
        for first in range(0, 2000, 20):
            shop.accept([Cargo(NODE, (n,), START + n) for n in range(first, first + 20)])
            await asyncio.sleep(world.random.random() * 5)
            assert_conserved(shop)
        async with asyncio.timeout(36_000):
            while shop.buffer.frames > 1:
                await asyncio.sleep(1)
        delivering.cancel()
        await asyncio.gather(delivering, return_exceptions=True)
        assert_conserved(shop)
        assert set(shop.letters) <= bad
        assert first_times(shop.got) == [n for n in range(2000) if n not in bad][: len(first_times(shop.got))]

    run_virtual(go)


# --- emoncms ---


def emoncms(server: FakeEmoncms, **settings: Any) -> EmoncmsHttpReporter:
    given = {"url": server.url, "apikey": server.write_key, "interval": 0.0, "timeout": 20.0} | settings
    return EmoncmsHttpReporter("emoncms", given, world=VirtualWorld())


async def delivered(reporter: EmoncmsHttpReporter, frames: int) -> None:
    await reporter.open()
    task = asyncio.create_task(reporter.run_delivery())
    try:
        async with asyncio.timeout(36_000):
            while reporter.acknowledged + reporter.dead < frames:
                await asyncio.sleep(0.1)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await reporter.close()
    assert_conserved(reporter)


@pytest.mark.parametrize("stored_frames", [0, 1, 37, 99, None])
@pytest.mark.parametrize("fault", ["crash", "close", "500", "error"])
def test_emoncms_stores_some_and_fails(stored_frames: int | None, fault: str) -> None:
    made: dict[str, Any] = {
        "crash": lambda: faults.crash_after(100 if stored_frames is None else stored_frames),
        "close": lambda: faults.Close(store=stored_frames),
        "500": lambda: faults.server_error(stored_frames),
        "error": lambda: faults.error_text("Format error", stored_frames),
    }

    async def go() -> None:
        async with FakeEmoncms() as server:
            reporter = emoncms(server, batchsize=100)
            server.script([made[fault](), *[None] * 6, made[fault]()])
            frames = [Cargo(Layout(10 + n % 4), (n, 230.5), START - 5000 + n) for n in range(400)]
            reporter.accept(frames)
            await delivered(reporter, 400)
            got = {(int(f.time), int(f.node)) for f in server.frames}
            assert got == {(int(c.time), int(c.layout.node)) for c in frames}
            assert reporter.dead == 0

    run_virtual(go)


def test_a_frame_that_crashes_emoncms_is_found_in_a_large_backlog() -> None:
    async def go() -> None:
        async with FakeEmoncms() as server:
            server.store.node_limit = 4
            reporter = emoncms(server, batchsize=1000)
            frames = [Cargo(Layout(10 + n % 4), (n,), START - 90_000 + n) for n in range(20_000)]
            frames[11_111] = Cargo(Layout(29), (1,), START - 90_000 + 11_111)  # one node too many
            reporter.accept(frames)
            await delivered(reporter, 20_000)
            assert reporter.dead == 1
            [letter] = reporter.dead_letters.all()
            assert json.loads(f"[{letter.record}]")[0] == 29
            assert server.stored == 19_999
            posts = [r for r in server.requests if r.path.startswith("/input/bulk")]
            assert len(posts) <= 20 + 2 * math.log2(1000) + 6
            assert max(Counter((f.time, f.node) for f in server.frames).values()) <= 3

    run_virtual(go)


def test_what_can_not_be_written_as_a_number_never_reaches_anybody() -> None:
    async def go() -> None:
        async with FakeEmoncms() as server:
            reporter = emoncms(server, batchsize=1000)
            poison: list[Any] = [math.nan, math.inf, -math.inf]
            frames = [Cargo(Layout(17), (n, 1), START - 9000 + n) for n in range(3000)]
            for place, value in zip((5, 1500, 2999), poison, strict=True):
                frames[place] = Cargo(Layout(17), (value, 1), START - 9000 + place)
            reporter.accept(frames)
            await delivered(reporter, 3000 - reporter.dropped.total())
            assert reporter.dead + reporter.dropped.total() == 3
            assert server.stored == 2997
            assert not any("nan" in str(f.values).lower() or "inf" in str(f.values).lower() for f in server.frames)

    run_virtual(go)
