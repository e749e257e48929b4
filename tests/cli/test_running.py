"""The commands on what is owed and kept, beside a hub that runs."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from emonhub.config.load import load
from emonhub.hub import Hub
from emonhub.reporter import Reporter
from tests.cli.kept import START, Kept, cargos, until
from tests.fakes.emoncms import FakeEmoncms
from tests.fakes.emoncms_faults import unavailable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

KEEP = "        keep = ever"


@asynccontextmanager
async def running(kept: Kept) -> AsyncIterator[tuple[Hub, FakeEmoncms]]:
    """A hub with a server that both of its reporters send to."""
    async with FakeEmoncms(clock=lambda: START + 1e6) as server:
        kept.configure(org=KEEP, url=server.url)
        kept.conf.write_text(kept.conf.read_text().replace("subchannels =", "interval = 0\n        subchannels ="))
        hub = Hub(kept.conf, load(kept.conf))
        task = asyncio.create_task(hub.run())
        await hub.started.wait()
        try:
            yield hub, server
        finally:
            hub.stop()
            await task
    for runner in hub.runners.values():
        reporter = runner.interfacer
        assert isinstance(reporter, Reporter)
        gone = reporter.acknowledged + reporter.dropped.total() + reporter.dead
        assert reporter.taken == gone + reporter.buffer.frames


async def command(kept: Kept, *arguments: object) -> str:
    status, out, err = await asyncio.to_thread(kept, *arguments)
    assert (status, err) == (0, "")
    return out


def reporter(hub: Hub) -> Reporter:
    found = hub.runners["org"].interfacer
    assert isinstance(found, Reporter)
    return found


async def record(kept: Kept, count: int) -> None:
    """Have frames delivered and kept before the hub starts."""
    kept.configure(org=KEEP)
    await asyncio.to_thread(lambda: kept.owe(cargos(count), delivered=count))


async def lay_in(kept: Kept, count: int, *, start: float = START) -> str:
    rows = "".join(f"{start + i},30,{i}\n" for i in range(count))
    (kept.path / "in.csv").write_text("unix,node,value1\n" + rows)
    return await command(kept, "buffer", "import", "org", kept.path / "in.csv")


async def test_what_is_imported_is_delivered(kept: Kept) -> None:
    async with running(kept) as (hub, server):
        assert "the hub takes them in within a second" in await lay_in(kept, 100)
        await until(lambda: len(server.frames) == 100)
        assert [frame.time for frame in server.frames] == [int(START) + i for i in range(100)]
        reporter(hub).accept(cargos(2))
        status = json.loads(await command(kept, "buffer", "status", "org", "--json"))["reporters"][0]
        assert status["hub"] > 0
        assert status["inbox"] == 0


async def test_paused_until_it_is_resumed(kept: Kept) -> None:
    async with running(kept) as (hub, server):
        await command(kept, "buffer", "pause", "org")
        await until(lambda: reporter(hub).held_up == "paused")
        await lay_in(kept, 10)
        await until(lambda: reporter(hub).buffer.frames == 10)
        assert server.frames == []
        assert (await command(kept, "buffer", "peek", "org")).count("\n") == 10
        await command(kept, "buffer", "resume", "org")
        await until(lambda: len(server.frames) == 10)


async def test_a_replay_takes_its_turn(kept: Kept) -> None:
    await record(kept, 500)
    async with running(kept) as (hub, server):
        reporter(hub).accept(cargos(1, start=START + 10_000))  # so that it has sent already
        await until(lambda: len(server.frames) == 1)
        out = await command(kept, "replay", "--of", "org", "--to", START + 9000)
        assert "500 frames sent" in out
        assert len(server.frames) == 501
        reporter(hub).accept(cargos(1, start=START + 20_000))
        reporter(hub).hurry()
        await until(lambda: len(server.frames) == 502)


async def test_a_replay_while_sending_is_paused_with_a_batch_on_its_way(kept: Kept) -> None:
    await record(kept, 50)
    async with running(kept) as (hub, server):
        server.fault = unavailable()
        reporter(hub).accept(cargos(1, start=START + 10_000))
        await until(lambda: reporter(hub).trouble)
        await command(kept, "buffer", "pause", "org")
        await until(lambda: reporter(hub).held_up == "paused")
        server.fault = None
        assert "50 frames sent" in await command(kept, "replay", "--of", "org", "--to", START + 9000)
        assert len(server.frames) == 50
        await command(kept, "buffer", "resume", "org")
        await until(lambda: len(server.frames) == 51)


async def test_a_dead_letter_that_is_tried_again(kept: Kept) -> None:
    async with running(kept) as (hub, server):
        reporter(hub).take_in([START], ["[30],1"])
        reporter(hub).accept(cargos(5))
        await until(lambda: reporter(hub).dead == 1 and not reporter(hub).buffer.frames)
        assert "[30],1" in await command(kept, "deadletter", "list", "org")
        await command(kept, "deadletter", "retry", "org", "--all")
        await until(lambda: reporter(hub).taken == 7)
        assert server.stored == 5


async def test_reading_while_frames_come_in(kept: Kept) -> None:
    """A peek and an export see each frame once, in order, wherever it lies at the moment."""
    async with running(kept) as (hub, _):
        await command(kept, "buffer", "pause", "org")
        await until(lambda: reporter(hub).held_up == "paused")
        stop = asyncio.Event()

        async def feed() -> None:
            number = 0
            while not stop.is_set() and number < 30_000:
                reporter(hub).take_in([START + number + i for i in range(50)], [f"30,{number + i}" for i in range(50)])
                number += 50
                if number % 1000 == 0:
                    reporter(hub).buffer.spill()  # type: ignore[attr-defined]
                await asyncio.sleep(0.001)

        feeding = asyncio.create_task(feed())
        try:
            for _ in range(20):
                found = await asyncio.to_thread(kept.records, "owed")
                assert [record for _, record in found] == [f"30,{i}" for i in range(len(found))]
        finally:
            stop.set()
            await feeding
