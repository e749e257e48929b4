"""A running hub, without its page: unknown nodes are kept, accepted by themselves, asked about, forgotten."""

from __future__ import annotations

import asyncio
import json
import logging
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from emonhub.config import accepted
from emonhub.config.load import load
from emonhub.hub import Hub
from emonhub.nodes.templates import definition_from, named_template
from tests.nodes.test_proposals import frames
from tests.web.conftest import RADIO, configuration, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from emonhub.cargo import Cargo


class House:
    """A hub with one radio board, and what it has published."""

    def __init__(self, hub: Hub) -> None:
        self.hub = hub
        self.heard: list[Cargo] = []
        hub.channels.subscribe("test", ["ToEmonCMS"], self)

    def accept(self, cargos: list[Cargo]) -> None:
        self.heard += cargos

    def reads(self, node: int, *data: bytes, by: str = "RFM2Pi") -> None:
        itf: Any = self.hub.runners[by].interfacer
        itf.decoders.refresh()
        for frame in data:
            line = f"OK {node} {' '.join(map(str, frame))} (-50)".encode()
            itf.publish(itf.parse([line], self.hub.world.time()))

    def reads_at(self, now: float) -> None:
        """A frame of node 10 at this time of the loop's clock."""
        self.hub.world.monotonic = lambda: now  # type: ignore[method-assign]
        self.reads(10, bytes((100, 0, 215, 0)))

    @property
    def nodes(self) -> dict[str, str]:
        return {id_: one.nodename for id_, one in self.hub.nodes.definitions.items()}


def board(name: str, count: int, **other: float) -> list[bytes]:
    template = named_template(name)
    assert template is not None
    return frames(template, count, **other)


@asynccontextmanager
async def running(folder: Path, *, hub: str = "autoconf = 1", radio: str = "") -> AsyncIterator[House]:
    path = folder / "emonhub.conf"
    path.write_text(
        configuration(folder / "state", RADIO.format(port=folder / "none") + radio, hub=hub, web="port = 0")
    )
    one = Hub(path, load(path))
    task = asyncio.create_task(one.run())
    try:
        await one.started.wait()
        yield House(one)
    finally:
        one.stop()
        await task


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("emonhub.hub._TEND_S", 0.01)
    (tmp_path / "state").mkdir()


async def test_a_node_is_accepted_and_no_frame_of_it_is_lost(tmp_path: Path) -> None:
    async with running(tmp_path) as house:
        before = house.hub.world.time()
        house.reads(17, *board("emonTx4", 5))
        assert house.heard == []
        await until(lambda: len(house.heard) == 5, "the frames that were kept")
        assert house.nodes["17"] == "emonTx4_17"
        assert [cargo.values[0] for cargo in house.heard] == [3, 4, 5, 6, 7]
        assert [cargo.values[-1] for cargo in house.heard] == [0] * 5, "none is missed"
        times = [cargo.time for cargo in house.heard]
        assert times == sorted(times)
        assert times[0] < before + 5
        assert house.heard[0].rssi == -50
        house.reads(17, *board("emonTx4", 6)[5:])
        assert house.heard[-1].values[:2] == (8, 240.0)
        assert "17" in (tmp_path / "state" / "nodes.conf").read_text()
        assert "17" not in (tmp_path / "emonhub.conf").read_text()
    async with running(tmp_path) as house:
        assert house.nodes["17"] == "emonTx4_17", "after a restart"


async def test_what_is_in_doubt_is_asked_about_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with running(tmp_path) as house:
        house.reads(17, *board("emonTx4", 5, T1=-70.0))
        await until(lambda: "emonhub nodes accept 17 emonTx4" in caplog.text, "the question")
        house.reads(17, *board("emonTx4", 8, T1=-70.0)[5:])
        await until(lambda: house.hub.autoconf.listing()[0].judged == 8, "another judgement")
        assert caplog.text.count("nodes accept 17") == 1
        assert "17" not in house.nodes
        template = named_template("emonTx4")
        assert template is not None
        accepted.accept(tmp_path / "state" / "nodes.conf", definition_from(template, 17))  # as the command does
        await until(lambda: len(house.heard) == 8, "the frames that were kept")


async def test_nothing_is_accepted_unasked_without_autoconf(tmp_path: Path) -> None:
    async with running(tmp_path, hub="") as house:
        house.reads(17, *board("emonTx4", 6))
        await until(lambda: house.hub.autoconf.listing()[0].judged == 6, "a judgement")
        assert "17" not in house.nodes
        assert len(house.heard) == 6, "published without names, as ever"


async def test_a_forgotten_node_is_not_accepted_by_itself_again(tmp_path: Path) -> None:
    path = tmp_path / "state" / "nodes.conf"
    async with running(tmp_path) as house:
        house.reads(17, *board("emonTx4", 5))
        await until(lambda: "17" in house.nodes, "the node")
        assert accepted.forget(path, "17")
        await until(lambda: "17" not in house.nodes, "its end")
        house.reads(17, *board("emonTx4", 6))
        await until(lambda: house.hub.autoconf.listing()[0].judged == 6, "a judgement")
        assert accepted.forgotten(path) == {"17"}
        assert accepted.load(path) == ({}, [])
        assert "17" not in house.nodes


async def test_nodelistonly_keeps_others_nodes_out(tmp_path: Path) -> None:
    async with running(tmp_path, radio="        nodelistonly = 1\n") as house:
        house.reads(17, *board("emonTx4", 6))
        await until(lambda: house.hub.autoconf.listing()[0].judged == 6, "a judgement")
        assert "17" not in house.nodes


async def test_a_node_whose_own_section_has_an_error_is_left_to_its_owner(tmp_path: Path) -> None:
    async with running(tmp_path) as house:
        path = tmp_path / "emonhub.conf"
        path.write_text(path.read_text() + "[[17]]\n    [[[rx]]]\n        datacodes = x, y\n")
        house.hub.look_now()
        await until(lambda: house.hub.configuration.bad_nodes, "the error")
        house.reads(17, *board("emonTx4", 6))
        await until(lambda: house.hub.autoconf.listing()[0].judged == 6, "a judgement")
        assert not (tmp_path / "state" / "nodes.conf").exists()


async def test_what_was_heard_is_left_for_the_command(tmp_path: Path) -> None:
    listing = tmp_path / "state" / "heard.json"
    async with running(tmp_path, hub="") as house:
        house.reads(17, *board("emonTx4", 5))
        await until(listing.exists, "the listing")
    (heard,) = json.loads(listing.read_text())
    assert (heard["node"], heard["candidates"][0]["template"]) == (17, "emonTx4")


async def test_what_is_kept_is_bounded(tmp_path: Path) -> None:
    async with running(tmp_path) as house:
        frame = board("emonTx4", 1, T1=-70.0)
        house.reads(17, *frame * 1200)
        assert len(house.hub.autoconf.listing()[0].held) == 1000


async def test_a_node_that_falls_silent_is_told_once_and_its_return(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with running(tmp_path) as house:
        presence = house.hub.presence
        for now in (1e6, 1e6 + 10, 1e6 + 20, 1e6 + 31, 1e6 + 40):
            house.reads_at(now)
        for now in (1e6 + 79, 1e6 + 81, 1e6 + 200):
            presence.look(now, house.hub.runners)
            presence.look(now, house.hub.runners)
        assert caplog.text.count("is stale") == 1
        assert "node emonTx is stale: not heard for 41 s, and it comes every 10 s" in caplog.text
        house.reads_at(1e6 + 200)
        assert "node emonTx is back after 160 s" in caplog.text


async def test_the_hub_knows_who_has_heard_a_node_last(tmp_path: Path) -> None:
    other = RADIO.replace("RFM2Pi", "Loft").format(port=tmp_path / "other")
    heard_by: dict[str, str]
    async with running(tmp_path, radio=f"        subchannels = tx,\n{other}        subchannels = tx,\n") as house:
        heard_by = house.hub.nodes.heard_by
        house.reads(10, bytes(4))
        assert heard_by["10"] == "RFM2Pi"
        house.reads(10, bytes(4), by="Loft")
        assert heard_by["10"] == "Loft"
        path = tmp_path / "emonhub.conf"
        path.write_text(path.read_text().replace(other, "").replace("        subchannels = tx,\n" * 2, ""))
        house.hub.look_now()
        await until(lambda: "Loft" not in house.hub.runners and "10" not in heard_by, "its end")


async def test_no_node_is_stale_where_that_is_switched_off(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with running(tmp_path, hub="stale_after = 0") as house:
        for now in (1e6, 1e6 + 10, 1e6 + 20, 1e6 + 30):
            house.reads_at(now)
        house.hub.presence.look(1e6 + 1000, house.hub.runners)
        assert "stale" not in caplog.text
