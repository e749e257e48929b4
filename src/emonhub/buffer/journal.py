"""The store of journal files: what is owed, and behind the cursor what is kept for the record."""

from __future__ import annotations

from bisect import bisect_right
from contextlib import suppress
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from emonhub.buffer.cursor import Cursor
from emonhub.buffer.segments import Contents, Segment, Writing, load, named, pack, started
from emonhub.buffer.store import Chunk, Lost, Opened, Store
from emonhub.buffer.thinning import thinned

if TYPE_CHECKING:
    from pathlib import Path

    from emonhub.buffer.disk import Disk
    from emonhub.clock import Clock

SEGMENT_BYTES = 1 << 19
"""Of a file: what is lost with one that is damaged beyond its lines, and what reading holds in memory."""

_QUARANTINE_BYTES = 16 << 20
"""Damaged files kept for a look; the oldest go first."""

_WORTH_SEALING = 1 << 16
"""A file whose frames are all delivered stays open below this size: a new file costs the card more than frames do."""

_SMALLEST_FILE = 4096
_FILES = 8
"""Among which a small buffer is divided, so that it never lets go of all that it holds at once."""

_SPARSE = 8
"""Files with fewer frames are not thinned any more."""

_UNFINISHED = ".new"
_CURSOR = "cursor"
_QUARANTINE = "quarantine"


class Journal(Store):
    """Files in a folder.

    max_bytes   owed frames take no more; the oldest file goes, or is thinned
    max_age_s   frames older than this are let go; 0 = never
    keep_s      delivered frames are kept for so long (0 = not), in no more than `keep_bytes`
    min_free    bytes to be left free on the disk
    """

    def __init__(
        self,
        disk: Disk,
        folder: Path,
        owner: str,
        *,
        clock: Clock,
        form: str = "",
        max_bytes: int = 1 << 30,
        max_age_s: float = 0.0,
        keep_s: float = 0.0,
        keep_bytes: int = 1 << 30,
        min_free: int = 0,
        thin: bool = False,
        segment_bytes: int = SEGMENT_BYTES,
    ) -> None:
        self.max_bytes = max_bytes
        self.max_age_s = max_age_s
        self.keep_s = keep_s
        self.keep_bytes = keep_bytes
        self.min_free = min_free
        self.thin = thin
        self._disk = disk
        self._folder = folder
        self._owner = owner
        self._clock = clock
        self._form = form
        self._segment_bytes = min(segment_bytes, max(_SMALLEST_FILE, max_bytes // _FILES))
        self._segments: list[Segment] = []
        self._writing: Writing | None = None
        self._loaded: Contents | None = None
        self._nodes: dict[str, dict[str, Any]] = {}
        self._damaged: set[int] = set()
        self._cursor: Cursor | None = None
        self._lost: list[Lost] = []  # and not told yet
        self._spoilt: set[str] = set()  # names of files that a failed write has left
        self._spared = 0  # bytes that may still be written for what was let go on a disk that is nearly full

    # What a buffer calls

    def open(self, cursor: int = 0) -> Opened:
        self._disk.make_folder(self._folder)
        self._cursor = Cursor(self._disk, self._folder / _CURSOR)
        self._segments = self._find()
        self._settle_open_ones()
        self._settle_overlaps()
        # What is packed has been delivered, whatever became of the cursor.
        cursor = max([cursor, self._cursor.number, *(s.end for s in self._segments if s.packed)])
        end = max([cursor, *(segment.end for segment in self._segments)])
        owed = self._owed(cursor)
        if not owed:
            return Opened(end, end, 0, None)
        left, lost = self._left_in(owed[0], cursor)
        frames = left + sum(segment.count for segment in owed[1:])
        return Opened(max(cursor, owed[0].first), end, frames, float(owed[0].base), tuple(lost))

    def write(self, chunk: Chunk, cursor: int) -> list[Lost]:
        with suppress(OSError):  # the write itself will tell
            self._make_room(cursor)
        stamp = chunk.stamp or self._clock.stamp()
        try:
            if self._writing is None or self._must_roll(chunk, stamp):
                self._roll(chunk, stamp)
            assert self._writing is not None
            before = self._writing.segment.size
            self._writing.write(chunk)
        except OSError:
            # What has reached this file is not known, and asking again would not tell: it is left, and cut off by the
            # number of the next one's first frame.
            self._finish()
            raise
        self._spared -= self._writing.segment.size - before
        return self._tell_lost()

    def read(self, number: int, limit: int) -> Chunk:
        lost: list[Lost] = []
        while (segment := self._holding(number)) is not None:
            contents, gone = self._contents(segment, number)
            lost += gone
            chunk = contents.chunk(number, limit)
            if chunk.records:
                self._correct(chunk, contents)
                chunk.lost = lost
                return chunk
            number = segment.end
        return Chunk(number, lost=lost)

    def trim(self, cursor: int) -> list[Lost]:
        assert self._cursor is not None
        if (
            self._writing is not None
            and self._writing.segment.end <= cursor
            and self._writing.segment.size > _WORTH_SEALING
        ):
            self._finish()
        done = [s for s in self._segments if s.end <= cursor and s.sealed]
        if self._segments and cursor > self._cursor.number:
            self._cursor.move(cursor)  # before anything is deleted: a crash between the two must not look like a loss
        kept = []
        for segment in done:
            if self.keep_s and not self._older(segment, self.keep_s):
                kept.append(segment)
            else:
                self._delete(segment)
        excess = sum(segment.size for segment in kept) - self.keep_bytes
        while excess > 0:
            excess -= kept[0].size
            self._delete(kept.pop(0))
        self._pack_one(kept)
        self._drop_old(cursor)
        return self._tell_lost()

    def describe(self, node: str, note: dict[str, Any]) -> None:
        if self._nodes.get(node) != note:
            self._nodes[node] = note
            if self._writing is not None:
                self._writing.note(note)

    def close(self) -> None:
        self._finish()
        self._loaded = None

    @property
    def held(self) -> int:
        cursor = self._cursor.number if self._cursor is not None else 0
        return sum(segment.size for segment in self._owed(cursor))

    # Opening

    def _find(self) -> list[Segment]:
        found = []
        for name in self._disk.names(self._folder):
            if name.endswith(_UNFINISHED):
                with suppress(OSError):
                    self._disk.remove(self._folder / name)
            elif (segment := named(name)) is not None:
                with suppress(OSError):
                    segment.size = self._disk.size(self._folder / name)
                found.append(segment)
        return sorted(found, key=lambda segment: (segment.first, segment.end, segment.count))

    def _settle_open_ones(self) -> None:
        """Seal what a former run left open: with a torn last line, perhaps, which is cut off by being passed over."""
        for segment in [s for s in self._segments if not s.sealed]:
            contents = load(self._disk, self._folder, segment, self._owner)
            whole = replace(segment, end=contents.end, count=contents.end - segment.first)
            if not contents.numbers:
                self._put_aside(segment, worth_keeping=segment.size > contents.sound)
            elif any(other.name == whole.sealed_name for other in self._segments):
                self._put_aside(segment)
            else:
                self._rename_sealed(segment, whole.end, whole.count)

    def _settle_overlaps(self) -> None:
        """A file that was left after a failed write may hold frames of the next one too: those of the next count."""
        for segment in [after for before, after in pairwise(self._segments) if before.end > after.first]:
            if not load(self._disk, self._folder, segment, self._owner).numbers:
                self._put_aside(segment)  # somebody's else, or damaged beyond use: nothing is to give way to it
        for segment, after in pairwise(self._segments[:]):
            if segment.end > after.first:
                contents = load(self._disk, self._folder, segment, self._owner)
                if count := contents.count(segment.first, after.first):
                    self._rename_sealed(segment, after.first, count)
                else:
                    self._put_aside(segment)

    def _put_aside(self, segment: Segment, *, worth_keeping: bool = True) -> None:
        """Do without a file, whether or not it can be moved."""
        self._segments.remove(segment)
        with suppress(OSError):
            if worth_keeping:
                self._set_aside(segment)
            else:
                self._disk.remove(self._folder / segment.name)

    def _left_in(self, segment: Segment, cursor: int) -> tuple[int, list[Lost]]:
        """How many frames of a segment are owed, and what of it turns out to be gone."""
        if cursor <= segment.first:
            return segment.count, []
        contents, lost = self._contents(segment, cursor)
        return contents.count(cursor), lost

    # Writing

    def _must_roll(self, chunk: Chunk, stamp: dict[str, Any]) -> bool:
        assert self._writing is not None
        segment = self._writing.segment
        return segment.size >= self._segment_bytes or chunk.first != segment.end or self._writing.stamp != stamp

    def _roll(self, chunk: Chunk, stamp: dict[str, Any]) -> None:
        self._finish()
        oldest = min(chunk.times)
        segment = started(chunk.first, oldest)
        while segment.name in self._spoilt:  # what was not synced then must not be taken for what is now
            oldest += 1
            segment = started(chunk.first, oldest)
        header = {"owner": self._owner, "form": self._form, **stamp}
        self._writing = Writing(self._disk, self._folder, segment, self._owner, [header, *self._nodes.values()])
        self._writing.stamp = stamp
        self._segments.append(segment)
        if self._cursor is not None and not self._cursor.there:
            with suppress(OSError):
                self._cursor.move(self._cursor.number)  # while there is room for it: without it nothing is deleted

    def _finish(self) -> None:
        """Let go of the file that is being written. What a disk that fails does not do now, the next start settles."""
        if self._writing is None:
            return
        writing, self._writing = self._writing, None
        segment = writing.segment
        segment.sealed = True
        with suppress(OSError):
            writing.close()
        if segment.count:
            self._rename_sealed(segment, segment.end, segment.count)
        else:
            self._spoilt.add(segment.name)
            self._put_aside(segment, worth_keeping=False)

    def _rename_sealed(self, segment: Segment, end: int, count: int) -> None:
        segment.end, segment.count, segment.sealed = end, count, True
        if self._loaded is not None and self._loaded.segment is segment:
            self._loaded = None
        if segment.name != segment.sealed_name:
            with suppress(OSError):
                self._disk.rename(self._folder / segment.name, self._folder / segment.sealed_name)
                segment.name = segment.sealed_name
                self._disk.sync_folder(self._folder)

    # Reading

    def _owed(self, cursor: int) -> list[Segment]:
        return [segment for segment in self._segments if segment.end > cursor]

    def _holding(self, number: int) -> Segment | None:
        """The segment with this number, or the next one after it."""
        index = bisect_right(self._segments, number, key=lambda segment: segment.first) - 1
        for segment in self._segments[max(0, index) :]:
            if segment.end > number:
                return segment
        return None

    def _contents(self, segment: Segment, number: int) -> tuple[Contents, list[Lost]]:
        """A segment's contents, and what turns out to be gone of its frames from `number` on."""
        loaded = self._loaded
        if loaded is None or loaded.segment is not segment or (not segment.sealed and loaded.end < segment.end):
            loaded = self._loaded = load(self._disk, self._folder, segment, self._owner)
        foreign = bool(loaded.header) and loaded.header.get("form") != self._form
        if foreign:
            loaded = self._loaded = Contents(segment, b"", self._owner)
        gone = segment.count - len(loaded.numbers)
        if gone <= 0:
            return loaded, []
        self._damaged.add(segment.first)
        segment.count -= gone
        gone = min(gone, segment.end - max(number, segment.first) - loaded.count(number))  # the others are done with
        if not gone:
            return loaded, []
        reason = "written for another target" if foreign else "damaged on disk"
        return loaded, [Lost(segment.first, segment.first, gone, reason, segment.base, self._end_time(segment))]

    def _correct(self, chunk: Chunk, contents: Contents) -> None:
        """Times by a clock that was not set yet, now that it is known how wrong it was."""
        if chunk.provisional:
            shift = self._clock.correction(contents.header)
            if shift is not None:  # else it will never be known: the clock's own word is all there is
                pairs = zip(chunk.times, chunk.provisional, strict=True)
                chunk.times = [round(time + shift, 3) if uncertain else time for time, uncertain in pairs]
                chunk.provisional = []

    def _end_time(self, segment: Segment) -> float:
        """About when the last frame of a segment was read."""
        index = self._segments.index(segment) + 1
        return float(self._segments[index].base) if index < len(self._segments) else self._clock.time()

    def _older(self, segment: Segment, age_s: float) -> bool:
        """Whether a whole segment is older than this. Looks into it only when its neighbours' names say so: they may
        have been written by a clock that was not set.
        """
        now = self._clock.time()
        if not self._clock.trusted or self._end_time(segment) + age_s >= now:
            return False
        if segment.newest is None:
            contents = load(self._disk, self._folder, segment, self._owner)
            chunk = contents.chunk(contents.end - 1, 1)
            self._correct(chunk, contents)
            segment.newest = max(chunk.times, default=0.0)
        return segment.newest + age_s < now

    # Letting go

    def _tell_lost(self) -> list[Lost]:
        lost, self._lost = self._lost, []
        return lost

    def _make_room(self, cursor: int) -> None:
        """Before more is written: the record's oldest file goes first, then the oldest that is owed."""
        while self.min_free and self._segments and self._disk.free(self._folder) < self.min_free:
            oldest = self._segments[0]
            if not oldest.sealed or (oldest.end > cursor and self._spared > 0):
                break  # others fill the disk: no more of what is owed makes way for them than is written
            self._let_go(oldest, cursor, "disk nearly full")
            self._spared = oldest.size
        while (owed := self._owed(cursor)) and sum(s.size for s in owed) > self.max_bytes:
            if self.thin and self._thin_one(owed):
                continue
            if not owed[0].sealed:
                self._finish()
            self._let_go(owed[0], cursor, "buffer full")

    def _drop_old(self, cursor: int) -> None:
        while self.max_age_s and (owed := self._owed(cursor)) and owed[0].sealed:
            if not self._older(owed[0], self.max_age_s):
                break
            self._let_go(owed[0], cursor, "too old")

    def _let_go(self, segment: Segment, cursor: int, reason: str) -> None:
        end_time = self._end_time(segment)
        left, lost = self._left_in(segment, cursor) if segment.end > cursor else (0, [])
        self._delete(segment)
        self._lost += lost
        if left:
            self._lost.append(Lost(max(cursor, segment.first), segment.end, left, reason, segment.base, end_time))

    def _thin_one(self, owed: list[Segment]) -> bool:
        """Halve the fullest of the sealed files behind the one that is being read. Returns False when none is left."""
        candidates = [s for s in owed[1:] if s.sealed and s.count > _SPARSE]
        if not candidates:
            return False
        segment = max(candidates, key=lambda s: (s.count / (s.end - s.first), -s.first))
        contents = load(self._disk, self._folder, segment, self._owner)
        data, count = thinned(contents, self._owner)
        gone, end_time = segment.count - count, self._end_time(segment)
        self._replace(segment, replace(segment, count=count).sealed_name, data)
        segment.count = count
        self._lost.append(Lost(segment.first, segment.first, gone, "thinned", segment.base, end_time))
        return True

    def _delete(self, segment: Segment) -> None:
        if segment.first in self._damaged:
            self._set_aside(segment)
            self._damaged.discard(segment.first)
        else:
            self._disk.remove(self._folder / segment.name)
        self._segments.remove(segment)
        if self._loaded is not None and self._loaded.segment is segment:
            self._loaded = None

    def _set_aside(self, segment: Segment) -> None:
        """Move a damaged file to the quarantine, for people to look at."""
        quarantine = self._folder / _QUARANTINE
        self._disk.make_folder(quarantine)
        with suppress(FileNotFoundError):
            self._disk.rename(self._folder / segment.name, quarantine / segment.name)
        sizes = [(name, self._disk.size(quarantine / name)) for name in sorted(self._disk.names(quarantine))]
        while sizes and sum(size for _, size in sizes) > _QUARANTINE_BYTES:
            self._disk.remove(quarantine / sizes.pop(0)[0])

    def _pack_one(self, done: list[Segment]) -> None:
        """Pack one cold file at a time: the storage thread has other work too."""
        for segment in done:
            if not segment.packed:
                with suppress(OSError):  # a disk that is full, say: there is always a next time
                    data = pack(self._disk.read(self._folder / segment.name), segment, self._owner)
                    self._replace(segment, f"{segment.sealed_name}.xz", data)
                return

    def _replace(self, segment: Segment, name: str, data: bytes) -> None:
        """Put another file in the place of a segment's: whole on the disk before the old one goes."""
        temporary = self._folder / f"{name}{_UNFINISHED}"
        self._disk.remove(temporary)
        try:
            file = self._disk.append_to(temporary)
            try:
                file.write(data)
                file.sync()
            finally:
                file.close()
            self._disk.rename(temporary, self._folder / name)
        except OSError:
            with suppress(OSError):
                self._disk.remove(temporary)
            raise
        old, segment.name, segment.size = segment.name, name, len(data)
        if self._loaded is not None and self._loaded.segment is segment:
            self._loaded = None
        self._disk.sync_folder(self._folder)
        if name != old:
            self._disk.remove(self._folder / old)
