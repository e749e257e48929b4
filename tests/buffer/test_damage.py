"""Files that were damaged: the buffer always opens, loses no more than what the damage touched, and invents nothing."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from emonhub.buffer.lines import Line, parse, seed
from emonhub.buffer.segments import named
from emonhub.buffer.store import Chunk
from tests.fakes.virtual import run_virtual
from tests.faults.buffers import FOLDER, START, Books, FakeWorld, drain, journal, stored
from tests.faults.disk import SimulatedDisk, _File

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

FRAMES = 300
ACKNOWLEDGED = 20
Files = dict[str, bytes]


def record(number: int) -> str:
    return f"{10 + number % 4},{number},{number * 7919 % 4099},-{number % 97},é"


def time(number: int) -> float:
    return round(START + number * 2.5 + number % 8 / 1000, 3)


async def image(owner: str = "house", *, sealed: bool = True) -> Files:
    """A journal's files: some segments, a part of the first one acknowledged."""
    world = FakeWorld()
    made = journal(world, segment_bytes=2000)
    made._files.owner = owner
    made.open()
    for first in range(0, FRAMES, 5):
        numbers = range(first, first + 5)
        made.write(Chunk(first, [record(n) for n in numbers], [time(n) for n in numbers]), 0)
    made.trim(ACKNOWLEDGED)
    if sealed:
        made.close()
    return {path.name: bytes(file.data) for path, file in world.disk.files.items()}


def disk_with(files: Files) -> SimulatedDisk:
    disk = SimulatedDisk()
    disk.make_folder(FOLDER)
    disk.files = {FOLDER / name: _File(data, bytearray(data)) for name, data in files.items()}
    return disk


@dataclass
class Outcome:
    numbers: list[int]
    books: Books


async def deliver(files: Files) -> Outcome:
    """All that comes out of these files, and is right: what is not the very frame that was stored fails."""
    books = Books()
    buffer = await stored(FakeWorld(disk_with(files)), books, segment_bytes=2000)
    numbers = []
    while batch := await buffer.fetch(17):
        for text, when in zip(batch.records, batch.times, strict=True):
            number = int(text.split(",")[1])
            assert (text, when) == (record(number), time(number)), "a false frame"
            numbers.append(number)
        books.acknowledged += buffer.remove(batch.end)
    assert numbers == sorted(set(numbers)), "not in order, or twice"
    assert books.taken == books.acknowledged + books.lost
    assert buffer.frames == 0
    buffer.append(["new"], [START], 3)
    assert await drain(buffer) == ["new"]
    await buffer.close()
    return Outcome(numbers, books)


def inside(name: str, data: bytes, start: int, end: int) -> set[int]:
    """The frames whose lines a span of a file touches."""
    segment = named(name)
    if segment is None:
        return set()
    found = set()
    for line in parse(data, seed("house", segment.first), segment.base):
        if isinstance(line, Line) and line.offset <= end and data.index(b"\n", line.offset) >= start:
            found.add(segment.first + line.number)
    return found


# --- one damage each: the files after it, and the frames that it may cost ---


def flip(files: Files, name: str, chance: random.Random) -> set[int]:
    data = bytearray(files[name])
    place = chance.randrange(len(data))
    touched = inside(name, files[name], place - 1, place + 1)
    data[place] ^= 1 << chance.randrange(8)
    files[name] = bytes(data)
    return touched


def _span(files: Files, name: str, chance: random.Random) -> tuple[int, int, set[int]]:
    size = chance.choice([1, 16, 64, 512, 3000])
    start = chance.randrange(len(files[name]))
    return start, start + size, inside(name, files[name], start - 1, start + size + 1)


def zeros(files: Files, name: str, chance: random.Random) -> set[int]:
    start, end, touched = _span(files, name, chance)
    data = files[name]
    files[name] = (data[:start] + b"\0" * (end - start) + data[end:])[: len(data)]
    return touched


def missing(files: Files, name: str, chance: random.Random) -> set[int]:
    start, end, touched = _span(files, name, chance)
    files[name] = files[name][:start] + files[name][end:]
    return touched


def rubbish(files: Files, name: str, chance: random.Random) -> set[int]:
    start, end, touched = _span(files, name, chance)
    files[name] = files[name][:start] + chance.randbytes(end - start) + files[name][end:]
    return touched


def inserted(files: Files, name: str, chance: random.Random) -> set[int]:
    start, end, touched = _span(files, name, chance)
    files[name] = files[name][:start] + chance.randbytes(end - start) + files[name][start:]
    return touched if len(touched) < 3 else inside(name, files[name], start - 1, start + 1) | touched


def cut(files: Files, name: str, chance: random.Random) -> set[int]:
    start = chance.randrange(len(files[name]))
    touched = inside(name, files[name], start, len(files[name]))
    files[name] = files[name][:start]
    return touched


def tail(files: Files, name: str, chance: random.Random) -> set[int]:
    files[name] += chance.choice([b"\0" * 4096, b"\n" * 50, files[name][-200:], chance.randbytes(300)])
    return set()


def shuffled(files: Files, name: str, chance: random.Random) -> set[int]:
    """An editor that sorts, or a person who pastes at the wrong place."""
    lines = files[name].splitlines(keepends=True)
    chance.shuffle(lines)
    files[name] = b"".join(lines)
    return set()


def doubled(files: Files, name: str, chance: random.Random) -> set[int]:
    lines = files[name].splitlines(keepends=True)
    lines.insert(chance.randrange(len(lines)), chance.choice(lines))
    files[name] = b"".join(lines)
    return set()


def exchanged(files: Files, name: str, chance: random.Random) -> set[int]:
    """The contents of two files in each other's place."""
    other = chance.choice(sorted(files))
    both = {name, other}
    touched = set() if len(both) == 1 else set().union(*(inside(n, files[n], 0, 1 << 30) for n in both))
    files[name], files[other] = files[other], files[name]
    return touched


def deleted(files: Files, name: str, chance: random.Random) -> set[int]:
    return inside(name, files.pop(name), 0, 1 << 30)


def foreign(files: Files, name: str, chance: random.Random) -> set[int]:
    """A file of another reporter strays in, under a name that overlaps what is there."""
    strange = chance.choice([n for n in FOREIGN if n.endswith(".log")])
    first = chance.randrange(FRAMES)
    files[f"{first:012d}-{first + 60:012d}-60-{int(START)}.log"] = FOREIGN[strange]
    return set()


def renamed(files: Files, name: str, chance: random.Random) -> set[int]:
    touched = inside(name, files[name], 0, 1 << 30)
    files[f"copy of {name}"] = files.pop(name)
    return touched


def unknown(files: Files, name: str, chance: random.Random) -> set[int]:
    files[chance.choice(["lost+found", ".log", "x.log.new", "-open-1.log", "1-open-1.log"])] = chance.randbytes(100)
    return set()


DAMAGES: list[Callable[[Files, str, random.Random], set[int]]] = [
    flip, flip, zeros, missing, rubbish, inserted, cut, tail, shuffled, doubled, exchanged, deleted, foreign, renamed,
    unknown,
]  # fmt: skip

SEALED: Files = run_virtual(image)
OPEN: Files = run_virtual(lambda: image(sealed=False))
FOREIGN: Files = run_virtual(lambda: image("another"))


async def check(count: int, first_seed: int = 0) -> tuple[int, int]:
    """So many damages. Returns how many frames they touched, and how many were lost."""
    touched_in_all = lost_in_all = 0
    for seed_ in range(first_seed, first_seed + count):
        chance = random.Random(seed_)
        sealed = chance.random() < 0.5
        files = dict(SEALED if sealed else OPEN)
        damage = chance.choice(DAMAGES)
        name = chance.choice(sorted(files))
        was_cursor = name == "cursor"
        touched = damage(files, name, chance)
        told = f"damage {seed_}: {damage.__name__} of {name}"
        try:
            outcome = await deliver(files)
        except Exception as error:
            raise AssertionError(told) from error
        wanted = set(range(ACKNOWLEDGED, FRAMES))
        lost = wanted - set(outcome.numbers)
        # Of a file that was not there when the journal was opened nobody can know, nor what an open one had at its end.
        assert len(lost - touched) <= 1, f"{told}: lost {sorted(lost)}, touched {sorted(touched)}"
        if not was_cursor and damage is not exchanged:
            assert min(outcome.numbers, default=ACKNOWLEDGED) >= ACKNOWLEDGED, told
        if damage not in {deleted, renamed, foreign} and "-open-" not in name and (damage is not exchanged or sealed):
            assert outcome.books.lost >= len(lost), f"{told}: {len(lost)} lost, {outcome.books.dropped}"
        if damage not in {foreign, exchanged}:
            assert outcome.books.lost <= len(lost), f"{told}: {len(lost)} lost, {outcome.books.dropped}"
        touched_in_all += len(touched & wanted)
        lost_in_all += len(lost)
    return touched_in_all, lost_in_all


def test_damages_cost_no_more_than_they_touch() -> None:
    touched, lost = run_virtual(lambda: check(600))
    assert 0 < lost <= touched


@pytest.mark.full
@pytest.mark.timeout(3600)
def test_ten_thousand_damages() -> None:
    touched, lost = run_virtual(lambda: check(10_000, 1000))
    assert 0 < lost <= touched


@pytest.mark.parametrize("files", [SEALED, OPEN], ids=["sealed", "open"])
def test_cut_off_at_any_byte(files: Files) -> None:
    async def go() -> None:
        name = max(n for n in files if n.endswith(".log"))
        data = files[name]
        start = data.rstrip(b"\n").rfind(b"\n", 0, data.rfind(b"\n", 0, data.rfind(b"\n", 0, len(data) - 1)))
        for size in range(start, len(data)):
            outcome = await deliver({**files, name: data[:size]})
            whole = FRAMES - 4 + data[start:size].count(b"\n")
            assert outcome.numbers == list(range(ACKNOWLEDGED, whole)), size

    run_virtual(go)


def test_a_cursor_cut_off_at_any_byte_only_repeats() -> None:
    async def go() -> None:
        for size in range(len(SEALED["cursor"])):
            outcome = await deliver({**SEALED, "cursor": SEALED["cursor"][:size]})
            assert outcome.numbers[-FRAMES + ACKNOWLEDGED :] == list(range(ACKNOWLEDGED, FRAMES))

    run_virtual(go)


def test_damage_in_a_part_that_is_done_with_is_no_loss() -> None:
    async def go() -> None:
        name = min(n for n in SEALED if n.endswith(".log"))
        data = bytearray(SEALED[name])
        at = data.index(b"\n", 200)
        data[at - 3 : at + 60] = b"x" * 63
        outcome = await deliver({**SEALED, name: bytes(data)})
        assert outcome.numbers == list(range(ACKNOWLEDGED, FRAMES))
        assert not outcome.books.dropped

    run_virtual(go)


def test_a_damaged_file_is_kept_for_a_look(tmp_path: Path) -> None:
    async def go() -> None:
        name = sorted(n for n in SEALED if n.endswith(".log"))[2]
        data = bytearray(SEALED[name])
        data[500] ^= 1
        disk = disk_with({**SEALED, name: bytes(data)})
        books = Books()
        buffer = await stored(FakeWorld(disk), books)
        await drain(buffer)
        await buffer.close()
        assert disk.read(FOLDER / "quarantine" / name) == data
        assert [(d.frames, d.reason) for d in books.dropped] == [(1, "damaged on disk")]
        assert START < books.dropped[0].first_time < books.dropped[0].last_time

    run_virtual(go)


def test_what_was_written_for_another_target_is_not_sent() -> None:
    async def go() -> None:
        world = FakeWorld(disk_with(SEALED))
        books = Books()
        buffer = await stored(world, books)
        buffer.store._files.form = "another form"  # type: ignore[attr-defined]
        assert await drain(buffer) == []
        assert books.lost == books.taken
        assert {dropped.reason for dropped in books.dropped} == {"written for another target"}

    run_virtual(go)
