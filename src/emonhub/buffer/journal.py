"""The store of journal files: what is owed, and behind the cursor what is kept for the record."""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING, Any

from emonhub.buffer.cursor import Cursor
from emonhub.buffer.segments import Contents, Segment, Writing, load, named, pack, started
from emonhub.buffer.store import Chunk, Lost, Opened, Store
from emonhub.buffer.thinning import thinned

if TYPE_CHECKING:
    from pathlib import Path

    from emonhub.buffer.disk import Disk
    from emonhub.clock import Clock

SEGMENT_BYTES = 1 << 20
"""Of a file: what is lost with one that is damaged beyond its lines, and what reading holds in memory."""

_QUARANTINE_BYTES = 16 << 20
"""Damaged files kept for a look; the oldest go first."""

_WORTH_SEALING = 1 << 16
"""A file whose frames are all delivered stays open below this size: making files costs the card more than the frames."""

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
        self._segment_bytes = segment_bytes
        self._segments: list[Segment] = []
        self._writing: Writing | None = None
        self._loaded: Contents | None = None
        self._nodes: dict[str, dict[str, Any]] = {}
        self._damaged: set[int] = set()
        self._cursor: Cursor | None = None

    # What a buffer calls

    def open(self, cursor: int = 0) -> Opened:
        self._disk.make_folder(self._folder)
        self._cursor = Cursor(self._disk, self._folder / _CURSOR)
        self._segments = sorted(
            (segment for name in self._disk.names(self._folder) if (segment := named(name)) is not None),
            key=lambda segment: (segment.first, segment.end),
        )
        for segment in self._segments:
            segment.size = self._disk.size(self._folder / segment.name)
        self._settle_open_ones()
        self._settle_overlaps()
        cursor = max(cursor, self._cursor.number)
        end = max([cursor, *(segment.end for segment in self._segments)])
        owed = self._owed(cursor)
        if not owed:
            return Opened(end, end, 0, None)
        left, lost = self._left_in(owed[0], cursor)
        frames = left + sum(segment.count for segment in owed[1:])
        return Opened(max(cursor, owed[0].first), end, frames, float(owed[0].base), lost)

    def write(self, chunk: Chunk, cursor: int) -> list[Lost]:
        lost = self._make_room(cursor)
        try:
            if self._writing is None or self._must_roll(chunk):
                self._roll(chunk)
            assert self._writing is not None
            self._writing.write(chunk)
        except OSError:
            # What has reached this file is not known, and asking again would not tell: it is left, and cut off by the
            # number of the next one's first frame.
            self._abandon()
            raise
        return lost

    def read(self, number: int, limit: int) -> Chunk:
        lost: list[Lost] = []
        while (segment := self._holding(number)) is not None:
            contents, gone = self._contents(segment)
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
            self._seal()
        done = [s for s in self._segments if s.end <= cursor and s.sealed]
        if self._segments and cursor > self._cursor.number:
            self._cursor.move(cursor)  # before anything is deleted: a crash between the two must not look like a loss
        now = self._clock.time()
        for segment in done:
            if not self.keep_s or segment.base + self.keep_s < now:
                self._delete(segment)
        while done and sum(s.size for s in done if s in self._segments) > self.keep_bytes:
            self._delete(done.pop(0))
        self._pack_one(done)
        return self._drop_old(cursor, now)

    def describe(self, node: str, note: dict[str, Any]) -> None:
        if self._nodes.get(node) != note:
            self._nodes[node] = note
            if self._writing is not None:
                self._writing.note(note)

    def close(self) -> None:
        if self._writing is not None:
            self._seal()
        self._loaded = None

    @property
    def held(self) -> int:
        cursor = self._cursor.number if self._cursor is not None else 0
        return sum(segment.size for segment in self._owed(cursor))

    # Opening

    def _settle_open_ones(self) -> None:
        """Seal what a former run left open: with a torn last line, perhaps, which is cut off by being passed over."""
        for segment in [s for s in self._segments if not s.sealed]:
            contents = load(self._disk, self._folder, segment, self._owner)
            if contents.numbers:
                self._rename_sealed(segment, contents.end, len(contents.numbers))
            else:
                self._set_aside(segment)

    def _settle_overlaps(self) -> None:
        """A file that was left after a failed write may hold frames of the next one too: those of the next count."""
        for segment, after in zip(self._segments[:], self._segments[1:], strict=False):
            if segment.end > after.first:
                contents = load(self._disk, self._folder, segment, self._owner)
                count = sum(segment.first + number < after.first for number in contents.numbers)
                if count:
                    self._rename_sealed(segment, after.first, count)
                else:
                    self._set_aside(segment)

    def _left_in(self, segment: Segment, cursor: int) -> tuple[int, tuple[Lost, ...]]:
        """How many frames of a segment are owed, and what of it turns out to be gone."""
        if cursor <= segment.first:
            return segment.count, ()
        contents, lost = self._contents(segment)
        return sum(1 for _ in contents.lines(cursor)), tuple(lost)

    # Writing

    def _must_roll(self, chunk: Chunk) -> bool:
        assert self._writing is not None
        segment = self._writing.segment
        by_another_clock = self._writing.stamp != self._clock.stamp()
        return segment.size >= self._segment_bytes or chunk.first != segment.end or by_another_clock

    def _roll(self, chunk: Chunk) -> None:
        if self._writing is not None:
            self._seal()
        segment = started(chunk.first, min(chunk.times))
        stamp = self._clock.stamp()
        header = {"owner": self._owner, "form": self._form, **stamp}
        self._writing = Writing(self._disk, self._folder, segment, self._owner, [header, *self._nodes.values()])
        self._writing.stamp = stamp
        self._segments.append(segment)

    def _seal(self) -> None:
        assert self._writing is not None
        writing, self._writing = self._writing, None
        writing.close()
        self._rename_sealed(writing.segment, writing.segment.end, writing.segment.count)

    def _abandon(self) -> None:
        if self._writing is not None:
            writing, self._writing = self._writing, None
            segment = writing.segment
            segment.sealed = True
            if not segment.count:
                self._segments.remove(segment)
            try:
                writing.close()
                if segment.count:
                    self._rename_sealed(segment, segment.end, segment.count)
                else:
                    self._disk.remove(self._folder / segment.name)
            except OSError:
                return  # a disk that can't be written may not rename either: the next start settles it

    def _rename_sealed(self, segment: Segment, end: int, count: int) -> None:
        segment.end, segment.count, segment.sealed = end, count, True
        if segment.name != segment.sealed_name:
            self._disk.rename(self._folder / segment.name, self._folder / segment.sealed_name)
            segment.name = segment.sealed_name
            self._disk.sync_folder(self._folder)
        if self._loaded is not None and self._loaded.segment is segment:
            self._loaded = None

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

    def _contents(self, segment: Segment) -> tuple[Contents, list[Lost]]:
        """A segment's contents, and what of it turns out to be gone."""
        loaded = self._loaded
        if loaded is None or loaded.segment is not segment or (not segment.sealed and loaded.end < segment.end):
            loaded = self._loaded = load(self._disk, self._folder, segment, self._owner)
        foreign = loaded.header and loaded.header.get("form") != self._form
        good = 0 if foreign else len(loaded.numbers)
        if foreign:
            loaded = self._loaded = Contents(segment, b"", self._owner)
        gone = segment.count - good
        if gone <= 0:
            return loaded, []
        self._damaged.add(segment.first)
        segment.count = good
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

    # Letting go

    def _make_room(self, cursor: int) -> list[Lost]:
        """Before more is written: the record's oldest file goes first, then the oldest that is owed."""
        lost: list[Lost] = []
        while self._segments and self.min_free and self._disk.free(self._folder) < self.min_free:
            oldest = self._segments[0]
            if not oldest.sealed:
                break
            lost += self._let_go(oldest, cursor, "disk nearly full")
        while (owed := self._owed(cursor)) and sum(s.size for s in owed) > self.max_bytes:
            if self.thin and (halved := self._thin_one(owed)):
                lost += halved
            elif owed[0].sealed:
                lost += self._let_go(owed[0], cursor, "buffer full")
            else:
                self._seal()
        return lost

    def _drop_old(self, cursor: int, now: float) -> list[Lost]:
        lost: list[Lost] = []
        while self.max_age_s and (owed := self._owed(cursor)) and owed[0].sealed:
            if self._end_time(owed[0]) + self.max_age_s >= now:
                break
            lost += self._let_go(owed[0], cursor, "too old")
        return lost

    def _let_go(self, segment: Segment, cursor: int, reason: str) -> list[Lost]:
        end_time = self._end_time(segment)
        left = self._left_in(segment, cursor)[0] if segment.end > cursor else 0
        self._delete(segment)
        return [Lost(max(cursor, segment.first), segment.end, left, reason, segment.base, end_time)] if left else []

    def _thin_one(self, owed: list[Segment]) -> list[Lost]:
        """Halve the fullest of the sealed files behind the one that is being read."""
        candidates = [s for s in owed[1:] if s.sealed and s.count > 64]
        if not candidates:
            return []
        segment = max(candidates, key=lambda s: (s.count / (s.end - s.first), -s.first))
        contents = load(self._disk, self._folder, segment, self._owner)
        data, count = thinned(contents, self._owner)
        before, end_time = segment.count, self._end_time(segment)
        segment.count = count
        self._replace(segment, segment.sealed_name, data)
        return [Lost(segment.first, segment.first, before - count, "thinned", segment.base, end_time)]

    def _delete(self, segment: Segment) -> None:
        self._segments.remove(segment)
        if self._loaded is not None and self._loaded.segment is segment:
            self._loaded = None
        if segment.first in self._damaged:
            self._damaged.discard(segment.first)
            self._set_aside(segment, listed=False)
        else:
            self._disk.remove(self._folder / segment.name)

    def _set_aside(self, segment: Segment, *, listed: bool = True) -> None:
        """Move a damaged file to the quarantine, for people to look at."""
        if listed:
            self._segments.remove(segment)
        quarantine = self._folder / _QUARANTINE
        self._disk.make_folder(quarantine)
        self._disk.rename(self._folder / segment.name, quarantine / segment.name)
        sizes = [(name, self._disk.size(quarantine / name)) for name in sorted(self._disk.names(quarantine))]
        while sizes and sum(size for _, size in sizes) > _QUARANTINE_BYTES:
            self._disk.remove(quarantine / sizes.pop(0)[0])

    def _pack_one(self, done: list[Segment]) -> None:
        """Pack one cold file at a time: the storage thread has other work too."""
        for segment in done:
            if segment in self._segments and not segment.packed:
                data = pack(self._disk.read(self._folder / segment.name))
                self._replace(segment, f"{segment.sealed_name}.xz", data)
                return

    def _replace(self, segment: Segment, name: str, data: bytes) -> None:
        """Put another file in the place of a segment's: whole on the disk before the old one goes."""
        temporary = self._folder / f"{name}.new"
        self._disk.remove(temporary)
        file = self._disk.append_to(temporary)
        try:
            file.write(data)
            file.sync()
        finally:
            file.close()
        self._disk.rename(temporary, self._folder / name)
        self._disk.sync_folder(self._folder)
        if name != segment.name:
            self._disk.remove(self._folder / segment.name)
        segment.name, segment.size = name, len(data)
        if self._loaded is not None and self._loaded.segment is segment:
            self._loaded = None
