"""The base of interfacers that owe delivery: encode on arrival, buffer, send in batches, forget what was acknowledged.

A subclass says how a frame is written (`encoder`), and how a batch is delivered (`deliver`). When, how much at a
time, waiting and trying again, and setting aside a frame that is always refused, are the base's business.
"""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections import Counter, deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from emonhub.buffer.memory import MemoryBuffer
from emonhub.errors import FrameError
from emonhub.interfacer import Interfacer
from emonhub.settings import integer, number, setting, size

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from emonhub.buffer.base import Batch, Buffer, Dropped
    from emonhub.cargo import Cargo, Layout
    from emonhub.nodes.table import Nodes
    from emonhub.world import World

Encoder: TypeAlias = "Callable[[Cargo], str]"


@dataclass(frozen=True, slots=True)
class Delivered:
    """The target has all of the batch."""


@dataclass(frozen=True, slots=True)
class DeliveredUpTo:
    """The target has the first `count` records of the batch, and none of the rest."""

    count: int


@dataclass(frozen=True, slots=True)
class RetryAfter:
    """Not now: the batch stays as it is. `seconds` when the target named a time, else the wait grows by itself.

    `ambiguous` when the target may have taken some of the batch or all of it, and could not say so.
    """

    reason: str
    seconds: float | None = None
    ambiguous: bool = False


@dataclass(frozen=True, slots=True)
class Rejected:
    """The target refuses this batch because of something in it, and would do so again."""

    reason: str


Outcome: TypeAlias = Delivered | DeliveredUpTo | RetryAfter | Rejected


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A frame that the target refuses for good, though it takes others."""

    record: str
    reason: str


_FIRST_WAIT_S = 1.0
"""After a first failure; doubles with each that follows. Shorter would knock at a server that is just starting."""

_LONGEST_OBEYED_S = 3600.0
"""A Retry-After beyond this is not believed: somebody's clock or unit is wrong."""

_MAX_ENCODERS = 4096
"""Encoders are remembered up to this many: layouts come and go with configurations and with noise."""

_PROBES = 4
"""Frames that may be refused one by one before the target is suspected; doubles while nothing is delivered."""

_DEAD_SHOWN = 100
"""Dead letters kept for a look; all are counted."""


class _Encoders(dict["Layout", Encoder]):
    def __init__(self, make: Callable[[Layout], Encoder]) -> None:
        super().__init__()
        self._make = make

    def __missing__(self, layout: Layout) -> Encoder:
        if len(self) >= _MAX_ENCODERS:
            self.clear()
        encoder = self[layout] = self._make(layout)
        return encoder


class Reporter(Interfacer):
    """An interfacer that owes delivery.

    taken         frames it took responsibility for
    acknowledged  frames that the target has confirmed
    dropped       frames let go, by reason
    dead          frames refused for good

    and always taken = acknowledged + buffer.frames + dropped + dead.
    """

    interval = setting(number(0), 30.0, "seconds between posts; 0 = at once. A full batch never waits", unit="s")
    batchsize = setting(integer(1), 1000, "frames in one request at most")
    buffer_size = setting(size(1 << 16), 32 << 20, "memory that frames waiting for the target may take, in bytes")
    retry_max = setting(number(0.01), 300.0, "longest wait between attempts while the target fails", unit="s")

    def __init__(
        self,
        name: str,
        settings: Mapping[str, Any] | None = None,
        *,
        world: World | None = None,
        nodes: Nodes | None = None,
        buffer: Buffer | None = None,
    ) -> None:
        super().__init__(name, settings, world=world, nodes=nodes)
        self.buffer = buffer or MemoryBuffer(self.buffer_size)
        self.buffer.on_drop = self._count_drop
        self.taken = self.buffer.frames
        self.acknowledged = 0
        self.dropped: Counter[str] = Counter()
        self.dead = 0
        self.dead_letters: deque[DeadLetter] = deque(maxlen=_DEAD_SHOWN)
        self.trouble = ""
        self.requests = 0
        self._encoders = _Encoders(self.encoder)
        self._wake = asyncio.Event()
        self._hurry = asyncio.Event()
        self._stopping = False
        self._failures = 0
        self._next_post = 0.0
        self._batch: Batch | None = None
        self._refused_end = 0  # a batch that ended before this sequence number was refused: some frame in it is bad
        self._refused_alone = 0  # frames at the head that were refused each by itself
        self._refusal = ""

    # For subclasses to fill in

    @abstractmethod
    def encoder(self, layout: Layout) -> Encoder:
        """The function that writes one cargo of this layout as the target takes it, all but its time.

        One line, no newline in it. The time is kept beside it (`Batch.times`) and put in when the batch is sent.
        """

    @abstractmethod
    async def deliver(self, batch: Batch) -> Outcome:
        """Send one batch and say what became of it. What it raises counts as RetryAfter."""

    # What the hub calls

    def accept(self, cargos: list[Cargo]) -> None:
        """Take responsibility for these frames: encoded and buffered when it returns."""
        encoders = self._encoders
        self.taken += len(cargos)
        try:
            records = [encoders[cargo.layout](cargo) for cargo in cargos]
            times = [cargo.time for cargo in cargos]
        except (FrameError, TypeError, ValueError, OverflowError):
            records, times = self._encode_one_by_one(cargos)
        if records:
            text = "".join(records)
            length = len(text) if text.isascii() else len(text.encode())
            self.buffer.append(records, times, length)
            if self.interval == 0 or self.buffer.frames >= self.batchsize or not self._next_post:
                self._wake.set()

    async def run_delivery(self) -> None:
        """Deliver what is owed, for as long as the hub runs; ends after `stop_delivery` when nothing more goes."""
        while True:
            await self._until_due()
            if not self.buffer.frames or self._sending_paused:
                return  # only a stop is due without frames
            wait = await self._attempt()
            if wait:
                if self._stopping:
                    return
                await self._back_off(wait)

    def stop_delivery(self) -> None:
        """Send what is left without waiting for the interval, and end at the first failure."""
        self._stopping = True
        self.hurry()

    def hurry(self) -> None:
        """Try again now, whatever the wait: something has changed that may have been the trouble."""
        self._failures = 0
        self._next_post = 0.0
        self._hurry.set()
        self._wake.set()

    def settings_changed(self, changed: set[str]) -> None:
        self._encoders.clear()
        self.hurry()

    # How it is done

    @property
    def _sending_paused(self) -> bool:
        return self.pause in {"out", "all"}

    def _encode_one_by_one(self, cargos: list[Cargo]) -> tuple[list[str], list[float]]:
        records, times = [], []
        for cargo in cargos:
            try:
                records.append(self._encoders[cargo.layout](cargo))
                times.append(cargo.time)
            except (FrameError, TypeError, ValueError, OverflowError) as error:
                self.dropped["can't be encoded"] += 1
                self.log.warning(
                    "Dropped a frame of node %s that can't be encoded: %s",
                    cargo.layout.label,
                    error,
                    extra={"repeats": "encode"},
                )
        return records, times

    def _count_drop(self, dropped: Dropped) -> None:
        self.dropped[dropped.reason] += dropped.frames
        self.log.warning(
            "Dropped %d frames read from %.0f to %.0f: %s",
            dropped.frames,
            dropped.first_time,
            dropped.last_time,
            dropped.reason,
            extra={"repeats": dropped.reason},
        )

    async def _until_due(self) -> None:
        while not self._stopping:
            self._wake.clear()
            wait = self._next_post - self.world.monotonic()
            if self._sending_paused or not self.buffer.frames:
                # The timer is off when it has run out with nothing to send: then the next frame sets the alarm.
                if wait <= 0:
                    self._next_post = 0.0
                await self._wait_for(self._wake, wait if wait > 0 else None)
            elif wait <= 0 or self.buffer.frames >= self.batchsize or self._refused_end:
                return
            else:
                await self._wait_for(self._wake, wait)

    async def _back_off(self, seconds: float) -> None:
        if not self._stopping:
            await self._wait_for(self._hurry, seconds)

    @staticmethod
    async def _wait_for(event: asyncio.Event, seconds: float | None) -> None:
        try:
            async with asyncio.timeout(seconds):
                await event.wait()
        except TimeoutError:
            pass

    async def _attempt(self) -> float:
        """One request. Returns how long to wait before the next one, 0 when there is no trouble."""
        if self._batch is None:
            self._batch = await self._next_batch()
        batch = self._batch
        if batch is None:  # the frames refused are all there is: nothing tells yet whose fault it is
            return self._all_refused()
        self.requests += 1
        self._hurry.clear()
        try:
            outcome = await self.deliver(batch)
        except Exception as error:
            self.log.debug("deliver raised", exc_info=True)
            outcome = RetryAfter(f"{type(error).__name__}: {error}")
        self._next_post = self.world.monotonic() + self.interval
        match outcome:
            case Delivered():
                return await self._settle_delivered(batch, len(batch.records))
            case DeliveredUpTo(count) if count > 0:
                return await self._settle_delivered(batch, count)
            case DeliveredUpTo():
                return self._settle_trouble("the target took nothing of the batch", None)
            case Rejected(reason):
                return self._settle_rejected(batch, reason)
            case RetryAfter(reason, seconds):
                return self._settle_trouble(reason, seconds)

    async def _next_batch(self) -> Batch | None:
        """The next run of frames to send: a whole batch, or half of what hides a bad frame, or a probe behind it."""
        hiding = self._refused_end - self.buffer.first
        if hiding <= 0:
            self._refused_end = self._refused_alone = 0
            return await self.buffer.fetch(self.batchsize)
        if hiding == 1 and not self._refused_alone:
            self._refused_alone = 1
        if self._refused_alone:
            return await self.buffer.fetch(1, self._refused_alone)
        return await self.buffer.fetch(hiding // 2)

    async def _settle_delivered(self, batch: Batch, count: int) -> float:
        if self._refused_alone:
            # The target is well, then: what it refused before was bad.
            await self._bury(batch.first)
            self._refused_end = self._refused_alone = 0
        self.acknowledged += self.buffer.remove(batch.first + count)
        self._batch = None
        self._failures = 0
        if self.trouble:
            self.trouble = ""
            self.log.info("Delivering again, %d frames waiting", self.buffer.frames)
        return 0.0

    def _settle_rejected(self, batch: Batch, reason: str) -> float:
        self._batch = None
        self._refusal = reason
        count = len(batch.records)
        if not self._refused_alone:
            self._refused_end = batch.end
            self._refused_alone = 1 if count == 1 else 0
            if count > 1:
                self.log.info("A batch of %d frames is refused (%s): looking for the bad one", count, reason)
            return 0.0
        self._refused_alone += 1
        self._refused_end = batch.end
        return self._all_refused() if self._refused_alone > _PROBES << min(self._failures, 6) else 0.0

    def _all_refused(self) -> float:
        # Frames that are all refused say more of the target than of themselves: none is given up.
        self._refused_end = self._refused_alone = 0
        return self._settle_trouble(f"every frame is refused ({self._refusal})", None)

    def _settle_trouble(self, reason: str, seconds: float | None) -> float:
        self._failures += 1
        if reason != self.trouble:
            self.trouble = reason
            self.log.warning("Can't deliver: %s. %d frames are kept and sent later", reason, self.buffer.frames)
        if seconds is not None:
            return max(0.001, min(seconds, _LONGEST_OBEYED_S))
        grown = min(self.retry_max, _FIRST_WAIT_S * 2.0 ** min(self._failures - 1, 30))
        return grown * self.world.random.uniform(0.75, 1.0)

    async def _bury(self, end: int) -> None:
        """Set aside every frame before sequence number `end`."""
        found = await self.buffer.fetch(end - self.buffer.first)
        for record in found.records if found else ():
            self.dead_letters.append(DeadLetter(record, self._refusal))
            self.log.error("Refused for good, set aside: %s (%s)", record, self._refusal, extra={"repeats": "dead"})
        self.dead += self.buffer.remove(end)
