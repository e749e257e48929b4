"""The files of a journal: found, settled after a crash, read, sealed, replaced, put aside, deleted."""

from __future__ import annotations

from bisect import bisect_right
from contextlib import suppress
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING

from emonhub.buffer.segments import Contents, Segment, load, named
from emonhub.buffer.store import Lost

if TYPE_CHECKING:
    from pathlib import Path

    from emonhub.buffer.disk import Disk
    from emonhub.buffer.store import Chunk
    from emonhub.clock import Clock

_QUARANTINE_BYTES = 16 << 20
"""Damaged files kept for a look; the oldest go first."""

_UNFINISHED = ".new"
_QUARANTINE = "quarantine"


class SegmentFiles:
    """The segments of one folder, oldest first; the last one may be open: it is being written. `form` is that of the
    records: those in another one are of no use.
    """

    def __init__(self, disk: Disk, folder: Path, owner: str, form: str, clock: Clock) -> None:
        self.disk = disk
        self.folder = folder
        self.owner = owner
        self.form = form
        self.segments: list[Segment] = []
        self._clock = clock
        self._loaded: Contents | None = None
        self._damaged: set[int] = set()

    def open(self) -> None:
        """Find what a former run left, and bring it in order. Raises OSError."""
        self.segments = self._find()
        self._settle_open_ones()
        self._settle_overlaps()

    def close(self) -> None:
        """Let go of what is held for reading."""
        self._loaded = None

    def owed(self, cursor: int) -> list[Segment]:
        """The segments with frames that are not done yet."""
        return [segment for segment in self.segments if segment.end > cursor]

    def holding(self, number: int) -> Segment | None:
        """The segment with this number, or the next one after it."""
        index = bisect_right(self.segments, number, key=lambda segment: segment.first) - 1
        for segment in self.segments[max(0, index) :]:
            if segment.end > number:
                return segment
        return None

    # Opening

    def _find(self) -> list[Segment]:
        found = []
        for name in self.disk.names(self.folder):
            if name.endswith(_UNFINISHED):
                with suppress(OSError):
                    self.disk.remove(self.folder / name)
            elif (segment := named(name)) is not None:
                with suppress(OSError):
                    segment.size = self.disk.size(self.folder / name)
                found.append(segment)
        return sorted(found, key=lambda segment: (segment.first, segment.end, segment.count))

    def _settle_open_ones(self) -> None:
        """Seal what a former run left open: with a torn last line, perhaps, which is cut off by being passed over."""
        for segment in [s for s in self.segments if not s.sealed]:
            contents = self.load(segment)
            whole = replace(segment, end=contents.end, count=contents.end - segment.first)
            if not contents.numbers:
                self.put_aside(segment, worth_keeping=segment.size > contents.sound)
            elif any(other.name == whole.sealed_name for other in self.segments):
                self.put_aside(segment)
            else:
                self.seal(segment, whole.end, whole.count)

    def _settle_overlaps(self) -> None:
        """A file that was left after a failed write may hold frames of the next one too: those of the next count."""
        for segment in [after for before, after in pairwise(self.segments) if before.end > after.first]:
            if not self.load(segment).numbers:
                self.put_aside(segment)  # somebody's else, or damaged beyond use: nothing is to give way to it
        for segment, after in pairwise(self.segments[:]):
            if segment.end > after.first:
                contents = self.load(segment)
                if count := contents.count(segment.first, after.first):
                    self.seal(segment, after.first, count)
                else:
                    self.put_aside(segment)

    # Reading

    def load(self, segment: Segment) -> Contents:
        """A segment's contents, read anew."""
        return load(self.disk, self.folder, segment, self.owner)

    def contents(self, segment: Segment, number: int) -> tuple[Contents, list[Lost]]:
        """A segment's contents, and what turns out to be gone of its frames from `number` on."""
        loaded = self._loaded
        if loaded is None or loaded.segment is not segment or (not segment.sealed and loaded.end < segment.end):
            loaded = self._loaded = self.load(segment)
        foreign = bool(loaded.header) and loaded.header.get("form") != self.form
        if foreign:
            loaded = self._loaded = Contents(segment, b"", self.owner)
        gone = segment.count - len(loaded.numbers)
        if gone <= 0:
            return loaded, []
        self._damaged.add(segment.first)
        segment.count -= gone
        gone = min(gone, segment.end - max(number, segment.first) - loaded.count(number))  # the others are done with
        if not gone:
            return loaded, []
        reason = "written for another target" if foreign else "damaged on disk"
        return loaded, [Lost(segment.first, segment.first, gone, reason, segment.base, self.end_time(segment))]

    def left_in(self, segment: Segment, cursor: int) -> tuple[int, list[Lost]]:
        """How many frames of a segment are owed, and what of it turns out to be gone."""
        if cursor <= segment.first:
            return segment.count, []
        contents, lost = self.contents(segment, cursor)
        return contents.count(cursor), lost

    def correct(self, chunk: Chunk, contents: Contents) -> None:
        """Times by a clock that was not set yet, now that it is known how wrong it was."""
        if chunk.provisional:
            shift = self._clock.correction(contents.header)
            if shift is not None:  # else it will never be known: the clock's own word is all there is
                pairs = zip(chunk.times, chunk.provisional, strict=True)
                chunk.times = [round(time + shift, 3) if uncertain else time for time, uncertain in pairs]
                chunk.provisional = []

    def end_time(self, segment: Segment) -> float:
        """About when the last frame of a segment was read."""
        index = self.segments.index(segment) + 1
        return float(self.segments[index].base) if index < len(self.segments) else self._clock.time()

    # Changing

    def seal(self, segment: Segment, end: int, count: int) -> None:
        """Have a segment's name say what is in it. Where that fails, the next start does it."""
        segment.end, segment.count, segment.sealed = end, count, True
        if self._loaded is not None and self._loaded.segment is segment:
            self._loaded = None
        if segment.name != segment.sealed_name:
            with suppress(OSError):
                self.disk.rename(self.folder / segment.name, self.folder / segment.sealed_name)
                segment.name = segment.sealed_name
                self.disk.sync_folder(self.folder)

    def replace(self, segment: Segment, name: str, data: bytes) -> None:
        """Put another file in the place of a segment's: whole on the disk before the old one goes."""
        temporary = self.folder / f"{name}{_UNFINISHED}"
        self.disk.remove(temporary)
        try:
            file = self.disk.append_to(temporary)
            try:
                file.write(data)
                file.sync()
            finally:
                file.close()
            self.disk.rename(temporary, self.folder / name)
        except OSError:
            with suppress(OSError):
                self.disk.remove(temporary)
            raise
        old, segment.name, segment.size = segment.name, name, len(data)
        if self._loaded is not None and self._loaded.segment is segment:
            self._loaded = None
        self.disk.sync_folder(self.folder)
        if name != old:
            self.disk.remove(self.folder / old)

    def put_aside(self, segment: Segment, *, worth_keeping: bool = True) -> None:
        """Do without a file, whether or not it can be moved."""
        self.segments.remove(segment)
        with suppress(OSError):
            if worth_keeping:
                self._set_aside(segment)
            else:
                self.disk.remove(self.folder / segment.name)

    def delete(self, segment: Segment) -> None:
        """Delete a file; a damaged one is put aside."""
        if segment.first in self._damaged:
            self._set_aside(segment)
            self._damaged.discard(segment.first)
        else:
            self.disk.remove(self.folder / segment.name)
        self.segments.remove(segment)
        if self._loaded is not None and self._loaded.segment is segment:
            self._loaded = None

    def _set_aside(self, segment: Segment) -> None:
        """Move a damaged file to the quarantine, for people to look at."""
        quarantine = self.folder / _QUARANTINE
        self.disk.make_folder(quarantine)
        with suppress(FileNotFoundError):
            self.disk.rename(self.folder / segment.name, quarantine / segment.name)
        sizes = [(name, self.disk.size(quarantine / name)) for name in sorted(self.disk.names(quarantine))]
        while sizes and sum(size for _, size in sizes) > _QUARANTINE_BYTES:
            self.disk.remove(quarantine / sizes.pop(0)[0])
