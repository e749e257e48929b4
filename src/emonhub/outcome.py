"""What can become of a batch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Delivered:
    """The target has all of the batch."""


@dataclass(frozen=True, slots=True)
class DeliveredUpTo:
    """The target has the first `count` records of the batch, and none of the rest."""

    count: int


@dataclass(frozen=True, slots=True)
class RetryAfter:
    """Not now: the batch stays as it is. `seconds` when the target named a time, else the wait grows by itself.

    `ambiguous` when the target may have taken some of the batch or all of it, and could not say so.
    """

    reason: str
    seconds: float | None = None
    ambiguous: bool = False


@dataclass(frozen=True, slots=True)
class Rejected:
    """The target refuses this batch because of something in it, and would do so again."""

    reason: str


Outcome: TypeAlias = Delivered | DeliveredUpTo | RetryAfter | Rejected
