"""The lines of a journal: text that a person reads and a program checks.

    <check> <number> <time> <record>            a frame
    <check> = <JSON object>                     a note: whose file it is, or what a node's values are called

    check    CRC-32 of the rest of the line, 8 hexadecimal digits; it starts from the reporter's name and the number
             of the file's first frame, so that a line that strayed in from another file is never taken for one of this
    number   counts the frames of a file, from 0
    time     seconds after the file's base time, to the millisecond; `?` behind it: by a clock that was not set yet
    record   the frame as its reporter's encoder wrote it

A line ends with a newline. One that is damaged is passed over, and costs no other.
"""

from __future__ import annotations

import json
from array import array
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from zlib import crc32

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


_BLANK = ord(" ")


@dataclass(frozen=True, slots=True)
class Line:
    """A frame's line. `offset` is where it starts, in bytes from the start of what was read."""

    number: int
    time: float
    provisional: bool
    record: str
    offset: int


@dataclass(frozen=True, slots=True)
class Note:
    """A note's line."""

    content: dict[str, Any]


def seed(owner: str, first: int) -> int:
    """What the checks of a file start from."""
    return crc32(f"{owner} {first}\n".encode())


def frame_lines(  # noqa: PLR0917 - what a line is made of, in its order
    seed: int,
    number: int,
    base: float,
    records: Iterable[str],
    times: Iterable[float],
    provisional: Iterable[bool],
) -> list[bytes]:
    """The lines of some frames, the first of which has this number; each with its newline."""
    lines = []
    for record, time, uncertain in zip(records, times, provisional, strict=True):
        rest = f"{number} {time - base:.3f}{'?' if uncertain else ''} {record}".encode()
        lines.append(b"%08x %b\n" % (crc32(rest, seed), rest))
        number += 1
    return lines


def note_line(seed: int, content: dict[str, Any]) -> bytes:
    """The line of a note."""
    rest = f"= {json.dumps(content, ensure_ascii=False, separators=(',', ':'))}".encode("utf-8", "replace")
    return b"%08x %b\n" % (crc32(rest, seed), rest)


def index(data: bytes, seed: int, stop: int | None = None) -> tuple[array[int], array[int], list[dict[str, Any]]]:
    """Where the good lines are: the numbers of the frames, in the order in which they are met; the offset of each; the
    notes. Frames from `stop` on are left out.
    """
    numbers, offsets = array("Q"), array("Q")
    notes: list[dict[str, Any]] = []
    find = data.find
    start = 0
    while (end := find(b"\n", start)) >= 0:
        rest = data[start + 9 : end]
        try:
            if rest and data[start + 8] == _BLANK and int(data[start : start + 8], 16) == crc32(rest, seed):
                number = rest[: rest.find(b" ")]
                if number == b"=":
                    notes.append(json.loads(rest[2:]))
                elif stop is None or int(number) < stop:
                    numbers.append(int(number))
                    offsets.append(start)
        except (ValueError, OverflowError):
            pass  # damaged: its check is no number
        start = end + 1
    return numbers, offsets, notes


def without_checks(data: bytes, seed: int) -> bytes:
    """The good lines, but for their checks: for a file that has a check of its own."""
    kept = []
    for line in data.split(b"\n"):
        try:
            if int(line[:8], 16) == crc32(line[9:], seed) and line[8:9] == b" ":
                kept.append(line[9:] + b"\n")
        except ValueError:
            continue
    return b"".join(kept)


def with_checks(data: bytes, seed: int) -> bytes:
    """The same lines with their checks again."""
    lines = data.split(b"\n")
    del lines[-1]
    return b"".join([b"%08x %b\n" % (crc32(line, seed), line) for line in lines])


def frames(lines: list[str], base: float) -> tuple[list[str], list[float], list[bool]]:
    """Records and times of lines that are known to be good; whether each time is provisional, empty when none is."""
    parts = [line.split(" ", 3) for line in lines]
    try:
        return [part[3] for part in parts], [round(base + float(part[2]), 3) for part in parts], []
    except ValueError:  # some are provisional
        times = [round(base + float(part[2].rstrip("?")), 3) for part in parts]
        return [part[3] for part in parts], times, [part[2].endswith("?") for part in parts]


def parse(data: bytes, seed: int, base: float) -> Iterator[Line | Note]:
    """Every good line. What has no newline behind it is an unfinished line, and no good one."""
    offset = 0
    lines = data.split(b"\n")
    del lines[-1]
    for line in lines:
        found = _parse_line(line, seed, base, offset)
        offset += len(line) + 1
        if found is not None:
            yield found


def _parse_line(line: bytes, seed: int, base: float, offset: int) -> Line | Note | None:
    check, _, rest = line.partition(b" ")
    try:
        if len(check) != 8 or int(check, 16) != crc32(rest, seed):
            return None
        number, _, rest = rest.partition(b" ")
        if number == b"=":
            return Note(json.loads(rest))
        time, _, record = rest.partition(b" ")
        provisional = time.endswith(b"?")
        since = float(time[:-1] if provisional else time)
        return Line(int(number), round(base + since, 3), provisional, record.decode(), offset)
    except ValueError:
        return None
