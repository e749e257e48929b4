"""Sending frames of a record again: a buffer that hands them out of the record, to any reporter in its own form."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from emonhub.buffer.base import Batch, Buffer
from emonhub.errors import FrameError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from emonhub.archive.query import ReadBack
    from emonhub.archive.record import Frame
    from emonhub.cargo import Cargo, Layout
    from emonhub.reporter import Encoder, Reporter

_AHEAD = 1000
"""Frames that are got out of the record at a time."""


@dataclass(slots=True)
class Translation:
    """Turns a record's frames into the form of `target`.

    read_back    of the reporter whose record it is; None where there is none such any more
    source_form  the form that it writes in
    anew         frames in the target's own form are written anew too
    unreadable   frames that could not be turned, by reason
    """

    target: Reporter
    read_back: ReadBack
    source_form: str
    same_reporter: bool
    anew: bool = False
    unreadable: Counter[str] = field(default_factory=Counter)
    _encoders: dict[Layout, Encoder] = field(default_factory=dict)

    def of(self, frames: Iterable[Frame]) -> Iterator[tuple[float, str]]:
        """Time and record of each frame that can be sent."""
        for frame in frames:
            own = frame.form == self.target.form and (self.same_reporter or bool(frame.form))
            if own and not self.anew:
                yield frame.time, frame.record
                continue
            try:
                cargo = self._cargo(frame, own=own)
                yield frame.time, self._encoder(cargo.layout)(cargo)
            except FrameError as error:
                self.unreadable[error.reason] += 1

    def _cargo(self, frame: Frame, *, own: bool) -> Cargo:
        cargo = None
        if frame.form == self.source_form:
            cargo = self.read_back(frame.record, frame.time, frame.notes)
        if cargo is None and own:
            cargo = self.target.read_back(frame.record, frame.time, frame.notes)
        if cargo is None:
            raise FrameError(f"form {frame.form or 'without a name'} can't be read back", frame.record)
        return cargo

    def _encoder(self, layout: Layout) -> Encoder:
        if layout not in self._encoders:
            if len(self._encoders) > 4096:
                self._encoders.clear()
            self._encoders[layout] = self.target.encoder(layout)
        return self._encoders[layout]


class ReplayBuffer(Buffer):
    """Owes what `frames` (time and record) gives, and holds no more of it in memory than is on its way.

    done       set once all is delivered, or set aside
    on_pulled  called with the number of frames that come out of the record from now on
    last_time  when the last frame that is done with was read
    """

    on_pulled: Callable[[int], None] = staticmethod(lambda _frames: None)

    repeats = True

    def __init__(self, frames: Iterator[tuple[float, str]]) -> None:
        self.done = asyncio.Event()
        self.last_time: float | None = None
        self._source = frames
        self._first = 0
        self._records: list[str] = []
        self._times: list[float] = []
        self._pull(_AHEAD)
        if not self._records:
            self.done.set()

    @property
    def first(self) -> int:
        return self._first

    @property
    def frames(self) -> int:
        return len(self._records)

    @property
    def bytes(self) -> int:
        return sum(map(len, self._records))

    @property
    def oldest_time(self) -> float | None:
        return self._times[0] if self._times else None

    def append(self, records: list[str], times: list[float], size: int, *, provisional: bool = False) -> None:
        raise NotImplementedError("a replay takes nothing over")

    def correct(self, shift_s: float, *, for_good: bool) -> None:
        pass

    async def fetch(self, limit: int, skip: int = 0) -> Batch | None:
        self._pull(limit + skip - len(self._records))
        records = self._records[skip : skip + limit]
        return Batch(self._first + skip, records, self._times[skip : skip + limit]) if records else None

    def remove(self, end: int) -> int:
        count = max(0, min(end - self._first, len(self._records)))
        if count:
            self.last_time = self._times[count - 1]
        del self._records[:count]
        del self._times[:count]
        self._first += count
        if not self._records:
            self._pull(_AHEAD)
        if not self._records:
            self.done.set()
        return count

    def _pull(self, count: int) -> None:
        before = len(self._records)
        for time, record in itertools.islice(self._source, max(0, count)):
            self._times.append(time)
            self._records.append(record)
        if len(self._records) > before:
            self.on_pulled(len(self._records) - before)


def attach(target: Reporter, buffer: ReplayBuffer) -> None:
    """Have a reporter that was made for a replay send what `buffer` gets out of a record."""

    def take(frames: int) -> None:
        target.taken += frames

    target.equip(buffer)
    buffer.on_pulled = take
