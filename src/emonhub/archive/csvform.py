"""Frames as CSV that a spreadsheet opens, and back: a row each, nothing lost.

    time                           unix            node  nodename  rssi  state      record  name1  value1  unit1  …
    2026-11-24T12:00:00.250+00:00  1795521600.250  17    emonTx    -44   delivered          P1     100     W      …

    time, unix   when the frame was read, in local time and as Unix seconds; one of them is enough for the way back
    rssi         empty for none
    state        owed or delivered; not read back
    record       only for a frame that can't be told in columns: as it was written for its target
    name1 …      as many threes as the longest frame needs; an empty value is a missing one; unit1 … only where there
                 are units

Read back, a file may have come out of a spreadsheet: with semicolons or tabs, decimal commas, a byte order mark.
"""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from emonhub.archive.query import sender_of
from emonhub.cargo import Cargo, Layout
from emonhub.errors import SettingError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import TextIO

    from emonhub.archive.query import ReadBack
    from emonhub.archive.record import Frame
    from emonhub.cargo import NodeId, Value

_FIXED = ("time", "unix", "node", "nodename", "rssi", "state", "record")
_VALUE = re.compile(r"value([1-9]\d{0,3})")
_INTEGER = re.compile(r"[+-]?\d+")
_ZONE_S = 900.0
"""Times of day all over the world differ by quarters of an hour."""

_MAX_ZONES_S = 26 * 3600.0
_EARLIEST = 1e8
_LATEST = 1e11


@dataclass(slots=True)
class Width:
    """How many threes of columns frames need, and whether any has a unit."""

    values: int = 1
    units: bool = False
    _seen: set[tuple[str, int, int]] = field(default_factory=set)

    def add(self, frame: Frame, read_back: ReadBack) -> None:
        """Take account of one more frame. Frames that look alike are read back only once."""
        record = frame.record
        like = (sender_of(record), record.count(","), id(frame.notes))
        if like not in self._seen:
            if len(self._seen) > 10_000:
                self._seen.clear()
            self._seen.add(like)
            cargo = read_back(record, frame.time, frame.notes)
            if cargo is not None:
                self.values = max(self.values, len(cargo.values))
                self.units = self.units or any(cargo.layout.units)


def header(width: Width) -> list[str]:
    """The first row."""
    parts = ["name", "value", "unit"] if width.units else ["name", "value"]
    return [*_FIXED, *(f"{part}{i}" for i in range(1, width.values + 1) for part in parts)]


def row(frame: Frame, cargo: Cargo | None, width: Width) -> list[str]:
    """A frame's row; `cargo` is what was read back from it, None when that can't be done."""
    state = "delivered" if frame.delivered else "owed"
    start = [iso(frame.time), f"{frame.time:.3f}"]
    if cargo is None or cargo.target:
        return [*start, sender_of(frame.record).strip('"'), "", "", state, frame.record]
    layout = cargo.layout
    found = [*start, str(layout.node), layout.nodename, str(cargo.rssi or ""), state, ""]
    for index, value in enumerate(cargo.values):
        found += [layout.names[index] if index < len(layout.names) else "", "" if value is None else str(value)]
        if width.units:
            found.append(layout.unit_of(index))
    return found


def iso(time: float) -> str:
    """Local time to the millisecond, with its zone."""
    return datetime.fromtimestamp(time).astimezone().isoformat(timespec="milliseconds")


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a file, read back: a cargo, or a record as it stands."""

    line: int
    time: float
    cargo: Cargo | None
    record: str


class RowError(SettingError):
    """A row can't be used."""

    def __init__(self, line: int, what: str) -> None:
        super().__init__(f"line {line}: {what}")


class Rows:
    """Reads a file back, row by row. Raises RowError at the first thing that is wrong with the header.

    zones   whether a row's time and unix differ as the clocks of two time zones do
    """

    def __init__(self, file: TextIO, errors: Callable[[RowError], None]) -> None:
        self.zones = False
        self._errors = errors
        first = file.readline().lstrip("\ufeff")
        self._delimiter = max(",;\t", key=first.count)
        self._reader = csv.reader(file, delimiter=self._delimiter)
        self._columns = [name.strip().lower() for name in next(csv.reader([first], delimiter=self._delimiter), [])]
        if not {"time", "unix"} & set(self._columns) or not {"node", "record"} & set(self._columns):
            raise RowError(1, "it must name the columns, as an export does: time or unix, node, and name1, value1 …")
        self._at = {name: index for index, name in enumerate(self._columns)}
        self._numbers = sorted(int(found[1]) for name in self._columns if (found := _VALUE.fullmatch(name)))
        self._layouts: dict[tuple[Any, ...], Layout] = {}

    def __iter__(self) -> Iterator[Row]:
        while True:
            try:
                cells = next(self._reader)
            except StopIteration:
                return
            except csv.Error as error:
                self._errors(RowError(self._line, f"it is no CSV: {error}"))
                return
            if any(cell.strip() for cell in cells):
                try:
                    yield self._row([cell.strip() for cell in cells])
                except RowError as error:
                    self._errors(error)

    @property
    def _line(self) -> int:
        return self._reader.line_num + 1

    def _row(self, cells: list[str]) -> Row:
        time = self._time(cells)
        if record := self._cell(cells, "record"):
            return Row(self._line, time, None, record)
        node = self._cell(cells, "node")
        if not node:
            raise RowError(self._line, "node is empty: write the node's id")
        names, values, units = self._triples(cells)
        if all(value is None for value in values):
            raise RowError(self._line, "there is no value: write at least value1")
        nodename = self._cell(cells, "nodename")
        layout = self._layout(int(node) if node.isdecimal() else node, nodename, names, units)
        rssi = self._number(self._cell(cells, "rssi"), "rssi") or 0
        return Row(self._line, time, Cargo(layout, tuple(values), time, int(rssi)), "")

    def _triples(self, cells: list[str]) -> tuple[tuple[str, ...], list[Value], tuple[str, ...]]:
        names, values, units = [], [], []
        for number in self._numbers:
            names.append(self._cell(cells, f"name{number}"))
            units.append(self._cell(cells, f"unit{number}"))
            values.append(self._number(self._cell(cells, f"value{number}"), f"value{number}"))
        # Columns beyond a frame's own are those of longer ones.
        while values and values[-1] is None and not names[-1]:
            del names[-1], values[-1], units[-1]
        while names and not names[-1]:
            del names[-1]
        return tuple(names), values, tuple(units) if any(units) else ()

    def _layout(self, node: NodeId, *meaning: Any) -> Layout:
        key = (node, *meaning)
        if key not in self._layouts:
            if len(self._layouts) > 4096:
                self._layouts.clear()
            self._layouts[key] = Layout(node, *meaning)
        return self._layouts[key]

    def _time(self, cells: list[str]) -> float:
        unix, text = self._number(self._cell(cells, "unix"), "unix"), self._cell(cells, "time")
        told: float | None = None
        if text:
            try:
                told = datetime.fromisoformat(text).timestamp()
            except (ValueError, OverflowError):
                told = None
            if told is None and unix is None:
                raise RowError(self._line, f"time = {text} is no time such as 2026-01-31T12:00:00.000+00:00")
        if unix is None and told is None:
            raise RowError(self._line, "time and unix are both empty: write one of them")
        if unix is not None and not _EARLIEST < unix < _LATEST:
            raise RowError(self._line, f"unix = {self._cell(cells, 'unix')} is no time in Unix seconds")
        if unix is not None and told is not None:
            return self._one_of(float(unix), told)
        return round(float(unix if unix is not None else told or 0.0), 3)

    def _one_of(self, unix: float, told: float) -> float:
        """Of two times the more exact one, where they say the same."""
        apart = abs(unix - told)
        if apart <= 1.0:
            return round(told if unix.is_integer() else unix, 3)
        if apart <= _MAX_ZONES_S and abs(apart - _ZONE_S * round(apart / _ZONE_S)) <= 1.0:
            self.zones = True
            return round(unix, 3)
        raise RowError(self._line, "time and unix say different times: empty the one that is wrong")

    def _cell(self, cells: list[str], column: str) -> str:
        index = self._at.get(column, len(cells))
        return cells[index] if index < len(cells) else ""

    def _number(self, text: str, column: str) -> Value:
        if not text:
            return None
        if self._delimiter != ",":
            text = text.replace(",", ".")
        try:
            value = int(text) if _INTEGER.fullmatch(text) else float(text)
            if value - value == 0:
                return value
        except ValueError:
            pass
        raise RowError(self._line, f"{column} = {text} is no number")


def write(
    frames: Callable[[], Iterable[Frame]],
    read_back: ReadBack,
    file: TextIO,
    step: Callable[[], None],
) -> int:
    """Write what `frames` gives, asked twice: how wide the table gets is known only at the end. Returns the rows.

    `step` is called for each frame read.
    """
    width = Width()
    for frame in frames():
        width.add(frame, read_back)
        step()
    writer = csv.writer(file, lineterminator="\n")
    columns = header(width)
    writer.writerow(columns)
    count = 0
    for frame in frames():
        cells = row(frame, read_back(frame.record, frame.time, frame.notes), width)
        writer.writerow(cells + [""] * (len(columns) - len(cells)))
        count += 1
        step()
    return count
