"""`emonhub nodes`, beside a running hub, and beside what one has left."""

from __future__ import annotations

import asyncio
import io
from contextlib import redirect_stderr, redirect_stdout
from typing import TYPE_CHECKING

import pytest

from emonhub.cli import main
from tests.nodes.test_proposals import frames
from tests.web.conftest import RADIO, Site, configuration, serving, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

from emonhub.nodes.templates import named_template


def ask(folder: Path, *arguments: str) -> tuple[int, str]:
    said = io.StringIO()
    with redirect_stdout(said), redirect_stderr(said):
        status = main(["nodes", *arguments, "--config", str(folder / "emonhub.conf")])
    return status, said.getvalue()


def hear(site: Site, node: int, name: str, count: int = 6) -> None:
    template = named_template(name)
    assert template is not None
    site.reads("RFM2Pi", *(f"OK {node} {' '.join(map(str, frame))} (-50)" for frame in frames(template, count)))


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    (tmp_path / "state").mkdir()
    async with serving(
        tmp_path / "emonhub.conf", configuration(tmp_path / "state", RADIO.format(port=tmp_path / "tty"))
    ) as site:
        yield site


async def test_a_node_is_seen_accepted_and_forgotten(site: Site, tmp_path: Path) -> None:
    hear(site, 17, "emonTx4")
    hear(site, 30, "emontx3_discreet")
    status, said = await asyncio.to_thread(ask, tmp_path, "list")
    assert status == 0
    assert "17  52 bytes, 6 frames, -50 dBm  by RFM2Pi: perhaps emonTx4" in said
    assert "30  26 bytes" in said
    _, said = await asyncio.to_thread(ask, tmp_path, "propose", "17")
    assert "Vrms=240 V" in said
    assert await asyncio.to_thread(ask, tmp_path, "accept", "17") == (
        0,
        f"Node 17 is emonTx4_17 from now on, in {tmp_path}/state/nodes.conf.\n",
    )
    await until(lambda: "17" in site.hub.nodes.definitions, "the node")
    _, said = await asyncio.to_thread(ask, tmp_path, "list")
    assert "17  emonTx4_17" in said
    assert "17  52 bytes" not in said
    assert (await asyncio.to_thread(ask, tmp_path, "forget", "17"))[0] == 0
    await until(lambda: "17" not in site.hub.nodes.definitions, "its end")


async def test_what_cant_be_accepted_is_refused(site: Site, tmp_path: Path) -> None:
    hear(site, 17, "emonTx4")
    hear(site, 30, "emontx3_discreet")
    for arguments, why in [
        (["accept", "30"], "none is proposed: name the template"),
        (["accept", "17", "emonth1"], "node 17 sends 52 bytes, and emonth1 has 8"),
        (["accept", "17", "emontx"], "there is no template 'emontx'"),
        (["accept", "99"], "node 99 has not been heard"),
        (["propose", "99"], "node 99 has not been heard"),
    ]:
        status, said = await asyncio.to_thread(ask, tmp_path, *arguments)
        assert status == 1
        assert why in said
    assert not (tmp_path / "state" / "nodes.conf").exists()


def test_without_a_hub_it_works_on_the_state_directory(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "emonhub.conf").write_text(configuration(tmp_path / "state"))
    assert "No unknown nodes" in ask(tmp_path, "list")[1]
    assert ask(tmp_path, "accept", "5", "emonpi")[0] == 0
    assert "5  emonpi_5" in ask(tmp_path, "list")[1]
    assert ask(tmp_path, "forget", "5")[1] == "Node 5 is forgotten, and not accepted by itself again.\n"


def test_without_a_state_directory_it_says_so(tmp_path: Path) -> None:
    (tmp_path / "emonhub.conf").write_text(configuration(tmp_path / "none"))
    status, said = ask(tmp_path, "list")
    assert status == 2
    assert "--state-dir" in said
