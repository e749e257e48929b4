"""The base of interfacers that owe delivery: encode on arrival, buffer, send in batches, forget what was acknowledged.

A subclass says how a frame is written (`encoder`), and how a batch is delivered (`deliver`). When, how much at a
time, waiting and trying again, and setting aside a frame that is always refused, are the base's business.
"""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections import Counter
from math import isfinite
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

from emonhub.buffer.deadletters import DeadLetters
from emonhub.buffer.memory import MemoryBuffer
from emonhub.errors import FrameError
from emonhub.interfacer import Interfacer
from emonhub.outcome import Delivered, DeliveredUpTo, Outcome, Rejected, RetryAfter
from emonhub.pacing import BatchSize, Progress, retry_wait
from emonhub.search import Search
from emonhub.settings import choice, duration, integer, number, setting, size, text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from emonhub.buffer.base import Batch, Buffer, Dropped
    from emonhub.buffer.folder import ReporterFolder
    from emonhub.cargo import Cargo, Layout
    from emonhub.nodes.table import Nodes
    from emonhub.world import World

Encoder: TypeAlias = "Callable[[Cargo], str]"

_MAX_ENCODERS = 4096
"""Encoders are remembered up to this many: layouts come and go with configurations and with noise."""

_LOCK_S = 1.0
"""Between two tries to become the one who sends, while a replay is."""

_MEMORY_BYTES = 32 << 20
"""What the buffer takes where there is nothing but memory: two million frames, on a board with 512 MB."""


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

    form: ClassVar[str] = ""
    """Names the form in which `encoder` writes frames: what was written in another one is never sent by this class."""

    interval = setting(number(0), 30.0, "seconds between posts; 0 = at once. A full batch never waits", unit="s")
    batchsize = setting(integer(1), 1000, "frames in one request at most")
    max_rate = setting(number(0), 0.0, "frames sent in a second at most; 0 = as many as the target takes")
    retry_max = setting(number(0.01), 300.0, "longest wait between attempts while the target fails", unit="s")
    buffer_mode = setting(
        choice("auto", "journal", "hybrid", "memory", "sql"),
        "auto",
        "where frames wait: journal = on disk; hybrid = in memory, and on disk while the target fails;"
        " memory = nowhere else; sql = in a database; auto = journal, or memory where nothing can be written",
        init=True,
    )
    sync_interval_s = setting(
        number(0), 60.0, "what is waiting for longer is on disk; 0 = every frame at once", unit="s", init=True
    )
    hybrid_age_s = setting(
        number(1), 900.0, "hybrid: frames that wait for longer go to disk in any case", unit="s", init=True
    )
    max_bytes = setting(size(), 0, "frames that wait take no more; 0 = 1 GB on disk, 32 MB in memory", init=True)
    max_age = setting(duration(), 0.0, "frames that wait for longer are dropped; 0 = never", unit="s", init=True)
    min_free = setting(size(), 64 << 20, "bytes of the disk that are left free for others", init=True)
    when_full = setting(
        choice("oldest", "thin"),
        "oldest",
        "what goes when the buffer is full: the oldest frames, or every second one of many",
        init=True,
    )
    keep = setting(
        duration(), 0.0, "how long delivered frames are kept for the record, such as 90 d or ever; 0 = not", init=True
    )
    keep_bytes = setting(size(1 << 20), 4 << 30, "the record takes no more", init=True)
    sql_url = setting(text(), "", "sql: the database, such as mysql://user:password@host/name", init=True, secret=True)

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
        if self.buffer_mode == "sql" and self.sql_url:
            from emonhub.buffer.sql import Address  # noqa: PLC0415 - only who has a database pays for it

            Address.parse(self.sql_url)
        self.folder: ReporterFolder | None = None
        self.dead_letters = DeadLetters()
        self.taken = 0
        self.acknowledged = 0
        self.dropped: Counter[str] = Counter()
        self.dead = 0
        self.trouble = ""
        self.requests = 0
        self.held_up = ""
        self.progress = Progress()
        self._encoders = _Encoders(self._make_encoder)
        self._wake = asyncio.Event()
        self._hurry = asyncio.Event()
        self._stopping = False
        self._failures = 0
        self._next_post = 0.0
        self._next_allowed = 0.0
        self._batch: Batch | None = None
        self._unsure = False  # the batch may have been taken already
        self._outdated = False  # its times have been put right since it was fetched
        self._size = BatchSize()
        self._search = Search()
        self.equip(buffer or MemoryBuffer(self.max_bytes or _MEMORY_BYTES))

    # For subclasses to fill in

    @abstractmethod
    def encoder(self, layout: Layout) -> Encoder:
        """The function that writes one cargo of this layout as the target takes it, all but its time.

        One line, no newline in it. The time is kept beside it (`Batch.times`) and put in when the batch is sent.
        """

    @abstractmethod
    async def deliver(self, batch: Batch) -> Outcome:
        """Send one batch and say what became of it. What it raises counts as RetryAfter."""

    async def already_has(self, batch: Batch) -> int | None:
        """How many of the batch's first records the target has taken, after an end that left it open.

        None where that can't be told: then all of it is sent again.
        """
        return None

    def read_back(self, record: str, time: float, notes: Mapping[str, Any]) -> Cargo | None:
        """The cargo that `encoder` wrote as `record`; None when this class can't tell.

        notes   by node id and by node name: {"node", "nodename", "names", "units"} as they were in force then
        """
        return None

    # What the hub calls

    def equip(self, buffer: Buffer, folder: ReporterFolder | None = None) -> None:
        """Owe what is in `buffer` from now on; `folder` is where people and tools reach this reporter."""
        self.buffer = buffer
        self.folder = folder
        self.dead_letters = folder.dead_letters if folder else DeadLetters()
        buffer.on_drop = self._count_drop
        buffer.on_found = self._count_found
        self.taken += buffer.frames

    def accept(self, cargos: list[Cargo]) -> None:
        """Take responsibility for these frames: encoded and buffered when it returns."""
        if not self.world.clock.trusted:
            self.world.clock.look()  # so that a frame is never taken for one from before a step that has just been
        if not self.world.clock.trusted and any(cargo.device_time for cargo in cargos):
            by_hub = [cargo for cargo in cargos if not cargo.device_time]
            by_device = [cargo for cargo in cargos if cargo.device_time]
            self._accept(by_hub, provisional=True)
            self._accept(by_device, provisional=False)
        else:
            self._accept(cargos, provisional=not self.world.clock.trusted)

    def take_in(self, times: list[float], records: list[str]) -> None:
        """Take responsibility for frames that are encoded already."""
        if records:
            self.taken += len(records)
            self._put(records, times)

    async def run_delivery(self) -> None:
        """Deliver what is owed, for as long as the hub runs; ends after `stop_delivery` when nothing more goes."""
        try:
            while True:
                await self._until_due()
                if not self.buffer.frames or self._sending_paused:
                    return  # only a stop is due without frames
                wait = await self._attempt() if self._may_send() else _LOCK_S
                if wait:
                    if self._stopping:
                        return
                    await self._back_off(wait)
        finally:
            if self.folder is not None:
                self.folder.unlock()

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

    def clock_corrected(self) -> None:
        """The times of frames that wait have been put right."""
        self._outdated = True
        self.hurry()

    @property
    def time_left(self) -> float | None:
        """Seconds until the backlog is delivered, as things go; None when there is none, or no headway."""
        return self.progress.time_left(self.buffer.frames)

    # Taking

    def _accept(self, cargos: list[Cargo], *, provisional: bool) -> None:
        encoders = self._encoders
        self.taken += len(cargos)
        try:
            records = [encoders[cargo.layout](cargo) for cargo in cargos]
            times = [cargo.time for cargo in cargos]
        except (FrameError, TypeError, ValueError, OverflowError):
            records, times = self._encode_one_by_one(cargos)
        if records:
            self._put(records, times, provisional=provisional)

    def _put(self, records: list[str], times: list[float], *, provisional: bool = False) -> None:
        joined = "".join(records)
        if "\n" in joined:  # would be two lines in a journal
            records = [record.replace("\n", " ") for record in records]
        if not isfinite(sum(times)):
            times = [time if isfinite(time) else self.world.time() for time in times]
        length = len(joined) if joined.isascii() else len(joined.encode("utf-8", "replace"))
        self.buffer.append(records, times, length, provisional=provisional)
        if self.interval == 0 or self.buffer.frames >= self.batchsize or not self._next_post:
            self._wake.set()

    def _make_encoder(self, layout: Layout) -> Encoder:
        if layout.names or layout.nodename:
            note = {"node": layout.node, "nodename": layout.nodename, "names": layout.names, "units": layout.units}
            self.buffer.describe(str(layout.node), note)
        return self.encoder(layout)

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
            "Dropped %d frames read from %s to %s: %s",
            dropped.frames,
            self.world.clock.text(dropped.first_time),
            self.world.clock.text(dropped.last_time),
            dropped.reason,
            extra={"repeats": dropped.reason},
        )

    def _count_found(self, frames: int) -> None:
        # They are older than what was to be sent next: that is sent again, behind them.
        self.taken += frames
        self._search.over()
        self._forget_batch()
        self._wake.set()

    def _forget_batch(self) -> None:
        self._batch = None
        self._unsure = False

    # Sending

    @property
    def _sending_paused(self) -> bool:
        if self.pause in {"out", "all"}:
            self.held_up = "paused by its settings"
        elif self.folder is not None and self.folder.is_paused:
            self.held_up = "paused"
        elif self.world.clock.holding and not self._stopping:
            self.held_up = "waiting for the clock to be set"
        else:
            self.held_up = ""
        return bool(self.held_up)

    def _may_send(self) -> bool:
        """Whether nobody else sends to this target: two at once would mix up the order."""
        if self.folder is None or self.folder.lock():
            return True
        self.held_up = "waiting for a replay to end"
        return False

    def _let_others_send(self) -> None:
        """A replay may take its turn while nothing is on its way, or while this is paused."""
        if self.folder is not None and (self._batch is None or self._sending_paused):
            self.folder.unlock()

    async def _until_due(self) -> None:
        while not self._stopping:
            self._wake.clear()
            self._let_others_send()
            wait = max(self._next_post, self._next_allowed) - self.world.monotonic()
            if self._sending_paused or not self.buffer.frames:
                # The timer is off when it has run out with nothing to send: then the next frame sets the alarm.
                if wait <= 0:
                    self._next_post = 0.0
                await self._wait_for(self._wake, wait if wait > 0 else None)
            elif self._next_allowed > self.world.monotonic():
                await self._wait_for(self._wake, self._next_allowed - self.world.monotonic())
            elif wait <= 0 or self._search.under_way or self._has_backlog:
                return
            else:
                await self._wait_for(self._wake, wait)

    @property
    def _has_backlog(self) -> bool:
        return self.buffer.frames >= self._size.limit(self.batchsize)

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
        self._hurry.clear()
        if self._outdated and not self._unsure:
            self._batch = None
        if self._batch is None:
            limit, skip = self._search.next(self.buffer.first, self._size.limit(self.batchsize))
            self._outdated = False
            self._batch = await self.buffer.fetch(limit, skip)
        elif self._unsure and (count := await self._ask(self._batch)):
            return self._settle_delivered(self._batch, count)
        batch = self._batch
        if batch is None:
            # The frames refused are all there is, and nothing tells yet whose fault it is; or none can be had for now.
            return self._all_refused() if self._search.under_way else _LOCK_S
        self.requests += 1
        started = self.world.monotonic()
        outcome = await self._deliver(batch)
        now = self.world.monotonic()
        if self._batch is not batch:
            return 0.0  # older frames have come to light meanwhile, and go first
        self._next_post = now + self.interval
        if self.max_rate:
            self._next_allowed = started + len(batch.records) / self.max_rate
        match outcome:
            case Delivered():
                self._size.answered(now - started)
                return await self._settle_found_well(batch, len(batch.records))
            case DeliveredUpTo(count) if count > 0:
                return await self._settle_found_well(batch, count)
            case DeliveredUpTo():
                return self._settle_trouble(RetryAfter("the target took nothing of the batch"))
            case Rejected(reason):
                return await self._settle_rejected(batch, reason)
            case RetryAfter():
                return self._settle_trouble(outcome)

    async def _deliver(self, batch: Batch) -> Outcome:
        try:
            return await self.deliver(batch)
        except Exception as error:
            self.log.debug("deliver raised", exc_info=True)
            return RetryAfter(f"{type(error).__name__}: {error}", ambiguous=True)

    async def _ask(self, batch: Batch) -> int | None:
        try:
            return await self.already_has(batch)
        except Exception:
            self.log.debug("already_has raised", exc_info=True)
            return None

    async def _settle_found_well(self, batch: Batch, count: int) -> float:
        if self._search.alone:
            # The target is well, then: what it refused before was bad.
            await self._bury(batch.first)
            self._search.over()
        return self._settle_delivered(batch, count)

    def _settle_delivered(self, batch: Batch, count: int) -> float:
        self.acknowledged += self.buffer.remove(batch.first + count)
        self._batch = None
        self._unsure = False
        self._failures = 0
        self.buffer.failing = False
        self.progress.note(self.world.monotonic(), self.taken, self.acknowledged)
        if self.trouble:
            self.trouble = ""
            self.log.info("Delivering again, %d frames waiting", self.buffer.frames)
        return 0.0

    async def _settle_rejected(self, batch: Batch, reason: str) -> float:
        self._batch = None
        alone = self._search.alone
        if len(batch.records) > 1 and (count := await self._ask(batch)) and count < len(batch.records):
            # What stands before the bad frame has been taken: that spares the search.
            self._settle_delivered(batch, count)
            self._search.suspect(self.buffer.first, reason)
            return 0.0
        self._search.refused(batch.first, batch.end, reason)
        if alone:
            return self._all_refused() if self._search.hopeless(self._failures) else 0.0
        if len(batch.records) > 1:
            self.log.info("A batch of %d frames is refused (%s): looking for the bad one", len(batch.records), reason)
        return 0.0

    def _all_refused(self) -> float:
        # Frames that are all refused say more of the target than of themselves: none is given up.
        self._search.over()
        return self._settle_trouble(RetryAfter(f"every frame is refused ({self._search.reason})"))

    def _settle_trouble(self, outcome: RetryAfter) -> float:
        self._failures += 1
        self._unsure = self._unsure or outcome.ambiguous
        self.buffer.failing = True
        if outcome.ambiguous or outcome.seconds is not None:
            self._size.overburdened()
            self._shorten_batch()
        if outcome.reason != self.trouble:
            self.trouble = outcome.reason
            self.log.warning("Can't deliver: %s. %d frames are kept and sent later", outcome.reason, self.buffer.frames)
        return retry_wait(self._failures, outcome.seconds, self.retry_max, self.world.random)

    def _shorten_batch(self) -> None:
        """What is sent again is sent unchanged, but less of it at a time where it was too much."""
        limit = self._size.limit(self.batchsize)
        if self._batch is not None and self._failures > 1 and len(self._batch.records) > limit:
            self._batch = self._batch.head(limit)

    async def _bury(self, end: int) -> None:
        """Set aside every frame before sequence number `end`."""
        while self._search.alone:
            found = await self.buffer.fetch(max(1, end - self.buffer.first))
            if found is None or found.first >= end:
                return
            found = found.head(end - found.first)
            for time, record in zip(found.times, found.records, strict=True):
                try:
                    self.dead_letters.add(time, record, self._search.reason, self.world.time())
                except OSError as error:
                    self.log.warning("Can't keep a dead letter: %s", error, extra={"repeats": "deadletters"})
                self.log.error(
                    "Refused for good, set aside: %s (%s)", record, self._search.reason, extra={"repeats": "dead"}
                )
            self.dead += self.buffer.remove(found.end)
