"""A number that survives a crash at any moment: all frames before it are done.

Two slots of a file are written in turn, each a line with its own check, so that one of them is whole at any time:

    <check> <turn> <number>           CRC-32 of what follows it, blanks up to the slot's end, a newline

A slot that is lost means that some frames are sent again, never that one is passed over.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from zlib import crc32

if TYPE_CHECKING:
    from pathlib import Path

    from emonhub.buffer.disk import Disk

_SLOT = 64


class Cursor:
    """The number in a file; 0 while there is none that can be read."""

    def __init__(self, disk: Disk, path: Path) -> None:
        self._disk = disk
        self._path = path
        self._turn = 0
        self._spoilt = False
        self.number = 0
        try:
            data = disk.read(path, 0, 2 * _SLOT)
        except OSError:
            data = b""
        self.there = bool(data)
        for slot in (data[:_SLOT], data[_SLOT:]):
            self._take(slot)

    def move(self, number: int) -> None:
        """Return once the number is on the disk. Raises OSError; then it has not moved."""
        rest = b"%d %d" % (self._turn + 1, number)
        slot = (b"%08x %b" % (crc32(rest), rest)).ljust(_SLOT - 1) + b"\n"
        self._put(_SLOT * ((self._turn + 1) % 2), slot)
        if not self.there:
            self._disk.sync_folder(self._path.parent)
            self.there = True
        self._turn += 1
        self.number = number

    def _put(self, offset: int, slot: bytes) -> None:
        if self._spoilt:  # nobody knows what is in that file, and to sync it again would tell nothing
            fresh = self._path.with_name(f"{self._path.name}.new")
            self._disk.remove(fresh)
            self._disk.put(fresh, offset, slot)
            self._disk.rename(fresh, self._path)
            self._spoilt = self.there = False
            return
        try:
            self._disk.put(self._path, offset, slot)
        except OSError:
            self._spoilt = True
            raise

    def _take(self, slot: bytes) -> None:
        check, _, rest = slot.rstrip().partition(b" ")
        try:
            turn, number = map(int, rest.split())
            if int(check, 16) == crc32(rest) and turn > self._turn:
                self._turn, self.number = turn, number
        except ValueError:
            return
