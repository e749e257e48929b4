"""Disks that are full, fail, or can't be written: nothing crashes, all is counted, and work is resumed unaided."""

from __future__ import annotations

import asyncio
import errno
import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from emonhub.buffer import stored as stored_module
from emonhub.buffer.frontfiles import FrontFiles
from emonhub.buffer.spilling import Policy
from emonhub.buffer.stored import StoredBuffer
from emonhub.world import World
from tests.fakes.virtual import run_virtual
from tests.faults.buffers import START, Books, FakeWorld, drain, journal, stored
from tests.faults.disk import SimulatedDisk

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

QUICK = Policy(5.0, 5.0)
ERRORS = [errno.ENOSPC, errno.EIO, errno.EROFS]
CALLS = ["create", "write", "sync", "sync_folder", "rename", "remove", "put"]


def add(buffer: StoredBuffer, books: Books, first: int, count: int) -> list[str]:
    records = [f"17,{n}" for n in range(first, first + count)]
    buffer.append(records, [START + n for n in range(first, first + count)], sum(map(len, records)))
    books.taken += count
    return records


def conserved(buffer: StoredBuffer, books: Books) -> bool:
    return books.taken == books.acknowledged + buffer.frames + books.lost


@pytest.mark.parametrize("error", ERRORS, ids=errno.errorcode.get)
@pytest.mark.parametrize("call", CALLS)
def test_frames_wait_in_memory_until_the_disk_is_well(call: str, error: int) -> None:
    async def go() -> None:
        disk = SimulatedDisk()
        books = Books()
        buffer = await stored(FakeWorld(disk), books, QUICK, segment_bytes=300)
        expected = add(buffer, books, 0, 30)
        await asyncio.sleep(6)
        got = await deliver(buffer, books, 12)
        disk.fail(call, error)
        for first in range(30, 90, 10):
            expected += add(buffer, books, first, 10)
            await asyncio.sleep(6)
            got += await deliver(buffer, books, 3)
            assert conserved(buffer, books)
        calls = sum(disk.calls.values())
        await asyncio.sleep(60)
        assert sum(disk.calls.values()) - calls < 400  # it does not spin
        disk.heal()
        expected += add(buffer, books, 90, 10)
        await asyncio.sleep(11)
        assert not buffer.trouble
        assert buffer._front.start == 100  # all is on the disk
        await buffer.close()
        assert not disk.sins
        again = Books()
        got += await drain(await stored(FakeWorld(disk), again, QUICK), again)
        assert got == expected
        assert not books.dropped
        assert not again.dropped

    run_virtual(go)


async def deliver(buffer: StoredBuffer, books: Books, count: int) -> list[str]:
    batch = await buffer.fetch(count)
    assert batch is not None
    books.acknowledged += buffer.remove(batch.end)
    return batch.records


@pytest.mark.parametrize("error", ERRORS, ids=errno.errorcode.get)
def test_what_was_in_files_can_be_sent_while_nothing_can_be_written(error: int) -> None:
    async def go() -> None:
        disk = SimulatedDisk()
        books = Books()
        buffer = await stored(FakeWorld(disk), books, QUICK)
        expected = add(buffer, books, 0, 50)
        await asyncio.sleep(6)  # and killed: its file is still open
        for call in CALLS:
            disk.fail(call, error)
        books = Books()
        buffer = await stored(FakeWorld(disk), books, QUICK)
        assert await drain(buffer, books) == expected
        assert conserved(buffer, books)

    run_virtual(go)


def test_a_full_memory_lets_the_oldest_go_and_counts_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stored_module, "_FRONT_BYTES", 1000)

    async def go() -> None:
        disk = SimulatedDisk()
        books = Books()
        buffer = await stored(FakeWorld(disk), books, QUICK)
        expected = add(buffer, books, 0, 20)
        await asyncio.sleep(6)
        disk.fail("write", errno.ENOSPC)
        for first in range(20, 520, 10):
            expected += add(buffer, books, first, 10)
            await asyncio.sleep(1)
            assert conserved(buffer, books)
            assert buffer._front.size < 1100
        assert buffer.trouble == os.strerror(errno.ENOSPC)
        disk.heal()
        await asyncio.sleep(11)
        got = await drain(buffer, books)
        assert got[:20] == expected[:20]
        assert got[20:] == expected[20 + books.lost :]
        assert books.lost > 300
        assert {d.reason for d in books.dropped} == {f"memory full ({os.strerror(errno.ENOSPC)})"}
        assert conserved(buffer, books)

    run_virtual(go)


def test_blocks_that_can_not_be_read_cost_what_is_in_them() -> None:
    async def go() -> None:
        disk = SimulatedDisk()
        books = Books()
        buffer = await stored(FakeWorld(disk), books, QUICK)
        expected = add(buffer, books, 0, 2000)
        await buffer.close()
        name = next(path for path in disk.files if path.suffix == ".log")
        disk.bad_blocks.add((name, 9000))
        books = Books()
        buffer = await stored(FakeWorld(disk), books, QUICK)
        got = await drain(buffer, books, 100)
        assert set(got) < set(expected)
        assert got == [record for record in expected if record in set(got)]
        assert 0 < len(expected) - len(got) == books.lost < 200

    run_virtual(go)


def test_a_disk_that_is_away_is_asked_again() -> None:
    async def go() -> None:
        disk = SimulatedDisk()
        books = Books()
        buffer = await stored(FakeWorld(disk), books, QUICK)
        expected = add(buffer, books, 0, 30)
        await asyncio.sleep(6)
        disk.fail("read", errno.ENODEV)
        assert await buffer.fetch(10) is None
        assert buffer.trouble
        disk.heal()
        assert await drain(buffer, books) == expected
        await asyncio.sleep(6)
        assert not buffer.trouble

    run_virtual(go)


# --- a store that opens late ---


async def late(books: Books, front: FrontFiles | None = None) -> tuple[StoredBuffer, SimulatedDisk, list[str]]:
    """A buffer with 30 older frames on a disk that can't be read, and 10 new ones."""
    disk = SimulatedDisk()
    before = await stored(FakeWorld(disk), None, QUICK)
    expected = add(before, Books(), 0, 30)
    await before.close()
    disk.fail("names", errno.EIO)
    buffer = await stored(FakeWorld(disk), books, QUICK, front)
    expected += add(buffer, books, 30, 10)
    return buffer, disk, expected


def test_what_comes_to_light_late_goes_out_first() -> None:
    async def go() -> None:
        books = Books()
        buffer, disk, expected = await late(books)
        assert await buffer.fetch(5) is None  # there is hope
        disk.heal()
        await asyncio.sleep(6)
        assert buffer.frames == 40
        assert conserved(buffer, books)
        assert await drain(buffer, books) == expected
        assert conserved(buffer, books)

    run_virtual(go)


def test_what_comes_to_light_after_others_were_sent() -> None:
    async def go() -> None:
        books = Books()
        buffer, disk, expected = await late(books)
        await asyncio.sleep(61)
        assert await deliver(buffer, books, 4) == expected[30:34]
        disk.heal()
        await asyncio.sleep(6)
        assert await drain(buffer, books) == expected[:30] + expected[34:]
        assert conserved(buffer, books)
        await buffer.close()
        again = await stored(FakeWorld(disk))
        assert again.frames == 0

    run_virtual(go)


@pytest.mark.parametrize("healed", [False, True])
def test_a_kill_while_the_store_is_late_loses_nothing(tmp_path: Path, healed: bool) -> None:
    async def go() -> None:
        books = Books()
        buffer, disk, expected = await late(books, FrontFiles(tmp_path))
        await asyncio.sleep(61)
        assert await deliver(buffer, books, 4) == expected[30:34]
        disk.heal()
        if healed:
            await asyncio.sleep(6)
            assert await deliver(buffer, books, 7) == expected[:7]
        buffer._spilling.disarm()  # the end of this process
        books = Books()
        buffer = await stored(FakeWorld(disk), books, QUICK, FrontFiles(tmp_path))
        assert await drain(buffer, books) == expected[7 if healed else 0 : 30] + expected[34:]
        assert conserved(buffer, books)

    run_virtual(go)


def test_a_store_that_is_never_there_costs_nothing_that_the_front_has(tmp_path: Path) -> None:
    async def go() -> None:
        disk = SimulatedDisk()
        disk.fail("names", errno.EIO)
        expected: list[str] = []
        for life in range(3):
            books = Books()
            buffer = await stored(FakeWorld(disk), books, QUICK, FrontFiles(tmp_path))
            expected += add(buffer, books, 10 * life, 10)
            await asyncio.sleep(61)
            assert await deliver(buffer, books, 3) == expected[:3]
            del expected[:3]
            buffer._spilling.disarm()
        disk.heal()
        buffer = await stored(FakeWorld(disk), books, QUICK, FrontFiles(tmp_path))
        assert await drain(buffer) == expected

    run_virtual(go)


# --- a real one ---


@pytest.fixture
def tiny(tmp_path: Path) -> Iterator[Path]:
    """A file system of 256 KB."""
    command = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", tmp_path]
    mounted = subprocess.run([*map(str, command)], check=False, capture_output=True)
    if mounted.returncode:
        pytest.skip("file systems can only be mounted by root")
    yield tmp_path
    subprocess.run(["umount", tmp_path], check=True)


async def test_a_file_system_that_is_full(tiny: Path) -> None:
    world = World(seed=1)
    books = Books()
    store = journal(world)
    store._files.folder = tiny / "journal"
    buffer = StoredBuffer(store, Policy(0.0, 0.0), world=world)
    await buffer.open()
    books.keep(buffer)
    expected = []
    for first in range(0, 40_000, 500):
        expected += add(buffer, books, first, 500)
        await asyncio.sleep(0)
        while buffer._spilling._work is not None:
            await asyncio.sleep(0)
    assert buffer.trouble == os.strerror(errno.ENOSPC)
    got = []
    while buffer.frames > 2000:
        got += await deliver(buffer, books, 1000)
    async with asyncio.timeout(20):
        while buffer.trouble:
            await asyncio.sleep(0.01)
    got += await drain(buffer, books)
    assert got == expected
    assert not books.dropped
    await buffer.close()
