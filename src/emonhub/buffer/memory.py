"""The buffer in memory: nothing touches the disk, and all is gone with the process.

sealed      runs of records that wait, oldest first; packed once several of them stand in line
open        the run that is being filled
"""

from __future__ import annotations

import lzma
from collections import deque
from dataclasses import dataclass, field
from itertools import chain

from emonhub.buffer.base import Batch, Buffer, Dropped

_RUN = 1024
"""Records in a run: enough for a compressor to find what repeats, few enough that unpacking one is never noticed."""

_LOOSE_RUNS = 6
"""Runs that wait unpacked, about a megabyte: a target that keeps up never costs a compression."""

_RECORD_OVERHEAD = 65
"""Bytes that CPython takes for a short text beside the text itself (49), and for two places in lists (16)."""

# Raw LZMA2 beats zlib on frames in both size (13 against 19 bytes with names) and time: see `make bench`.
# The small dictionary holds a whole run, and keeps the compressor's own memory at a few MB.
_FILTERS = [{"id": lzma.FILTER_LZMA2, "preset": 1, "dict_size": 1 << 18}]


@dataclass(slots=True)
class _Run:
    records: list[str] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    packed: bytes = b""
    count: int = 0
    size: int = 0
    first_time: float = 0.0
    last_time: float = 0.0
    provisional: bool = False
    shift_s: float = 0.0

    @property
    def held(self) -> int:
        return len(self.packed) or self.size + _RECORD_OVERHEAD * self.count

    def pack(self) -> None:
        if not self.packed:
            before = 0
            lines = []
            for time, record in zip(self.times, self.records, strict=True):
                milliseconds = round(time * 1000)
                lines.append(f"{milliseconds - before} {record}")
                before = milliseconds
            text = "\n".join(lines).encode()
            self.packed = lzma.compress(text, format=lzma.FORMAT_RAW, filters=_FILTERS)
            self.records, self.times = [], []

    def unpack(self) -> None:
        if self.packed:
            text = lzma.decompress(self.packed, format=lzma.FORMAT_RAW, filters=_FILTERS).decode()
            milliseconds = 0
            for line in text.split("\n"):
                step, _, record = line.partition(" ")
                milliseconds += int(step)
                self.times.append(milliseconds / 1000)
                self.records.append(record)
            self.packed = b""
            self._apply_shift()

    def shift(self, shift_s: float) -> None:
        """Put the times right by so many seconds: at once, or when they are unpacked."""
        self.shift_s += shift_s
        self.first_time += shift_s
        self.last_time += shift_s
        if not self.packed:
            self._apply_shift()

    def _apply_shift(self) -> None:
        if self.shift_s:
            self.times = [round(time + self.shift_s, 3) for time in self.times]
            self.shift_s = 0.0


class MemoryBuffer(Buffer):
    """Bounded by the bytes of memory it takes; when full, the oldest run goes, counted."""

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self._runs: deque[_Run] = deque()
        self._open = _Run()
        self._done = 0  # records of the oldest run that are gone already
        self._first = 0  # sequence number of the oldest record still owed
        self._frames = 0
        self._held = 0  # by the sealed runs

    @property
    def first(self) -> int:
        return self._first

    @property
    def frames(self) -> int:
        return self._frames

    @property
    def bytes(self) -> int:
        return self._held + self._open.held

    @property
    def oldest_time(self) -> float | None:
        if not self._frames:
            return None
        oldest = self._runs[0] if self._runs else self._open
        span = oldest.last_time - oldest.first_time
        return oldest.first_time + span * self._done / max(1, oldest.count)

    def append(self, records: list[str], times: list[float], size: int, *, provisional: bool = False) -> None:
        if self._open.count and self._open.provisional != provisional:
            self._seal()
        run = self._open
        run.provisional = provisional
        if not run.count:
            run.first_time = times[0]
        run.records.extend(records)
        run.times.extend(times)
        run.count += len(records)
        run.size += size
        run.last_time = times[-1]
        self._frames += len(records)
        if run.count >= _RUN:
            self._seal()
        if self.bytes > self.max_bytes:
            self._make_room()

    async def fetch(self, limit: int, skip: int = 0) -> Batch | None:
        records: list[str] = []
        times: list[float] = []
        start = self._done + skip
        for run in chain(self._runs, (self._open,)):
            if start >= run.count:
                start -= run.count
                continue
            self._loosen(run)
            end = start + limit - len(records)
            records.extend(run.records[start:end])
            times.extend(run.times[start:end])
            start = 0
            if len(records) >= limit:
                break
        return Batch(self._first + skip, records, times) if records else None

    def remove(self, end: int) -> int:
        removed = max(0, min(end - self._first, self._frames))
        self._first += removed
        self._frames -= removed
        self._done += removed
        while self._runs and self._done >= self._runs[0].count:
            run = self._runs.popleft()
            self._held -= run.held
            self._done -= run.count
        if not self._runs and self._done and self._done >= self._open.count:
            self._open = _Run()
            self._done = 0
        return removed

    def correct(self, shift_s: float, *, for_good: bool) -> None:
        for run in chain(self._runs, (self._open,)):
            if run.provisional:
                run.shift(shift_s)
                run.provisional = not for_good

    def _seal(self) -> None:
        self._runs.append(self._open)
        self._held += self._open.held
        self._open = _Run()
        if len(self._runs) > _LOOSE_RUNS:
            # Never the oldest: it is the next to be sent.
            newest = self._runs[-1]
            self._held -= newest.held
            newest.pack()
            self._held += newest.held

    def _loosen(self, run: _Run) -> None:
        if run is self._open:
            run.unpack()
        else:
            self._held -= run.held
            run.unpack()
            self._held += run.held

    def _make_room(self) -> None:
        while self.bytes > self.max_bytes and self._frames:
            oldest = self._runs[0] if self._runs else self._open
            gone = oldest.count - self._done
            self.remove(self._first + gone)
            self.on_drop(Dropped(gone, "buffer full", oldest.first_time, oldest.last_time))
