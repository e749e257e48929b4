"""Room in a journal: what goes when there is too much of it, and what becomes of delivered frames."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from emonhub.buffer.segments import pack
from emonhub.buffer.store import Lost
from emonhub.buffer.thinning import thinned

if TYPE_CHECKING:
    from collections.abc import Callable

    from emonhub.buffer.segmentfiles import SegmentFiles
    from emonhub.buffer.segments import Segment
    from emonhub.clock import Clock

_SPARSE = 8
"""Files with fewer frames are not thinned any more."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How much a journal may hold.

    max_bytes   owed frames take no more; the oldest file goes, or is thinned
    max_age_s   frames older than this are let go; 0 = never
    keep_s      delivered frames are kept for so long (0 = not), in no more than `keep_bytes`
    min_free    bytes to be left free on the disk
    thin        whether a full one is thinned
    """

    max_bytes: int
    max_age_s: float
    keep_s: float
    keep_bytes: int
    min_free: int
    thin: bool


class Room:
    """Keeps a journal's files within their limits. `finish` seals the one that is being written."""

    def __init__(self, files: SegmentFiles, limits: Limits, clock: Clock, finish: Callable[[], None]) -> None:
        self._files = files
        self._limits = limits
        self._clock = clock
        self._finish = finish
        self._lost: list[Lost] = []  # and not told yet
        self._spared = 0  # bytes that may still be written for what was let go on a disk that is nearly full

    def written(self, size: int) -> None:
        """So many bytes more are on the disk."""
        self._spared -= size

    def tell_lost(self) -> list[Lost]:
        """What was let go since this was last asked."""
        lost, self._lost = self._lost, []
        return lost

    def make(self, cursor: int) -> None:
        """Before more is written: the record's oldest file goes first, then the oldest that is owed."""
        files, limits = self._files, self._limits
        while limits.min_free and files.segments and files.disk.free(files.folder) < limits.min_free:
            oldest = files.segments[0]
            if not oldest.sealed or (oldest.end > cursor and self._spared > 0):
                break  # others fill the disk: no more of what is owed makes way for them than is written
            self._let_go(oldest, cursor, "disk nearly full")
            self._spared = oldest.size
        while (owed := files.owed(cursor)) and sum(s.size for s in owed) > limits.max_bytes:
            if limits.thin and self.thin_one(owed):
                continue
            if not owed[0].sealed:
                self._finish()
            self._let_go(owed[0], cursor, "buffer full")

    def keep_record(self, cursor: int) -> None:
        """Let go of delivered frames that are not kept any longer, and pack those that are."""
        kept = []
        for segment in [s for s in self._files.segments if s.end <= cursor and s.sealed]:
            if self._limits.keep_s and not self._older(segment, self._limits.keep_s):
                kept.append(segment)
            else:
                self._files.delete(segment)
        excess = sum(segment.size for segment in kept) - self._limits.keep_bytes
        while excess > 0:
            excess -= kept[0].size
            self._files.delete(kept.pop(0))
        self._pack_one(kept)

    def drop_old(self, cursor: int) -> None:
        """Let go of owed frames that are too old."""
        while self._limits.max_age_s and (owed := self._files.owed(cursor)) and owed[0].sealed:
            if not self._older(owed[0], self._limits.max_age_s):
                break
            self._let_go(owed[0], cursor, "too old")

    def thin_one(self, owed: list[Segment]) -> bool:
        """Halve the fullest of the sealed files behind the one that is being read. Returns False when none is left."""
        candidates = [s for s in owed[1:] if s.sealed and s.count > _SPARSE]
        if not candidates:
            return False
        segment = max(candidates, key=lambda s: (s.count / (s.end - s.first), -s.first))
        contents = self._files.load(segment)
        data, count = thinned(contents, self._files.owner)
        gone, end_time = segment.count - count, self._files.end_time(segment)
        self._files.replace(segment, replace(segment, count=count).sealed_name, data)
        segment.count = count
        self._lost.append(Lost(segment.first, segment.first, gone, "thinned", segment.base, end_time))
        return True

    def _let_go(self, segment: Segment, cursor: int, reason: str) -> None:
        end_time = self._files.end_time(segment)
        left, lost = self._files.left_in(segment, cursor) if segment.end > cursor else (0, [])
        self._files.delete(segment)
        self._lost += lost
        if left:
            self._lost.append(Lost(max(cursor, segment.first), segment.end, left, reason, segment.base, end_time))

    def _pack_one(self, done: list[Segment]) -> None:
        """Pack one cold file at a time: the storage thread has other work too."""
        for segment in done:
            if not segment.packed:
                with suppress(OSError):  # a disk that is full, say: there is always a next time
                    files = self._files
                    data = pack(files.disk.read(files.folder / segment.name), segment, files.owner)
                    files.replace(segment, f"{segment.sealed_name}.xz", data)
                return

    def _older(self, segment: Segment, age_s: float) -> bool:
        """Whether a whole segment is older than this. Looks into it only when its neighbours' names say so: they may
        have been written by a clock that was not set.
        """
        now = self._clock.time()
        if not self._clock.trusted or self._files.end_time(segment) + age_s >= now:
            return False
        if segment.newest is None:
            contents = self._files.load(segment)
            chunk = contents.chunk(contents.end - 1, 1)
            self._files.correct(chunk, contents)
            segment.newest = max(chunk.times, default=0.0)
        return segment.newest + age_s < now
