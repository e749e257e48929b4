"""What a bad edit costs a running hub: nothing but what is bad."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

import pytest

from emonhub.config.load import load
from emonhub.hub import Hub
from emonhub.reporter import Reporter

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

HOUSE = """
[hub]
state_dir = {state}
[interfacers]
[[Lines]]
Type = EmonHubSocketInterfacer
[[[init_settings]]]
port_nb = 0
[[[runtimesettings]]]
pubchannels = Out,
nodeoffset = 7
[[Server]]
Type = EmonHubEmoncmsHTTPInterfacer
[[[init_settings]]]
[[[runtimesettings]]]
subchannels = Out,
url = http://127.0.0.1:9
interval = 60
apikey = ${{file:key}}
[nodes]
[[5]]
nodename = old
[[[rx]]]
datacodes = h, h
"""


@pytest.fixture
def conf(tmp_path: Path) -> Path:
    path = tmp_path / "emonhub.conf"
    path.write_text(HOUSE.format(state=tmp_path / "state"))
    (tmp_path / "key").write_text(32 * "1" + "\n")
    return path


@contextlib.asynccontextmanager
async def running(conf: Path) -> AsyncIterator[Hub]:
    hub = Hub(conf, load(conf))
    task = asyncio.create_task(hub.run())
    await until(lambda: set(hub.runners) == {"Lines", "Server"})
    try:
        yield hub
    finally:
        hub.stop()
        await task


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not true():
            await asyncio.sleep(0.01)


async def edit(hub: Hub, old: str, new: str) -> None:
    text = hub.path.read_text()
    assert old in text
    hub.path.write_text(text.replace(old, new))
    await hub.reload()


async def test_a_bad_node_keeps_its_old_definition_until_it_is_good_or_gone(conf: Path) -> None:
    async with running(conf) as hub:
        await edit(hub, "datacodes = h, h", "datacodes = h, z")
        for interval in (61, 62):  # and so it is with every edit that follows
            await edit(hub, "interval = 6", f"interval = {interval}6")
            assert hub.configuration.nodes["5"].nodename == "old"
        await edit(hub, "nodename = old\n[[[rx]]]\ndatacodes = h, z", "nodename = new\n[[[rx]]]\ndatacodes = h,")
        assert hub.configuration.nodes["5"].nodename == "new"
        await edit(hub, "[[5]]", "[[6]]")
        assert hub.configuration.nodes.keys() == {"6"}


async def test_a_bad_value_keeps_the_old_one(conf: Path) -> None:
    async with running(conf) as hub:
        lines, server = hub.runners["Lines"], hub.runners["Server"]
        await edit(hub, "nodeoffset = 7", "nodeoffset = seven")
        await edit(hub, "http://127.0.0.1:9", "127.0.0.1:9")
        assert (hub.runners["Lines"], hub.runners["Server"]) == (lines, server), "not restarted"
        assert lines.interfacer.nodeoffset == 7
        assert getattr(server.interfacer, "url", "") == "http://127.0.0.1:9"
        await edit(hub, "nodeoffset = seven", "nodeoffset = 8")
        assert lines.interfacer.nodeoffset == 8


async def test_a_file_that_cannot_be_read_through_changes_nothing(conf: Path) -> None:
    async with running(conf) as hub:
        before = hub.configuration
        await edit(hub, "[nodes]", "[nodes")
        assert hub.configuration is before
        assert "brackets must be closed" in hub.reload_problem
        await edit(hub, "[nodes", "[nodes]")
        assert hub.reload_problem == ""


async def test_a_new_secret_is_noticed_and_taken(conf: Path) -> None:
    async with running(conf) as hub:
        server = hub.runners["Server"].interfacer
        assert isinstance(server, Reporter)
        conf.with_name("key").write_text(32 * "2")
        await until(lambda: getattr(server, "apikey", "") == 32 * "2")
        assert hub.runners["Server"].interfacer is server
