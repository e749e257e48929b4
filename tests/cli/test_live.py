"""`emonhub status`, `tap` and `top` beside a running hub."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import TYPE_CHECKING

import pytest

from tests.web.conftest import EMONCMS, RADIO, Site, asking, configuration, serving, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.fakes.emoncms import FakeEmoncms

FRAME = "OK 10 100 0 215 0 (-40)"


@pytest.fixture
async def emoncms() -> AsyncIterator[FakeEmoncms]:
    from tests.fakes.emoncms import FakeEmoncms  # noqa: PLC0415

    async with FakeEmoncms() as server:
        yield server


@pytest.fixture
async def site(tmp_path: Path, emoncms: FakeEmoncms) -> AsyncIterator[Site]:
    radio = RADIO.format(port=tmp_path / "tty")
    text = configuration(tmp_path / "state", radio, EMONCMS.format(url=emoncms.url, key=emoncms.write_key))
    async with serving(tmp_path / "emonhub.conf", text) as site:
        yield site


async def start(*arguments: object) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "emonhub",
        *map(str, arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={"COLUMNS": "160", "PYTHONUTF8": "1"},
    )


async def run(*arguments: object) -> tuple[int | None, str, str]:
    process = await start(*arguments)
    out, error = await process.communicate()
    return process.returncode, out.decode(), error.decode()


async def test_status_says_what_is_wrong_and_fails(site: Site) -> None:
    status, out, _ = await run("status", "--config", site.path)
    assert status == 1
    first, second, *_ = out.splitlines()
    assert first.endswith("NOT all is well")
    assert second.startswith("  - RFM2Pi is waiting: there is no ")
    (radio,) = [line for line in out.splitlines() if line.startswith("RFM2Pi ")]
    assert radio.split()[1] == "waiting"
    assert "0 frames read" in radio


async def test_status_is_good_when_all_is_well(tmp_path: Path, emoncms: FakeEmoncms) -> None:
    text = EMONCMS.format(url=emoncms.url, key=emoncms.write_key) + (
        "[[tcp]]\n    Type = EmonHubSocketInterfacer\n    [[[init_settings]]]\n        port_nb = 0\n"
        "    [[[runtimesettings]]]\n        pubchannels = ToEmonCMS,\n"
    )
    async with serving(tmp_path / "emonhub.conf", configuration(tmp_path / "state", text)) as site:
        await until(lambda: all(runner.state.value == "running" for runner in site.hub.runners.values()))
        site.publishes("tcp")
        await until(lambda: emoncms.frames)
        status, out, _ = await run("status", "--state-dir", tmp_path / "state")
        as_json = await run("status", "--json", "--state-dir", tmp_path / "state")
    assert status == 0, out
    assert "all is well" in out
    assert "1 frame delivered" in out
    assert emoncms.write_key not in out
    assert json.loads(as_json[1])["well"] is True


async def test_status_without_a_hub_says_what_to_do(tmp_path: Path) -> None:
    status, out, error = await run("status", "--state-dir", tmp_path)
    assert status == 2
    assert out == ""
    assert f"no hub answers at {tmp_path}/emonhub.sock: is it running" in error
    assert "port = 0" in error


async def test_tap_shows_frames_as_they_pass(site: Site) -> None:
    process = await start("tap", "--config", site.path)
    assert process.stdout is not None
    try:
        await until(lambda: site.server.site.tap.listeners, "the tap")
        site.reads("RFM2Pi", "OK 10 1 (-40)", FRAME)
        discarded = (await process.stdout.readline()).decode()
        frame = (await process.stdout.readline()).decode()
    finally:
        process.kill()
        await process.communicate()
    assert "RFM2Pi  discarded, length: " in discarded
    assert discarded.endswith("  [OK 10 1 (-40)]\n")
    assert frame.endswith(
        "RFM2Pi  10 emonTx  power=100 W, temp=21.5 C  -40 dBm  -> emoncmsorg  [OK 10 100 0 215 0 (-40)]\n"
    )


async def test_tap_filters_and_prints_json(site: Site) -> None:
    process = await start("tap", "--json", "--node", "emonTx", "--interfacer", "RFM2Pi", "--config", site.path)
    assert process.stdout is not None
    try:
        await until(lambda: site.server.site.tap.listeners, "the tap")
        site.reads("RFM2Pi", "OK 11 1 0 (-40)", "OK 10 1 (-40)", FRAME)
        event = json.loads(await process.stdout.readline())
    finally:
        process.kill()
        await process.communicate()
    assert event["node"] == "10"
    assert event["values"] == [["power", 100, "W"], ["temp", 21.5, "C"]]


async def test_tap_writes_nothing_of_a_device_to_the_terminal_as_it_is(site: Site) -> None:
    process = await start("tap", "--config", site.path)
    assert process.stdout is not None
    try:
        await until(lambda: site.server.site.tap.listeners, "the tap")
        site.publishes("RFM2Pi", nodename="\x1b[2Jevil\nline")
        line = await process.stdout.readline()
    finally:
        process.kill()
        await process.communicate()
    assert b"\\x1b[2Jevil\\nline" in line


async def test_tap_ends_with_the_hub(tmp_path: Path) -> None:
    async with serving(tmp_path / "emonhub.conf", configuration(tmp_path / "state")) as site:
        process = await start("tap", "--config", site.path)
        await until(lambda: site.server.site.tap.listeners, "the tap")
    _, error = await process.communicate()
    assert process.returncode == 1
    assert b"the hub has ended" in error


async def test_top_shows_nodes_and_interfacers(site: Site) -> None:
    site.reads("RFM2Pi", FRAME)
    status, out, _ = await run("top", "--config", site.path)
    assert status == 0
    (power,) = [line for line in out.splitlines() if "power" in line]
    assert power.split()[:4] == ["emonTx", "power", "100", "W"]
    (radio,) = [line for line in out.splitlines() if line.split()[:2] == ["RFM2Pi", "waiting"]]
    assert radio.split()[:3] == ["RFM2Pi", "waiting", "1"]


async def test_the_socket_is_the_owners_own(site: Site) -> None:
    """Nobody logs in there, so nobody else may open it."""
    state = site.hub.keeper.state
    assert state is not None
    assert (state / "emonhub.sock").stat().st_mode & 0o077 == 0
    async with asking(site) as client:
        await client.begin()
