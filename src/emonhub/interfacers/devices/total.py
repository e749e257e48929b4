"""A total that outlives the hub, in a file of two slots of 40 bytes:

    offset 0      total, 20 digits; blank; CRC-32 of them, 8 hex digits; padding of blanks; newline
    offset 512    the same

They are written in turn, so that a power cut while one is written leaves the other. The higher one counts.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING
from urllib.parse import quote

if TYPE_CHECKING:
    from pathlib import Path

    from emonhub import World

_SLOTS = (0, 512)
_SLOT_BYTES = 40


class StoredTotal:
    """The total of one interfacer. The methods raise OSError."""

    def __init__(self, world: World, folder: Path, name: str) -> None:
        self.path = folder / f"total-{quote(name, safe='')}"
        self._world = world
        self._turn = 0

    async def load(self) -> int | None:
        """The total; None where none has been stored, or nothing of it can be read."""
        try:
            data = await self._world.storage.run(self._world.disk.read, self.path)
        except FileNotFoundError:
            return None
        found = [_total(data[at : at + _SLOT_BYTES]) for at in _SLOTS]
        self._turn = 1 if found[0] is not None and found[0] >= (found[1] or 0) else 0
        return max((total for total in found if total is not None), default=None)

    async def save(self, total: int) -> None:
        """Return once it is on the disk."""
        turn, self._turn = self._turn, 1 - self._turn
        await self._world.storage.run(self._world.disk.put, self.path, _SLOTS[turn], _slot(total))


def _slot(total: int) -> bytes:
    digits = b"%020d" % total
    return (digits + b" %08x" % zlib.crc32(digits)).ljust(_SLOT_BYTES - 1) + b"\n"


def _total(slot: bytes) -> int | None:
    digits = slot[:20]
    return int(digits) if digits.isdigit() and slot == _slot(int(digits)) else None
