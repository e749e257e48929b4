"""What people and tools do to a reporter's folder while the hub runs, and hubs that can't have theirs."""

from __future__ import annotations

import asyncio
import errno
import os
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from emonhub import Cargo, Layout, Reporter
from emonhub.buffer.folder import ReporterFolder
from emonhub.buffer.memory import MemoryBuffer
from emonhub.buffer.stored import StoredBuffer
from emonhub.config.load import load
from emonhub.hub import Hub
from tests.conservation import assert_conserved
from tests.fakes.emoncms import FakeEmoncms
from tests.fakes.virtual import run_virtual
from tests.fakes.virtual_world import START, VirtualWorld
from tests.faults.buffers import SlowThread

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

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
    [[[runtimesettings]]]
        subchannels = ToEmonCMS,
        url = {url}
        apikey = 0123456789abcdef0123456789abcdef
        interval = 1
        batchsize = 100
[nodes]
"""


class House:
    def __init__(self, folder: Path, hub: Hub, server: FakeEmoncms) -> None:
        self.hub = hub
        self.server = server
        self.folder = ReporterFolder(folder / "state", "emoncms")
        self.count = 0

    @property
    def reporter(self) -> Reporter:
        found = self.hub.runners["emoncms"].interfacer
        assert isinstance(found, Reporter)
        return found

    async def reads(self, frames: int = 10, value: Any = 1) -> None:
        for _ in range(frames):
            cargo = Cargo(Layout(17), (value, self.count), START + self.count)
            self.hub.channels.publish(("ToEmonCMS",), [cargo])
            self.count += 1
            await asyncio.sleep(1)


@asynccontextmanager
async def house(folder: Path, mode: str = "journal", server: FakeEmoncms | None = None) -> AsyncIterator[House]:
    server = server or FakeEmoncms()
    await server.up()
    path = folder / "emonhub.conf"
    path.write_text(CONFIG.format(state=folder / "state", mode=mode, url=server.url))
    world = VirtualWorld()
    world.storage = SlowThread()
    world.environ = {}  # type: ignore[assignment]
    hub = Hub(path, load(path, {}), world=world)
    running = asyncio.create_task(hub.run())
    await hub.started.wait()
    try:
        made = House(folder, hub, server)
        yield made
        assert not running.done()
        assert_conserved(made.reporter)
    finally:
        hub.stop()
        await running
        await server.down()


@pytest.fixture(autouse=True)
def _front_in_the_state_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("emonhub.buffer.choose.memory_dir", lambda _word: None)


def test_a_pause_is_seen_within_seconds_and_survives_a_restart(tmp_path: Path) -> None:
    async def go() -> None:
        server = FakeEmoncms()
        async with house(tmp_path, server=server) as it:
            await it.reads(3)
            assert server.stored > 0
            it.folder.paused = True
            await asyncio.sleep(2)
            requests = len(server.requests)
            await it.reads(10)
            assert len(server.requests) == requests
            assert it.reporter.held_up == "paused"
        async with house(tmp_path, server=server) as it:
            await asyncio.sleep(30)
            assert len(server.requests) == requests
            assert it.reporter.buffer.frames >= 10
            it.folder.paused = False
            await asyncio.sleep(3)
            assert it.reporter.buffer.frames == 0
        assert server.stored == 13

    run_virtual(go)


def test_what_is_laid_in_is_delivered(tmp_path: Path) -> None:
    async def go() -> None:
        async with house(tmp_path) as it:
            it.folder.lay_in([(START - 1000 + n, f"23,{n}") for n in range(250)])
            await it.reads(3)
            await asyncio.sleep(5)
            assert it.folder.waiting() == []
            assert it.reporter.taken == 253
            assert it.server.stored == 253
            assert (int(START) - 1000, "23", [0]) in [(f.time, f.node, f.values) for f in it.server.frames]

    run_virtual(go)


def test_a_file_that_can_not_be_deleted_is_taken_in_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def go() -> None:
        async with house(tmp_path) as it:
            it.folder.lay_in([(START - 10, "23,5")])
            [path] = it.folder.waiting()

            def fails(*_arguments: object, **_options: object) -> None:
                raise OSError(errno.EROFS, os.strerror(errno.EROFS))

            with monkeypatch.context() as patched:
                patched.setattr(type(path), "unlink", fails)
                await asyncio.sleep(10)
            assert it.reporter.taken == 1

    run_virtual(go)


def test_a_dead_letter_is_tried_again_through_the_inbox(tmp_path: Path) -> None:
    async def go() -> None:
        async with house(tmp_path) as it:
            it.server.store.node_limit = 1
            await it.reads(5)
            it.hub.channels.publish(("ToEmonCMS",), [Cargo(Layout(29), (7,), START + 100)])  # one node too many
            await it.reads(5)
            await asyncio.sleep(60)
            [letter] = it.folder.dead_letters.all()
            assert letter.record == "29,7"
            assert "NodeIds" in letter.reason
            assert it.reporter.dead == 1
            it.server.store.node_limit = 5
            it.folder.lay_in([(found.time, found.record) for found in it.folder.dead_letters.take({letter.id})])
            await asyncio.sleep(60)
            assert (int(START) + 100, "29", [7]) in [(f.time, f.node, f.values) for f in it.server.frames]
            assert it.folder.dead_letters.all() == []

    run_virtual(go)


def test_only_one_hub_uses_a_folder(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def go() -> None:
        async with house(tmp_path) as first:
            assert isinstance(first.reporter.buffer, StoredBuffer)
            async with house(tmp_path) as second:
                assert isinstance(second.reporter.buffer, MemoryBuffer)
                assert "another emonHub uses" in caplog.text
                await second.reads(3)
                await asyncio.sleep(3)
                assert second.server.stored == 3

    run_virtual(go)


@pytest.mark.parametrize("mode", ["journal", "hybrid", "auto"])
def test_without_a_folder_frames_are_kept_in_memory(
    mode: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "buffer").write_text("in the way")

    async def go() -> None:
        path = tmp_path / "state" / "buffer"
        with pytest.raises(OSError, match="buffer"):
            ReporterFolder(tmp_path / "state", "emoncms")
        server = FakeEmoncms()
        await server.up()
        conf = tmp_path / "emonhub.conf"
        conf.write_text(CONFIG.format(state=tmp_path / "state", mode=mode, url=server.url))
        world = VirtualWorld()
        world.storage = SlowThread()
        world.environ = {}  # type: ignore[assignment]
        hub = Hub(conf, load(conf, {}), world=world)
        running = asyncio.create_task(hub.run())
        await hub.started.wait()
        reporter = hub.runners["emoncms"].interfacer
        assert isinstance(reporter, Reporter)
        assert isinstance(reporter.buffer, MemoryBuffer)
        assert "keeps frames in memory only" in caplog.text
        hub.channels.publish(("ToEmonCMS",), [Cargo(Layout(17), (1,), START)])
        await asyncio.sleep(3)
        assert server.stored == 1
        assert_conserved(reporter)
        hub.stop()
        await running
        await server.down()
        assert path.read_text() == "in the way"

    run_virtual(go)


def test_a_state_directory_that_fails_while_it_runs_stops_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def go() -> None:
        async with house(tmp_path) as it:
            real = os.stat

            def fails(path: Any, *arguments: Any, **options: Any) -> os.stat_result:
                if "/state" in os.fspath(path) if isinstance(path, (str, os.PathLike)) else False:
                    raise OSError(errno.EIO, os.strerror(errno.EIO))
                return real(path, *arguments, **options)

            with monkeypatch.context() as patched:
                patched.setattr(os, "stat", fails)
                await it.reads(10)
            await it.reads(3)
            await asyncio.sleep(3)
            assert it.server.stored == 13

    run_virtual(go)
