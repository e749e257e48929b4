"""The store of journal files: what is owed, and behind the cursor what is kept for the record."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from emonhub.buffer.cursor import Cursor
from emonhub.buffer.room import Limits, Room
from emonhub.buffer.segmentfiles import SegmentFiles
from emonhub.buffer.segments import Writing, started
from emonhub.buffer.store import Chunk, Opened, Store

if TYPE_CHECKING:
    from pathlib import Path

    from emonhub.buffer.disk import Disk
    from emonhub.buffer.store import Lost
    from emonhub.clock import Clock

SEGMENT_BYTES = 1 << 19
"""Of a file: what is lost with one that is damaged beyond its lines, and what reading holds in memory."""

_WORTH_SEALING = 1 << 16
"""A file whose frames are all delivered stays open below this size: a new file costs the card more than frames do."""

_SMALLEST_FILE = 4096
_FILES = 8
"""Among which a small buffer is divided, so that it never lets go of all that it holds at once."""

_CURSOR = "cursor"


class Journal(Store):
    """Files in a folder, for records of `owner` in one `form`, within the limits that `room.Limits` explains."""

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
        self._clock = clock
        self._files = SegmentFiles(disk, folder, owner, form, clock)
        limits = Limits(max_bytes, max_age_s, keep_s, keep_bytes, min_free, thin)
        self._room = Room(self._files, limits, clock, self._finish)
        self._segment_bytes = min(segment_bytes, max(_SMALLEST_FILE, max_bytes // _FILES))
        self._writing: Writing | None = None
        self._nodes: dict[str, dict[str, Any]] = {}
        self._cursor: Cursor | None = None
        self._spoilt: set[str] = set()  # names of files that a failed write has left

    # What a buffer calls

    def open(self, cursor: int = 0) -> Opened:
        files = self._files
        files.disk.make_folder(files.folder)
        self._cursor = Cursor(files.disk, files.folder / _CURSOR)
        files.open()
        # What is packed has been delivered, whatever became of the cursor.
        cursor = max([cursor, self._cursor.number, *(s.end for s in files.segments if s.packed)])
        end = max([cursor, *(segment.end for segment in files.segments)])
        owed = files.owed(cursor)
        if not owed:
            return Opened(end, end, 0, None)
        left, lost = files.left_in(owed[0], cursor)
        frames = left + sum(segment.count for segment in owed[1:])
        return Opened(max(cursor, owed[0].first), end, frames, float(owed[0].base), tuple(lost))

    def write(self, chunk: Chunk, cursor: int) -> list[Lost]:
        with suppress(OSError):  # the write itself will tell
            self._room.make(cursor)
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
        self._room.written(self._writing.segment.size - before)
        return self._room.tell_lost()

    def read(self, number: int, limit: int) -> Chunk:
        lost: list[Lost] = []
        while (segment := self._files.holding(number)) is not None:
            contents, gone = self._files.contents(segment, number)
            lost += gone
            chunk = contents.chunk(number, limit)
            if chunk.records:
                self._files.correct(chunk, contents)
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
        if self._files.segments and cursor > self._cursor.number:
            self._cursor.move(cursor)  # before anything is deleted: a crash between the two must not look like a loss
        self._room.keep_record(cursor)
        self._room.drop_old(cursor)
        return self._room.tell_lost()

    def describe(self, node: str, note: dict[str, Any]) -> None:
        if self._nodes.get(node) != note:
            self._nodes[node] = note
            if self._writing is not None:
                self._writing.note(note)

    def close(self) -> None:
        self._finish()
        self._files.close()

    @property
    def held(self) -> int:
        cursor = self._cursor.number if self._cursor is not None else 0
        return sum(segment.size for segment in self._files.owed(cursor))

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
        files = self._files
        header = {"owner": files.owner, "form": files.form, **stamp}
        self._writing = Writing(files.disk, files.folder, segment, files.owner, [header, *self._nodes.values()])
        self._writing.stamp = stamp
        files.segments.append(segment)
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
            self._files.seal(segment, segment.end, segment.count)
        else:
            self._spoilt.add(segment.name)
            self._files.put_aside(segment, worth_keeping=False)
