"""`emonhub buffer import`: frames from a file into a reporter's inbox."""

from __future__ import annotations

import lzma
import sys
from itertools import islice
from typing import TYPE_CHECKING

from emonhub.archive.csvform import Row, RowError, Rows
from emonhub.archive.journalform import Lines, looks_so, text_of
from emonhub.archive.survey import holder
from emonhub.cli import EXIT_BAD_FILE
from emonhub.cli.place import CommandError, Place, become_owner
from emonhub.cli.progress import Progress, count
from emonhub.clock import Clock
from emonhub.errors import FrameError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from emonhub.cargo import Layout
    from emonhub.cli.place import ReadBack
    from emonhub.reporter import Encoder, Reporter

_FILE_FRAMES = 5000
"""Frames in one file of the inbox: what the hub takes in at once, and does not notice."""

_SHOWN = 10
"""Errors that are printed: who has more has the wrong file."""


def main(place: Place, arguments: argparse.Namespace) -> int:
    """Check the whole file, then lay its frames in. Returns the exit status."""
    name, path = arguments.name, arguments.file
    place.expect_folder(name)
    reporter = place.reporters.get(name)
    if reporter is None:
        raise CommandError(f"{name} can't be made from this configuration, so nothing tells how it writes frames")
    source = _Source(path, reporter, place.read_back(name), arguments)
    with source:
        progress = Progress(lambda: f"{source.good} lines checked")
        for _ in source.frames():
            progress.step()
        progress.clear()
        source.report()
        if arguments.dry_run:
            return 0
        become_owner(place.state)
        folder = place.folder(name)
        frames = source.frames()
        while run := list(islice(frames, _FILE_FRAMES)):
            folder.lay_in(run)
    when = "the hub takes them in within a second" if holder(folder.path / "hub.lock") else "taken in once a hub runs"
    print(f"{count(source.good, 'frame')} laid into the inbox of {name}: {when}")
    return 0


class _Source:
    """A file of frames, read twice: to check it, and to use it."""

    def __init__(self, path: Path, reporter: Reporter, read_back: ReadBack, arguments: argparse.Namespace) -> None:
        self.good = 0
        self._path = path
        self._reporter = reporter
        self._read_back = read_back
        self._arguments = arguments
        self._encoders: dict[Layout, Encoder] = {}
        self._errors: list[str] = []
        self._bad = 0
        self._notes: list[str] = []
        self._first = self._last = 0.0

    def __enter__(self) -> None:
        try:
            if self._path.suffix == ".xz":
                first = text_of(self._path, "").partition("\n")[0]
                self._file = None
            else:
                self._file = open(self._path, encoding="utf-8-sig", errors="replace", newline="")
                first = self._file.readline(1 << 16).rstrip("\r\n")
        except lzma.LZMAError as error:
            raise CommandError(f"{self._path} can't be unpacked: {error}", EXIT_BAD_FILE) from error
        self._is_journal = looks_so(first)

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()

    def frames(self) -> Iterator[tuple[float, str]]:
        """Time and record of every row, in the reporter's own form."""
        self.good = self._bad = 0
        self._errors.clear()
        for row in self._rows():
            try:
                record = row.record or self._written(row)
            except FrameError as error:
                self._note(RowError(row.line, str(error)))
                continue
            if row.record and self._read_back.can and self._read_back(record, row.time, {}) is None:
                self._note(RowError(row.line, f"{self._reporter.name} writes no such record: {record[:80]}"))
                continue
            self._first = min(self._first, row.time) if self.good else row.time
            self._last = max(self._last, row.time)
            self.good += 1
            yield row.time, record

    def report(self) -> None:
        """Say what the file holds. Raises CommandError when anything is wrong with it."""
        for note in self._notes:
            print(f"{self._path}: {note}")
        if self._bad:
            for text in self._errors:
                print(f"{self._path}: {text}", file=sys.stderr)
            if self._bad > len(self._errors):
                print(f"{self._path}: and {self._bad - len(self._errors)} more like these", file=sys.stderr)
            raise CommandError(
                f"nothing is taken in: {count(self._bad, 'line')} can't be used. Mend or delete them, and try again",
                EXIT_BAD_FILE,
            )
        if not self.good:
            raise CommandError(f"{self._path} has no frames that are to be taken in", EXIT_BAD_FILE)
        span = f"read from {Clock.text(self._first)} to {Clock.text(self._last)}"
        print(f"{self._path}: {count(self.good, 'good frame')}, {span}")

    def _rows(self) -> Iterable[Row]:
        if self._is_journal:
            lines = Lines(self._path, self._reporter.name, self._note, self._arguments.base, self._arguments.edited)
            yield from lines
            self._notes = [f"{count(lines.edited, 'line')} edited by hand"] if lines.edited else []
            return
        assert self._file is not None
        self._file.seek(0)
        try:
            rows = Rows(self._file, self._note)
        except RowError as error:
            self._note(error)
            return
        yield from rows
        self._notes = ["time and unix are of different time zones: unix counts"] if rows.zones else []

    def _written(self, row: Row) -> str:
        assert row.cargo is not None
        layout = row.cargo.layout
        if layout not in self._encoders:
            self._encoders[layout] = self._reporter.encoder(layout)
        return self._encoders[layout](row.cargo)

    def _note(self, error: RowError) -> None:
        self._bad += 1
        if len(self._errors) < _SHOWN:
            self._errors.append(str(error))
