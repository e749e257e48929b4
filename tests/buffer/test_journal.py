"""What the journal lets go of, and when; what it keeps for the record; and the text that it writes."""

from __future__ import annotations

import asyncio
import itertools
import lzma
import shutil
import subprocess
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from emonhub.buffer.disk import Disk
from emonhub.buffer.journal import Journal
from emonhub.buffer.spilling import Policy
from emonhub.buffer.store import Chunk
from emonhub.clock import Clock
from tests.fakes.virtual import run_virtual
from tests.faults.buffers import FOLDER, START, Books, FakeClock, FakeWorld, drain, journal, stored

if TYPE_CHECKING:
    from pathlib import Path

    from emonhub.buffer.stored import StoredBuffer

AT_ONCE = Policy(0.0, 0.0)


def chunk(first: int, count: int, senders: int = 4, step_s: float = 10.0) -> Chunk:
    numbers = range(first, first + count)
    return Chunk(
        first, [f"{10 + n % senders},{n},231.5,0,1834.2,-71" for n in numbers], [START + n * step_s for n in numbers]
    )


async def fill(buffer: StoredBuffer, books: Books, frames: int, at_once: int = 100) -> None:
    for first in range(books.taken, books.taken + frames, at_once):
        made = chunk(first, at_once)
        buffer.append(made.records, made.times, sum(map(len, made.records)))
        books.taken += at_once
        buffer.spill()
        await asyncio.sleep(0.1)


def number(record: str) -> int:
    return int(record.split(",")[1])


def conserved(buffer: StoredBuffer, books: Books) -> bool:
    return books.taken == books.acknowledged + buffer.frames + books.lost


def sizes(world: FakeWorld) -> dict[str, int]:
    return {path.name: len(f.data) for path, f in world.disk.files.items() if ".log" in path.name}


# --- bounds ---


def test_takes_no_more_than_it_may_and_drops_the_oldest() -> None:
    async def go() -> None:
        world, books = FakeWorld(), Books()
        buffer = await stored(world, books, AT_ONCE, max_bytes=100_000)
        for _ in range(30):
            await fill(buffer, books, 500)
            assert sum(sizes(world).values()) <= 100_000 + 20_000
            assert conserved(buffer, books)
        assert buffer.frames > 2000  # it never lets go of everything at once
        got = await drain(buffer, books)
        assert got == chunk(0, books.taken).records[-len(got) :]
        assert {dropped.reason for dropped in books.dropped} == {"buffer full"}
        assert books.dropped[0].first_time == START
        assert all(dropped.first_time < dropped.last_time for dropped in books.dropped)
        assert conserved(buffer, books)

    run_virtual(go)


def test_delivering_while_the_oldest_are_dropped() -> None:
    async def go() -> None:
        world, books = FakeWorld(slow_s=0.01), Books()
        buffer = await stored(world, books, AT_ONCE, max_bytes=60_000)
        got: list[str] = []
        for _ in range(60):
            await fill(buffer, books, 300)
            batch = await buffer.fetch(90)
            assert batch is not None
            await fill(buffer, books, 200)  # meanwhile
            got += batch.records
            books.acknowledged += buffer.remove(batch.end)
            assert conserved(buffer, books)
        got += await drain(buffer, books)
        assert len(got) == len(set(got))
        assert [number(text) for text in got] == sorted(map(number, got))
        assert len(got) >= books.acknowledged  # a batch that was dropped under way may have arrived all the same
        assert conserved(buffer, books)
        assert buffer.frames == 0

    run_virtual(go)


def test_what_is_acknowledged_while_it_is_dropped_is_not_lost() -> None:
    async def go() -> None:
        world, books = FakeWorld(), Books()
        buffer = await stored(world, books, AT_ONCE, max_bytes=20_000)
        while not books.lost:
            await fill(buffer, books, 100)
        lost = books.lost
        batch = await buffer.fetch(10)
        assert batch is not None
        world.storage.seconds = 1.0  # type: ignore[attr-defined]
        while books.lost == lost:
            made = chunk(books.taken, 100)
            buffer.append(made.records, made.times, 3000)
            books.taken += 100
            await asyncio.sleep(0.5)
            removed = buffer.remove(batch.end)  # while the store is at it
            books.acknowledged += removed
            await asyncio.sleep(10)
            if books.lost == lost:
                assert removed == 10
                batch = await buffer.fetch(10)
                assert batch is not None
        assert removed == 10
        assert conserved(buffer, books)
        frames = buffer.frames
        assert len(await drain(buffer, books)) == frames
        assert not books.came_to_light

    run_virtual(go)


def test_what_is_too_old_goes() -> None:
    async def go() -> None:
        world, books = FakeWorld(), Books()
        buffer = await stored(world, books, Policy(60.0, 60.0), max_age_s=7200.0, segment_bytes=600)
        for hour in range(5):
            made = [f"17,{hour * 60 + minute}" for minute in range(60)]
            for text in made:
                buffer.append([text], [world.time()], len(text))
                books.taken += 1
                await asyncio.sleep(60)
            assert conserved(buffer, books)
        assert {dropped.reason for dropped in books.dropped} == {"too old"}
        assert buffer.oldest_time is not None
        got = await drain(buffer, books)
        assert 110 < len(got) < 180
        assert got == [f"17,{n}" for n in range(300 - len(got), 300)]
        assert conserved(buffer, books)

    run_virtual(go)


def test_frames_by_a_clock_that_was_not_set_are_not_too_old() -> None:
    """They look fifty years old until it is set."""

    async def go() -> None:
        loop = asyncio.get_running_loop()
        clock = FakeClock(loop.time, ahead_s=0.0, is_set=False)
        world, books = FakeWorld(clock=clock), Books()
        buffer = await stored(world, books, AT_ONCE, max_age_s=7200.0, keep_s=7200.0, segment_bytes=300)
        clock.on_change(lambda shift, good: buffer.correct(shift, for_good=good))
        for n in range(40):
            buffer.append([f"17,{n}"], [round(world.time(), 3)], 5, provisional=True)
            books.taken += 1
            await asyncio.sleep(1)
        clock.ahead_s, clock.is_set = START, True
        clock.look()
        for n in range(40, 60):
            buffer.append([f"17,{n}"], [round(world.time(), 3)], 5)
            books.taken += 1
            await asyncio.sleep(1)
        assert not books.dropped
        times = []
        while batch := await buffer.fetch(7):
            times += batch.times
            buffer.remove(batch.end)
        assert times == pytest.approx([START + n for n in range(60)], abs=0.01)

    run_virtual(go)


def test_the_clock_is_set_while_frames_are_on_their_way_to_the_disk() -> None:
    async def go() -> None:
        clock = FakeClock(asyncio.get_running_loop().time, ahead_s=0.0, is_set=False)
        world = FakeWorld(clock=clock, slow_s=1.0)
        buffer = await stored(world)
        clock.on_change(lambda shift, good: buffer.correct(shift, for_good=good))
        read_at = clock.time()
        buffer.append(["17,1"], [round(read_at, 3)], 4, provisional=True)
        buffer.spill()
        await asyncio.sleep(0.5)
        clock.ahead_s, clock.is_set = START, True
        clock.look()
        await asyncio.sleep(10)
        batch = await buffer.fetch(1)
        assert batch is not None
        assert batch.times == pytest.approx([START + read_at], abs=0.01)

    run_virtual(go)


def test_leaves_room_for_others() -> None:
    async def go() -> None:
        world, books = FakeWorld(), Books()
        world.disk.free_bytes = 300_000
        buffer = await stored(world, books, AT_ONCE, min_free=200_000, segment_bytes=10_000)
        await fill(buffer, books, 20_000)
        assert world.disk.free(FOLDER) > 180_000
        assert {dropped.reason for dropped in books.dropped} == {"disk nearly full"}
        assert conserved(buffer, books)

    run_virtual(go)


def test_others_that_fill_the_disk_do_not_cost_the_whole_backlog() -> None:
    async def go() -> None:
        world, books = FakeWorld(), Books()
        buffer = await stored(world, books, AT_ONCE, min_free=200_000, segment_bytes=10_000)
        await fill(buffer, books, 20_000)
        world.disk.free_bytes = 550_000  # of which this buffer has 400,000
        before = buffer.frames
        await fill(buffer, books, 1000)
        assert buffer.frames > 0.9 * before
        assert conserved(buffer, books)

    run_virtual(go)


# --- thinning ---


def test_a_long_outage_stays_a_graph_of_every_sender() -> None:
    async def go() -> None:
        world, books = FakeWorld(), Books()
        buffer = await stored(world, books, AT_ONCE, max_bytes=150_000, thin=True)
        await fill(buffer, books, 20_000)
        assert sum(sizes(world).values()) < 170_000
        assert conserved(buffer, books)
        got = [number(text) for text in await drain(buffer, books)]
        assert got == sorted(set(got))
        assert conserved(buffer, books)
        assert {dropped.reason for dropped in books.dropped} == {"thinned"}
        parts = Counter(n % 4 for n in got)
        assert max(parts.values()) < 1.2 * min(parts.values())
        gaps = [b - a for a, b in itertools.pairwise(got)]
        assert max(gaps) < 200  # of 20,000 frames: no hole anywhere
        assert got[0] < 100
        assert got[-1] == 19_999

    run_virtual(go)


@pytest.mark.parametrize("senders", [1, 3, 4])
def test_half_of_each_sender_stays(senders: int) -> None:
    async def go() -> None:
        made = journal(FakeWorld(), segment_bytes=4000, max_bytes=1 << 30, thin=True)
        made.open()
        for first in range(0, 1200, 60):
            made.write(chunk(first, 60, senders), 0)
        made.close()
        owed = made._files.owed(0)
        whole = {s.first: s.count for s in owed}
        assert made._room.thin_one(owed)
        thinned = next(s for s in made._files.segments if s.count != whole[s.first])
        assert thinned.first == owed[1].first  # the oldest, but not the one that is being read
        read = made.read(thinned.first, 1)
        found = []
        number = thinned.first
        while (read := made.read(number, 50)).records and read.first < thinned.end:
            found += read.records
            number = read.end
        assert abs(len(found) - whole[thinned.first] / 2) <= senders
        per_sender = Counter(text.split(",")[0] for text in found)
        assert len(per_sender) == senders
        assert max(per_sender.values()) - min(per_sender.values()) <= 2

    run_virtual(go)


# --- the record ---


def test_delivered_frames_are_kept_packed_and_bounded(tmp_path: Path) -> None:
    async def go() -> None:
        world, books = FakeWorld(), Books()
        buffer = await stored(world, books, Policy(0.0, 0.0, keep=True), keep_s=1e9, keep_bytes=60_000)
        buffer.store._segment_bytes = 20_000  # type: ignore[attr-defined]
        for _ in range(60):
            await fill(buffer, books, 500)
            await drain(buffer, books, 1000)
            assert conserved(buffer, books)
        buffer.spill()
        await asyncio.sleep(1)
        await buffer.close()
        packed = {name: size for name, size in sizes(world).items() if name.endswith(".xz")}
        assert len(packed) > 3
        assert sum(sizes(world).values()) < 82_000
        name = min(packed)
        data = world.disk.read(FOLDER / name)
        text = lzma.decompress(data).decode()
        assert text.count("\n") > 500
        assert len(data) < len(text) / 3
        if xzcat := shutil.which("xzcat"):
            (tmp_path / name).write_bytes(data)
            assert subprocess.run([xzcat, tmp_path / name], capture_output=True, check=True).stdout.decode() == text

    run_virtual(go)


def test_frames_that_were_never_owed_to_the_disk_are_in_the_record_all_the_same() -> None:
    async def go() -> None:
        world, books = FakeWorld(), Books()
        buffer = await stored(world, books, Policy(60.0, 60.0, keep=True), keep_s=1e9)
        made = chunk(0, 30)
        buffer.append(made.records, made.times, 100)
        books.taken += 30
        assert await drain(buffer, books) == made.records  # within the second
        assert not sizes(world)
        await asyncio.sleep(1000)
        store = buffer.store
        assert store.read(0, 100).records == made.records
        assert buffer.frames == 0

    run_virtual(go)


def test_the_record_is_forgotten_when_it_is_old_enough() -> None:
    async def go() -> None:
        world, books = FakeWorld(), Books()
        buffer = await stored(world, books, Policy(0.0, 0.0, keep=True), keep_s=86400.0)
        buffer.store._segment_bytes = 1000  # type: ignore[attr-defined]
        for n in range(200):
            buffer.append([f"17,{n}"], [world.time()], 5)
            books.taken += 1
            await drain(buffer, books)
            await asyncio.sleep(1800)
        firsts = sorted(int(name.split("-")[0]) for name in sizes(world))
        assert 60 <= firsts[0] <= 152
        assert conserved(buffer, books)

    run_virtual(go)


def test_a_lost_cursor_does_not_send_the_whole_record_again() -> None:
    async def go() -> None:
        world, books = FakeWorld(), Books()
        buffer = await stored(world, books, Policy(0.0, 0.0, keep=True), keep_s=1e9)
        buffer.store._segment_bytes = 1000  # type: ignore[attr-defined]
        for _ in range(40):
            await fill(buffer, books, 100)
            await drain(buffer, books, 1000)
        await buffer.close()
        world.disk.files[FOLDER / "cursor"].data[:] = b"?" * 128
        buffer = await stored(world)
        assert buffer.frames < 400

    run_virtual(go)


# --- what it costs ---


def test_a_target_that_keeps_up_costs_the_disk_nothing() -> None:
    async def go() -> None:
        world, books = FakeWorld(), Books()
        buffer = await stored(world, books, Policy(60.0, 60.0))
        before = dict(world.disk.calls)
        for n in range(0, 400, 4):
            made = chunk(n, 4)
            buffer.append(made.records, made.times, 30)
            books.taken += 4
            await asyncio.sleep(30)
            await drain(buffer, books)
        assert dict(world.disk.calls) == before
        assert world.disk.written == 0

    run_virtual(go)


def test_an_outage_costs_one_write_a_while() -> None:
    async def go() -> None:
        world, books = FakeWorld(), Books()
        buffer = await stored(world, books, Policy(60.0, 900.0))
        buffer.failing = True
        for n in range(0, 4 * 360, 4):  # an hour, each ten seconds
            made = chunk(n, 4)
            buffer.append(made.records, made.times, 30)
            await asyncio.sleep(10)
        assert 50 <= world.disk.calls["write"] <= 62
        payload = sum(map(len, chunk(0, 4 * 360).records))
        assert world.disk.written < 3 * payload

    run_virtual(go)


# --- the files ---


def test_a_file_is_text_that_people_read(tmp_path: Path) -> None:
    clock = Clock(lambda: START, boot="b00t", is_set=lambda: True)
    made = Journal(Disk(), tmp_path, "house", clock=clock, form="emoncms bulk")
    made.open()
    made.describe("17", {"node": 17, "nodename": "emonTx", "names": ["P1"], "units": ["W"]})
    made.write(Chunk(1200, ["17,231.5,ü", "23,1"], [START + 0.25, START + 61], [True, False]), 0)
    [name] = [path.name for path in tmp_path.glob("*.log")]
    assert name == "000000001200-open-1800000000.log"
    made.close()
    [path] = tmp_path.glob("*.log")
    assert path.name == "000000001200-000000001202-2-1800000000.log"
    lines = [line.split(" ", 1)[1] for line in path.read_text().splitlines()]
    assert lines[0].startswith('= {"owner":"house","form":"emoncms bulk","boot":"b00t"')
    assert lines[1] == '= {"node":17,"nodename":"emonTx","names":["P1"],"units":["W"]}'
    assert lines[2:] == ["0 0.250? 17,231.5,ü", "1 61.000 23,1"]


def test_what_was_left_unfinished_is_cleared_away() -> None:
    async def go() -> None:
        world = FakeWorld()
        world.disk.make_folder(FOLDER)
        world.disk.append_to(FOLDER / "000000000000-000000000005-5-1800000000.log.new").write(b"half")
        world.disk.append_to(FOLDER / "000000000009-open-1800000000.log")  # killed before its first line
        world.disk.append_to(FOLDER / "notes.txt").write(b"of the user")
        buffer = await stored(world)
        assert [path.name for path in world.disk.files] == ["notes.txt"]
        assert buffer.frames == 0

    run_virtual(go)


def test_times_that_make_no_sense_stop_nothing() -> None:
    async def go() -> None:
        world, books = FakeWorld(), Books()
        buffer = await stored(world, books, AT_ONCE)
        for n, time in enumerate([-5.0, 0.0, 1e18, START]):
            buffer.append([f"17,{n}"], [time], 5)
            books.taken += 1
            await asyncio.sleep(1)
        await buffer.close()
        assert await drain(await stored(world)) == [f"17,{n}" for n in range(4)]

    run_virtual(go)


def test_opening_does_not_read_the_backlog() -> None:
    async def go() -> Any:
        world, books = FakeWorld(), Books()
        buffer = await stored(world, books, AT_ONCE, segment_bytes=5000)
        await fill(buffer, books, 20_000)
        await buffer.close()
        before = world.disk.calls["read"]
        again = await stored(world, segment_bytes=5000)
        assert again.frames == 20_000
        assert world.disk.calls["read"] - before <= 2

    run_virtual(go)
