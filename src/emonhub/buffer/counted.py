"""A store behind a front: called in its thread, by the buffer's numbers, with a count of what is owed of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from emonhub.buffer.base import Dropped
from emonhub.buffer.store import Lost

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from emonhub.buffer.front import Front
    from emonhub.buffer.store import Chunk, Opened, Store
    from emonhub.buffer.thread import StorageThread
    from emonhub.world import World


class CountedStore:
    """What is owed of a store: all from `first` to where the front starts, as far as it is still there.

    first         number of the oldest frame that is owed, be it here or in the front
    frames        how many are owed that are here
    oldest_time   about when the oldest of them was read
    bytes         what they take
    opened        False while the store has failed to open
    cursor        by the store's numbers: all before it are done, as a former run has noted elsewhere
    """

    def __init__(
        self,
        store: Store,
        front: Front,
        *,
        thread: StorageThread,
        world: World,
        on_drop: Callable[[Dropped], None],
        on_found: Callable[[int], None],
    ) -> None:
        self._store = store
        self._in_storage = thread.run
        self.first = 0
        self.frames = 0
        self.oldest_time: float | None = None
        self.bytes = 0
        self.opened = False
        self.cursor = 0
        self.removed = 0  # frames of the store that have been acknowledged, in all
        self._lost_before: tuple[Lost, ...] = ()  # found to be gone when it was opened, and not told yet
        self._front = front
        self._world = world
        self._on_drop = on_drop
        self._on_found = on_found

    async def open(self) -> None:
        """Take up what a former run left, by the store's numbers. Raises OSError, as all that calls the store."""
        opened = await self._in_storage(self._store.open, self.cursor)
        self.opened = True
        self.first, self._front.start = opened.first, opened.end
        self._take(opened)
        self.bytes = self._store.held

    async def open_late(self) -> None:
        """The same when there are frames already: the store has older ones, perhaps, and its own numbers."""
        opened = await self._in_storage(self._store.open, self.cursor)
        front = self._front
        front.forget(self.first)
        front.shift = opened.end - front.start
        self.opened = True
        if _held(opened):
            self.first = opened.first - front.shift
            self._take(opened)
            self._on_found(self.frames)
        front.begin(self.first)

    def _take(self, opened: Opened) -> None:
        self.frames, self.oldest_time = _held(opened), opened.oldest_time
        self._lost_before = opened.lost

    async def read(self, number: int, limit: int) -> Chunk:
        """Up to `limit` frames without a gap between them, from the first one that there is from `number` on."""
        mark = self.removed
        chunk = await self._in_storage(self._store.read, number + self._front.shift, limit)
        self.count_lost(chunk.lost, mark)
        chunk.first -= self._front.shift
        return chunk

    async def write(self, chunk: Chunk) -> int:
        """Add the front's next frames. Returns the number before which all are in the store, or were acknowledged
        before they had to be.
        """
        front, mark = self._front, self.removed
        self.count_lost(await self._in_storage(self._store.write, chunk, self.first + front.shift), mark)
        end = chunk.end - front.shift
        oldest = max(self.first, front.start)
        if end > oldest:
            if not self.frames:
                self.oldest_time = front.times[oldest - front.start]
            self.frames += end - oldest
        return end

    async def trim(self) -> None:
        """Let the store forget what is done with."""
        mark = self.removed
        self.count_lost(await self._in_storage(self._store.trim, self.first + self._front.shift), mark)
        self.bytes = self._store.held

    def remove(self, end: int) -> bool:
        """All before `end` are acknowledged. Returns whether some of them were here."""
        start, before = self._front.start, self.frames
        stored = max(0, min(end, start) - self.first)
        self.frames = 0 if end >= start else max(0, self.frames - stored)
        self.removed += before - self.frames
        self.first = max(self.first, min(end, self._front.end))
        return stored > 0

    async def describe(self, node: str, note: dict[str, Any]) -> None:
        """From now on, frames of `node` mean what `note` says."""
        await self._in_storage(self._store.describe, node, note)

    async def close(self) -> None:
        """Let go of files and connections."""
        await self._in_storage(self._store.close)

    # Losing

    def count_lost_before(self) -> None:
        """Take note of what was found to be gone when the store was opened."""
        lost, self._lost_before = self._lost_before, ()
        self.count_lost(lost, self.removed)

    def count_lost(self, all_lost: Iterable[Lost], mark: int) -> None:
        """Take note of what the store let go. `mark` is how many of its frames had been acknowledged when it was asked:
        those that have been since then were the oldest, and are not lost.
        """
        for lost in all_lost:
            frames = lost.frames
            if lost.end > lost.first:
                meanwhile = min(frames, self.removed - mark)
                mark += meanwhile
                frames -= meanwhile
                self.first = max(self.first, min(lost.end - self._front.shift, self._front.start))
            frames = min(frames, self.frames)
            self.frames -= frames
            if frames > 0:
                self._on_drop(Dropped(frames, lost.reason, lost.first_time, lost.last_time))

    def settle(self, found: int, *, exact: bool) -> None:
        """The store has so many frames, or, unless this is exact, at least so many."""
        missing = self.frames - found
        if missing < 0:
            self.frames = found
            self._on_found(-missing)
        elif missing and exact:
            gone = Lost(0, 0, missing, "damaged on disk", self.oldest_time or 0.0, self._world.time())
            self.count_lost([gone], self.removed)


def _held(opened: Opened) -> int:
    """How many frames there should have been, of which those that are gone are yet to be told."""
    return opened.frames + sum(lost.frames for lost in opened.lost)
