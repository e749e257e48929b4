"""A buffer with a store behind it: the newest frames in memory (the front), the older ones in files or a database.

    append ──▶ front ──▶ store          a spill: the whole front in one write, by the storage thread
                 │         │
                 └────┬────┘
                      ▼
             fetch, in order of arrival

What is acknowledged while it is still in the front never costs the store anything. When frames are spilled is what
makes the modes: see `spilling.Policy`.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from emonhub.buffer.base import Batch, Buffer, Dropped
from emonhub.buffer.counted import CountedStore
from emonhub.buffer.front import UNOPENED, Front
from emonhub.buffer.spilling import Policy, Spilling

if TYPE_CHECKING:
    from emonhub.buffer.frontfiles import FrontFiles
    from emonhub.buffer.store import Store
    from emonhub.buffer.thread import StorageThread
    from emonhub.world import World

__all__ = ["Policy", "StoredBuffer"]

log = logging.getLogger("emonhub.buffer")

_FRONT_BYTES = 4 << 20
"""The front takes no more than this while the store fails: a page of memory a frame in the worst case, on a Pi Zero."""

_QUARTERS = 4

_OPEN_GRACE_S = 60.0
"""A database may start later than the hub. After that, new frames go out before what it holds."""


class StoredBuffer(Buffer):
    """What a reporter owes, in a front and a store."""

    def __init__(
        self,
        store: Store,
        policy: Policy,
        *,
        world: World,
        thread: StorageThread | None = None,
        front: FrontFiles | None = None,
        name: str = "",
    ) -> None:
        self.policy = policy
        self.store = store
        self._world = world
        own_log = logging.getLogger(f"{log.name}.{name}") if name else log
        self._front = Front(front, world=world, log=own_log)
        self._counted = CountedStore(
            store,
            self._front,
            thread=thread or world.storage,
            world=world,
            on_drop=lambda dropped: self.on_drop(dropped),  # noqa: PLW0108 - whoever it is by then
            on_found=lambda frames: self.on_found(frames),  # noqa: PLW0108
        )
        self._spilling = Spilling(self._front, self._counted, policy, world=world, log=own_log)
        self._opened_by = 0.0

    async def open(self) -> None:
        """Take up what a former run left. A store that fails is tried again, and its frames found later."""
        front, counted = self._front, self._counted
        counted.cursor = front.open()
        try:
            await counted.open()
        except OSError as error:
            self._spilling.complain(error)
            counted.first = front.start = UNOPENED
            self._opened_by = self._world.monotonic() + _OPEN_GRACE_S
        front.take_back(stored=counted.opened)
        if counted.opened:
            counted.first = max(counted.first, min(counted.cursor, front.end))
        if not counted.frames:
            counted.first = max(counted.first, front.start)
        front.begin(counted.first)
        if not self.policy.front and front.files is not None:
            await self._give_up_front()
        self._spilling.begin()

    @property
    def first(self) -> int:
        return self._counted.first

    @property
    def frames(self) -> int:
        return self._counted.frames + self.end - self._first_of_front

    @property
    def bytes(self) -> int:
        return self._counted.bytes + self._front.size

    @property
    def oldest_time(self) -> float | None:
        if self._counted.frames:
            return self._counted.oldest_time
        index = self._first_of_front - self._front.start
        return self._front.times[index] if index < len(self._front.times) else None

    @property
    def durable(self) -> bool:
        return not self._front.records or self.first >= self.end

    @property
    def trouble(self) -> str:
        return self._spilling.trouble or self._front.trouble

    @property
    def end(self) -> int:
        """The number that the next frame gets."""
        return self._front.end

    @property
    def _first_of_front(self) -> int:
        """The number of the oldest frame in the front that is owed."""
        return max(self.first, self._front.start)

    @property
    def failing(self) -> bool:
        return self._spilling.failing

    @failing.setter
    def failing(self, failing: bool) -> None:
        if failing != self._spilling.failing:
            self._spilling.failing = failing
            self._spilling.arm()

    def append(self, records: list[str], times: list[float], size: int, *, provisional: bool = False) -> None:
        if not self._front.append(records, times, size, provisional=provisional):
            self.spill()
        self._spilling.arrived()
        front = self._front
        while front.size > _FRONT_BYTES and self._spilling.trouble and len(front.records) > _QUARTERS:
            self._drop_oldest_of_front()

    async def fetch(self, limit: int, skip: int = 0) -> Batch | None:
        front, counted = self._front, self._counted
        if not counted.opened and self._world.monotonic() < self._opened_by:
            return None  # what a former run left comes first
        counted.count_lost_before()
        number, seen = self.first, 0
        while number < front.start:
            start = front.start
            try:
                chunk = await counted.read(number, skip - seen + limit)
            except OSError as error:
                self._spilling.complain(error)
                return None
            count = min(len(chunk.records), front.start - chunk.first)
            if count <= 0:
                if start == front.start:
                    number = start
                    counted.settle(seen, exact=True)
                    if not seen:
                        counted.first = max(counted.first, start)
                continue
            if not seen:
                counted.first = max(counted.first, chunk.first)
                counted.oldest_time = chunk.times[0]
            counted.settle(seen + count, exact=False)
            number = chunk.first + count
            if seen + count > skip:
                wanted = slice(skip - seen, count)
                return Batch(chunk.first + skip - seen, chunk.records[wanted], chunk.times[wanted])
            seen += count
        batch = front.batch(max(number, front.start) + skip - seen, limit)
        return batch if batch.records else None

    def remove(self, end: int) -> int:
        before = self.frames
        stored = self._counted.remove(end)
        self._spilling.delivered(stored=stored)
        return before - self.frames

    def correct(self, shift_s: float, *, for_good: bool) -> None:
        self._front.correct(shift_s, for_good=for_good)
        if for_good:
            self.spill()  # with the right times: what the front's files have is by the old clock

    def describe(self, node: str, note: dict[str, Any]) -> None:
        self._spilling.describe(node, note)

    def spill(self) -> None:
        """Put the front into the store soon: at the end, when the target fails, when it is full."""
        self._spilling.spill()

    async def close(self) -> None:
        """Put what is owed into the store, and let go of the files."""
        await self._spilling.close()
        self._front.close(delete=self.durable)

    @property
    def has_front(self) -> bool:
        """Whether what it could not put into the store is in files for a successor to find."""
        return self._front.safe

    def unsafe(self) -> Batch:
        """What is owed and could not be put into the store: known to nobody else once this is closed."""
        return self._front.batch(self._first_of_front)

    def rescued(self) -> None:
        """What `unsafe` gave is safe elsewhere: no successor is to find it in the front's files."""
        self._front.close(delete=True)

    async def _give_up_front(self) -> None:
        """Do without the front's files from now on, once what they hold is in the store."""
        try:
            await self._spilling.spill_once()
        except OSError as error:
            self._spilling.complain(error)
            return
        self._front.give_up_files()

    def _drop_oldest_of_front(self) -> None:
        """The store takes nothing and the front is full: a quarter of it goes."""
        front, counted = self._front, self._counted
        count = len(front.records) // _QUARTERS
        end = front.start + count
        owed = max(0, end - self._first_of_front)
        first_time, last_time = front.times[0], front.times[count - 1]
        if not counted.frames:
            counted.first = max(counted.first, end)
        front.forget(end)
        if owed:
            self.on_drop(Dropped(owed, f"memory full ({self._spilling.trouble})", first_time, last_time))
