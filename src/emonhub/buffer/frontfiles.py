"""The front of a buffer as files in memory that outlive the process: what is not in the store yet, and the cursor.

The folder is on a file system in memory (tmpfs), so that a write costs no card anything and never waits for one. A
file is a run of blocks, each what was taken over at once:

    # <check> <first> <bytes> <clock>       CRC-32 of the lines that follow, the number of the first frame, their size;
    <time> <record>                         `ok`, or the offset of a clock that was not set yet (Clock.offset)
    ...

A process that is killed while it writes leaves a torn last block, whose frames it had not acknowledged to anybody.
"""

from __future__ import annotations

import errno
import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING
from zlib import crc32

from emonhub.buffer.store import Chunk

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_NAME = re.compile(r"front-(\d+)\.log")
_CURSOR = "cursor"
_BOOT = "boot"
_UNFINISHED = "front.new"

_FILE_BYTES = 1 << 18
"""What a file takes before the next one begins, so that what is delivered can be let go."""

_HEAD = re.compile(rb"# ([0-9a-f]{8}) (\d+) (\d+) (ok|-?[\d.]+)\n")


@dataclass(slots=True)
class Left:
    """What a former process left: frames in order, each run of them with its clock's offset where that was not set,
    and the number before which all are done. `boot` is the start of the machine in which they were written.
    """

    chunks: list[tuple[Chunk, float | None]]
    cursor: int
    boot: str = ""


class FrontFiles:
    """The files of one reporter. All methods raise OSError."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._descriptor = -1
        self._cursor = -1
        self._firsts: list[int] = []  # of the files, the last of which is being written
        self._size = 0  # of that one

    def open(self) -> Left:
        """Read what a former process left, and change nothing."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        chunks = [chunk for _, path in self._files() for chunk in _blocks(path.read_bytes())]
        return Left(chunks, self.cursor(), self._said(_BOOT))

    def begin(self, chunks: list[tuple[Chunk, float | None]], first: int, cursor: int, boot: str = "") -> None:
        """Put these frames in the place of all that is there; the next one will have the number `first`."""
        old = self._files()
        self._close()
        self._close_cursor()
        if chunks:
            first = chunks[0][0].first
        path = self._folder / f"front-{first:012d}.log"
        data = b"".join(_block(c.first, c.records, c.times, offset) for c, offset in chunks)
        unfinished = self._folder / _UNFINISHED
        unfinished.write_bytes(data)
        if cursor < self.cursor():
            (self._folder / _CURSOR).unlink()  # it counts by other numbers
        unfinished.replace(path)
        for _, other in old:
            if other != path:
                other.unlink(missing_ok=True)
        (self._folder / _BOOT).write_text(boot)
        self.move_cursor(cursor)
        self._firsts = []
        self._open(first)
        self._size = len(data)

    def start(self, first: int) -> None:
        """Write the frames from `first` on into a file of their own."""
        if self._size or not self._firsts:
            self._close()
            self._open(first)

    def append(self, first: int, records: list[str], times: list[float], offset: float | None = None) -> None:
        """Add a block. When it returns, the frames outlive this process."""
        if self._size > _FILE_BYTES:
            self.start(first)
        data = _block(first, records, times, offset)
        written = os.write(self._descriptor, data)
        self._size += written
        if written != len(data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def cursor(self) -> int:
        """All frames before this number are done."""
        said = self._said(_CURSOR)
        return int(said) if said.isdecimal() else 0

    def move_cursor(self, number: int) -> None:
        """All frames before `number` are done."""
        if self._cursor < 0:
            self._cursor = os.open(self._folder / _CURSOR, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        os.pwrite(self._cursor, b"%020d" % number, 0)  # one write of constant length: never half done

    def forget(self, before: int) -> None:
        """Delete the files that only hold frames before `before`."""
        while len(self._firsts) > 1 and self._firsts[1] <= before:
            (self._folder / f"front-{self._firsts[0]:012d}.log").unlink(missing_ok=True)
            del self._firsts[0]

    def clear(self) -> None:
        """Forget all frames."""
        if self._firsts:
            self.forget(self._firsts[-1])
            if self._size:
                os.ftruncate(self._descriptor, 0)
                self._size = 0

    def close(self, *, delete: bool) -> None:
        """Close the files; delete them once their frames are safe elsewhere."""
        self._close()
        self._close_cursor()
        if delete:
            for _, path in self._files():
                path.unlink(missing_ok=True)

    def abolish(self) -> None:
        """Delete all that there is: by other numbers than those that come, it would be wrong."""
        self.close(delete=True)
        for name in (_CURSOR, _BOOT):
            (self._folder / name).unlink(missing_ok=True)

    def _open(self, first: int) -> None:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        self._descriptor = os.open(self._folder / f"front-{first:012d}.log", flags, 0o600)
        self._firsts.append(first)
        self._size = 0

    def _close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _close_cursor(self) -> None:
        if self._cursor >= 0:
            os.close(self._cursor)
            self._cursor = -1

    def _said(self, name: str) -> str:
        try:
            return (self._folder / name).read_text("ascii", "replace").strip()
        except FileNotFoundError:
            return ""

    def _files(self) -> list[tuple[int, Path]]:
        names = os.listdir(self._folder)
        return sorted((int(match[1]), self._folder / name) for name in names if (match := _NAME.fullmatch(name)))


def _block(first: int, records: list[str], times: list[float], offset: float | None) -> bytes:
    if times.count(times[0]) == len(times):  # read together, as nearly always
        start = f"{times[0]:.3f} "
        lines = start + f"\n{start}".join(records) + "\n"
    else:
        lines = "".join([f"{time:.3f} {record}\n" for time, record in zip(times, records, strict=True)])
    text = lines.encode()
    clock = "ok" if offset is None else f"{offset:.3f}"
    return b"# %08x %d %d %b\n%b" % (crc32(text), first, len(text), clock.encode(), text)


def _blocks(data: bytes) -> Iterator[tuple[Chunk, float | None]]:
    position = 0
    while (head := _HEAD.search(data, position)) is not None:
        position = head.end()
        text = data[position : position + int(head[3])]
        if crc32(text) != int(head[1], 16) or len(text) != int(head[3]):
            continue
        position += len(text)
        chunk = Chunk(int(head[2]))
        for line in text.decode().split("\n")[:-1]:
            time, _, record = line.partition(" ")
            chunk.times.append(float(time))
            chunk.records.append(record)
        yield chunk, None if head[4] == b"ok" else float(head[4])
