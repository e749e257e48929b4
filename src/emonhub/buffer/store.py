"""Where a buffer puts what does not fit in memory or must outlive the process: files, or a database.

A store blocks, and is only ever called by one thread, the storage thread. Its frames are numbered by the buffer that
uses it, in order, not always without gaps. What it had to let go it returns, for the buffer to count.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Lost:
    """Frames that a store let go: all of those numbered from `first` to before `end`, or, where both are equal,
    some between others. `frames` of them were there, read in this time range (Unix seconds).
    """

    first: int
    end: int
    frames: int
    reason: str
    first_time: float
    last_time: float


@dataclass(frozen=True, slots=True)
class Opened:
    """What a store held when it was opened: `frames` are owed, numbered from `first` to before `end`.

    lost    frames that should have been there too, and that `frames` does not count
    """

    first: int
    end: int
    frames: int
    oldest_time: float | None
    lost: tuple[Lost, ...] = ()


@dataclass(slots=True)
class Chunk:
    """Frames on their way into a store or out of it, numbered from `first` without gaps.

    provisional  whether each time is by a clock that was not set yet; empty when none is
    lost         frames before them that turned out to be gone
    stamp        the clock that the provisional times are by (Clock.stamp), when that is not the clock as it is now
    """

    first: int
    records: list[str] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    provisional: list[bool] = field(default_factory=list)
    lost: list[Lost] = field(default_factory=list)
    stamp: dict[str, Any] = field(default_factory=dict)

    @property
    def end(self) -> int:
        return self.first + len(self.records)


class Store(ABC):
    """All methods raise OSError when the disk or the database fails; then nothing has happened."""

    @abstractmethod
    def open(self, cursor: int = 0) -> Opened:
        """Find what a former run has left; all before `cursor` is known to be done with."""

    @abstractmethod
    def write(self, chunk: Chunk, cursor: int) -> list[Lost]:
        """Add frames at the new end, and return once they are safe. All before `cursor` are done with."""

    @abstractmethod
    def read(self, number: int, limit: int) -> Chunk:
        """Up to `limit` frames without a gap between them, from the first one that there is from `number` on."""

    @abstractmethod
    def trim(self, cursor: int) -> list[Lost]:
        """All before `cursor` are done with: forget them, or keep them for the record."""

    @abstractmethod
    def describe(self, node: str, note: dict[str, Any]) -> None:
        """From now on, frames of `node` mean what `note` says. Kept for people and replays, not for delivering."""

    @abstractmethod
    def close(self) -> None:
        """Let go of files and connections."""

    @property
    @abstractmethod
    def held(self) -> int:
        """What the owed frames take, in bytes."""
