"""A hub whose configuration is edited all the time, under load: nothing that a reporter has taken is lost."""

from __future__ import annotations

import asyncio
from random import Random
from typing import TYPE_CHECKING, Any

import pytest

from emonhub import Cargo, Layout, Reporter
from emonhub.config.load import load
from emonhub.hub import Hub
from tests.conservation import assert_conserved
from tests.fakes import emoncms_faults as faults
from tests.fakes.emoncms import FakeEmoncms
from tests.fakes.virtual import run_virtual
from tests.fakes.virtual_world import START, VirtualWorld
from tests.faults.buffers import SlowThread

if TYPE_CHECKING:
    from pathlib import Path

# The virtual network knows no keepalive.
pytestmark = pytest.mark.filterwarnings("ignore::async_solipsism.SolipsismWarning")

EDITS = 200

REPORTER = """
[[emoncms]]
    Type = EmonHubEmoncmsHTTPInterfacer
    [[[init_settings]]]
{init}
    [[[runtimesettings]]]
        subchannels = ToEmonCMS,
        url = {url}
        apikey = 0123456789abcdef0123456789abcdef
{run}
"""

INIT: dict[str, list[Any]] = {
    "buffer_mode": ["journal", "hybrid", "memory", "sql", "auto", "nonsense"],
    "sync_interval_s": [0, 5, 60],
    "hybrid_age_s": [1, 900],
    "max_bytes": ["10 MB", "1 GB", "-5"],
    "keep": [0, "90 d", "sometime"],
    "when_full": ["oldest", "thin", "newest"],
}
RUN: dict[str, list[Any]] = {
    "interval": [0, 1, 30, "often"],
    "batchsize": [1, 50, 1000, 0],
    "max_rate": [0, 50],
    "sendnames": [0, 1],
    "no_such_setting": [1],
    "pause": ["off", "out", "upside down"],
}


class Storm:
    def __init__(self, folder: Path, seed: int) -> None:
        self.chance = Random(seed)
        self.file = folder / "emonhub.conf"
        self.state = folder / "state"
        self.server = FakeEmoncms()
        self.init: dict[str, Any] = {"buffer_mode": "journal"}
        self.run_: dict[str, Any] = {"interval": 1}
        self.owed: list[int] = []
        self.count = 0
        self.edits: list[str] = []
        self.there = True

    def write(self, more: str = "") -> None:
        def lines(settings: dict[str, Any]) -> str:
            return "\n".join(f"        {name} = {value}" for name, value in settings.items())

        reporter = REPORTER.format(init=lines(self.init), run=lines(self.run_), url=self.server.url)
        if not self.there:
            reporter = ""
        self.file.write_text(
            f"[hub]\nstate_dir = {self.state}\n[web]\nport = 0\n[interfacers]\n{reporter}\n[nodes]\n{more}"
        )

    def edit(self) -> None:
        """One that somebody might make, well or badly."""
        match self.chance.randrange(10):
            case 0 | 1 | 2 | 3:
                self._change(self.init, INIT)
            case 4 | 5 | 6:
                self._change(self.run_, RUN)
            case 7:
                self.there = not self.there
                self.edits.append("there" if self.there else "gone")
            case 8:
                self.edits.append("broken")
                self.write(self.chance.choice(["[[17\n", "[[[nowhere]]]\n", "\0\0\n", "= 5\n"]))
                return
            case 9:
                self.edits.append("server")
                self.server.fault = self.chance.choice([None, None, faults.unavailable(), faults.server_error()])
        self.write()

    def _change(self, settings: dict[str, Any], choices: dict[str, list[Any]]) -> None:
        name = self.chance.choice(sorted(choices))
        if name in settings and self.chance.random() < 0.2:
            del settings[name]
            self.edits.append(f"no {name}")
        else:
            settings[name] = self.chance.choice(choices[name])
            self.edits.append(f"{name} = {settings[name]}")

    @property
    def reporter(self) -> Reporter | None:
        runner = self.hub.runners.get("emoncms")
        return runner.interfacer if runner is not None and isinstance(runner.interfacer, Reporter) else None

    async def feed(self) -> None:
        while True:
            cargo = Cargo(Layout(17, "emonTx", ("n",)), (self.count,), START + self.count)
            if self.hub.channels.publish(("ToEmonCMS",), [cargo]):
                self.owed.append(self.count)
            self.count += 1
            await asyncio.sleep(self.chance.random() * 0.2)

    async def run(self) -> None:
        await self.server.up()
        self.write()
        world = VirtualWorld()
        world.storage = SlowThread(0.002)
        world.environ = {}  # type: ignore[assignment]
        self.hub = Hub(self.file, load(self.file, {}), world=world)
        running = asyncio.create_task(self.hub.run())
        await self.hub.started.wait()
        feeding = asyncio.create_task(self.feed())
        for _ in range(EDITS):
            self.edit()
            self.hub.look_now()
            await asyncio.sleep(self.chance.random() * 3)
            assert not running.done(), self.edits[-5:]
            if self.reporter is not None:
                assert_conserved(self.reporter)
        feeding.cancel()
        await asyncio.gather(feeding, return_exceptions=True)
        self.server.fault = None
        self.there, self.init, self.run_ = True, {"buffer_mode": "journal"}, {"interval": 0, "pause": "off"}
        self.write()
        self.hub.look_now()
        async with asyncio.timeout(3600):
            while self.reporter is None or self.reporter.buffer.frames or self.reporter.batchsize != 1000:
                await asyncio.sleep(1)
        assert_conserved(self.reporter)
        self.hub.stop()
        await running
        await self.server.down()
        self.judge()

    def judge(self) -> None:
        arrived = []
        for frame in self.server.frames:
            values = frame.values.values() if isinstance(frame.values, dict) else frame.values
            arrived.append(int(next(iter(values))))
        missing = sorted(set(self.owed) - set(arrived))
        assert not missing, f"{len(missing)} lost: {missing[:5]}\n{self.edits}"
        assert set(arrived) <= set(range(self.count))
        # One that was tried out of turn, to see whether the target is well, comes again in its turn.
        last_times = list(dict.fromkeys(reversed(arrived)))
        assert last_times == sorted(last_times, reverse=True), self.edits
        assert len(self.owed) > 100


def storm(folder: Path, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("emonhub.buffer.choose.memory_dir", lambda _word: None)
    monkeypatch.setattr("emonhub.buffer.choose.StorageThread", lambda _name: SlowThread(0.002))
    run_virtual(Storm(folder, seed).run)


@pytest.mark.parametrize("seed", range(4))
def test_two_hundred_edits_under_load(seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    storm(tmp_path, seed, monkeypatch)


@pytest.mark.full
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("seed", range(100, 300))
def test_many_edits_under_load(seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    storm(tmp_path, seed, monkeypatch)
