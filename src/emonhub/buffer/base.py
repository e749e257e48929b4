"""What every buffer can do: take records at one end, hand out and forget them at the other."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, slots=True)
class Batch:
    """A run of records, oldest first, numbered without gaps.

    first    the sequence number of the first one
    records  each frame as its reporter's encoder wrote it, without its time
    times    when each was read, Unix seconds to the millisecond
    """

    first: int
    records: list[str]
    times: list[float]

    @property
    def end(self) -> int:
        """The sequence number after the last one."""
        return self.first + len(self.records)

    def head(self, count: int) -> Batch:
        """The first `count` records."""
        return Batch(self.first, self.records[:count], self.times[:count])

    def only(self, index: int) -> Batch:
        """The record at `index` alone."""
        return Batch(self.first + index, self.records[index : index + 1], self.times[index : index + 1])


@dataclass(frozen=True, slots=True)
class Dropped:
    """Frames that a buffer had to let go: how many, why, and the time range that is missing now (Unix seconds)."""

    frames: int
    reason: str
    first_time: float
    last_time: float


class Buffer(ABC):
    """What a reporter still owes, oldest first, each frame one record: a line of text in the form that is sent.

    Records are numbered in the order of arrival. `on_drop` is called for what had to go, `on_found` with a number of
    frames that a former run of the hub had left and that came to light only now.
    """

    on_drop: Callable[[Dropped], None] = staticmethod(lambda _dropped: None)
    repeats = False
    """Whether the target has had these frames before: then what it shows does not tell how far it has come."""

    on_found: Callable[[int], None] = staticmethod(lambda _frames: None)

    @property
    @abstractmethod
    def first(self) -> int:
        """The sequence number of the oldest frame that is owed."""

    @property
    @abstractmethod
    def frames(self) -> int:
        """How many frames are owed."""

    @property
    @abstractmethod
    def bytes(self) -> int:
        """What they take, in bytes of whatever it is that is bounded."""

    @property
    @abstractmethod
    def oldest_time(self) -> float | None:
        """About when the oldest frame that is owed was read, Unix seconds; None when nothing is owed."""

    @property
    def durable(self) -> bool:
        """Whether what is owed is still there after the process has ended."""
        return False

    @property
    def trouble(self) -> str:
        """What keeps it from doing as it promises, for people; empty when all is well."""
        return ""

    @abstractmethod
    def append(self, records: list[str], times: list[float], size: int, *, provisional: bool = False) -> None:
        """Take over records of `size` bytes in all; `provisional` when their times are by a clock that is not set yet.

        Never waits, never raises.
        """

    @abstractmethod
    def correct(self, shift_s: float, *, for_good: bool) -> None:
        """The clock has stepped: put right the provisional times. `for_good` when it is set now."""

    @abstractmethod
    async def fetch(self, limit: int, skip: int = 0) -> Batch | None:
        """The oldest `limit` records but for the first `skip`; they stay where they are. None when there are none."""

    @abstractmethod
    def remove(self, end: int) -> int:
        """Forget every record before sequence number `end`. Returns how many that were."""

    @property
    def failing(self) -> bool:
        """Whether the target takes nothing: told by the reporter, for a buffer that then does things differently."""
        return False

    @failing.setter  # noqa: B027 - most do nothing differently
    def failing(self, failing: bool) -> None:
        pass

    def describe(self, node: str, note: dict[str, Any]) -> None:  # noqa: B027 - nothing to keep it in
        """Frames of `node` mean what `note` says from now on; kept with them, for people and replays."""

    async def close(self) -> None:  # noqa: B027 - a buffer without files has nothing to do here
        """Make what is owed safe, and let go of files."""
