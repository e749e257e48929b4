"""Ten minutes of a server that fails in every way, in virtual time: all frames arrive, in order, none lost."""

from __future__ import annotations

import asyncio
import random
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

from emonhub import Cargo, Interfacer, Layout
from emonhub.channel import Channels
from emonhub.config.model import InterfacerConfig
from emonhub.interfacers.emoncms.http import EmoncmsHttpReporter
from emonhub.supervisor import Runner
from tests.fakes import emoncms_faults as faults
from tests.fakes.emoncms import FakeEmoncms
from tests.fakes.virtual import run_virtual
from tests.fakes.virtual_world import VirtualWorld

if TYPE_CHECKING:
    from emonhub import Reporter

LAYOUTS = [Layout(10, "emonTx", ("power", "temp")), Layout(19, "emonTH", ("temp", "humidity")), Layout("x", "meter")]

REFUSED = "refused"

# What the server does, each for some seconds, with none between some of them: times are drawn from a seed.
TROUBLES: list[Any] = [
    REFUSED,
    faults.Hang("before"),
    faults.Hang("after"),
    faults.Hang("stored"),
    faults.server_error(),
    faults.server_error(store=3),
    faults.Reply(502),
    faults.unavailable(5),
    faults.too_many("Thu, 01 Jan 1970 00:00:00 GMT"),
    faults.error_text(),
    faults.error_text("Error: something that nobody has seen before", store=2),
    faults.crash_after(1),
    faults.redis_down(),
    faults.empty_ok(),
    faults.html_ok(),
    faults.redirect("http://127.0.0.1:1/"),
    faults.unauthorised(),
    faults.too_large(),
    faults.HalfAnswer(),
    faults.SlowBody(),
    faults.Slow(3),
    faults.Slow(25, stored_first=False),
    faults.Close(),
    faults.Close(0),
    faults.Close(2),
    faults.warning_then_ok(),
]


class Meter(Interfacer):
    """Some frames a second, for ten minutes; in each the number of the frame."""

    count = 0

    async def run(self) -> None:
        for _ in range(600):
            await self.world.sleep(1)
            now = self.world.time()
            numbers = range(self.count, self.count + 3)
            self.count += 3
            self.publish([Cargo(LAYOUTS[n % 3], (n, n / 8), now) for n in numbers])
        await asyncio.Event().wait()


def conserved(reporter: Reporter) -> bool:
    kept = reporter.acknowledged + reporter.buffer.frames + reporter.dropped.total() + reporter.dead
    return reporter.taken == kept


async def ten_minutes(seed: int, **settings: Any) -> tuple[FakeEmoncms, EmoncmsHttpReporter, Meter]:
    chance = random.Random(seed)
    troubles = TROUBLES * 2
    chance.shuffle(troubles)
    world = VirtualWorld(seed=seed)
    async with FakeEmoncms() as server:
        given = {"url": server.url, "apikey": server.write_key, "subchannels": ("c",), "timeout": 10.0}
        meter = Meter("meter", {"pubchannels": ("c",)}, world=world)
        reporter = EmoncmsHttpReporter("emoncms", given | settings, world=world)
        channels = Channels()
        runners = [Runner(InterfacerConfig(i.name, "T", 1, type(i), {}, {}), i, channels) for i in (reporter, meter)]
        for runner in runners:
            runner.start()
        ends = asyncio.get_running_loop().time() + 600
        for trouble in troubles:
            if trouble == REFUSED:
                await server.down()
            else:
                server.fault = trouble
            await asyncio.sleep(chance.uniform(2, 20))
            assert conserved(reporter)
            server.fault = None
            await server.up()
            await asyncio.sleep(chance.choice([0, 0, chance.uniform(0, 6)]))
        await asyncio.sleep(max(0, ends - asyncio.get_running_loop().time()))
        async with asyncio.timeout(3600):
            while reporter.buffer.frames or meter.count < 1800:
                await asyncio.sleep(1)
        assert conserved(reporter)
        await asyncio.gather(*(runner.stop(1) for runner in runners))
    return server, reporter, meter


@pytest.mark.parametrize(
    "settings",
    [
        {"interval": 0.0},
        {"interval": 0.0, "sendnames": True, "batchsize": 7},
        {"interval": 10.0, "compress": True, "batchsize": 50},
    ],
    ids=["at once", "names, small batches", "every 10 s, compressed"],
)
@pytest.mark.parametrize("seed", [0, *(pytest.param(n, marks=pytest.mark.slow) for n in range(1, 10))])
def test_all_arrives_in_order_and_none_is_lost(seed: int, settings: dict[str, Any]) -> None:
    server, reporter, meter = run_virtual(lambda: ten_minutes(seed, **settings))
    assert meter.count == 1800
    assert reporter.taken == reporter.acknowledged == 1800
    assert reporter.dropped.total() == reporter.dead == 0
    arrived = [number_of(frame.values) for frame in server.frames]
    first_time = list(dict.fromkeys(arrived))
    assert first_time == list(range(1800))
    assert server.requests[-1].status == 200
    # Never two requests at once: order matters to emoncms.
    assert all(a.arrived <= b.arrived for a, b in pairwise(server.requests))


def number_of(values: dict[str, float] | list[float]) -> int:
    first = next(iter(values.values())) if isinstance(values, dict) else values[0]
    return int(first)
