"""Lines of a journal or of an inbox, as a person has edited or cut them out, read for taking them in again."""

from __future__ import annotations

import lzma
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from zlib import crc32

from emonhub.archive.csvform import Row, RowError
from emonhub.buffer.lines import seed, with_checks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_JOURNAL = re.compile(r"([0-9a-fA-F]{8}) (=|\d+) (.*)")
_TIME = re.compile(r"(-?\d+(?:\.\d+)?)\?? (.+)")
_PLAIN = re.compile(r"(\d{9,11}(?:\.\d+)?) (.+)")
_BEGINNING = 200
"""Bytes by which a line shows whether it has a check."""

_NAME = re.compile(r"(\d{12,})-(?:open|\d{12,}-\d+)-(\d{9,11})\.log")


def looks_so(first_line: str) -> bool:
    """Whether a file that begins so is one of these."""
    return bool(_JOURNAL.fullmatch(first_line) or _PLAIN.fullmatch(first_line))


def text_of(path: Path, owner: str) -> str:
    """A file's text, unpacked where it is packed, and with the checks that packed lines go without. Raises OSError,
    lzma.LZMAError.
    """
    data = path.read_bytes()
    if path.suffix == ".xz":
        name = _NAME.search(path.name)
        data = lzma.decompress(data)
        if not _JOURNAL.match(data[:_BEGINNING].decode("utf-8", "replace")):  # not packed by hand, then
            data = with_checks(data, seed(owner, int(name[1]) if name else 0))
    return data.decode("utf-8", "replace")


@dataclass(slots=True)
class Lines:
    """Reads them back.

    base    what their times count from, Unix seconds; None: as the file's name says
    edited  only the lines whose check does not fit what stands behind it
    count   of those, so far
    """

    path: Path
    owner: str
    errors: Callable[[RowError], None]
    base: float | None = None
    only_edited: bool = False
    edited: int = 0

    def __iter__(self) -> Iterator[Row]:
        name = _NAME.search(Path(self.path).name)
        base = self.base if self.base is not None else float(name[2]) if name else None
        start = seed(self.owner, int(name[1])) if name else None
        for number, line in enumerate(text_of(self.path, self.owner).split("\n"), 1):
            try:
                found = self._row(number, line.rstrip("\r"), base, start)
            except RowError as error:
                self.errors(error)
                continue
            if found is not None:
                yield found

    def _row(self, number: int, line: str, base: float | None, start: int | None) -> Row | None:
        if not line.strip():
            return None
        journal = _JOURNAL.fullmatch(line)
        if journal is None:
            if plain := _PLAIN.fullmatch(line):
                return Row(number, round(float(plain[1]), 3), None, plain[2])
            raise RowError(number, "is no line of a journal: <check> <number> <time> <record>, or <Unix time> <record>")
        if journal[2] == "=":
            return None
        check, rest = line[:8], line[9:]
        as_it_was = start is not None and check.lower() == f"{crc32(rest.encode(), start):08x}"
        self.edited += start is not None and not as_it_was
        if self.only_edited and as_it_was:
            return None
        timed = _TIME.fullmatch(journal[3])
        if timed is None:
            raise RowError(number, "has no time and record after its number")
        if base is None:
            raise RowError(
                number, f"its time counts from what the file's name tells, and {self.path.name} does not: add --base"
            )
        return Row(number, round(base + float(timed[1]), 3), None, timed[2])
