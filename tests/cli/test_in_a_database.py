"""The same commands for a reporter that keeps its frames in a database."""

from __future__ import annotations

import asyncio
import json

import pytest

from emonhub.cargo import Cargo, Layout
from tests.cli.kept import START, Kept, cargos
from tests.fakes.emoncms import FakeEmoncms

SQL = "        buffer_mode = sql\n        keep = ever"


@pytest.fixture
def kept(kept: Kept) -> Kept:
    kept.configure(org=SQL)
    return kept


def test_nothing_yet(kept: Kept) -> None:
    assert "mode        sql" in kept.good("buffer", "status", "org")
    assert "it has not run yet" in kept.bad(1, "buffer", "peek", "org")


@pytest.mark.parametrize("killed", [False, True])
def test_status_and_peek(kept: Kept, *, killed: bool) -> None:
    kept.owe(cargos(100), delivered=100)
    kept.owe(cargos(30, start=START + 500), delivered=10, killed=killed)
    found = json.loads(kept.good("buffer", "status", "org", "--json"))["reporters"][0]
    assert (found["owed"]["frames"], found["owed"]["first_time"]) == (20, START + 550.25)
    assert found["owed"]["last_time"] == START + 645.25
    assert found["in_front"] == (20 if killed else 0)
    assert found["kept"]["frames"] == (100 if killed else 110)
    assert found["kept"]["bytes"] > 1000
    shown = kept.good("buffer", "peek", "org", "-n", "1")
    assert shown.endswith("10 emonTx  P1=10 W, Vrms=250.5 V, rssi=-40\n")


def test_export_and_import(kept: Kept) -> None:
    kept.owe(cargos(12_000), delivered=6000)  # of several pages
    target = kept.path / "out.csv"
    assert kept.good("buffer", "export", "org", "-o", target).startswith("12000 frames written")
    assert kept.good("buffer", "export", "org", "--owed", "--node", "emonTx").count("\n") == 1 + 3000
    assert "12000 good frames" in kept.good("buffer", "import", "org", target, "--dry-run")


def test_names_that_held_then(kept: Kept) -> None:
    for names in (("a",), ("b",)):
        kept.owe([Cargo(Layout(40, "n", names), (1,), START)])
    lines = kept.good("buffer", "peek", "org").splitlines()
    assert [line.rpartition("  ")[2] for line in lines] == ["a=1", "b=1"]


def test_check_is_the_databases_own_affair(kept: Kept) -> None:
    kept.owe(cargos(3))
    assert "database's own tools" in kept.bad(1, "buffer", "check", "org")
    assert kept.good("buffer", "check") == "no reporter has a folder: there is nothing to check\n"


async def test_a_replay(kept: Kept) -> None:
    async with FakeEmoncms(clock=lambda: START + 1e6) as server:
        kept.configure(org=SQL, url=server.url)
        await asyncio.to_thread(lambda: kept.owe(cargos(300), delivered=200))
        status, out, _ = await asyncio.to_thread(kept, "replay", "--of", "org", "--into", "local")
        assert status == 0
        assert "200 frames sent" in out
        assert [frame.time for frame in server.frames] == [int(START + 5 * i) for i in range(200)]
