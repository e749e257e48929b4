"""Whether a reporter's files are whole, and what it costs where they are not."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from itertools import groupby, pairwise
from typing import TYPE_CHECKING
from zlib import crc32

from emonhub.buffer.lines import Line, parse, seed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from emonhub.archive.record import Record, Snapshot
    from emonhub.buffer.segments import Segment

_SLOT = 64
_BLOCK = b"# "
_SHOWN = 8


@dataclass(frozen=True, slots=True)
class Damage:
    """A file that is not whole: what is wrong with it, and how many frames that costs."""

    file: str
    frames: int
    what: str


@dataclass(slots=True)
class Verdict:
    """What was found: files and good frames that were looked at, and what is damaged."""

    files: int = 0
    frames: int = 0
    damages: list[Damage] = field(default_factory=list)

    @property
    def lost(self) -> int:
        """Frames that the damage costs."""
        return sum(damage.frames for damage in self.damages)


def verify(record: Record, step: Callable[[Segment], None] = lambda _segment: None) -> Verdict:
    """Read everything. Raises OSError only where files can't be read at all. `step` is told of each file."""
    verdict = Verdict()
    seen = record.look()
    for segment in seen.segments:
        step(segment)
        verdict.files += 1
        verdict.damages += _journal_file(record, segment, verdict)
    for before, after in pairwise(seen.segments):
        if before.sealed and before.end > after.first:
            verdict.damages.append(Damage(before.name, 0, f"goes on into {after.name}, which counts"))
    verdict.damages += [*_cursor(record), *_front(record, seen, verdict), *_dead_letters(record), *_quarantine(record)]
    return verdict


def _journal_file(record: Record, segment: Segment, verdict: Verdict) -> Iterator[Damage]:
    data = record.read(segment)
    if not data:
        if (record.folder / segment.name).exists():
            what = "can't be unpacked" if segment.packed else "is empty"
            yield Damage(segment.name, segment.count, what)
        return  # else delivered meanwhile
    start = seed(record.owner, segment.first)
    good: set[int] = set()
    bad = []
    *lines, rest = data.split(b"\n")
    for number, line in enumerate(lines, 1):
        found = next(parse(line + b"\n", start, segment.base), None)
        if isinstance(found, Line):
            good.add(found.number)
        elif found is None:
            bad.append(number)
    verdict.frames += len(good)
    cost = max(0, segment.count - len(good)) if segment.sealed else len(bad)
    if bad:
        yield Damage(segment.name, cost, f"{_counted(len(bad), 'bad line')}: {_ranges(bad)}")
    elif cost:
        yield Damage(segment.name, cost, f"has {len(good)} frames, and had {segment.count}")
    elif rest and segment.sealed:
        yield Damage(segment.name, 0, "ends with an unfinished line, which was never counted")


def _cursor(record: Record) -> Iterator[Damage]:
    try:
        data = record.disk.read(record.folder / "cursor")
    except FileNotFoundError:
        return
    for number, slot in enumerate((data[:_SLOT], data[_SLOT : 2 * _SLOT]), 1):
        check, _, rest = slot.rstrip().partition(b" ")
        if slot.strip(b"\0 \n") and check != b"%08x" % crc32(rest):
            yield Damage("cursor", 0, f"slot {number} of 2 is bad: at most, some frames are sent twice")


def _front(record: Record, seen: Snapshot, verdict: Verdict) -> Iterator[Damage]:
    verdict.frames += sum(len(chunk.records) for chunk, _ in seen.front.chunks)
    for path in sorted(record.front_folder.glob("front-*.log")):
        verdict.files += 1
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            continue
        heads = data.count(b"\n" + _BLOCK) + data.startswith(_BLOCK)
        # Read after the chunks: a hub that runs may have added whole blocks meanwhile, and be about to finish one.
        whole = _whole_blocks(data)
        if heads > whole and not data.endswith(b"\n"):
            heads -= 1
        if heads > whole:
            yield Damage(path.name, 0, f"{_counted(heads - whole, 'bad block')} of frames, how many is not known")


def _whole_blocks(data: bytes) -> int:
    count = position = 0
    while (position := data.find(_BLOCK, position)) >= 0:
        head, _, rest = data[position:].partition(b"\n")
        words = head.split()
        position += len(_BLOCK)
        if len(words) == 5 and words[3].isdigit():
            size = int(words[3])
            if len(rest) >= size and b"%08x" % crc32(rest[:size]) == words[1]:
                count += 1
                position += len(head) - len(_BLOCK) + 1 + size
    return count


def _dead_letters(record: Record) -> Iterator[Damage]:
    path = record.folder / "deadletters.jsonl"
    if not path.exists():
        return
    bad = []
    for number, line in enumerate(path.read_text("utf-8", "replace").split("\n"), 1):
        try:
            good = not line or isinstance(json.loads(line), dict)
        except ValueError:
            good = False
        if not good:
            bad.append(number)
    if bad:
        yield Damage(path.name, len(bad), f"{_counted(len(bad), 'bad line')}: {_ranges(bad)}")


def _quarantine(record: Record) -> Iterator[Damage]:
    for path in sorted((record.folder / "quarantine").glob("*")):
        yield Damage(f"quarantine/{path.name}", 0, "was set aside as damaged; its loss is counted already")


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _ranges(numbers: list[int]) -> str:
    """Line numbers for people: 3, 7-9."""
    runs = [[n for _, n in run] for _, run in groupby(enumerate(numbers), lambda pair: pair[1] - pair[0])]
    texts = [f"{run[0]}" if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs]
    return ", ".join(texts[:_SHOWN]) + (" …" if len(texts) > _SHOWN else "")
