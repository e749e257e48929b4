"""The same for a reporter that keeps its frames in a database."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from zlib import crc32

from emonhub.archive.record import OF_ANOTHER_COUNT, Frame, Part, Progress, Record, by_node, front_folder
from emonhub.buffer.sql.address import Address
from emonhub.buffer.sql.database import BUFFER, NODES, database
from emonhub.buffer.sql.rows import ROW_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from emonhub.buffer.sql.database import Transaction

_PAGE = 5000
"""Rows that are asked for at a time."""

# Our own names only: what users give comes in as parameters.
_OURS = f"FROM {BUFFER} WHERE reporter = ? AND state <> 'set aside'"
_COLUMNS = "number, time_ms, record, provisional, boot, clock_offset, form, state"
_COUNT = f"SELECT COUNT(*) {_OURS}"
_NEXT = f"SELECT {_COLUMNS} {_OURS} AND number > ? ORDER BY number LIMIT ?"
_LAST = f"SELECT MAX(number) {_OURS}"
_SAID = f"SELECT number, note FROM {NODES} WHERE reporter = ? ORDER BY number"  # noqa: S608
_SUMS = "COUNT(*), SUM({octets}), MIN(time_ms), MAX(time_ms)"


@dataclass(slots=True)
class SqlRecord(Record):
    """What `owner` has in the database with this URL."""

    url: str = ""

    @property
    def front_folder(self) -> Path:
        return front_folder(self.folder, f"-{crc32(self.url.encode()):08x}")

    def frames(self, part: Part = "all", progress: Progress | None = None) -> Iterator[Frame]:
        front = self._front()
        cursor = front.cursor if front.cursor < OF_ANOTHER_COUNT else 0
        base = database(Address.parse(self.url))
        try:
            if progress is not None:
                progress.total = int(base.run(lambda t: t.ask(_COUNT, self.owner))[0][0])
            said = base.run(lambda t: t.ask(_SAID, self.owner))
            notes = by_node(self.known)
            form, number = self.form, -1
            while rows := base.run(lambda t, after=number: self._page(t, after)):  # type: ignore[misc]
                for row in rows:
                    number = int(row[0])
                    form = row[6]
                    while said and said[0][0] <= number:
                        notes = {**notes, **by_node([json.loads(said.pop(0)[1])])}
                    delivered = row[7] == "delivered" or number < cursor
                    if part == "all" or delivered == (part == "delivered"):
                        yield Frame(number, self._time(row), row[2], delivered, form, notes)
                if progress is not None:
                    progress.done += len(rows)
        finally:
            base.close()
        yield from self._front_frames(front, cursor, part, number + 1, form=form, notes=notes)

    def sums(self) -> tuple[list[float], list[tuple[int, int, float | None, float | None]]]:
        """Times of the owed frames in the front that are not in the database yet; and of what is owed and what is kept
        in the database, each: frames, bytes, the time of the first and of the last.
        """
        front = self._front()
        cursor = front.cursor if front.cursor < OF_ANOTHER_COUNT else 0
        base = database(Address.parse(self.url))
        columns = _SUMS.format(octets=base.octets)
        waiting, done = "state = 'waiting' AND number >= ?", "(state = 'delivered' OR number < ?)"

        def work(t: Transaction) -> tuple[list[Sequence[Any]], int]:
            found = [t.ask(f"SELECT {columns} {_OURS} AND {which}", self.owner, cursor)[0] for which in (waiting, done)]
            last = t.ask(_LAST, self.owner)[0][0]
            return found, -1 if last is None else int(last)

        try:
            rows, last = base.run(work)
        finally:
            base.close()
        sums = [
            (int(count), int(size or 0) + int(count) * ROW_BYTES, _seconds(first), _seconds(newest))
            for count, size, first, newest in rows
        ]
        frames = self._front_frames(front, cursor, "owed", last + 1, form="", notes={})
        return [frame.time for frame in frames], sums

    def _page(self, t: Transaction, after: int) -> list[Sequence[Any]]:
        return t.ask(_NEXT, self.owner, after, _PAGE)

    def _time(self, row: Sequence[Any]) -> float:
        _, time_ms, _, provisional, boot, offset, *_ = row
        shift = self.clock.correction({"boot": boot, "offset": offset}) if provisional else None
        return float(round(time_ms / 1000 + (shift or 0.0), 3))


def _seconds(milliseconds: int | None) -> float | None:
    return None if milliseconds is None else milliseconds / 1000
