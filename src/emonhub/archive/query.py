"""Which frames of a record are meant: by time and by node."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING

from emonhub.errors import SettingError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from typing import Any, TypeAlias

    from emonhub.archive.record import Frame, Notes
    from emonhub.cargo import Cargo

    ReadBack: TypeAlias = Callable[[str, float, Mapping[str, Any]], Cargo | None]

_AGO = re.compile(r"-?(\d+(?:\.\d+)?)\s*(s|min|m|h|d|w)")
_UNIT_S = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400, "w": 604800}
_UNIX = re.compile(r"\d{9,11}(\.\d+)?")
_DAY = re.compile(r"\d{4}-\d\d-\d\d")

TIMES = "a date 2026-01-31, a time 2026-01-31T12:00, -2h (ago; also s, min, d, w), Unix seconds, or now"


def parse_time(text: str, now: float, *, end: bool = False) -> float:
    """Unix seconds that a user's text means; times without a zone are local ones. Raises SettingError.

    A date alone is the start of that day; with `end`, the end of it.
    """
    text = text.strip()
    if text.lower() == "now":
        return now
    if ago := _AGO.fullmatch(text.lower()):
        return now - float(ago[1]) * _UNIT_S[ago[2]]
    if _UNIX.fullmatch(text):
        return float(text)
    try:
        if _DAY.fullmatch(text):
            day = date.fromisoformat(text) + timedelta(days=int(end))
            return datetime(day.year, day.month, day.day).astimezone().timestamp()
        return datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError):
        raise SettingError(f"{text!r} is no time: write {TIMES}") from None


@dataclass(slots=True)
class Query:
    """Frames read from `since` to before `until`, of one node, by its id or its name; all of them where that is empty.

    read_back   a reporter's, to tell whose a record is
    """

    since: float = -math.inf
    until: float = math.inf
    node: str = ""
    read_back: ReadBack = lambda _record, _time, _notes: None
    _senders: dict[str, bool] = field(default_factory=dict)
    _notes: Notes | None = None

    def among(self, frames: Iterable[Frame]) -> Iterator[Frame]:
        """Those that are meant."""
        for frame in frames:
            if self.since <= frame.time < self.until and (not self.node or self._is_of_node(frame)):
                yield frame

    def _is_of_node(self, frame: Frame) -> bool:
        if frame.notes is not self._notes:
            self._notes = frame.notes
            self._senders.clear()
        sender = sender_of(frame.record)
        known = self._senders.get(sender)
        if known is None:
            cargo = self.read_back(frame.record, frame.time, frame.notes)
            names = {str(cargo.layout.node), cargo.layout.nodename} if cargo else {sender.strip('"')}
            known = self._senders[sender] = self.node in names
        return known


def sender_of(record: str) -> str:
    """What a record starts with, up to its first comma: in each of the forms that are delivered, whose frame it is."""
    return record.partition(",")[0]
