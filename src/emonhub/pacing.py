"""How many frames go into a request, and how long to wait: plain rules, without a clock of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from random import Random

_FIRST_WAIT_S = 1.0
"""After a first failure; doubles with each that follows. Shorter would knock at a server that is just starting."""

_LONGEST_OBEYED_S = 3600.0
"""A Retry-After beyond this is not believed: somebody's clock or unit is wrong."""

_QUICK_S = 2.0
"""A request answered within this time was no burden: the next one may be larger."""

_MEMORY_S = 30.0
"""Over which time the rate of delivery is averaged."""


class BatchSize:
    """Halves when the target is overburdened, and grows again while it answers quickly."""

    def __init__(self) -> None:
        self._share = 1.0

    def limit(self, batchsize: int) -> int:
        """Frames in the next request at most."""
        return max(1, int(batchsize * self._share))

    def answered(self, seconds: float) -> None:
        """The target has taken a batch in so many seconds."""
        if seconds <= _QUICK_S:
            self._share = min(1.0, self._share * 2)

    def overburdened(self) -> None:
        """The target has not answered in time, or asks for less."""
        self._share = max(1 / 1024, self._share / 2)


def retry_wait(failures: int, asked_s: float | None, longest_s: float, random: Random) -> float:
    """Seconds until the next attempt after so many failures in a row; `asked_s` when the target named a time."""
    if asked_s is not None:
        return max(0.001, min(asked_s, _LONGEST_OBEYED_S))
    grown = min(longest_s, _FIRST_WAIT_S * 2.0 ** min(failures - 1, 30))
    return grown * random.uniform(0.75, 1.0)


class Progress:
    """How fast frames come and go, and so how long a backlog will take."""

    def __init__(self) -> None:
        self._out = 0.0
        self._in = 0.0
        self._last: tuple[float, int, int] | None = None

    def note(self, now: float, taken: int, acknowledged: int) -> None:
        """The counts as they are now (monotonic seconds)."""
        if self._last is None:
            self._last = (now, taken, acknowledged)
            return
        then, taken_then, acknowledged_then = self._last
        seconds = now - then
        if seconds < 1.0:
            return
        weight = min(1.0, seconds / _MEMORY_S)
        self._in += weight * ((taken - taken_then) / seconds - self._in)
        self._out += weight * ((acknowledged - acknowledged_then) / seconds - self._out)
        self._last = (now, taken, acknowledged)

    def time_left(self, frames: int) -> float | None:
        """Seconds until so many frames are delivered, at the rates of late; None while there is no headway."""
        gain = self._out - self._in
        return frames / gain if frames and gain > 0 else None
