"""The front of a buffer: its newest frames, in memory and, where it has some, in files that outlive the process."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Any

from emonhub.buffer.base import Batch
from emonhub.buffer.frontfiles import FrontFiles, Left
from emonhub.buffer.store import Chunk

if TYPE_CHECKING:
    from collections.abc import Callable
    from logging import Logger

    from emonhub.world import World

__all__ = ["UNOPENED", "Front", "FrontFiles", "Left"]

UNOPENED = 1 << 40
"""Numbers start here when the store can't be opened: above those of any store, so that its frames come before, and so
that a front that counts by them is known.
"""


class Front:
    """Frames numbered from `start` on, not all of them owed any more.

    files      None to do without
    shift      from these numbers to the store's, by which the files count
    since      when it was last empty, monotonic
    size       bytes of its records
    trouble    what keeps frames from being safe in the files, for people
    """

    def __init__(self, files: FrontFiles | None, *, world: World, log: Logger) -> None:
        self.files = files
        self.shift = 0
        self.start = 0
        self.since = 0.0
        self.size = 0
        self.trouble = ""
        self.records: list[str] = []
        self.times: list[float] = []
        self._provisional: set[int] = set()  # numbers of frames with times by a clock that was not set
        self._left = Left([], 0)
        self._world = world
        self._log = log

    @property
    def end(self) -> int:
        """The number that the next frame gets."""
        return self.start + len(self.records)

    @property
    def safe(self) -> bool:
        """Whether a successor finds its frames in the files."""
        return self.files is not None and not self.trouble

    def append(self, records: list[str], times: list[float], size: int, *, provisional: bool) -> bool:
        """Take over frames. Returns False when they should be in the files, too, and could not be written there."""
        first = self.end
        written = self.files is None or self._write(first, records, times, provisional=provisional)
        if not self.records:
            self.since = self._world.monotonic()
        self.records += records
        self.times += times
        self.size += size
        if provisional:
            self._provisional.update(range(first, self.end))
        return written

    def batch(self, number: int, limit: int | None = None) -> Batch:
        """The frames from `number` on."""
        index = number - self.start
        wanted = slice(index, None if limit is None else index + limit)
        return Batch(number, self.records[wanted], self.times[wanted])

    def chunk(self, first: int, end: int) -> Chunk:
        """The frames from `first` to before `end`, for the store."""
        wanted = slice(first - self.start, max(0, end - self.start))
        chunk = Chunk(first + self.shift, self.records[wanted], self.times[wanted])
        if self._provisional:
            chunk.provisional = [number in self._provisional for number in range(first, first + len(chunk.records))]
            chunk.stamp = self._world.clock.stamp()
        return chunk

    def correct(self, shift_s: float, *, for_good: bool) -> None:
        """Put right the times by a clock that was not set."""
        for number in self._provisional:
            index = number - self.start
            if 0 <= index < len(self.times):
                self.times[index] = round(self.times[index] + shift_s, 3)
        if for_good:
            self._provisional.clear()

    def forget(self, before: int) -> None:
        """Let go of frames that are delivered or in the store."""
        count = min(before - self.start, len(self.records))
        if count <= 0:
            return
        self.size -= sum(map(len, self.records[:count]))
        del self.records[:count]
        del self.times[:count]
        if self._provisional:
            self._provisional = {number for number in self._provisional if number >= before}
        self.start += count
        if not self.records:
            self.size = 0
        if self.files is not None:
            if self.records:
                self._try(self.files.forget, self.start + self.shift)
            else:
                self._try(self.files.clear)

    # What a former process left

    def open(self) -> int:
        """Read the files. Returns the number before which all are done, by the store's numbers; 0 when unknown."""
        if self.files is not None:
            try:
                self._left = self.files.open()
            except OSError as error:
                self._lose(error)
        return self._left.cursor if self._left.cursor < UNOPENED else 0

    def take_back(self, *, stored: bool) -> None:
        """Have again what was read from the files; what is `stored` ends where this starts, else nothing is known."""
        for chunk, offset in self._left.chunks:
            self._take_back(chunk, offset, stored=stored)
        self._left = Left([], 0)

    def _take_back(self, chunk: Chunk, offset: float | None, *, stored: bool) -> None:
        """A run of frames, of which some may be in the store already."""
        if stored and chunk.first < UNOPENED:
            skip = self.end - chunk.first
            if skip < 0:  # what is between is delivered, or was never written: those before move up to it
                self._provisional = {number - skip for number in self._provisional}
                self.start -= skip
        else:  # by other numbers than the store's
            skip = self._left.cursor - chunk.first
        skip = max(0, skip)
        records, times = chunk.records[skip:], chunk.times[skip:]
        if not records:
            return
        if offset is not None:
            clock = self._world.clock
            boot = self._left.boot or clock.boot
            shift = clock.correction({"boot": boot, "offset": offset})
            if shift is None and boot == clock.boot:
                shift = clock.offset_stamped - offset
                self._provisional.update(range(self.end, self.end + len(records)))
            times = [round(time + (shift or 0.0), 3) for time in times]
        self.records += records
        self.times += times
        self.size += sum(map(len, records))

    # The files

    def begin(self, first: int) -> None:
        """Have all frames from `first` on, the oldest that is owed, in the files by the numbers that count now."""
        if self.files is None:
            return
        number = max(first, self.start)
        chunks: list[tuple[Chunk, float | None]] = []
        for provisional, run in groupby(range(number, self.end), self._provisional.__contains__):
            index = number - self.start
            number += len(list(run))
            wanted = slice(index, number - self.start)
            chunk = Chunk(self.start + index + self.shift, self.records[wanted], self.times[wanted])
            chunks.append((chunk, self._world.clock.offset_stamped if provisional else None))
        self._try(self.files.begin, chunks, self.end + self.shift, first + self.shift, self._world.clock.boot)

    def start_file(self) -> None:
        """Write what comes from now on into a file of its own."""
        if self.files is not None and self.records:
            self._try(self.files.start, self.end + self.shift)

    def move_cursor(self, number: int) -> None:
        """All frames before `number` are done."""
        if self.files is not None:
            self._try(self.files.move_cursor, number + self.shift)

    def close(self, *, delete: bool) -> None:
        """Close the files; delete them once their frames are safe elsewhere."""
        if self.files is not None:
            self._try(self.files.close, delete=delete)

    def give_up_files(self) -> None:
        """Do without files from now on."""
        if self.files is not None:
            self._try(self.files.abolish)
            self.files = None

    def _write(self, first: int, records: list[str], times: list[float], *, provisional: bool) -> bool:
        assert self.files is not None
        try:
            offset = self._world.clock.offset_stamped if provisional else None
            self.files.append(first + self.shift, records, times, offset)
        except OSError as error:
            self._lose(error)
            return False
        self.trouble = ""
        return True

    def _try(self, call: Callable[..., None], *arguments: Any, **options: Any) -> None:
        try:
            call(*arguments, **options)
        except OSError as error:
            self._lose(error)

    def _lose(self, error: OSError) -> None:
        if not self.trouble:
            self._log.warning("Frames are not safe from a crash until they are on disk: %s", error)
        self.trouble = f"no front file: {error.strerror or error}"
