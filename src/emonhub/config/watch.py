"""Notices that files have changed, by looking at them now and then."""

from __future__ import annotations

import stat
import time
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

_JUST_NOW_S = 0.3
"""A file written so lately is likely being written: it is looked at once more. Editors take a few milliseconds."""

_COARSE_S = 3.0
"""Times of files on a FAT card have steps of two seconds: until so long after a change, the content is compared too."""

_LONGEST_COMPARED = 1 << 20
"""Bytes. What is longer is no configuration, and not worth reading once a second."""

_PATIENCE = 3
"""Looks in a row for which a change may be put off: then it is reported whatever goes on."""


@dataclass(frozen=True, slots=True)
class Look:
    """What a file looked like. `content` is a checksum, only where the times alone can't be trusted yet."""

    stamp: tuple[int, ...]
    content: int | None = None


Looks: TypeAlias = "Mapping[Path, Look | None]"
"""Files, and what they looked like; None for one that is not there."""


def look(path: Path, now: float | None = None) -> Look | None:
    """What the file looks like now."""
    try:
        found = path.stat()
        young = abs((time.time() if now is None else now) - found.st_mtime) < _COARSE_S
        # Only of an ordinary file: looking at a pipe must not empty it.
        compare = young and stat.S_ISREG(found.st_mode) and found.st_size < _LONGEST_COMPARED
        content = zlib.crc32(path.read_bytes()) if compare else None
    except (OSError, ValueError):
        return None
    return Look((found.st_mtime_ns, found.st_size, found.st_ino), content)


def _same(before: Look | None, after: Look | None) -> bool:
    if before is None or after is None:
        return before is after
    if before.stamp != after.stamp:
        return False
    return before.content is None or after.content is None or before.content == after.content


class Watcher:
    """Watches a configuration, and the files that it takes secrets from.

    `expect` says what the files looked like when they were read. Without it, a change counts from the first look.
    """

    def __init__(self, path: Path, *, clock: Callable[[], float] = time.time) -> None:
        self._path = path
        self._clock = clock
        self._seen: dict[Path, Look | None] = {path: look(path, clock())}
        self._last: dict[Path, Look | None] = {}
        self._put_off = 0

    def expect(self, sources: Looks) -> None:
        """Watch these files; `sources` is what they looked like when they were read."""
        self._seen = {self._path: self._seen[self._path], **sources}
        self._last = {}

    def changed(self) -> bool:
        """Whether something has changed since the last look that said so. Cheap enough for every second."""
        now = self._clock()
        looks = {path: look(path, now) for path in self._seen}
        if all(_same(self._seen[path], found) for path, found in looks.items()):
            self._seen, self._put_off = looks, 0
            return False
        if self._put_off < _PATIENCE and self._in_the_making(looks, now):
            self._put_off += 1
            self._last = looks
            return False
        self._seen, self._put_off = looks, 0
        return True

    def _in_the_making(self, looks: dict[Path, Look | None], now: float) -> bool:
        """Whether a file has vanished, as it does for a moment when an editor saves, or is being written."""
        for path, found in looks.items():
            if _same(self._seen[path], found):
                continue
            if found is None:
                return True
            settled = path in self._last and _same(self._last[path], found)
            if not settled and 0 <= now - found.stamp[0] / 1e9 < _JUST_NOW_S:
                return True
        return False
