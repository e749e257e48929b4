"""Spilling: the whole front goes into the store in one write, when that is due, and again after a failure."""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from logging import Logger

    from emonhub.buffer.counted import CountedStore
    from emonhub.buffer.front import Front
    from emonhub.buffer.store import Chunk
    from emonhub.world import World

_AT_ONCE = 5000
"""Frames in one write: on a disk that is nearly full some may still have room, and reading need not wait for long."""

_SPILL_BYTES = 1 << 18
"""A front of this size is spilled at once: at high rates a whole write's worth comes together in no time."""

_RECORD_SPILL_S = 900.0
"""Delivered frames that are only kept for the record may wait so long for the disk: nobody is owed them."""


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


class Spilling:
    """Moves frames from a front to its store.

    failing    whether the target takes nothing: then frames are spilled as often as a power cut must not lose more
    trouble    why the store takes nothing, for people
    """

    def __init__(self, front: Front, store: CountedStore, policy: Policy, *, world: World, log: Logger) -> None:
        self.failing = False
        self.trouble = ""
        self._front = front
        self._store = store
        self._policy = policy
        self._world = world
        self._log = log
        self._arrivals: deque[tuple[int, float]] = deque()  # (number after a chunk, when it came, monotonic)
        self._timer: asyncio.TimerHandle | None = None
        self._work: asyncio.Task[None] | None = None
        self._again = False
        self._trim_due = 0.0
        self._retry_at = 0.0
        self._notes: dict[str, dict[str, Any]] = {}
        self._closed = False

    def begin(self) -> None:
        """Wait for what is due with the frames that a former run has left."""
        if self._front.records:
            self._arrivals.append((self._front.end, self._world.monotonic()))
        self.arm()

    def arrived(self) -> None:
        """Frames have come to the front."""
        self._arrivals.append((self._front.end, self._world.monotonic()))
        if (self._front.size > _SPILL_BYTES or not self._policy.sync_s) and not self.trouble:
            self.spill()
        elif self._timer is None:
            self.arm()

    def delivered(self, *, stored: bool) -> None:
        """More frames are acknowledged, some of them `stored`."""
        self._settle(self._store.first)
        self._front.move_cursor(self._store.first)
        if not self._policy.keep and self._work is None:
            self._front.forget(self._store.first)
        if stored and not self._trim_due:
            self._trim_due = self._world.monotonic() + max(1.0, self._policy.sync_s)
            self.arm()

    def describe(self, node: str, note: dict[str, Any]) -> None:
        """To be told to the store before the frames that come from now on."""
        self._notes[node] = note

    def spill(self) -> None:
        """Put the front into the store soon."""
        if self._work is not None:
            self._again = True
        elif not self._closed:
            self._work = asyncio.get_running_loop().create_task(self._spill_all(), name="spill")

    async def close(self) -> None:
        """Put the front into the store for the last time, and close that."""
        self._closed = True
        self.disarm()
        if self._work is not None:
            await self._work
        try:
            await self.spill_once()
            await self._store.close()
        except OSError as error:
            self.complain(error)

    def complain(self, error: OSError) -> None:
        """The store has failed: it is tried again."""
        reason = error.strerror or str(error)
        if not self.trouble:
            self._log.error("Can't write to the disk, frames are kept in memory: %s", reason)
        self.trouble = reason
        self._retry_at = self._world.monotonic() + max(1.0, self._policy.sync_s)
        self.arm()

    # When

    def _due(self) -> float | None:
        """When there is something to do next, monotonic; None for not before something happens."""
        if self.trouble:
            return self._retry_at
        due = []
        if self._trim_due:
            due.append(self._trim_due)
        if self._arrivals:
            failing = self.failing or not self._policy.idle_s
            due.append(self._arrivals[0][1] + (self._policy.sync_s if failing else self._policy.idle_s))
        elif self._policy.keep and self._front.records:
            due.append(self._front.since + _RECORD_SPILL_S)
        return min(due, default=None)

    def arm(self) -> None:
        """Set the timer for what is due next."""
        self.disarm()
        due = self._due()
        if due is not None and not self._closed and self._work is None:
            wait = max(0.0, due - self._world.monotonic())
            self._timer = asyncio.get_running_loop().call_later(wait, self._timer_ran_out)

    def disarm(self) -> None:
        """Do nothing by time from now on."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _timer_ran_out(self) -> None:
        self._timer = None
        due = self._due()
        if due is not None and due <= self._world.monotonic() + 0.001:
            self.spill()
        else:
            self.arm()  # what it was set for has been acknowledged since

    def _settle(self, end: int) -> None:
        """Nothing before `end` waits for the store any more."""
        while self._arrivals and self._arrivals[0][0] <= end:
            self._arrivals.popleft()

    # How

    async def _spill_all(self) -> None:
        try:
            self._again = True
            while self._again:
                self._again = False
                await self.spill_once()
        except OSError as error:
            self.complain(error)
        except Exception as error:  # noqa: BLE001 - nobody waits for this task: what it meets is told here
            self._log.exception("The storage has failed")
            self.complain(OSError(f"{type(error).__name__}: {error}"))
        finally:
            self._work = None
            if not self._policy.keep:
                self._front.forget(self._store.first)
            self.arm()

    async def spill_once(self) -> None:
        """Put into the store what is in the front now. Raises OSError."""
        if not self._store.opened:
            await self._store.open_late()
        if self.trouble:
            with suppress(OSError):
                await self._trim()  # a disk that is full may have room then
        while self._notes:
            node, note = next(iter(self._notes.items()))
            await self._store.describe(node, note)
            if self._notes.get(node) is note:
                del self._notes[node]
        self._front.start_file()
        end = self._front.end
        while (chunk := self._next(end)).records:
            written = await self._store.write(chunk)
            self._settle(written)
            self._front.forget(written)
        await self._trim()
        if self.trouble:
            self.trouble = ""
            self._log.info("Writing to the disk again")

    def _next(self, end: int) -> Chunk:
        """The next frames to be written of those before `end`."""
        first = self._front.start if self._policy.keep else max(self._store.first, self._front.start)
        return self._front.chunk(first, min(end, first + _AT_ONCE))

    async def _trim(self) -> None:
        self._trim_due = 0.0
        await self._store.trim()
