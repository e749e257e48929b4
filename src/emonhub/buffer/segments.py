"""The journal: frames in files of text, a line each, oldest file first.

A folder holds, for one reporter, files named by the numbers of the frames in them and their base time:

    000000001200-open-1669888253.log                  being written: frames from 1200 on
    000000001200-000000001712-512-1669888253.log      sealed: from 1200 to before 1712, 512 of them
    000000001200-000000001712-512-1669888253.log.xz   sealed, delivered, kept for the record, and cold

Each starts with a note of whose it is. Files are only appended to; a sealed one is only ever deleted, renamed, packed
or, where a full buffer is thinned, replaced. The layout of a line is in `lines`.
"""

from __future__ import annotations

import lzma
import re
from array import array
from bisect import bisect_left
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from emonhub.buffer.lines import Line, Note, frame_lines, note_line, parse, seed
from emonhub.buffer.store import Chunk

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from emonhub.buffer.disk import Appending, Disk

_NAME = re.compile(r"(\d{12,})-(?:open|(\d{12,})-(\d+))-(\d+)\.log(\.xz)?")

_COLD_FILTERS = [{"id": lzma.FILTER_LZMA2, "preset": 4, "dict_size": 1 << 20}]
"""Packs a file in 10 MB of memory. `xzcat` reads it."""


@dataclass(slots=True)
class Segment:
    """One file. `end` and `count` are what its name or a look at its lines says; `name` is what it is called."""

    name: str
    first: int
    end: int
    count: int
    base: int
    sealed: bool
    size: int = 0

    @property
    def packed(self) -> bool:
        return self.name.endswith(".xz")

    @property
    def sealed_name(self) -> str:
        return f"{self.first:012d}-{self.end:012d}-{self.count}-{self.base}.log"


def named(name: str) -> Segment | None:
    """The segment that a file name stands for; None for another file."""
    match = _NAME.fullmatch(name)
    if match is None:
        return None
    first, end, count, base, packed = match.groups()
    if end is None:
        return None if packed else Segment(name, int(first), int(first), 0, int(base), sealed=False)
    return Segment(name, int(first), int(end), int(count), int(base), sealed=True)


def started(first: int, time: float) -> Segment:
    """A new segment for frames from `first` on, the first of them read at `time`."""
    return Segment(f"{first:012d}-open-{int(time)}.log", first, first, 0, int(time), sealed=False)


class Contents:
    """A segment's good lines, found once and then handed out from any number on."""

    def __init__(self, segment: Segment, data: bytes, owner: str) -> None:
        self.segment = segment
        self.notes: list[dict[str, Any]] = []
        self._data = data
        self._seed = seed(owner, segment.first)
        places: dict[int, int] = {}
        stop = segment.end - segment.first or None  # a file from a former run may not have been counted yet
        for found in parse(data, self._seed, segment.base):
            if isinstance(found, Note):
                self.notes.append(found.content)
            elif stop is None or found.number < stop:
                places.setdefault(found.number, found.offset)
        if any(a > b for a, b in zip(places, list(places)[1:], strict=False)):
            places = dict(sorted(places.items()))
        self.numbers = array("Q", places)
        self._offsets = array("Q", places.values())

    @property
    def header(self) -> dict[str, Any]:
        """Whose file it is, and the clock that its times are by; empty when that is damaged."""
        return self.notes[0] if self.notes and "owner" in self.notes[0] else {}

    @property
    def end(self) -> int:
        """The number after the last good frame."""
        return self.segment.first + (self.numbers[-1] + 1 if self.numbers else 0)

    def lines(self, number: int, limit: int | None = None) -> Iterator[Line]:
        """The frames from `number` on, up to `limit`; each line's number is its own in the file."""
        start = bisect_left(self.numbers, max(0, number - self.segment.first))
        stop = len(self.numbers) if limit is None else min(len(self.numbers), start + limit)
        for index in range(start, stop):
            offset = self._offsets[index]
            line = self._data[offset : self._data.index(b"\n", offset) + 1]
            yield from (f for f in parse(line, self._seed, self.segment.base) if isinstance(f, Line))

    def chunk(self, number: int, limit: int) -> Chunk:
        """Up to `limit` frames from the first good one from `number` on, up to the next gap."""
        found = Chunk(number)
        uncertain = False
        for line in self.lines(number, limit):
            absolute = self.segment.first + line.number
            if not found.records:
                found.first = absolute
            elif absolute != found.end:
                break
            found.records.append(line.record)
            found.times.append(line.time)
            found.provisional.append(line.provisional)
            uncertain = uncertain or line.provisional
        if not uncertain:
            found.provisional = []
        return found


def load(disk: Disk, folder: Path, segment: Segment, owner: str) -> Contents:
    """A segment's contents. Raises OSError; a packed file that is damaged has no contents."""
    data = disk.read(folder / segment.name)
    if segment.packed:
        try:
            data = lzma.decompress(data)
        except lzma.LZMAError:
            data = b""
    return Contents(segment, data, owner)


def pack(data: bytes) -> bytes:
    """A cold segment's contents as an .xz file."""
    return lzma.compress(data, format=lzma.FORMAT_XZ, filters=_COLD_FILTERS)


class Writing:
    """A segment that is being written. A failed write or sync leaves it for good: the next frames go into another."""

    def __init__(self, disk: Disk, folder: Path, segment: Segment, owner: str, notes: list[dict[str, Any]]) -> None:
        self.segment = segment
        self.stamp: dict[str, Any] = {}
        self._disk = disk
        self._folder = folder
        self._seed = seed(owner, segment.first)
        self._notes = notes
        self._file: Appending = disk.append_to(folder / segment.name)
        self._named = False

    def note(self, content: dict[str, Any]) -> None:
        """Put a note before the next frame."""
        self._notes.append(content)

    def write(self, chunk: Chunk) -> None:
        """Append frames, and return once they are on the disk. Raises OSError."""
        segment = self.segment
        lines = [note_line(self._seed, note) for note in self._notes]
        lines += frame_lines(
            self._seed,
            chunk.first - segment.first,
            segment.base,
            chunk.records,
            chunk.times,
            chunk.provisional or [False] * len(chunk.records),
        )
        data = b"".join(lines)
        self._file.write(data)
        self._file.sync()
        if not self._named:
            self._disk.sync_folder(self._folder)
            self._named = True
        self._notes = []
        segment.size += len(data)
        segment.count += len(chunk.records)
        segment.end = chunk.end

    def close(self) -> None:
        """Close the file."""
        self._file.close()
