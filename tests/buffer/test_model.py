"""Buffers against a plain list: whatever is done to them, in whatever order, they owe what the list says."""

from __future__ import annotations

import asyncio
import errno
import os
import random
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import pytest
from async_solipsism import EventLoop
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from emonhub.buffer.frontfiles import FrontFiles
from emonhub.buffer.memory import MemoryBuffer
from emonhub.buffer.spilling import Policy
from tests.faults.buffers import Books, FakeWorld, stored
from tests.faults.disk import PowerCut, SimulatedDisk

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from emonhub.buffer.base import Batch
    from emonhub.buffer.stored import StoredBuffer

IN_MEMORY = Path("/dev/shm")


def forgive_the_dead(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    if not isinstance(context.get("exception"), PowerCut):
        loop.default_exception_handler(context)


class Machine(RuleBasedStateMachine):
    """`history` is all that was ever accepted, `owed` what has to come out next."""

    policy: ClassVar[Policy] = Policy(60.0, 60.0)
    other: ClassVar[Policy] = Policy(60.0, 900.0, front=False)

    def __init__(self) -> None:
        super().__init__()
        self.loop = EventLoop()
        self.loop.set_exception_handler(forgive_the_dead)
        self.folder = Path(tempfile.mkdtemp(dir=IN_MEMORY if IN_MEMORY.is_dir() else None))
        self.history: list[str] = []
        self.owed: list[str] = []
        self.batch: Batch | None = None
        self.disk = SimulatedDisk()
        self.books = Books()
        self.slow_s = 0.0
        self.switched = False
        self.start_process()

    def teardown(self) -> None:
        try:
            assert not self.disk.sins
            self.settle()
            self.check_all()
        finally:
            self.end_process()
            self.loop.close()
            shutil.rmtree(self.folder)

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self.loop.run_until_complete(work)

    def settle(self) -> None:
        self.run(asyncio.sleep(10.0))

    @initialize(slow=st.booleans())
    def begin(self, slow: bool) -> None:
        self.slow_s = 0.01 if slow else 0.0
        self.restart()

    def start_process(self) -> None:
        async def go() -> None:
            self.books = Books()
            world = FakeWorld(self.disk, slow_s=self.slow_s)
            policy = self.other if self.switched else self.policy
            self.front = policy.front
            self.buffer: StoredBuffer = await stored(
                world, self.books, policy, FrontFiles(self.folder), segment_bytes=300
            )

        self.run(go())

    def end_process(self) -> None:
        """As by kill -9: nothing is done any more, descriptors are closed."""

        async def go() -> None:
            self.buffer._spilling._closed = True
            self.buffer._front.files = None
            tasks = asyncio.all_tasks() - {asyncio.current_task()}
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self.buffer._spilling.disarm()

        files = self.buffer._front.files
        self.disk.off = True
        self.run(go())
        self.disk.off = False
        self.batch = None
        if files is not None:
            files.close(delete=False)

    # What a reporter does

    @rule(count=st.integers(1, 12), same_time=st.booleans())
    def append(self, count: int, same_time: bool) -> None:
        async def go() -> None:
            records = [f"17,{len(self.history) + i},ä" for i in range(count)]
            now = self.buffer._world.time()
            times = [round(now + (0 if same_time else i / 8), 3) for i in range(count)]
            self.buffer.append(records, times, sum(len(r.encode()) for r in records))
            self.history += records
            self.owed += records
            self.books.taken += count

        self.run(go())

    @rule(limit=st.integers(1, 9))
    def fetch(self, limit: int) -> None:
        batch = self.batch = self.run(self.buffer.fetch(limit))
        if not self.owed:
            assert batch is None
        else:
            assert batch is not None
            assert batch.records == self.owed[: len(batch.records)]
            assert batch.first == self.buffer.first
            assert len(batch.times) == len(batch.records) <= limit

    @precondition(lambda self: self.batch)
    @rule(share=st.integers(1, 4))
    def acknowledge(self, share: int) -> None:
        assert self.batch is not None
        count = max(1, len(self.batch.records) * share // 4)
        removed = self.run(self._remove(self.batch.first + count))
        assert removed == count
        self.books.acknowledged += removed
        del self.owed[:count]
        self.batch = None

    async def _remove(self, end: int) -> int:
        return self.buffer.remove(end)

    @rule(skip=st.integers(1, 9))
    def probe(self, skip: int) -> None:
        batch = self.run(self.buffer.fetch(1, skip))
        assert (batch.records if batch else []) == self.owed[skip : skip + 1]

    @rule(failing=st.booleans())
    def target(self, failing: bool) -> None:
        async def go() -> None:
            self.buffer.failing = failing

        self.run(go())

    # What time and the machine do

    @rule(seconds=st.sampled_from([0.001, 0.015, 1.0, 61.0, 1000.0]))
    def pass_time(self, seconds: float) -> None:
        self.run(asyncio.sleep(seconds))

    @rule()
    def spill(self) -> None:
        async def go() -> None:
            self.buffer.spill()

        self.run(go())

    @rule()
    def switch(self) -> None:
        """Somebody changes the mode, which takes effect with the next start."""
        self.switched = not self.switched

    @rule()
    def restart(self) -> None:
        self.run(self.buffer.close())
        assert self.buffer.durable
        self.end_process()
        self.start_process()
        assert self.buffer.frames == len(self.owed)

    @rule()
    def kill(self) -> None:
        spilled = self._spilled()
        front = self.front
        self.end_process()
        self.start_process()
        if front:
            assert self.buffer.frames == len(self.owed)
        else:
            self.recover(spilled)

    @rule(seed=st.integers(0, 1000))
    def cut_power(self, seed: int) -> None:
        spilled = self._spilled()
        self.end_process()
        shutil.rmtree(self.folder)
        self.folder.mkdir()
        self.disk = self.disk.after_power_cut(random.Random(seed))
        self.start_process()
        self.recover(spilled)

    def _spilled(self) -> int:
        """How many of the frames that are owed have reached the store, by all that the buffer knows."""
        return max(0, self.buffer._front.start - self.buffer.first)

    def recover(self, spilled: int) -> None:
        """The process has lost its memory: what is there is in order, was accepted, and lacks nothing of the store."""
        must = self.owed[:spilled]
        found = self.run(self._peek())
        places = [self.history.index(record) for record in found]
        assert places == sorted(set(places))
        assert set(must) <= set(found)
        self.owed = found

    async def _peek(self) -> list[str]:
        found: list[str] = []
        while batch := await self.buffer.fetch(1000, len(found)):
            found += batch.records
        return found

    @invariant()
    def conserved(self) -> None:
        assert self.buffer.frames == len(self.owed)
        assert self.books.taken == self.books.acknowledged + self.buffer.frames + self.books.lost
        assert not self.books.lost

    def check_all(self) -> None:
        found: list[str] = []
        while batch := self.run(self.buffer.fetch(1000)):
            found += batch.records
            self.run(self._remove(batch.end))
        assert found == self.owed
        self.owed = []
        assert self.buffer.frames == 0


class Hybrid(Machine):
    policy = Policy(60.0, 900.0, front=False)
    other = Policy(60.0, 60.0)


class Kept(Machine):
    policy = Policy(60.0, 60.0, keep=True)


class Always(Machine):
    policy = Policy(0.0, 0.0)


class Hardship(RuleBasedStateMachine):
    """Too little room, a disk that fails, bytes that change: what is lost is counted, to the frame."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = EventLoop()
        self.disk = SimulatedDisk()
        self.books = Books()
        self.count = 0
        self.last = -1
        self.slow_s = 0.0
        self.thin = False
        self.batch: Batch | None = None
        self.open()

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self.loop.run_until_complete(work)

    def open(self) -> None:
        async def go() -> None:
            self.books = Books()
            world = FakeWorld(self.disk, slow_s=self.slow_s)
            self.buffer = await stored(
                world, self.books, Policy(5.0, 5.0), max_bytes=4000, segment_bytes=500, thin=self.thin, max_age_s=9000.0
            )

        self.run(go())

    def teardown(self) -> None:
        self.disk.heal()
        self.run(asyncio.sleep(30))
        while self.fetch_some(100):
            self.acknowledge(4)
        assert self.buffer.frames == 0
        self.conserved()
        self.run(self.buffer.close())
        self.loop.close()

    @initialize(slow=st.booleans(), thin=st.booleans())
    def begin(self, slow: bool, thin: bool) -> None:
        self.slow_s, self.thin = (0.01 if slow else 0.0), thin
        self.run(self.buffer.close())
        self.open()

    @rule(count=st.integers(1, 30))
    def append(self, count: int) -> None:
        async def go() -> None:
            records = [f"{17 + n % 3},{n}" for n in range(self.count, self.count + count)]
            self.buffer.append(records, [self.buffer._world.time()] * count, 8 * count)
            self.count += count
            self.books.taken += count

        self.run(go())

    @rule(limit=st.integers(1, 40))
    def fetch(self, limit: int) -> None:
        self.fetch_some(limit)

    def fetch_some(self, limit: int) -> bool:
        self.batch = self.run(self.buffer.fetch(limit))
        if self.batch is None:
            return False
        numbers = [int(text.split(",")[1]) for text in self.batch.records]
        assert self.last < numbers[0]
        assert numbers == sorted(set(numbers))
        assert numbers[-1] < self.count
        return True

    @precondition(lambda self: self.batch)
    @rule(share=st.integers(1, 4))
    def acknowledge(self, share: int) -> None:
        assert self.batch is not None
        count = max(1, len(self.batch.records) * share // 4)
        self.last = int(self.batch.records[count - 1].split(",")[1])

        async def go() -> None:
            assert self.batch is not None
            self.books.acknowledged += self.buffer.remove(self.batch.first + count)

        self.run(go())
        self.batch = None

    @rule(seconds=st.sampled_from([0.015, 6.0, 61.0, 4000.0]))
    def pass_time(self, seconds: float) -> None:
        self.run(asyncio.sleep(seconds))

    @rule(call=st.sampled_from(["write", "sync", "put", "remove", "rename", "create"]))
    def fail(self, call: str) -> None:
        self.disk.fail(call, errno.EIO)

    @rule()
    def heal(self) -> None:
        self.disk.heal()

    @rule(seed=st.integers(0, 10_000))
    def change_a_byte(self, seed: int) -> None:
        chance = random.Random(seed)
        files = [file.data for path, file in sorted(self.disk.files.items()) if ".log" in path.name and file.data]
        if files:
            data = chance.choice(files)
            data[chance.randrange(len(data))] = 0xFF  # no byte of any text: damage is never undone by more of it

    @rule()
    def restart(self) -> None:
        self.disk.heal()
        self.run(self.buffer.close())
        self.conserved()
        self.batch = None
        self.open()

    @invariant()
    def conserved(self) -> None:
        assert self.books.taken == self.books.acknowledged + self.buffer.frames + self.books.lost
        assert self.buffer.frames >= 0
        assert not self.books.came_to_light, "it counted too few"


class MemoryMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.buffer = MemoryBuffer(1 << 30)
        self.owed: list[tuple[str, float]] = []
        self.count = 0
        self.offset = 0.0
        self.uncertain: set[int] = set()

    @rule(count=st.sampled_from([1, 3, 700, 1024, 3000]), provisional=st.booleans())
    def append(self, count: int, provisional: bool) -> None:
        records = [f"{self.count + i}" for i in range(count)]
        times = [1000.0 + self.count + i for i in range(count)]
        if provisional:
            self.uncertain.update(range(self.count, self.count + count))
        self.count += count
        self.buffer.append(records, times, sum(map(len, records)), provisional=provisional)
        self.owed += zip(records, times, strict=True)

    @rule(limit=st.sampled_from([1, 10, 1000, 5000]), share=st.integers(0, 4))
    def deliver(self, limit: int, share: int) -> None:
        batch = asyncio.run(self.buffer.fetch(limit))
        found = list(zip(batch.records, batch.times, strict=True)) if batch else []
        assert found == self.owed[:limit]
        if batch is not None:
            count = len(found) * share // 4
            assert self.buffer.remove(batch.first + count) == count
            del self.owed[:count]

    @rule(skip=st.sampled_from([1, 5, 1024, 2000]))
    def probe(self, skip: int) -> None:
        batch = asyncio.run(self.buffer.fetch(1, skip))
        assert (batch.records if batch else []) == [record for record, _ in self.owed[skip : skip + 1]]

    @rule(shift=st.sampled_from([0.0, 5.0, 3600.0]), for_good=st.booleans())
    def correct(self, shift: float, for_good: bool) -> None:
        self.buffer.correct(shift, for_good=for_good)
        self.owed = [(r, t + shift if int(r) in self.uncertain else t) for r, t in self.owed]
        if for_good:
            self.uncertain.clear()

    @invariant()
    def counts(self) -> None:
        assert self.buffer.frames == len(self.owed)


MACHINES = [Machine, Hybrid, Kept, Always, Hardship, MemoryMachine]


def check(machine: Any, examples: int, steps: int) -> None:
    by_chance = "EMONHUB_RANDOM" in os.environ
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            report_multiple_bugs=False,
            derandomize=not by_chance,
            database=None,
        ),
    )


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("machine", MACHINES, ids=lambda machine: machine.__name__)
def test_owes_what_a_list_would(machine: Any) -> None:
    check(machine, 200, 40)


@pytest.mark.full
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("machine", MACHINES, ids=lambda machine: machine.__name__)
def test_owes_what_a_list_would_ten_thousand_times(machine: Any) -> None:
    check(machine, 2000, 60)
