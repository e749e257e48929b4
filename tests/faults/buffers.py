"""Buffers on a simulated disk, in a world with virtual time, and what tests of them check again and again."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, TypeVarTuple

from emonhub.buffer.journal import Journal
from emonhub.buffer.spilling import Policy
from emonhub.buffer.stored import StoredBuffer
from emonhub.buffer.thread import StorageThread
from emonhub.clock import Clock
from emonhub.world import World
from tests.faults.disk import SimulatedDisk

if TYPE_CHECKING:
    from collections.abc import Callable

    from emonhub.buffer.base import Dropped
    from emonhub.buffer.frontfiles import FrontFiles

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

FOLDER = Path("/state/buffer/house")
START = 1_800_000_000.0


class SlowThread(StorageThread):
    """No thread, but calls in order, each of which takes some virtual time before and after it happens."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds = seconds
        self._lock = asyncio.Lock()

    async def run(self, call: Callable[[*Ts], T], *arguments: *Ts) -> T:
        async with self._lock:
            await asyncio.sleep(self.seconds)
            result = call(*arguments)
            await asyncio.sleep(self.seconds)
            return result


class FakeClock(Clock):
    """A machine's clock: its wall may be set, the rest goes on evenly. `boot` may change, as in a reboot."""

    def __init__(self, time: Callable[[], float], *, boot: str = "boot", ahead_s: float = START, is_set: bool = True):
        self.ahead_s = ahead_s
        self.is_set = is_set
        super().__init__(lambda: time() + self.ahead_s, time, boot, lambda: self.is_set)


class FakeWorld(World):
    """On the running loop, which should be one with virtual time."""

    def __init__(
        self, disk: SimulatedDisk | None = None, *, slow_s: float = 0.0, clock: FakeClock | None = None
    ) -> None:
        self._clock = clock or FakeClock(asyncio.get_running_loop().time)
        super().__init__(seed=1)
        self.disk: Any = disk or SimulatedDisk()
        self.storage = SlowThread(slow_s)
        self.clock: Any = self._clock

    def time(self) -> float:
        return self._clock.time()


class Books:
    """What a reporter counts of its buffer."""

    def __init__(self) -> None:
        self.taken = 0
        self.acknowledged = 0
        self.came_to_light = 0
        self.dropped: list[Dropped] = []

    def keep(self, buffer: StoredBuffer) -> None:
        buffer.on_drop = self.dropped.append
        buffer.on_found = self.found
        self.taken += buffer.frames

    def found(self, frames: int) -> None:
        self.taken += frames
        self.came_to_light += frames

    @property
    def lost(self) -> int:
        return sum(dropped.frames for dropped in self.dropped)


def journal(world: World, **options: Any) -> Journal:
    return Journal(world.disk, FOLDER, "house", clock=world.clock, form="test", **options)


async def stored(
    world: World,
    books: Books | None = None,
    policy: Policy | None = None,
    front: FrontFiles | None = None,
    **options: Any,
) -> StoredBuffer:
    """An open buffer on a journal."""
    buffer = StoredBuffer(journal(world, **options), policy or Policy(60.0, 60.0), world=world, front=front)
    await buffer.open()
    (books or Books()).keep(buffer)
    return buffer


async def drain(buffer: StoredBuffer, books: Books | None = None, limit: int = 7) -> list[str]:
    """All that there is, delivered."""
    records: list[str] = []
    while batch := await buffer.fetch(limit):
        assert batch.first == buffer.first
        records += batch.records
        removed = buffer.remove(batch.end)
        if books is not None:
            books.acknowledged += removed
    return records
