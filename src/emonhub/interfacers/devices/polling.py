"""Reading at round times: what is read every 10 s is read at :00, :10, :20, as users like to see it."""

from __future__ import annotations

_AT_LEAST_S = 1e-3
"""A wait that ends this little before the round time must not have the next one start for the same time."""


def until_next(now: float, interval: float) -> float:
    """Seconds from `now`, Unix seconds, to the next multiple of `interval`."""
    wait = interval - now % interval
    return wait if wait > min(_AT_LEAST_S, interval / 2) else wait + interval
