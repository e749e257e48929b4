"""A buffer with a store behind it: the newest frames in memory (the front), the older ones in files or a database.

    append ──▶ front ──▶ store          a spill: the whole front in one write, by the storage thread
                 │         │
                 └────┬────┘
                      ▼
             fetch, in order of arrival

What is acknowledged while it is still in the front never costs the store anything. When frames are spilled is what
makes the modes: see `Policy`.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any

from emonhub.buffer.base import Batch, Buffer, Dropped
from emonhub.buffer.front import Left
from emonhub.buffer.store import Chunk, Lost, Opened, Store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from emonhub.buffer.front import FrontFiles
    from emonhub.buffer.thread import StorageThread
    from emonhub.world import World

log = logging.getLogger("emonhub.buffer")

_FRONT_BYTES = 4 << 20
"""The front takes no more than this while the store fails: a page of memory a frame in the worst case, on a Pi Zero."""

_QUARTERS = 4

_AT_ONCE = 5000
"""Frames in one write: on a disk that is nearly full some may still have room, and reading need not wait for long."""

_SPILL_BYTES = 1 << 18
"""A front of this size is spilled at once: at high rates a whole write's worth comes together in no time."""

_RECORD_SPILL_S = 900.0
"""Delivered frames that are only kept for the record may wait so long for the disk: nobody is owed them."""


_UNOPENED = 1 << 40
"""Numbers start here when the store can't be opened: above those of any store, so that its frames come before, and so
that a front that counts by them is known.
"""

_OPEN_GRACE_S = 60.0
"""A database may start later than the hub. After that, new frames go out before what it holds."""


@dataclass(frozen=True, slots=True)
class Policy:
    """When frames are spilled.

    sync_s     after so long in the front; 0 = at once. Of frames that are not acknowledged, a power cut loses no more
    idle_s     the same while the target takes what it is sent
    keep       delivered frames go to the store too, for the record
    front      the front is in files, too; else what a former run with another policy has left there is taken up once
    """

    sync_s: float
    idle_s: float
    keep: bool = False
    front: bool = True


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
        self._in_storage = (thread or world.storage).run
        self._files = front
        self._log = logging.getLogger(f"{log.name}.{name}") if name else log
        self._trouble = ""
        self._front_trouble = ""
        self._failing = False
        self._opened = False
        self._shift = 0  # from our numbers to the store's
        self._cursor = 0  # of a former run, for a store that opens late
        self._lost_before: tuple[Lost, ...] = ()  # found to be gone when it was opened, and not told yet
        self._removed = 0  # frames of the store that have been acknowledged, in all
        self._first = 0
        self._stored_frames = 0
        self._stored_bytes = 0
        self._stored_time: float | None = None
        self._start = 0  # number of the first frame in the front
        self._records: list[str] = []
        self._times: list[float] = []
        self._provisional: set[int] = set()
        self._size = 0
        self._arrivals: deque[tuple[int, float]] = deque()  # (number after a chunk, when it came, monotonic)
        self._timer: asyncio.TimerHandle | None = None
        self._work: asyncio.Task[None] | None = None
        self._again = False
        self._trim_due = 0.0
        self._retry_at = 0.0
        self._since = 0.0
        self._opened_by = 0.0
        self._notes: dict[str, dict[str, Any]] = {}
        self._closed = False

    async def open(self) -> None:
        """Take up what a former run left. A store that fails is tried again, and its frames found later."""
        left = self._open_front()
        self._cursor = left.cursor if left.cursor < _UNOPENED else 0
        try:
            opened = await self._in_storage(self.store.open, self._cursor)
        except OSError as error:
            self._complain(error)
            self._first = self._start = _UNOPENED
            self._opened_by = self._world.monotonic() + _OPEN_GRACE_S
        else:
            self._opened = True
            self._first, self._start = opened.first, opened.end
            self._lost_before = opened.lost
            self._stored_frames = opened.frames + sum(lost.frames for lost in opened.lost)
            self._stored_time = opened.oldest_time
            self._stored_bytes = self.store.held
        for chunk, offset in left.chunks:
            self._take_back(chunk, offset, left)
        if self._opened:
            self._first = max(self._first, min(self._cursor, self.end))
        if not self._stored_frames:
            self._first = max(self._first, self._start)
        if self._records:
            self._arrivals.append((self.end, self._world.monotonic()))
        self._begin_front()
        if not self.policy.front and self._files is not None:
            await self._give_up_front()
        self._arm()

    @property
    def first(self) -> int:
        return self._first

    @property
    def frames(self) -> int:
        return self._stored_frames + self.end - max(self._first, self._start)

    @property
    def bytes(self) -> int:
        return self._stored_bytes + self._size

    @property
    def oldest_time(self) -> float | None:
        if self._stored_frames:
            return self._stored_time
        index = max(self._first, self._start) - self._start
        return self._times[index] if index < len(self._times) else None

    @property
    def durable(self) -> bool:
        return not self._records or self._first >= self.end

    @property
    def trouble(self) -> str:
        return self._trouble or self._front_trouble

    @property
    def end(self) -> int:
        """The number that the next frame gets."""
        return self._start + len(self._records)

    @property
    def failing(self) -> bool:
        """Whether the target takes nothing: then frames are spilled as often as a power cut must not lose more."""
        return self._failing

    @failing.setter
    def failing(self, failing: bool) -> None:
        if failing != self._failing:
            self._failing = failing
            self._arm()

    def append(self, records: list[str], times: list[float], size: int, *, provisional: bool = False) -> None:
        first = self.end
        if self._files is not None:
            self._write_front(first, records, times, provisional=provisional)
        now = self._world.monotonic()
        if not self._records:
            self._since = now
        self._records += records
        self._times += times
        self._size += size
        if provisional:
            self._provisional.update(range(first, self.end))
        self._arrivals.append((self.end, now))
        if (self._size > _SPILL_BYTES or not self.policy.sync_s) and not self._trouble:
            self.spill()
        elif self._timer is None:
            self._arm()
        while self._size > _FRONT_BYTES and self._trouble and len(self._records) > _QUARTERS:
            self._drop_oldest_of_front()

    async def fetch(self, limit: int, skip: int = 0) -> Batch | None:
        if not self._opened and self._world.monotonic() < self._opened_by:
            return None  # what a former run left comes first
        lost, self._lost_before = self._lost_before, ()
        self._count_lost(lost, self._removed)
        number, seen = self._first, 0
        while number < self._start:
            start, mark = self._start, self._removed
            try:
                chunk = await self._in_storage(self.store.read, number + self._shift, skip - seen + limit)
            except OSError as error:
                self._complain(error)
                return None
            self._count_lost(chunk.lost, mark)
            first = chunk.first - self._shift
            count = min(len(chunk.records), self._start - first)
            if count <= 0:
                if start == self._start:
                    number = start
                    self._settle_count(seen, exact=True)
                    if not seen:
                        self._first = max(self._first, start)
                continue
            if not seen:
                self._first = max(self._first, first)
                self._stored_time = chunk.times[0]
            self._settle_count(seen + count, exact=False)
            number = first + count
            if seen + count > skip:
                wanted = slice(skip - seen, count)
                return Batch(first + skip - seen, chunk.records[wanted], chunk.times[wanted])
            seen += count
        index = max(number, self._start) - self._start + skip - seen
        records = self._records[index : index + limit]
        return Batch(self._start + index, records, self._times[index : index + limit]) if records else None

    def remove(self, end: int) -> int:
        before = self.frames
        stored = max(0, min(end, self._start) - self._first)
        stored_before = self._stored_frames
        self._stored_frames = 0 if end >= self._start else max(0, self._stored_frames - stored)
        self._removed += stored_before - self._stored_frames
        self._first = max(self._first, min(end, self.end))
        while self._arrivals and self._arrivals[0][0] <= self._first:
            self._arrivals.popleft()
        if self._files is not None:
            self._try_front(self._files.move_cursor, self._first + self._shift)
        if not self.policy.keep and self._work is None:
            self._forget_front(self._first)
        if stored and not self._trim_due:
            self._trim_due = self._world.monotonic() + max(1.0, self.policy.sync_s)
            self._arm()
        return before - self.frames

    def correct(self, shift_s: float, *, for_good: bool) -> None:
        for number in self._provisional:
            index = number - self._start
            if 0 <= index < len(self._times):
                self._times[index] = round(self._times[index] + shift_s, 3)
        if for_good:
            self._provisional.clear()
            self.spill()  # with the right times: what the front's files have is by the old clock

    def describe(self, node: str, note: dict[str, Any]) -> None:
        """Frames of `node` mean what `note` says from now on; kept with them, for people and replays."""
        self._notes[node] = note

    def spill(self) -> None:
        """Put the front into the store soon: at the end, when the target fails, when it is full."""
        if self._work is not None:
            self._again = True
        elif not self._closed:
            self._work = asyncio.get_running_loop().create_task(self._spill_all(), name="spill")

    async def close(self) -> None:
        """Put what is owed into the store, and let go of the files."""
        self._closed = True
        self._disarm()
        if self._work is not None:
            await self._work
        try:
            await self._spill_once()
            await self._in_storage(self.store.close)
        except OSError as error:
            self._complain(error)
        if self._files is not None:
            safe = self._first >= self.end or not self._records
            self._try_front(self._files.close, delete=safe)

    @property
    def has_front(self) -> bool:
        """Whether what it could not put into the store is in files for a successor to find."""
        return self._files is not None and not self._front_trouble

    def unsafe(self) -> Batch:
        """What is owed and could not be put into the store: known to nobody else once this is closed."""
        index = max(self._first, self._start) - self._start
        return Batch(self._start + index, self._records[index:], self._times[index:])

    def rescued(self) -> None:
        """What `unsafe` gave is safe elsewhere: no successor is to find it in the front's files."""
        if self._files is not None:
            self._try_front(self._files.close, delete=True)

    # Spilling

    def _due(self) -> float | None:
        """When the store has something to do next, monotonic; None for not before something happens."""
        if self._trouble:
            return self._retry_at
        due = []
        if self._trim_due:
            due.append(self._trim_due)
        if self._arrivals:
            failing = self._failing or not self.policy.idle_s
            due.append(self._arrivals[0][1] + (self.policy.sync_s if failing else self.policy.idle_s))
        elif self.policy.keep and self._records:
            due.append(self._since + _RECORD_SPILL_S)
        return min(due, default=None)

    def _arm(self) -> None:
        """Set the timer for what is due next."""
        self._disarm()
        due = self._due()
        if due is not None and not self._closed and self._work is None:
            wait = max(0.0, due - self._world.monotonic())
            self._timer = asyncio.get_running_loop().call_later(wait, self._timer_ran_out)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _timer_ran_out(self) -> None:
        self._timer = None
        due = self._due()
        if due is not None and due <= self._world.monotonic() + 0.001:
            self.spill()
        else:
            self._arm()  # what it was set for has been acknowledged since

    async def _spill_all(self) -> None:
        try:
            self._again = True
            while self._again:
                self._again = False
                await self._spill_once()
        except OSError as error:
            self._complain(error)
        except Exception as error:  # noqa: BLE001 - nobody waits for this task: what it meets is told here
            self._log.exception("The storage has failed")
            self._complain(OSError(f"{type(error).__name__}: {error}"))
        finally:
            self._work = None
            if not self.policy.keep:
                self._forget_front(self._first)
            self._arm()

    async def _spill_once(self) -> None:
        if not self._opened:
            self._adopt(await self._in_storage(self.store.open, self._cursor))
        if self._trouble:
            with suppress(OSError):
                await self._trim()  # a disk that is full may have room then
        while self._notes:
            node, note = next(iter(self._notes.items()))
            await self._in_storage(self.store.describe, node, note)
            if self._notes.get(node) is note:
                del self._notes[node]
        if self._files is not None and self._records:
            self._try_front(self._files.start, self.end + self._shift)  # what comes from now on, in a file of its own
        end = self.end
        while (chunk := self._snapshot(end)).records:
            mark = self._removed
            lost = await self._in_storage(self.store.write, chunk, self._first + self._shift)
            self._count_lost(lost, mark)
            self._spilled(chunk.end - self._shift)
        await self._trim()
        if self._trouble:
            self._trouble = ""
            self._log.info("Writing to the disk again")

    async def _trim(self) -> None:
        self._trim_due = 0.0
        mark = self._removed
        self._count_lost(await self._in_storage(self.store.trim, self._first + self._shift), mark)
        self._stored_bytes = self.store.held

    def _snapshot(self, end: int) -> Chunk:
        """The next frames to be written of those before `end`."""
        first = self._start if self.policy.keep else max(self._first, self._start)
        end = min(end, first + _AT_ONCE)
        wanted = slice(first - self._start, max(0, end - self._start))
        chunk = Chunk(first + self._shift, self._records[wanted], self._times[wanted])
        if self._provisional:
            chunk.provisional = [number in self._provisional for number in range(first, first + len(chunk.records))]
            chunk.stamp = self._world.clock.stamp()
        return chunk

    def _spilled(self, end: int) -> None:
        """All before `end` is in the store, or was acknowledged before it had to be."""
        owed = end - max(self._first, self._start)
        if owed > 0:
            if not self._stored_frames:
                self._stored_time = self._times[max(self._first, self._start) - self._start]
            self._stored_frames += owed
        while self._arrivals and self._arrivals[0][0] <= end:
            self._arrivals.popleft()
        self._forget_front(end)

    def _adopt(self, opened: Opened) -> None:
        """A store that opens late has older frames, perhaps, and its own numbers."""
        self._forget_front(self._first)
        self._opened = True
        self._shift = opened.end - self._start
        frames = opened.frames + sum(lost.frames for lost in opened.lost)
        if frames:
            self._first = opened.first - self._shift
            self._stored_frames, self._stored_time = frames, opened.oldest_time
            self._lost_before = opened.lost
            self.on_found(frames)
        self._begin_front()

    def _complain(self, error: OSError) -> None:
        reason = error.strerror or str(error)
        if not self._trouble:
            self._log.error("Can't write to the disk, frames are kept in memory: %s", reason)
        self._trouble = reason
        self._retry_at = self._world.monotonic() + max(1.0, self.policy.sync_s)
        self._arm()

    # Losing

    def _count_lost(self, all_lost: Iterable[Lost], mark: int) -> None:
        """Take note of what the store let go. `mark` is how many of its frames had been acknowledged when it was asked:
        those that have been since then were the oldest, and are not lost.
        """
        for lost in all_lost:
            frames = lost.frames
            if lost.end > lost.first:
                meanwhile = min(frames, self._removed - mark)
                mark += meanwhile
                frames -= meanwhile
                self._first = max(self._first, min(lost.end - self._shift, self._start))
            frames = min(frames, self._stored_frames)
            self._stored_frames -= frames
            if frames > 0:
                self.on_drop(Dropped(frames, lost.reason, lost.first_time, lost.last_time))

    def _settle_count(self, found: int, *, exact: bool) -> None:
        """The store has so many frames, or, unless this is exact, at least so many."""
        missing = self._stored_frames - found
        if missing < 0:
            self._stored_frames = found
            self.on_found(-missing)
        elif missing and exact:
            gone = Lost(0, 0, missing, "damaged on disk", self._stored_time or 0.0, self._world.time())
            self._count_lost([gone], self._removed)

    def _drop_oldest_of_front(self) -> None:
        """The store takes nothing and the front is full: a quarter of it goes."""
        count = len(self._records) // _QUARTERS
        owed = max(0, self._start + count - max(self._first, self._start))
        first_time, last_time = self._times[0], self._times[count - 1]
        if not self._stored_frames:
            self._first = max(self._first, self._start + count)
        self._forget_front(self._start + count)
        if owed:
            self.on_drop(Dropped(owed, f"memory full ({self._trouble})", first_time, last_time))

    # The front

    def _open_front(self) -> Left:
        if self._files is not None:
            try:
                return self._files.open()
            except OSError as error:
                self._lose_front(error)
        return Left([], 0)

    def _take_back(self, chunk: Chunk, offset: float | None, left: Left) -> None:
        """A run of frames that a former process left in its front, of which some may be in the store already."""
        if self._opened and chunk.first < _UNOPENED:
            skip = self.end - chunk.first
            if skip < 0:  # what is between is delivered, or was never written: those before move up to it
                self._provisional = {number - skip for number in self._provisional}
                self._start -= skip
        else:  # by other numbers than the store's
            skip = left.cursor - chunk.first
        skip = max(0, skip)
        records, times = chunk.records[skip:], chunk.times[skip:]
        if not records:
            return
        if offset is not None:
            clock = self._world.clock
            boot = left.boot or clock.boot
            shift = clock.correction({"boot": boot, "offset": offset})
            if shift is None and boot == clock.boot:
                shift = clock.offset_stamped - offset
                self._provisional.update(range(self.end, self.end + len(records)))
            times = [round(time + (shift or 0.0), 3) for time in times]
        self._records += records
        self._times += times
        self._size += sum(map(len, records))

    def _begin_front(self) -> None:
        """Have all that is in the front in its files, by the numbers that count now."""
        if self._files is None:
            return
        number = max(self._first, self._start)
        chunks: list[tuple[Chunk, float | None]] = []
        for provisional, run in groupby(range(number, self.end), self._provisional.__contains__):
            index = number - self._start
            number += len(list(run))
            wanted = slice(index, number - self._start)
            chunk = Chunk(self._start + index + self._shift, self._records[wanted], self._times[wanted])
            chunks.append((chunk, self._world.clock.offset_stamped if provisional else None))
        cursor = self._first + self._shift
        self._try_front(self._files.begin, chunks, self.end + self._shift, cursor, self._world.clock.boot)

    async def _give_up_front(self) -> None:
        """Do without the front's files from now on, once what they hold is in the store."""
        try:
            await self._spill_once()
        except OSError as error:
            self._complain(error)
            return
        if self._files is not None:
            self._try_front(self._files.abolish)
            self._files = None

    def _write_front(self, first: int, records: list[str], times: list[float], *, provisional: bool) -> None:
        assert self._files is not None
        try:
            offset = self._world.clock.offset_stamped if provisional else None
            self._files.append(first + self._shift, records, times, offset)
            self._front_trouble = ""
        except OSError as error:
            self._lose_front(error)
            self.spill()

    def _try_front(self, call: Callable[..., None], *arguments: Any, **options: Any) -> None:
        try:
            call(*arguments, **options)
        except OSError as error:
            self._lose_front(error)

    def _lose_front(self, error: OSError) -> None:
        if not self._front_trouble:
            self._log.warning("Frames are not safe from a crash until they are on disk: %s", error)
        self._front_trouble = f"no front file: {error.strerror or error}"

    def _forget_front(self, before: int) -> None:
        """Let go of frames of the front, which are delivered or in the store."""
        count = min(before - self._start, len(self._records))
        if count <= 0:
            return
        self._size -= sum(map(len, self._records[:count]))
        del self._records[:count]
        del self._times[:count]
        if self._provisional:
            self._provisional = {number for number in self._provisional if number >= before}
        self._start += count
        if not self._records:
            self._size = 0
        if self._files is not None:
            if self._records:
                self._try_front(self._files.forget, self._start + self._shift)
            else:
                self._try_front(self._files.clear)
