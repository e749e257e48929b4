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
_HEAD = re.compile(rb"# ([0-9a-f]{8}) (\d+) (\d+) (ok|-?[\d.]+)\n")


@dataclass(slots=True)
class Left:
    """What a former process left: frames in order, each run of them with its clock's offset where that was not set,
    and the number before which all are done.
    """

    chunks: list[tuple[Chunk, float | None]]
    cursor: int


class FrontFiles:
    """The files of one reporter. All methods raise OSError."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._descriptor = -1
        self._cursor = -1

    def open(self) -> Left:
        """Read what a former process left."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        chunks = [chunk for _, path in self._files() for chunk in _blocks(path.read_bytes())]
        try:
            cursor = int((self._folder / "cursor").read_bytes())
        except (FileNotFoundError, ValueError):
            cursor = 0
        return Left(chunks, cursor)

    def start(self, first: int) -> None:
        """Write the frames from `first` on into a file of their own."""
        self._close()
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        self._descriptor = os.open(self._folder / f"front-{first:012d}.log", flags, 0o600)

    def append(self, first: int, records: list[str], times: list[float], offset: float | None = None) -> None:
        """Add a block. When it returns, the frames outlive this process."""
        if times[0] == times[-1]:  # read together, as nearly always
            start = f"{times[0]:.3f} "
            lines = [f"{start}{record}\n" for record in records]
        else:
            lines = [f"{time:.3f} {record}\n" for time, record in zip(times, records, strict=True)]
        text = "".join(lines).encode()
        clock = "ok" if offset is None else f"{offset:.3f}"
        data = b"# %08x %d %d %b\n%b" % (crc32(text), first, len(text), clock.encode(), text)
        if os.write(self._descriptor, data) != len(data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def move_cursor(self, number: int) -> None:
        """All frames before `number` are done."""
        if self._cursor < 0:
            self._cursor = os.open(self._folder / "cursor", os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        os.pwrite(self._cursor, b"%020d" % number, 0)  # one write of constant length: never half done

    def forget(self, before: int) -> None:
        """Delete the files that only hold frames before `before`."""
        files = self._files()
        for (_, path), (following, _) in zip(files, files[1:], strict=False):
            if following <= before:
                path.unlink(missing_ok=True)

    def close(self, *, delete: bool) -> None:
        """Close the files; delete them once their frames are safe elsewhere."""
        self._close()
        if self._cursor >= 0:
            os.close(self._cursor)
            self._cursor = -1
        if delete:
            for _, path in self._files():
                path.unlink(missing_ok=True)

    def _close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _files(self) -> list[tuple[int, Path]]:
        found = []
        for name in os.listdir(self._folder):
            if match := _NAME.fullmatch(name):
                found.append((int(match[1]), self._folder / name))
        return sorted(found)


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
