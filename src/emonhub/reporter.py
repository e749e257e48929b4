"""The base of interfacers that owe delivery: encode on arrival, buffer, send in batches, forget what was acknowledged.

A subclass says how a frame is written (`encoder`), and how a batch is delivered (`deliver`). When, how much at a
time, waiting and trying again, and setting aside a frame that is always refused, are the base's business.
"""

from __future__ import annotations

from abc import abstractmethod
from collections import Counter
from math import isfinite
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

from emonhub.buffer.deadletters import DeadLetters
from emonhub.buffer.memory import MemoryBuffer
from emonhub.delivery import Delivery
from emonhub.errors import FrameError
from emonhub.interfacer import Interfacer
from emonhub.pacing import Progress
from emonhub.settings import choice, duration, integer, number, setting, size, text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from emonhub.buffer.base import Batch, Buffer, Dropped
    from emonhub.buffer.folder import ReporterFolder
    from emonhub.cargo import Cargo, Layout
    from emonhub.nodes.table import Nodes
    from emonhub.outcome import Outcome
    from emonhub.world import World

Encoder: TypeAlias = "Callable[[Cargo], str]"

_MAX_ENCODERS = 4096
"""Encoders are remembered up to this many: layouts come and go with configurations and with noise."""

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
        self._delivery = Delivery(self)
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
        await self._delivery.run()

    def stop_delivery(self) -> None:
        """Send what is left without waiting for the interval, and end at the first failure."""
        self._delivery.stop()

    def hurry(self) -> None:
        """Try again now, whatever the wait: something has changed that may have been the trouble."""
        self._delivery.hurry()

    def settings_changed(self, changed: set[str]) -> None:
        self._encoders.clear()
        self._delivery.settings_changed()

    def clock_corrected(self) -> None:
        """The times of frames that wait have been put right."""
        self._delivery.outdate()

    async def bury(self, batch: Batch, reason: str) -> None:
        """Set a batch aside that the target refuses for good: it is the oldest that is owed."""
        for time, record in zip(batch.times, batch.records, strict=True):
            try:
                await self.world.storage.run(self.dead_letters.add, time, record, reason, self.world.time())
            except OSError as error:
                self.log.warning("Can't keep a dead letter: %s", error, extra={"repeats": "deadletters"})
            self.log.error("Refused for good, set aside: %s (%s)", record, reason, extra={"repeats": "dead"})
        self.dead += self.buffer.remove(batch.end)

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
        length = len(joined)
        if not joined.isascii():
            try:
                length = len(joined.encode())
            except UnicodeEncodeError:  # half a character, as JSON can carry it in a name: no text for any target
                records = [record.encode("utf-8", "replace").decode() for record in records]
        self.buffer.append(records, self._to_the_millisecond(times), length, provisional=provisional)
        self._delivery.more()

    def _to_the_millisecond(self, times: list[float]) -> list[float]:
        """Times as every buffer keeps them, so that a frame has one time wherever it is sent from."""
        if not isfinite(sum(times)):
            times = [time if isfinite(time) else self.world.time() for time in times]
        if times.count(times[0]) == len(times):  # read together, as nearly always
            return [round(times[0], 3)] * len(times)
        return [round(time, 3) for time in times]

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
        self.taken += frames
        self._delivery.older_came_to_light()
