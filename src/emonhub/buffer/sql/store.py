"""The store of a reporter's frames in a database: a row a frame, in one table for all reporters.

emonhub_buffer
    reporter, number    whose it is, and its place in the order
    time_ms, time       when it was read: Unix milliseconds; the same in UTC, for people
    record              the frame in the form in which it is sent
    provisional         1 = the time is by a clock that was not set yet
    boot, clock_offset  which clock that was, for putting it right
    form                the form's name
    state               waiting, delivered (kept for the record), or set aside (written for another target)
emonhub_nodes
    reporter, node      whose node
    number              from which frame on this holds
    note                what its values are called, JSON
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from math import isinf
from typing import TYPE_CHECKING, Any

from emonhub.buffer.sql.address import Address
from emonhub.buffer.sql.database import database
from emonhub.buffer.sql.rows import ROW_BYTES, Rows, Span
from emonhub.buffer.store import Chunk, Lost, Opened, Store
from emonhub.errors import SettingError

if TYPE_CHECKING:
    from emonhub.buffer.sql.database import Transaction
    from emonhub.clock import Clock

_LONGEST_NAME = 190
"""Characters: the longest that all databases take in a key."""

_SET_ASIDE_S = 30 * 86400.0
"""For people to look at, or to turn the reporter back into what it was."""


@dataclass(slots=True)
class _Half:
    """What a call lets go of, while nobody knows yet whether it does: all before `cursor`, and these."""

    cursor: int = 0
    spans: list[Span] = field(default_factory=list)
    lost: list[Lost] = field(default_factory=list)

    @property
    def frames(self) -> int:
        return sum(span.frames for span in self.spans)


class SqlStore(Store):
    """One reporter's frames in a database.

    url         see `address`
    max_bytes   owed frames take no more; the oldest go
    max_age_s   frames older than this are let go; 0 = never
    keep_s      delivered frames are kept for so long; 0 = not
    """

    def __init__(
        self,
        url: str,
        reporter: str,
        *,
        clock: Clock,
        form: str = "",
        max_bytes: int = 1 << 30,
        max_age_s: float = 0.0,
        keep_s: float = 0.0,
    ) -> None:
        if len(reporter) > _LONGEST_NAME:
            raise SettingError(f"the name of a reporter that uses a database has {_LONGEST_NAME} characters at most")
        self.url = url
        self.address = Address.parse(url)
        self.max_bytes = max_bytes
        self.max_age_s = max_age_s
        self.keep_s = keep_s
        self._clock = clock
        self._form = form
        self._database = database(self.address)
        self._rows = Rows(reporter, self._database.octets)
        self._known = 0  # the connection on which all of this was found or made
        self._owed = Span()
        self._doubtful = True  # there may be times by a clock that was not set yet
        self._half = _Half()
        self._lost: list[Lost] = []  # found, and not told yet
        self._notes: dict[str, str] = {}
        self._unwritten: set[str] = set()

    # What a buffer calls

    def open(self, cursor: int = 0) -> Opened:
        def work(t: Transaction) -> tuple[Span, Span]:
            first, end = self._rows.bounds(t)
            first, end = max(first, cursor), max(end, first, cursor)
            foreign = self._rows.set_aside(t, first, end, self._form)
            self._rows.done(t, 0, first, keep=bool(self.keep_s))
            owed = self._rows.owed(t, first, end)
            owed.first, owed.end = owed.first if owed.frames else end, end
            return owed, foreign

        self._owed, foreign = self._database.run(work)
        owed = self._owed
        self._known = self._database.connections
        self._doubtful = True
        self._lost = []
        self._unwritten = set(self._notes)
        lost = foreign.lost("written for another target")
        between = Lost(owed.first, owed.first, lost.frames, lost.reason, lost.first_time, lost.last_time)
        oldest = owed.first_time if owed.frames else None
        return Opened(owed.first, owed.end, owed.frames, oldest, (between,) if foreign.frames else ())

    def write(self, chunk: Chunk, cursor: int) -> list[Lost]:
        rows = self._written(chunk, cursor)
        new = _span_of([row for row in rows if row[0] >= cursor])

        def work(t: Transaction) -> None:
            self._look_again(t, cursor)
            done = self._rows.done(t, self._owed.first, cursor, keep=bool(self.keep_s))
            excess = self._owed.bytes - done.bytes + new.bytes - self.max_bytes
            dropped = self._rows.drop_oldest(t, cursor, self._owed.end, excess)
            self._rows.add(t, rows)
            for node in self._unwritten:
                self._rows.note(t, node, chunk.first, self._notes[node])
            self._half = _Half(cursor, [done, *dropped], [span.lost("buffer full") for span in dropped])

        self._database.run(work)
        self._unwritten.clear()
        self._doubtful = self._doubtful or bool(chunk.provisional)
        self._let_go()
        self._owed.end = chunk.end
        self._owed.frames += new.frames
        self._owed.bytes += new.bytes
        self._owed.first_time = self._owed.first_time or new.first_time
        self._owed.last_time = max(self._owed.last_time, new.last_time)
        return self._told()

    def read(self, number: int, limit: int) -> Chunk:
        def work(t: Transaction) -> list[Any]:
            self._look_again(t, self._owed.first)
            return self._rows.read(t, number, self._owed.end, limit)

        found = self._database.run(work)
        chunk = Chunk(found[0][0] if found else number, lost=self._told())
        provisional = []
        for its_number, time_ms, record, uncertain, boot, offset in found:
            if its_number != chunk.end:
                break
            shift = self._clock.correction({"boot": boot, "offset": offset}) if uncertain else None
            chunk.times.append(round(time_ms / 1000 + (shift or 0.0), 3))
            chunk.records.append(record)
            provisional.append(bool(uncertain) and shift is None)
        if any(provisional):
            chunk.provisional = provisional
        return chunk

    def trim(self, cursor: int) -> list[Lost]:
        now = self._clock.time()

        def work(t: Transaction) -> None:
            self._look_again(t, cursor)
            done = self._rows.done(t, self._owed.first, cursor, keep=bool(self.keep_s))
            old = Span()
            if self._clock.trusted:
                if self._doubtful:
                    self._put_right(t, cursor)
                self._forget(t, cursor, now)
                if self.max_age_s:
                    old = self._rows.drop_old(t, cursor, self._owed.end, now - self.max_age_s)
            self._half = _Half(cursor, [done, old], [old.lost("too old")] if old.frames else [])

        self._database.run(work)
        self._doubtful = self._doubtful and not self._clock.trusted
        self._let_go()
        return self._told()

    def describe(self, node: str, note: dict[str, Any]) -> None:
        node, text = _storable(node)[:_LONGEST_NAME], _storable(json.dumps(note, ensure_ascii=False))
        if self._notes.get(node) != text:
            self._notes[node] = text
            self._unwritten.add(node)  # goes with the next frames

    def close(self) -> None:
        self._database.close()

    @property
    def held(self) -> int:
        return self._owed.bytes

    # Within

    def _look_again(self, t: Transaction, cursor: int) -> None:
        """After a connection has broken: what its last write left half known, and what is gone since then."""
        if self._known == self._database.connections:
            return
        owed = self._owed
        self._rows.cut(t, owed.end)
        found = self._rows.owed(t, owed.first, owed.end)
        missing = owed.frames - found.frames
        if missing >= self._half.frames:  # it broke after its last word
            missing -= self._half.frames
            self._let_go()
        self._half = _Half()
        if missing > 0:
            # Where all are gone, none is between the two ends; else nobody knows which ones.
            first, end = (cursor, cursor) if found.frames else (owed.first, owed.end)
            self._lost.append(Lost(first, end, missing, "gone from the database", owed.first_time, owed.last_time))
            self._unwritten = set(self._notes)
        owed.frames, owed.bytes = found.frames, found.bytes
        self._known = self._database.connections

    def _let_go(self) -> None:
        """What the last call let go of is gone."""
        half, self._half = self._half, _Half()
        self._owed.first = max(self._owed.first, half.cursor)
        self._owed.end = max(self._owed.end, half.cursor)
        for span in half.spans:
            self._owed.frames -= span.frames
            self._owed.bytes -= span.bytes
        if not self._owed.frames:
            self._owed.first_time = 0.0
        self._lost += half.lost

    def _told(self) -> list[Lost]:
        found, self._lost = self._lost, []
        return found

    def _written(self, chunk: Chunk, cursor: int) -> list[tuple[Any, ...]]:
        """The rows of a chunk."""
        stamp = chunk.stamp or self._clock.stamp()
        uncertain = chunk.provisional or [False] * len(chunk.records)
        rows: list[tuple[Any, ...]] = []
        frames = zip(chunk.records, chunk.times, uncertain, strict=True)
        for number, (record, time, provisional) in enumerate(frames, chunk.first):
            if number >= cursor or self.keep_s:
                clock = (1, stamp["boot"], stamp["offset"]) if provisional else (0, None, None)
                state = "waiting" if number >= cursor else "delivered"
                rows.append((number, round(time * 1000), _storable(record), *clock, self._form, state))
        return rows

    def _put_right(self, t: Transaction, cursor: int) -> None:
        """Correct times by a clock that was not set, where it is known by now how wrong it was."""
        for boot, offset in self._rows.clocks(t, cursor, self._owed.end):
            shift = self._clock.correction({"boot": boot, "offset": offset})
            if shift is not None:  # else it never will be
                self._rows.correct(t, cursor, self._owed.end, (boot, offset), shift)

    def _forget(self, t: Transaction, cursor: int, now: float) -> None:
        if self.keep_s and not isinf(self.keep_s):
            self._rows.forget(t, "delivered", cursor, now - self.keep_s)
        self._rows.forget(t, "set aside", cursor, now - _SET_ASIDE_S)


def _span_of(rows: list[tuple[Any, ...]]) -> Span:
    if not rows:
        return Span()
    size = sum(len(row[2].encode()) + ROW_BYTES for row in rows)
    return Span(rows[0][0], rows[-1][0] + 1, len(rows), size, rows[0][1] / 1000, rows[-1][1] / 1000)


def _storable(text: str) -> str:
    """A text without what a database refuses: a frame that can't be written would keep all others from being so."""
    return text.encode("utf-8", "replace").decode().replace("\0", "\N{REPLACEMENT CHARACTER}")
