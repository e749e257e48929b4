"""The journal: frames in files of text, a line each, oldest file first.

A folder holds, for one reporter, files named by the numbers of the frames in them and their base time:

    000000001200-open-1669888253.log                  being written: frames from 1200 on
    000000001200-000000001712-512-1669888253.log      sealed: from 1200 to before 1712, 512 of them
    000000001200-000000001712-512-1669888253.log.xz   sealed, delivered, kept for the record, and cold: its lines have
                                                      no checks, as the format has its own

Each starts with a note of whose it is. Files are only appended to; a sealed one is only ever deleted, renamed, packed
or, where a full buffer is thinned, replaced. The layout of a line is in `lines`.
"""

from __future__ import annotations

import errno
import lzma
import re
from array import array
from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from itertools import islice
from operator import lt
from typing import TYPE_CHECKING, Any

from emonhub.buffer.lines import frame_lines, frames, index, note_line, seed, with_checks, without_checks
from emonhub.buffer.store import Chunk

if TYPE_CHECKING:
    from pathlib import Path

    from emonhub.buffer.disk import Appending, Disk

_NAME = re.compile(r"(\d{12,})-(?:open|(\d{12,})-(\d+))-(\d+)\.log(\.xz)?")

_COLD_FILTERS = [{"id": lzma.FILTER_LZMA2, "preset": 4, "dict_size": 1 << 20}]
"""Packs a file in 10 MB of memory. `xzcat` reads it."""

_BLOCK = 4096
"""What is given up where a disk can't read."""

_LATEST = 10**11
"""Of base times: beyond it they would be years of five digits, and names of any length."""


@dataclass(slots=True, eq=False)
class Segment:
    """One file. `end` and `count` are what its name or a look at its lines says; `name` is what it is called; `newest`
    is when its last frame was read, once that is known for sure.
    """

    name: str
    first: int
    end: int
    count: int
    base: int
    sealed: bool
    size: int = 0
    newest: float | None = None

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
    """A new segment for frames from `first` on, the oldest of them read at `time`."""
    base = int(min(max(time, 0.0), _LATEST))
    return Segment(f"{first:012d}-open-{base}.log", first, first, 0, base, sealed=False)


class Contents:
    """A segment's good lines, found and checked once, and then handed out from any number on."""

    def __init__(self, segment: Segment, data: bytes, owner: str) -> None:
        self.segment = segment
        self._data = data
        self._owner = owner
        stop = segment.end - segment.first or None  # a file from a former run may not have been counted yet
        numbers, offsets, self.notes = index(data, seed(owner, segment.first), stop)
        self._in_order = all(map(lt, numbers, islice(numbers, 1, None)))
        if not self._in_order:  # somebody has been here with an editor
            places = dict(sorted(zip(reversed(numbers), reversed(offsets), strict=True)))
            numbers, offsets = array("Q", places), array("Q", places.values())
        self.numbers = numbers
        self._offsets = offsets

    @property
    def sound(self) -> int:
        """Bytes at the start that are as they should be in a file without frames: those of its first notes."""
        start = seed(self._owner, self.segment.first)
        size = 0
        for note in self.notes:
            line = note_line(start, note)
            if not self._data.startswith(line, size):
                break
            size += len(line)
        return size

    @property
    def header(self) -> dict[str, Any]:
        """Whose file it is, and the clock that its times are by; empty when that is damaged."""
        return self.notes[0] if self.notes and "owner" in self.notes[0] else {}

    @property
    def end(self) -> int:
        """The number after the last good frame."""
        return self.segment.first + (self.numbers[-1] + 1 if self.numbers else 0)

    def count(self, start: int, end: int | None = None) -> int:
        """How many frames there are from number `start` on, or before `end`."""
        last = len(self.numbers) if end is None else self._at(end)
        return max(0, last - self._at(start))

    def chunk(self, number: int, limit: int) -> Chunk:
        """Up to `limit` frames from the first good one from `number` on, up to the next gap."""
        start = self._at(number)
        stop = min(len(self.numbers), start + limit)
        if start >= stop:
            return Chunk(number)
        if self.numbers[stop - 1] - self.numbers[start] >= stop - start:
            numbers = self.numbers
            stop = bisect_right(range(stop), numbers[start] - start, start, key=lambda i: numbers[i] - i)
        records, times, provisional = frames(self._lines(start, stop), self.segment.base)
        return Chunk(self.segment.first + self.numbers[start], records, times, provisional)

    def _at(self, number: int) -> int:
        return bisect_left(self.numbers, max(0, number - self.segment.first))

    def _lines(self, start: int, stop: int) -> list[str]:
        data, offsets = self._data, self._offsets
        first, last = offsets[start], data.index(b"\n", offsets[stop - 1])
        if self._in_order and data.count(b"\n", first, last) == stop - start - 1:  # nothing else between them
            return data[first:last].decode().split("\n")
        return [data[offset : data.index(b"\n", offset)].decode() for offset in offsets[start:stop]]


def load(disk: Disk, folder: Path, segment: Segment, owner: str) -> Contents:
    """A segment's contents: what can be had of them. Raises OSError when the disk as a whole can't be read."""
    try:
        data = disk.read(folder / segment.name)
    except FileNotFoundError:
        data = b""
    except OSError as error:
        if error.errno != errno.EIO:
            raise
        data = _salvage(disk, folder / segment.name)
    return Contents(segment, unpack(data, segment, owner) if segment.packed else data, owner)


def _salvage(disk: Disk, path: Path) -> bytes:
    """A file with blocks that can't be read, each of which becomes a newline."""
    parts = []
    for offset in range(0, disk.size(path), _BLOCK):
        try:
            parts.append(disk.read(path, offset, _BLOCK))
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            parts.append(b"\n")
    return b"".join(parts)


def pack(data: bytes, segment: Segment, owner: str) -> bytes:
    """A cold segment's contents as an .xz file: the same lines without their checks, as .xz has one of its own."""
    lines = without_checks(data, seed(owner, segment.first))
    return lzma.compress(lines, format=lzma.FORMAT_XZ, filters=_COLD_FILTERS)


def unpack(data: bytes, segment: Segment, owner: str) -> bytes:
    """The lines of a packed segment as they were before; nothing of one that is damaged."""
    try:
        return with_checks(lzma.decompress(data), seed(owner, segment.first))
    except lzma.LZMAError:
        return b""


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
