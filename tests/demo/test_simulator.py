from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from emonhub.demo.nodes import NODES
from emonhub.demo.simulator import EmonHubSimulatorInterfacer
from emonhub.errors import SettingError
from emonhub.interfacers.devices.jee import EmonHubJeeInterfacer
from emonhub.nodes.table import Nodes
from tests.interfacers.harness import QuickWorld, running, until

if TYPE_CHECKING:
    from pathlib import Path


def simulator(link: Path, **settings: Any) -> EmonHubSimulatorInterfacer:
    return EmonHubSimulatorInterfacer("house", {"link": str(link), "speed": 2000.0, **settings}, world=QuickWorld())


def board(link: Path, **settings: Any) -> EmonHubJeeInterfacer:
    values = {"com_port": str(link), "pubchannels": ("out",), "subchannels": ("tx",), **settings}
    nodes = Nodes({str(node.id): node.definition for node in NODES})
    return EmonHubJeeInterfacer("RFM2Pi", values, world=QuickWorld(), nodes=nodes)


def test_it_needs_a_place_for_its_port() -> None:
    with pytest.raises(SettingError, match="link must be set"):
        EmonHubSimulatorInterfacer("house")


async def test_its_frames_take_the_ordinary_road(tmp_path: Path) -> None:
    link = tmp_path / "ttyHouse"
    async with running(simulator(link)) as house, running(board(link)) as hub:
        await until(lambda: {cargo.layout.node for cargo in hub.heard} == {node.id for node in NODES})
        assert house.interfacer.endpoint() == f"a simulated house on {link}"
        assert hub.bad == {}
        for cargo in hub.heard:
            named = {cargo.layout.name_of(i): value for i, value in enumerate(cargo.values)}
            assert cargo.rssi < 0
            if cargo.layout.node == 5:
                grid, solar, used = (named[name] for name in ("power1", "power2", "power1pluspower2"))
                assert grid is not None
                assert solar is not None
                assert grid + solar == used
                assert named["vrms"] == pytest.approx(240, abs=20)
    assert not link.is_symlink()


async def test_its_board_takes_the_hubs_settings(tmp_path: Path) -> None:
    link = tmp_path / "ttyHouse"
    house = simulator(link)
    async with running(house), running(board(link, group=99, baseid=5)):
        await until(lambda: (house._board.group, house._board.node_id) == (99, 5))


async def test_the_hub_finds_it_again_after_a_restart(tmp_path: Path) -> None:
    link = tmp_path / "ttyHouse"
    async with running(board(link), wait=False) as hub:
        for _ in range(2):
            await hub.is_waiting()
            async with running(simulator(link)):
                await hub.is_running()
                await until(lambda: hub.heard)
            hub.heard.clear()


async def test_a_link_that_was_left_behind_is_replaced(tmp_path: Path) -> None:
    link = tmp_path / "ttyHouse"
    link.symlink_to("/dev/pts/gone")
    async with running(simulator(link)):
        assert str(link.readlink()) != "/dev/pts/gone"


@pytest.mark.parametrize(
    ("place", "says"), [("file", "is in the way"), ("missing/link", "can't be made: No such file or directory")]
)
async def test_a_place_that_can_not_be_used_is_told(tmp_path: Path, place: str, says: str) -> None:
    (tmp_path / "file").write_text("mine")
    async with running(simulator(tmp_path / place), wait=False) as house:
        await house.is_waiting()
        assert says in house.runner.last_error
    assert (tmp_path / "file").read_text() == "mine"
