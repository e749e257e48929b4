"""The front's files: what they give back, and that they never grow without end."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from emonhub.buffer.frontfiles import FrontFiles
from emonhub.buffer.spilling import Policy
from emonhub.buffer.store import Chunk
from tests.fakes.virtual import run_virtual
from tests.faults.buffers import START, Books, FakeClock, FakeWorld, drain, stored

if TYPE_CHECKING:
    from pathlib import Path


def begun(folder: Path, first: int = 0) -> FrontFiles:
    files = FrontFiles(folder)
    files.open()
    files.begin([], first, first, "boot")
    return files


def frames(files: FrontFiles) -> list[tuple[int, str, float]]:
    found: list[tuple[int, str, float]] = []
    for chunk, _ in files.open().chunks:
        found += zip(range(chunk.first, chunk.end), chunk.records, chunk.times, strict=True)
    return found


def test_gives_back_what_was_put_in(tmp_path: Path) -> None:
    files = begun(tmp_path, 7)
    files.append(7, ["17,1,ü", "# 23"], [START, START])
    files.append(9, ["a", "b", ""], [START, START + 0.125, START], offset=-3.5)
    left = FrontFiles(tmp_path).open()
    assert [(c.first, c.records, c.times, offset) for c, offset in left.chunks] == [
        (7, ["17,1,ü", "# 23"], [START, START], None),
        (9, ["a", "b", ""], [START, START + 0.125, START], -3.5),
    ]
    assert (left.cursor, left.boot) == (7, "boot")
    files.move_cursor(8)
    assert FrontFiles(tmp_path).open().cursor == 8


def test_a_torn_block_costs_itself_alone(tmp_path: Path) -> None:
    files = begun(tmp_path)
    files.append(0, ["first"], [START])
    files.append(1, ["second"] * 20, [START] * 20)
    [path] = tmp_path.glob("front-*.log")
    whole = path.read_bytes()
    start = whole.index(b"# ", 5)
    for size in range(start, len(whole)):
        path.write_bytes(whole[:size])
        assert [text for _, text, _ in frames(files)] == ["first"]
        path.write_bytes(whole[:size] + whole[start:])  # and then there was room again
        assert [text for _, text, _ in frames(files)] == ["first"] + ["second"] * 20


def test_damaged_bytes_never_become_frames(tmp_path: Path) -> None:
    files = begun(tmp_path)
    files.append(0, ["17,231.5"] * 5, [START] * 5)
    files.append(5, ["18,0.1"] * 5, [START] * 5)
    [path] = tmp_path.glob("front-*.log")
    whole = bytearray(path.read_bytes())
    for place in range(len(whole)):
        whole[place] ^= 4
        path.write_bytes(whole)
        assert {text for _, text, _ in frames(files)} <= {"17,231.5", "18,0.1"}
        whole[place] ^= 4


def test_a_cursor_that_makes_no_sense_is_none(tmp_path: Path) -> None:
    begun(tmp_path)
    for rubbish in (b"", b"\0" * 20, b"-5", b"abc", b"\xff\xfe", "²".encode()):
        (tmp_path / "cursor").write_bytes(rubbish)
        assert FrontFiles(tmp_path).open().cursor == 0


def test_beginning_anew_leaves_nothing_of_before(tmp_path: Path) -> None:
    files = begun(tmp_path, 100)
    for n in range(100, 400, 10):
        files.append(n, ["x" * 2000] * 10, [START] * 10)
    assert len(list(tmp_path.glob("front-*.log"))) > 1
    files.begin([(Chunk(5, ["a", "b"], [START, START]), None)], 7, 6)
    files.append(7, ["c"], [START])
    assert frames(files) == [(5, "a", START), (6, "b", START), (7, "c", START)]
    assert files.open().cursor == 6
    assert len(list(tmp_path.glob("front-*"))) == 1


def test_stays_small_while_the_target_keeps_up(tmp_path: Path) -> None:
    """Also when frames come so fast that there is always one that waits."""

    async def go() -> None:
        world, books = FakeWorld(), Books()
        buffer = await stored(world, books, Policy(60.0, 60.0), FrontFiles(tmp_path))
        for n in range(3000):
            buffer.append([f"17,{n}," + "x" * 500] * 3, [START] * 3, 1500)
            books.taken += 3
            await asyncio.sleep(0.02)
            batch = await buffer.fetch(3)
            assert batch is not None
            if n:
                buffer.remove(batch.end)
        held = sum(path.stat().st_size for path in tmp_path.iterdir())
        assert held < 1_200_000
        assert not world.disk.written
        await buffer.close()

    run_virtual(go)


def test_stays_small_while_the_disk_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("emonhub.buffer.stored._FRONT_BYTES", 200_000)
    monkeypatch.setattr("emonhub.buffer.frontfiles._FILE_BYTES", 20_000)

    async def go() -> None:
        world, books = FakeWorld(), Books()
        buffer = await stored(world, books, Policy(5.0, 5.0), FrontFiles(tmp_path))
        world.disk.fail("write", 5)
        for n in range(3000):
            buffer.append([f"17,{n}," + "x" * 500], [START], 500)
            await asyncio.sleep(0.1)
        assert sum(path.stat().st_size for path in tmp_path.iterdir()) < 300_000
        assert buffer.frames * 500 < 220_000

    run_virtual(go)


def test_a_front_that_can_not_be_written_is_no_crash(tmp_path: Path) -> None:
    async def go() -> None:
        world, books = FakeWorld(), Books()
        (tmp_path / "file").write_text("")
        buffer = await stored(world, books, Policy(60.0, 60.0), FrontFiles(tmp_path / "file" / "folder"))
        buffer.append(["a"], [START], 1)
        assert "no front file" in buffer.trouble
        await asyncio.sleep(1)  # then it is put on the disk at once
        assert world.disk.written
        assert await drain(buffer) == ["a"]
        await buffer.close()

    run_virtual(go)


def test_a_gap_in_the_front_costs_nothing_before_it(tmp_path: Path) -> None:
    """A block that could not be written was never told to be safe, but what is before it was."""

    async def go() -> None:
        files = begun(tmp_path)
        files.append(0, ["a", "b"], [START, START])
        files.append(5, ["f"], [START])
        files.close(delete=False)
        buffer = await stored(FakeWorld(), None, None, FrontFiles(tmp_path))
        batch = await buffer.fetch(9)
        assert batch is not None
        assert batch.first == buffer.first
        assert await drain(buffer) == ["a", "b", "f"]

    run_virtual(go)


def test_frames_by_a_clock_that_was_not_set_are_put_right_after_a_kill(tmp_path: Path) -> None:
    async def go() -> None:
        loop = asyncio.get_running_loop()
        clock = FakeClock(loop.time, ahead_s=1000.0, is_set=False)
        buffer = await stored(FakeWorld(clock=clock), None, None, FrontFiles(tmp_path))
        buffer.append(["a"], [round(clock.time(), 3)], 1, provisional=True)
        await asyncio.sleep(10)
        clock = FakeClock(loop.time, ahead_s=5000.0, is_set=False)  # it has stepped, but is not set yet
        buffer._spilling.disarm()
        buffer = await stored(FakeWorld(clock=clock), None, None, FrontFiles(tmp_path))
        buffer.append(["b"], [round(clock.time(), 3)], 1, provisional=True)
        buffer._spilling.disarm()
        await asyncio.sleep(10)
        clock = FakeClock(loop.time)
        buffer = await stored(FakeWorld(clock=clock), None, None, FrontFiles(tmp_path))
        batch = await buffer.fetch(9)
        assert batch is not None
        assert batch.records == ["a", "b"]
        assert batch.times == pytest.approx([START, START + 10], abs=0.01)

    run_virtual(go)


def test_a_clock_of_another_start_is_not_taken_for_this_one(tmp_path: Path) -> None:
    async def go() -> None:
        loop = asyncio.get_running_loop()
        clock = FakeClock(loop.time, boot="before", ahead_s=1000.0, is_set=False)
        buffer = await stored(FakeWorld(clock=clock), None, None, FrontFiles(tmp_path))
        buffer.append(["a"], [1000.0], 1, provisional=True)
        buffer._spilling.disarm()
        buffer = await stored(FakeWorld(), None, None, FrontFiles(tmp_path))
        batch = await buffer.fetch(9)
        assert batch is not None
        assert batch.times == [1000.0]  # how wrong it was will never be known

    run_virtual(go)
