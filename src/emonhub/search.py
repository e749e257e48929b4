"""The search for the frame that makes a target refuse a batch: by halves, until it stands alone.

    refused [a b c d e f g h]  ->  a b c d?  taken  ->  e f?  refused  ->  e?  refused alone
                               ->  is the target well? d, which it has: taken again
                               ->  e?  refused once more  ->  e is bad, and the rest goes on

A frame is only given up when it is refused while the target is seen to take another one: where it refuses each, the
fault is its own, and where it has recovered in the middle of the search, nothing is wrong with the frame.
"""

from __future__ import annotations

from dataclasses import dataclass

_PROBES = 4
"""Frames that may be refused one by one before the target is suspected; doubles with each failure, up to `_MORE`."""

_MORE = 4
"""Doublings: 64 frames between two waits find any run of bad frames in the end, and are no burden for a sick server."""


@dataclass(slots=True)
class Search:
    """Where the bad frame may be: from the oldest that is owed to before `end`.

    alone   frames at the head that were refused each by itself
    well    the target has been seen to take a frame since
    reason  what the target said last
    """

    end: int = 0
    alone: int = 0
    well: bool = False
    reason: str = ""

    def next(self, first: int, limit: int) -> tuple[int, int]:
        """(how many frames, behind how many) are to be tried next, where `first` is the oldest that is owed."""
        hiding = self.end - first
        if hiding <= 0:
            self.over()
            return limit, 0
        if hiding == 1 and not self.alone:
            self.alone = 1
        if self.alone:
            return 1, 0 if self.well else self.alone
        return min(limit, max(1, hiding // 2)), 0

    @property
    def under_way(self) -> bool:
        """Whether there is a frame to be found."""
        return bool(self.end)

    @property
    def doubts_target(self) -> bool:
        """Whether a frame stands alone, and it is not known yet if the target takes any."""
        return bool(self.alone) and not self.well

    def refused(self, first: int, end: int, reason: str) -> None:
        """The frames from `first` to before `end` were refused together."""
        self.reason = reason
        if self.alone:
            self.alone += 1
        elif end - first == 1:
            self.alone = 1
        self.end = end

    def suspect(self, number: int, reason: str, *, well: bool) -> None:
        """The frame with this number is the bad one, by all that is known: it is the oldest that is owed."""
        self.end, self.alone, self.well, self.reason = number + 1, 1, well, reason

    def convicted(self) -> None:
        """The oldest frame is given up: on to the next of those that were refused alone."""
        self.alone -= 1
        if not self.alone:
            self.over()

    def hopeless(self, failures: int) -> bool:
        """Whether so many frames were refused one by one that the target must be at fault."""
        return self.alone > _PROBES << min(failures, _MORE)

    def over(self) -> None:
        """Start afresh."""
        self.end = self.alone = 0
        self.well = False
