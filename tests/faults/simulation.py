"""A whole hub in a simulated world: time, network, disk and power are the test's, and chance comes from one seed.

A day passes in seconds. A device sends frames over TCP; an emoncms takes them, or does not; the disk fails; the hub is
killed and started again; the power goes; the configuration is edited. What must hold in the end, whatever happened:
everything that the hub had taken has arrived, in order, and nothing that nobody sent.
"""

from __future__ import annotations

import asyncio
import errno
import shutil
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING, Any, TypeVar, TypeVarTuple

from emonhub.buffer.disk import Disk
from emonhub.clock import Clock
from emonhub.config.load import load
from emonhub.hub import Hub
from emonhub.reporter import Reporter
from emonhub.world import World
from tests.fakes.emoncms import FakeEmoncms
from tests.fakes.emoncms_faults import (
    Close,
    Fault,
    HalfAnswer,
    Hang,
    Slow,
    database_down,
    html_ok,
    server_error,
    too_many,
    unauthorised,
    unavailable,
)
from tests.fakes.virtual import VirtualConnector

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import aiohttp

    from emonhub.cargo import Cargo
    from emonhub.errors import FrameError
    from emonhub.interfacer import Interfacer

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

START = 1_790_000_000.0
PORT = 50011
NODES = (7, 8, 9, 10)
PERIOD_S = 30.0
SYNC_S = 20.0

CONFIG = """
[hub]
state_dir = {state}
[web]
port = 0
[interfacers]
[[Socket]]
    Type = EmonHubSocketInterfacer
    [[[init_settings]]]
        port_nb = 50011
    [[[runtimesettings]]]
        pubchannels = ToEmonCMS,
[[emoncms]]
    Type = EmonHubEmoncmsHTTPInterfacer
    [[[init_settings]]]
        buffer_mode = {mode}
        sync_interval_s = {sync}
        hybrid_age_s = {sync}
    [[[runtimesettings]]]
        subchannels = ToEmonCMS,
        url = {url}
        apikey = 0123456789abcdef0123456789abcdef
        interval = {interval}
        batchsize = {batchsize}
        timeout = 20
        retry_max = 60
[nodes]
"""


class SimulatedDisk(Disk):
    """A disk that fails when it is told to."""

    def __init__(self) -> None:
        self.failing: int | None = None

    def append_to(self, path: Path) -> Any:
        self._check()
        return _Checked(super().append_to(path), self._check)

    def put(self, path: Path, offset: int, data: bytes) -> None:
        self._check()
        super().put(path, offset, data)

    def rename(self, old: Path, new: Path) -> None:
        self._check()
        super().rename(old, new)

    def remove(self, path: Path) -> None:
        self._check()
        super().remove(path)

    def _check(self) -> None:
        if self.failing is not None:
            raise OSError(self.failing, "simulated")


class _Checked:
    def __init__(self, file: Any, check: Callable[[], None]) -> None:
        self._file, self._check = file, check

    def write(self, data: bytes) -> None:
        self._check()
        self._file.write(data)

    def sync(self) -> None:
        self._check()

    def close(self) -> None:
        self._file.close()


class SlowStorage:
    """The storage thread, whose every call takes some simulated time."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._lock = asyncio.Lock()

    async def run(self, call: Callable[[*Ts], T], *arguments: *Ts) -> T:
        async with self._lock:
            if self.seconds:
                await asyncio.sleep(self.seconds)
            return call(*arguments)


class SimulatedWorld(World):
    """Time is the loop's."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed=seed)
        self.environ = {}  # type: ignore[assignment] # nothing of this machine's
        loop = asyncio.get_running_loop()
        self.time = lambda: START + loop.time()
        self.clock = Clock(self.time, loop.time, boot="simulated", is_set=lambda: True)
        self.disk = self.faulty_disk = SimulatedDisk()
        self.slow_storage = SlowStorage()
        self.storage = self.slow_storage  # type: ignore[assignment]

    def http_connector(self, **options: Any) -> aiohttp.BaseConnector:
        return VirtualConnector(**options)


@dataclass
class Obligations:
    """What the hub has taken, as an observer sees it: nothing of this may be missing in the end."""

    world: World
    taken: list[tuple[float, tuple[int, int, int]]] = field(default_factory=list)
    sent: set[tuple[int, int, int]] = field(default_factory=set)

    def passed(self, _interfacer: Interfacer, cargos: list[Cargo]) -> None:
        now = self.world.monotonic()
        self.taken += [(now, (int(round(c.time, 3)), int(c.layout.node), int(c.values[0] or 0))) for c in cargos]

    def discarded(self, interfacer: Interfacer, error: FrameError, raw: bytes | str) -> None:
        raise AssertionError(f"{interfacer.name} discarded {raw!r}: {error}")


class Simulation:
    """One run; `events` tells what happened, for whoever has to find out why it failed."""

    def __init__(self, seed: int, folder: Path, mode: str = "journal") -> None:
        self.random = Random(seed)
        self.folder = folder
        self.mode = mode
        self.state = folder / "state"
        self.file = folder / "emonhub.conf"
        self.world = SimulatedWorld(seed)
        self.owed = Obligations(self.world)
        self.server = FakeEmoncms(clock=self.world.time)
        self.events: list[str] = []
        self.may_be_lost: set[tuple[int, int, int]] = set()
        self.settings = {"interval": 10, "batchsize": 50}
        self.counter = 0
        self._hub: Hub | None = None
        self._running: asyncio.Task[None] | None = None

    def note(self, what: str) -> None:
        self.events.append(f"{self.world.monotonic():9.1f} {what}")

    # The hub

    def configure(self, **changes: int) -> None:
        self.settings |= changes
        text = CONFIG.format(state=self.state, url=self.server.url, mode=self.mode, sync=int(SYNC_S), **self.settings)
        self.file.write_text(text)

    async def start(self) -> None:
        self._hub = Hub(self.file, load(self.file, {}), world=self.world)
        self._hub.observe(self.owed)
        self._running = asyncio.create_task(self._hub.run(), name="hub")
        await self._hub.started.wait()

    @property
    def reporter(self) -> Reporter:
        assert self._hub is not None
        found = self._hub.runners["emoncms"].interfacer
        assert isinstance(found, Reporter)
        return found

    async def stop(self) -> None:
        assert self._hub is not None
        assert self._running is not None
        self._hub.stop()
        await self._running
        self.check_conservation()

    async def kill(self, *, power: bool) -> None:
        """As kill -9, or a power cut, would end it: what the hub still does in ending has no effect."""
        assert self._running is not None
        await self.server.down()
        kept = self.folder / "kept"
        shutil.copytree(self.state, kept)
        if power or self.mode == "hybrid":  # whose newest frames are in the process's own memory
            now = self.world.monotonic()
            window = SYNC_S + 2.0 + 4 * self.world.slow_storage.seconds
            recent = {frame for when, frame in self.owed.taken if when > now - window}
            self.may_be_lost |= recent
            for front in kept.glob("buffer/*/front"):
                shutil.rmtree(front)
        # The ending hub finds a disk that takes nothing, and a network that answers nothing.
        self.world.faulty_disk.failing = errno.EIO
        self._running.cancel()
        await asyncio.gather(self._running, return_exceptions=True)
        self.world.faulty_disk.failing = None
        shutil.rmtree(self.state)
        kept.rename(self.state)
        await self.server.up()
        await self.start()

    def check_conservation(self) -> None:
        itf = self.reporter
        assert itf.taken == itf.acknowledged + itf.buffer.frames + itf.dropped.total() + itf.dead, self.story()
        assert not itf.dropped, self.story()
        assert not itf.dead, self.story()

    # The device

    async def feed(self) -> None:
        """Four nodes, for ever; a connection that breaks is made anew."""
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", PORT)
            except OSError:
                await asyncio.sleep(1.0)
                continue
            try:
                while not writer.is_closing():
                    self.counter += 1
                    line = "".join(f"{node} {self.counter} {self.counter % 7}.5\n" for node in NODES)
                    writer.write(line.encode())
                    await asyncio.sleep(PERIOD_S * self.random.uniform(0.9, 1.1))
            finally:
                writer.close()

    # What goes wrong

    def faults(self) -> list[Fault | None]:
        return [
            None,
            Hang("before"),
            Hang("after"),
            Hang("stored"),
            Close(store=self.random.randrange(60)),
            Close(store=None),
            HalfAnswer(),
            Slow(self.random.uniform(1, 40)),
            server_error(),
            database_down(),
            html_ok(),
            unauthorised(),
            unavailable(retry_after=self.random.randrange(1, 300)),
            too_many(retry_after=self.random.randrange(1, 60)),
        ]

    async def happen(self) -> None:
        """One event of chance."""
        match self.random.randrange(9):
            case 0 | 1 | 2:
                self.server.fault = self.random.choice(self.faults())
                self.note(f"the server: {self.server.fault}")
            case 3:
                await self.server.down()
                self.note("the server is down")
                await asyncio.sleep(self.random.uniform(1, 600))
                await self.server.up()
            case 4:
                self.world.faulty_disk.failing = self.random.choice([errno.ENOSPC, errno.EIO, errno.EROFS, None])
                self.note(f"the disk fails: {self.world.faulty_disk.failing}")
                await asyncio.sleep(self.random.uniform(1, 300))
                self.world.faulty_disk.failing = None
            case 5:
                self.world.slow_storage.seconds = self.random.choice([0.0, 0.01, 1.0, 10.0])
                self.note("the disk is slow, or quick again")
            case 6:
                self.note("an edit")
                self.configure(interval=self.random.choice([0, 5, 30]), batchsize=self.random.choice([1, 20, 500]))
            case 7:
                power = self.random.random() < 0.5
                self.note("the power is cut" if power else "kill -9")
                await self.kill(power=power)
            case 8:
                self.note("a restart")
                await self.stop()
                await self.start()

    async def run(self, seconds: float) -> None:
        """So many simulated seconds of it, then the judgement."""
        await self.server.up()
        self.configure()
        await self.start()
        feeding = asyncio.create_task(self.feed(), name="feed")
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        while loop.time() < end:
            await asyncio.sleep(self.random.expovariate(1 / 600))
            await self.happen()
        self.server.fault = None
        self.world.faulty_disk.failing = None
        self.world.slow_storage.seconds = 0.0
        feeding.cancel()
        await asyncio.gather(feeding, return_exceptions=True)
        self.note("the faults are over")
        await self._drained()
        await self.stop()
        self.judge()

    async def _drained(self) -> None:
        for _ in range(600):
            await asyncio.sleep(2.0)
            if not self.reporter.buffer.frames:
                return
        raise AssertionError(f"{self.reporter.buffer.frames} frames are still owed\n{self.story()}")

    def judge(self) -> None:
        stored = [(f.time, int(f.node), int(f.values[0])) for f in self.server.frames if isinstance(f.values, list)]
        taken = [frame for _, frame in self.owed.taken]
        assert len(taken) > 0.5 * len(NODES) * self.world.monotonic() / PERIOD_S, "the device was hardly heard"
        missing = set(taken) - set(stored) - self.may_be_lost
        assert not missing, f"{len(missing)} frames are lost: {sorted(missing)[:5]}\n{self.story()}"
        invented = set(stored) - set(taken)
        assert not invented, f"{len(invented)} frames are invented: {sorted(invented)[:5]}\n{self.story()}"
        self._judge_order(stored)

    def _judge_order(self, stored: list[tuple[int, int, int]]) -> None:
        """What each node sent came in the order in which it was sent; what came again had come before."""
        newest: dict[int, int] = dict.fromkeys(NODES, 0)
        seen: set[tuple[int, int]] = set()
        for _, node, count in stored:
            if (node, count) not in seen:
                assert count > newest[node], f"node {node}: {count} after {newest[node]}\n{self.story()}"
                newest[node] = count
                seen.add((node, count))

    def story(self) -> str:
        return "\n".join(event[:120] for event in self.events[-40:])
