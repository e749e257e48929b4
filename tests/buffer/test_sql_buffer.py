"""Buffers and reporters whose frames wait in a database that goes down, hangs, or is damaged meanwhile."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from emonhub import Cargo, Layout, World
from emonhub.buffer.choose import leave, open_buffer, replace_buffer
from emonhub.buffer.spilling import Policy
from emonhub.buffer.sql import SqlStore
from emonhub.buffer.stored import StoredBuffer
from emonhub.buffer.thread import StorageThread
from emonhub.errors import SettingError
from emonhub.interfacers.emoncms.http import EmoncmsHttpReporter
from tests.fakes.emoncms import FakeEmoncms
from tests.fakes.emoncms_faults import unavailable
from tests.faults.buffers import Books, drain
from tests.interfacers.harness import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from tests.fakes.databases import Place, Server

NOW = 1_800_000_000
SOON = Policy(0.05, 0.05)
TX = Layout(17, "emonTx", ("P1", "Vrms"))


class Kept:
    """A buffer on a database, and its books."""

    def __init__(self, place: Place, name: str = "emoncms") -> None:
        world = World(seed=1)
        self.store = SqlStore(place.url, name, clock=world.clock, form="test")
        self.buffer = StoredBuffer(self.store, SOON, world=world, thread=StorageThread(f"{name} sql"), name=name)
        self.books = Books()
        self.next = 0
        self.delivered: list[int] = []

    def append(self, count: int) -> None:
        numbers = range(self.next, self.next + count)
        self.next += count
        self.books.taken += count
        texts = [str(number) for number in numbers]
        self.buffer.append(texts, [float(NOW + number) for number in numbers], sum(map(len, texts)))

    async def deliver(self, limit: int = 50) -> bool:
        """One batch; returns whether there was one."""
        batch = await self.buffer.fetch(limit)
        if batch is None:
            return False
        assert batch.times == [NOW + int(record) for record in batch.records]
        self.delivered += map(int, batch.records)
        self.books.acknowledged += self.buffer.remove(batch.end)
        return True

    async def deliver_all(self) -> None:
        async with asyncio.timeout(30):
            while self.buffer.frames:
                if not await self.deliver():
                    await asyncio.sleep(0.01)

    def check(self) -> None:
        """Received = acknowledged + buffered + dropped."""
        assert self.books.taken == self.books.acknowledged + self.buffer.frames + self.books.lost

    @property
    def spilled(self) -> bool:
        return self.buffer.durable and not self.buffer.trouble


@asynccontextmanager
async def kept(place: Place, name: str = "emoncms") -> AsyncIterator[Kept]:
    found = Kept(place, name)
    await found.buffer.open()
    found.books.keep(found.buffer)
    try:
        yield found
        found.check()
    finally:
        await found.buffer.close()


def _more(store: SqlStore, than: int) -> bool:
    return store.held > than


def server_of(place: Place) -> Server:
    assert place.server is not None
    return place.server


async def run(call: Callable[[], None]) -> None:
    """Do something to a server without holding up the loop."""
    await asyncio.to_thread(call)


# --- a database in trouble ---


async def test_a_database_that_is_down_at_the_start(served: Place) -> None:
    async with kept(served) as former:
        former.append(300)
        await until(lambda: former.spilled, "frames in the database")
    await run(server_of(served).stop)
    async with kept(served) as late:
        assert "refused" in late.buffer.trouble
        late.next = 300
        late.append(50)
        assert not await late.deliver()  # what the former run has left comes first
        await run(server_of(served).start)
        await until(lambda: late.spilled, "frames in the database that has come up")
        late.append(50)
        await late.deliver_all()
        assert late.delivered == list(range(400))
        assert late.books.lost == 0
    assert served.query("SELECT COUNT(*) FROM emonhub_buffer") == [(0,)]


async def test_a_database_that_is_killed_and_started_again_and_again(served: Place) -> None:
    """Two reporters that share it take and deliver frames all the while."""
    async with kept(served, "one") as one, kept(served, "two") as two:
        done = asyncio.Event()

        async def work(reporter: Kept, per_batch: int) -> None:
            while not done.is_set():
                reporter.append(20)
                await reporter.deliver(per_batch)
                await asyncio.sleep(0.005)

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(work(one, 5))
            tasks.create_task(work(two, 15))
            for _ in range(3):
                held = one.store.held
                await until(partial(_more, one.store, held), "more in the database")
                await run(server_of(served).kill)
                await until(lambda: one.buffer.trouble and two.buffer.trouble, "trouble")
                await run(server_of(served).start)
                await until(lambda: not (one.buffer.trouble or two.buffer.trouble), "the end of the trouble")
            done.set()
        for reporter in (one, two):
            reporter.check()
            await reporter.deliver_all()
            assert reporter.delivered == list(range(reporter.next))
            assert reporter.books.lost == 0


async def test_a_database_that_hangs_holds_up_nothing_else(served: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("mysql", "postgresql"):
        for name in ("CONNECT_S", "ANSWER_S"):
            monkeypatch.setattr(f"emonhub.buffer.sql.{module}.{name}", 0.5)
    async with kept(served) as house:
        house.append(100)
        await until(lambda: house.spilled, "frames in the database")
        server_of(served).freeze()
        try:
            house.append(100)
            reading = asyncio.create_task(house.deliver())
            ticks = 0
            while not house.buffer.trouble:
                await asyncio.sleep(0.01)
                ticks += 1
                house.append(1)
            assert ticks > 10  # the loop went round while the storage waited
            assert not await reading
        finally:
            server_of(served).thaw()
        await until(lambda: house.spilled, "frames in the database that has woken up")
        await house.deliver_all()
        assert house.delivered == list(range(house.next))
        assert house.books.lost == 0


async def test_a_table_that_is_dropped(served: Place) -> None:
    async with kept(served) as house:
        house.append(100)
        await until(lambda: house.spilled, "frames in the database")
        served.query("DROP TABLE emonhub_buffer")
        house.append(50)
        await until(lambda: house.spilled, "frames in a new table")
        await house.deliver_all()
        assert house.delivered == list(range(100, 150))
        assert [(lost.frames, lost.reason) for lost in house.books.dropped] == [(100, "gone from the database")]


async def test_a_table_that_is_dropped_while_nothing_comes(served: Place) -> None:
    async with kept(served) as house:
        house.append(100)
        await until(lambda: house.spilled, "frames in the database")
        served.query("DROP TABLE emonhub_buffer")
        await house.deliver_all()
        assert house.delivered == []
        assert house.books.lost == 100
        house.append(5)
        await house.deliver_all()
        assert house.delivered == [100, 101, 102, 103, 104]


# --- reporters ---


def reporter(server: FakeEmoncms, place: Place | None, world: World, **settings: Any) -> EmoncmsHttpReporter:
    given = {"url": server.url, "apikey": server.write_key, "interval": 0.0, "batchsize": 70, "sync_interval_s": 0.05}
    given |= {"buffer_mode": "sql", "sql_url": place.url if place else ""}
    return EmoncmsHttpReporter("emoncms", given | settings, world=world)


@asynccontextmanager
async def delivering(sender: EmoncmsHttpReporter) -> AsyncIterator[None]:
    await sender.open()
    task = asyncio.create_task(sender.run_delivery())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await sender.close()


async def put_away(sender: EmoncmsHttpReporter) -> None:
    """As the hub does at its end."""
    await sender.buffer.close()
    assert sender.folder is not None
    leave(sender.buffer, sender.folder)
    sender.folder.disown()


def take(sender: EmoncmsHttpReporter, first: int, end: int) -> None:
    for number in range(first, end, 50):
        sender.accept([Cargo(TX, (n, 230.5), NOW + n) for n in range(number, min(end, number + 50))])


async def test_a_reporter_delivers_its_backlog_in_order(place: Place, state_directory: Path) -> None:
    world = World(seed=1)
    async with FakeEmoncms() as server:
        server.fault = unavailable()
        sender = reporter(server, place, world)
        sender.equip(*await open_buffer(sender, state_directory, world))
        async with delivering(sender):
            take(sender, 0, 400)
            await until(lambda: sender.buffer.durable, "frames in the database")
        await put_away(sender)
        assert place.query("SELECT COUNT(*), MIN(time_ms) FROM emonhub_buffer") == [(400, NOW * 1000)]
        [(note,)] = place.query("SELECT note FROM emonhub_nodes WHERE node = '17'")
        assert "Vrms" in note

        sender = reporter(server, place, world)  # the hub has been started again
        sender.equip(*await open_buffer(sender, state_directory, world))
        assert sender.taken == 400
        async with delivering(sender):
            take(sender, 400, 500)
            server.fault = None
            sender.hurry()
            await until(lambda: server.stored == 500, "500 frames")
            await until(lambda: not sender.buffer.frames, "the last answer")
        assert [frame.time for frame in server.frames] == [NOW + n for n in range(500)]
        assert (sender.taken, sender.acknowledged, sum(sender.dropped.values())) == (500, 500, 0)
        await put_away(sender)
        assert place.query("SELECT COUNT(*) FROM emonhub_buffer") == [(0,)]


async def test_without_a_url_it_is_a_file_in_the_state_directory(state_directory: Path) -> None:
    world = World(seed=1)
    async with FakeEmoncms() as server:
        sender = reporter(server, None, world)
        buffer, folder = await open_buffer(sender, state_directory, world)
        buffer.append(["a"], [float(NOW)], 1)
        await buffer.close()
        assert folder is not None
        assert (folder.path / "buffer.sqlite").exists()


async def test_a_bad_url_is_a_bad_setting(state_directory: Path) -> None:
    async with FakeEmoncms() as server:
        with pytest.raises(SettingError, match="sql_url names no database"):
            reporter(server, None, World(seed=1), sql_url="oracle://hub:s3cr3t@db/energy")
        reporter(server, None, World(seed=1), sql_url="oracle://hub:s3cr3t@db/energy", buffer_mode="memory")


async def test_other_settings_for_the_same_database_find_each_frame_once(place: Place, state_directory: Path) -> None:
    world = World(seed=1)
    async with FakeEmoncms() as server:
        old = reporter(server, place, world)
        buffer, folder = await open_buffer(old, state_directory, world)
        buffer.append([str(n) for n in range(200)], [float(NOW)] * 200, 500)
        await until(lambda: buffer.durable, "frames in the database")
        buffer.append(["200"], [float(NOW)], 3)
        new = reporter(server, place, world, max_bytes=1 << 20)
        buffer, folder = await replace_buffer(buffer, folder, new, state_directory, world)
        assert isinstance(buffer, StoredBuffer)
        assert buffer.frames == 201
        assert await drain(buffer) == [str(n) for n in range(201)]
        await buffer.close()


@pytest.mark.parametrize("mode", ["journal", "memory"])
async def test_frames_move_out_of_the_database_when_another_mode_is_chosen(
    place: Place, state_directory: Path, mode: str
) -> None:
    world = World(seed=1)
    async with FakeEmoncms() as server:
        old = reporter(server, place, world)
        buffer, folder = await open_buffer(old, state_directory, world)
        buffer.append([str(n) for n in range(200)], [float(NOW)] * 200, 500)
        await until(lambda: buffer.durable, "frames in the database")
        new = reporter(server, place, world, buffer_mode=mode)
        buffer, folder = await replace_buffer(buffer, folder, new, state_directory, world)
        found: list[str] = []
        while batch := await buffer.fetch(90):
            found += batch.records
            buffer.remove(batch.end)
        assert found == [str(n) for n in range(200)]
        await buffer.close()
    assert place.query("SELECT COUNT(*) FROM emonhub_buffer") == [(0,)]


@pytest.mark.parametrize("end", ["shutdown", "reboot", "kill"])
async def test_frames_that_the_database_never_took_outlive_the_hub(
    served: Place, state_directory: Path, end: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """On a shutdown of the machine, the database may end before the hub."""
    memory = tmp_path / "memory"
    memory.mkdir(mode=0o700)
    monkeypatch.setattr("emonhub.buffer.choose.memory_dir", lambda word: memory)
    world = World(seed=1)
    async with FakeEmoncms() as server:
        sender = reporter(server, served, world)
        sender.equip(*await open_buffer(sender, state_directory, world))
        take(sender, 0, 100)
        await until(lambda: sender.buffer.durable, "frames in the database")
        await run(server_of(served).stop)
        take(sender, 100, 200)
        await until(lambda: sender.buffer.trouble, "trouble")
        take(sender, 200, 220)
        assert sender.folder is not None
        if end == "kill":
            assert isinstance(sender.buffer, StoredBuffer)
            sender.buffer._spilling.disarm()
            sender.folder.disown()
        else:
            await put_away(sender)
        if end == "reboot":
            for file in memory.iterdir():
                file.unlink()
        await run(server_of(served).start)
        sender = reporter(server, served, world)
        sender.equip(*await open_buffer(sender, state_directory, world))
        assert sender.folder is not None
        async with delivering(sender):
            for path in sender.folder.waiting():
                sender.take_in(*sender.folder.read(path))
            await until(lambda: server.stored >= 220, "220 frames")
            await until(lambda: not sender.buffer.frames, "the last answer")
        assert [frame.time for frame in server.frames] == [NOW + n for n in range(220)]
        await put_away(sender)


async def test_frames_that_the_database_never_took_are_taken_over(served: Place, state_directory: Path) -> None:
    """A changed setting replaces the buffer while the database is down."""
    world = World(seed=1)
    async with FakeEmoncms() as server:
        old = reporter(server, served, world)
        buffer, folder = await open_buffer(old, state_directory, world)
        buffer.append([str(n) for n in range(10)], [float(NOW)] * 10, 10)
        await until(lambda: buffer.durable, "frames in the database")
        await run(server_of(served).stop)
        buffer.append([str(n) for n in range(10, 20)], [float(NOW)] * 10, 20)
        new = reporter(server, served, world, max_bytes=1 << 20)
        buffer, folder = await replace_buffer(buffer, folder, new, state_directory, world)
        assert isinstance(buffer, StoredBuffer)
        assert buffer.frames == 10
        await run(server_of(served).start)
        await until(lambda: buffer.frames == 20, "those in the database")
        assert await drain(buffer) == [str(n) for n in range(20)]
        await buffer.close()
