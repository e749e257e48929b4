"""One reporter's rows in the tables: what can be asked of them and done to them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from emonhub.buffer.sql.database import BUFFER, NODES
from emonhub.buffer.store import Lost

if TYPE_CHECKING:
    from collections.abc import Sequence

    from emonhub.buffer.sql.database import Transaction

ROW_BYTES = 100
"""What a frame takes in a database besides its record, for the bound in bytes."""

_COLUMNS = ("reporter", "number", "time_ms", "record", "provisional", "boot", "clock_offset", "form", "state")
_NODE_COLUMNS = ("reporter", "node", "number", "note")

_PIECE = 1000
"""Rows that are looked at together when room is made: all of them are held in memory."""

# Our own names only: what users give comes in as parameters.
_OURS = f"FROM {BUFFER} WHERE reporter = ?"
_WHICH = "WHERE reporter = ? AND state = 'waiting' AND number >= ? AND number < ?"
_OWED = f"FROM {BUFFER} {_WHICH}"
_CHANGE = f"UPDATE {BUFFER} SET"
_NOTES = f"FROM {NODES} WHERE reporter = ? AND node = ?"


@dataclass(slots=True)
class Span:
    """A run of owed frames: numbered from `first` to before `end`, with gaps perhaps; times in Unix seconds."""

    first: int = 0
    end: int = 0
    frames: int = 0
    bytes: int = 0
    first_time: float = 0.0
    last_time: float = 0.0

    def lost(self, reason: str) -> Lost:
        """All of them, gone."""
        return Lost(self.first, self.end, self.frames, reason, self.first_time, self.last_time)


class Rows:
    """A reporter's. `octets` is how its database writes the size of a record."""

    def __init__(self, reporter: str, octets: str) -> None:
        self.reporter = reporter
        self._sums = f"COUNT(*), SUM({octets}), MIN(number), MAX(number), MIN(time_ms), MAX(time_ms)"
        self._octets = octets

    # Finding out

    def bounds(self, t: Transaction) -> tuple[int, int]:
        """Where what is owed starts, and where the next frame's place is."""
        lowest = t.ask(f"SELECT number, state {_OURS} AND state <> 'set aside' ORDER BY number LIMIT 1", self.reporter)
        highest = t.ask(f"SELECT number {_OURS} ORDER BY number DESC LIMIT 1", self.reporter)
        end = highest[0][0] + 1 if highest else 0
        if not lowest or lowest[0][1] == "waiting":
            return lowest[0][0] if lowest else end, end
        # From the end: behind what is owed there may be years of a record.
        done = t.ask(f"SELECT number {_OURS} AND state = 'delivered' ORDER BY number DESC LIMIT 1", self.reporter)
        return done[0][0] + 1, end

    def owed(self, t: Transaction, first: int, end: int, condition: str = "", *parameters: Any) -> Span:
        """Those that are owed from `first` to before `end`."""
        if end <= first:
            return Span()
        found = t.ask(f"SELECT {self._sums} {_OWED} {condition}", self.reporter, first, end, *parameters)[0]
        frames = int(found[0])
        if not frames:
            return Span()
        size = int(found[1]) + frames * ROW_BYTES
        return Span(found[2], found[3] + 1, frames, size, found[4] / 1000, found[5] / 1000)

    def read(self, t: Transaction, first: int, end: int, limit: int) -> list[Sequence[Any]]:
        """number, time_ms, record, provisional, boot, clock_offset of the first ones that are owed."""
        columns = "number, time_ms, record, provisional, boot, clock_offset"
        return t.ask(f"SELECT {columns} {_OWED} ORDER BY number LIMIT ?", self.reporter, first, end, limit)

    # Adding

    def add(self, t: Transaction, rows: Sequence[Sequence[Any]]) -> None:
        """Rows of number, time_ms, record, provisional, boot, clock_offset, form, state."""
        t.insert(BUFFER, _COLUMNS, [(self.reporter, *row) for row in rows])

    def note(self, t: Transaction, node: str, number: int, note: str) -> None:
        """What is said of a node from frame `number` on, where that is news."""
        last = t.ask(f"SELECT note {_NOTES} ORDER BY number DESC LIMIT 1", self.reporter, node)
        if not last or last[0][0] != note:
            t.do(f"DELETE {_NOTES} AND number >= ?", self.reporter, node, number)
            t.insert(NODES, _NODE_COLUMNS, [(self.reporter, node, number, note)])

    # Letting go

    def cut(self, t: Transaction, end: int) -> None:
        """Nothing from `end` on has ever been written."""
        t.do(f"DELETE {_OURS} AND number >= ?", self.reporter, end)

    def done(self, t: Transaction, first: int, cursor: int, *, keep: bool) -> Span:
        """All before `cursor` are done with; of those, the ones from `first` on were owed until now."""
        span = self.owed(t, first, cursor)
        if not keep:
            t.do(f"DELETE {_OURS} AND number < ? AND state <> 'set aside'", self.reporter, cursor)
        elif span.frames:
            self._mark(t, "delivered", span)
        return span

    def set_aside(self, t: Transaction, first: int, end: int, form: str) -> Span:
        """Those in another form than `form` are for another target."""
        span = self.owed(t, first, end, "AND form <> ?", form)
        if span.frames:
            self._mark(t, "set aside", span, "AND form <> ?", form)
        return span

    def drop_oldest(self, t: Transaction, first: int, end: int, size: int) -> list[Span]:
        """Let go of the oldest ones that are owed, `size` bytes of them."""
        dropped: list[Span] = []
        while size > 0:
            columns = f"number, time_ms, {self._octets}"
            found = t.ask(f"SELECT {columns} {_OWED} ORDER BY number LIMIT {_PIECE}", self.reporter, first, end)
            if not found:
                break
            span = Span(found[0][0], first_time=found[0][1] / 1000)
            for number, time_ms, octets in found:
                span.end, span.last_time = number + 1, time_ms / 1000
                span.frames += 1
                span.bytes += octets + ROW_BYTES
                if span.bytes >= size:
                    break
            t.do(f"DELETE {_OWED}", self.reporter, span.first, span.end)
            size -= span.bytes
            first = span.end
            dropped.append(span)
        return dropped

    def drop_old(self, t: Transaction, first: int, end: int, before: float) -> Span:
        """Let go of the oldest ones that are owed, up to the first that was not read before this time."""
        fresh = "AND (time_ms >= ? OR provisional = 1) ORDER BY number LIMIT 1"
        found = t.ask(f"SELECT number {_OWED} {fresh}", self.reporter, first, end, round(before * 1000))
        span = self.owed(t, first, found[0][0] if found else end)
        if span.frames:
            t.do(f"DELETE {_OWED}", self.reporter, span.first, span.end)
        return span

    def forget(self, t: Transaction, state: str, cursor: int, before: float) -> None:
        """Delete what is kept in this state for the record, up to the first row that was not read before this time."""
        fresh = "AND number < ? AND time_ms >= ? ORDER BY number LIMIT 1"
        found = t.ask(f"SELECT number {_OURS} {fresh}", self.reporter, cursor, round(before * 1000))
        end = found[0][0] if found else cursor
        t.do(f"DELETE {_OURS} AND number < ? AND state = ?", self.reporter, end, state)

    # Putting right

    def clocks(self, t: Transaction, first: int, end: int) -> list[Sequence[Any]]:
        """boot, clock_offset: the clocks of times that are not certain."""
        return t.ask(f"SELECT DISTINCT boot, clock_offset {_OWED} AND provisional = 1", self.reporter, first, end)

    def correct(self, t: Transaction, first: int, end: int, clock: Sequence[Any], shift_s: float) -> None:
        """This clock was wrong by so much."""
        certain = f"{_CHANGE} time_ms = time_ms + ?, provisional = 0"
        of_clock = "AND provisional = 1 AND boot = ? AND clock_offset = ?"
        t.do(f"{certain} {_WHICH} {of_clock}", round(shift_s * 1000), self.reporter, first, end, *clock)

    def _mark(self, t: Transaction, state: str, span: Span, condition: str = "", *parameters: Any) -> None:
        t.do(f"{_CHANGE} state = ? {_WHICH} {condition}", state, self.reporter, span.first, span.end, *parameters)
