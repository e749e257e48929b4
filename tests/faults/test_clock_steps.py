"""A whole hub on a machine whose clock is wrong, is set, steps, starts anew: each frame arrives by its right time."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from emonhub import Cargo, Layout, Reporter
from emonhub.clock import Clock
from emonhub.config.load import load
from emonhub.hub import Hub
from emonhub.world import World
from tests.conservation import assert_conserved
from tests.fakes import emoncms_faults as faults
from tests.fakes.emoncms import FakeEmoncms
from tests.fakes.virtual import VirtualConnector, run_virtual

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    import aiohttp

NOW = 1_800_000_000.0
"""True time at the loop's 0."""

HOUR = 3600.0
NODE = Layout(17)

# The virtual network knows no keepalive.
pytestmark = pytest.mark.filterwarnings("ignore::async_solipsism.SolipsismWarning")

CONFIG = """
[hub]
state_dir = {state}
[web]
port = 0
[interfacers]
[[emoncms]]
    Type = EmonHubEmoncmsHTTPInterfacer
    [[[init_settings]]]
        buffer_mode = {mode}
        sync_interval_s = 20
    [[[runtimesettings]]]
        subchannels = ToEmonCMS,
        url = {url}
        apikey = 0123456789abcdef0123456789abcdef
        interval = 30
        retry_max = 60
[nodes]
"""


class Machine:
    """A machine with a hub on it, in a world where the true time is known."""

    def __init__(self, folder: Path, mode: str = "journal") -> None:
        self.folder = folder
        self.mode = mode
        self.boots = 0
        self.read: dict[int, float] = {}  # number -> true time
        self.server = FakeEmoncms(clock=lambda: self.true_time)
        self.stamped: dict[int, float] = {}
        self.started = self.ahead_s = 0.0
        self.is_set = False
        self.hub: Any = None

    @property
    def true_time(self) -> float:
        return NOW + asyncio.get_running_loop().time()

    def boot(self, wall: float, *, is_set: bool = False) -> None:
        """The machine starts, with this time on its clock."""
        self.started = asyncio.get_running_loop().time()
        self.boots += 1
        self.ahead_s = wall
        self.is_set = is_set

    @property
    def time(self) -> float:
        return self.ahead_s + self.up

    @property
    def up(self) -> float:
        return asyncio.get_running_loop().time() - self.started

    def set_clock(self) -> None:
        self.ahead_s += self.true_time - self.time
        self.is_set = True

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """The hub runs on it."""
        path = self.folder / "emonhub.conf"
        path.write_text(CONFIG.format(state=self.folder / "state", url=self.server.url, mode=self.mode))
        machine = self

        class MachineWorld(World):
            def __init__(self) -> None:
                super().__init__(seed=1)
                self.environ = {}  # type: ignore[assignment]
                boot = f"boot {machine.boots}"
                self.clock = Clock(self.time, lambda: machine.up, boot, lambda: machine.is_set)

            def time(self) -> float:
                return machine.time

            def http_connector(self, **options: Any) -> aiohttp.BaseConnector:
                return VirtualConnector(**options)

        self.hub = Hub(path, load(path, {}), world=MachineWorld())
        self.hub.world.storage = Inline()
        running = asyncio.create_task(self.hub.run())
        await self.hub.started.wait()
        try:
            yield
            assert_conserved(self.reporter)
        finally:
            self.hub.stop()
            await running

    @property
    def reporter(self) -> Reporter:
        found = self.hub.runners["emoncms"].interfacer
        assert isinstance(found, Reporter)
        return found

    async def reads(self, frames: int, every_s: float = 10.0, *, by_device: bool = False) -> None:
        for _ in range(frames):
            number = len(self.read)
            self.read[number] = self.true_time
            time = self.true_time if by_device else round(self.time, 3)
            cargo = Cargo(NODE, (number,), time, device_time=by_device)
            self.hub.channels.publish(("ToEmonCMS",), [cargo])
            await asyncio.sleep(every_s)

    async def delivered(self) -> None:
        async with asyncio.timeout(2 * HOUR):
            while self.reporter.buffer.frames:
                await asyncio.sleep(1)

    def judge(self, *, within_s: float = 1.5, but: frozenset[int] = frozenset()) -> None:
        """All has arrived, in order, once, by the time when it was read."""
        arrived = [int(frame.values[0]) for frame in self.server.frames if isinstance(frame.values, list)]
        assert arrived == list(self.read)
        for frame in self.server.frames:
            assert isinstance(frame.values, list)
            number = int(frame.values[0])
            if number not in but:
                assert abs(frame.time - self.read[number]) <= within_s, number


class Inline:
    async def run(self, call: Any, *arguments: Any) -> Any:
        await asyncio.sleep(0)
        return call(*arguments)


@pytest.fixture(params=["journal", "hybrid", "memory"])
def machine(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    monkeypatch.setattr("emonhub.buffer.choose.memory_dir", lambda _word: None)
    return Machine(tmp_path, request.param)


def keeps(machine: Machine) -> bool:
    """Whether frames outlive its hub."""
    return machine.mode != "memory"


def test_a_board_without_a_clock_starts_in_1970(machine: Machine) -> None:
    async def go() -> None:
        async with machine.server:
            machine.boot(5.0)
            async with machine.running():
                await machine.reads(10)
                assert not machine.server.requests
                assert machine.reporter.held_up == "waiting for the clock to be set"
                machine.set_clock()
                await machine.reads(10)
                await machine.delivered()
            machine.judge()

    run_virtual(go)


@pytest.mark.parametrize("fault", [None, "down", "busy"])
def test_a_stale_time_that_looks_right_and_two_hours_offline(machine: Machine, fault: str | None) -> None:
    """The time of the last shutdown, as it is kept for boards without a clock. No network: no time, and no server."""

    async def go() -> None:
        async with machine.server:
            machine.boot(NOW - 20 * HOUR)
            async with machine.running():
                if fault == "down":
                    await machine.server.down()
                machine.server.fault = faults.unavailable() if fault != "down" else None
                await machine.reads(720)
                await machine.server.up()
                machine.set_clock()
                await machine.reads(2, 0.1)  # before anybody has noticed
                machine.server.fault = None
                await machine.reads(10)
                await machine.delivered()
            machine.judge()

    run_virtual(go)


def test_a_restart_of_the_hub_before_the_clock_is_set(machine: Machine) -> None:
    if not keeps(machine):
        return

    async def go() -> None:
        async with machine.server:
            machine.boot(NOW - 30 * 24 * HOUR)
            machine.server.fault = faults.unavailable()
            async with machine.running():
                await machine.reads(20)
            async with machine.running():
                await machine.reads(20)
                machine.set_clock()
                await machine.reads(5)
                machine.server.fault = None
                await machine.delivered()
            machine.judge()

    run_virtual(go)


def test_the_clock_is_set_while_the_hub_is_not_running_and_the_machine_starts_anew(machine: Machine) -> None:
    if not keeps(machine):
        return

    async def go() -> None:
        async with machine.server:
            machine.boot(NOW - 30 * 24 * HOUR)
            machine.server.fault = faults.unavailable()
            async with machine.running():
                await machine.reads(20)
            machine.set_clock()
            async with machine.running():
                await machine.reads(5)
            machine.boot(NOW - 9 * HOUR)
            async with machine.running():
                await machine.reads(20)
                machine.set_clock()
                machine.server.fault = None
                await machine.reads(20)
                await machine.delivered()
            machine.judge()

    run_virtual(go)


def test_a_start_in_which_the_clock_was_never_set(machine: Machine) -> None:
    """When those frames were read, nobody will ever know; but they arrive, in order, and the others are right."""
    if not keeps(machine):
        return

    async def go() -> None:
        async with machine.server:
            machine.boot(NOW - HOUR)
            machine.server.fault = faults.unavailable()
            async with machine.running():
                await machine.reads(20)
            machine.boot(NOW - HOUR / 2)
            async with machine.running():
                await machine.reads(20)
                machine.set_clock()
                machine.server.fault = None
                await machine.reads(5)
                await machine.delivered()
            machine.judge(but=frozenset(range(20)))

    run_virtual(go)


def test_times_of_devices_are_left_alone(machine: Machine) -> None:
    async def go() -> None:
        async with machine.server:
            machine.boot(NOW - 20 * HOUR)
            async with machine.running():
                for _ in range(5):
                    await machine.reads(3)
                    await machine.reads(3, by_device=True)
                machine.set_clock()
                await machine.reads(3, by_device=True)
                await machine.delivered()
            machine.judge()

    run_virtual(go)


def test_without_hope_frames_go_out_as_they_are(machine: Machine) -> None:
    async def go() -> None:
        async with machine.server:
            machine.boot(NOW - 100.0)  # a network without a time server
            async with machine.running():
                await machine.reads(60)
                await machine.delivered()
                assert len(machine.server.frames) == 60
                assert machine.server.requests[0].arrived > 299
            machine.judge(within_s=102)

    run_virtual(go)


@pytest.mark.parametrize("step", [HOUR, -HOUR, 365 * 24 * HOUR, -90 * 24 * HOUR])
def test_a_clock_that_steps_later_stops_nothing(machine: Machine, step: float) -> None:
    async def go() -> None:
        async with machine.server:
            machine.boot(NOW, is_set=True)
            async with machine.running():
                await machine.reads(30)
                before = len(machine.server.requests)
                machine.ahead_s += step
                await machine.reads(30)
                posts = [r.arrived for r in machine.server.requests[before:]]
                assert 8 <= len(posts) <= 12  # in 300 s: as often as ever
                machine.ahead_s -= step
                await machine.reads(30)
                await machine.delivered()
            machine.judge(but=frozenset(range(30, 60)))

    run_virtual(go)
