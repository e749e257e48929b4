"""The picture that the demo shows, on terminals of several sizes."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING

import pytest
from rich.cells import cell_len

from emonhub.cargo import Cargo, Layout
from emonhub.cli import demo
from emonhub.cli.table import LastLines, Latest, plain, screen, shown, spark
from emonhub.config.load import load
from emonhub.hub import Hub

if TYPE_CHECKING:
    from pathlib import Path

    from rich.text import Text

CONFIG = """
[hub]
[interfacers]
[[Board]]
    Type = EmonHubSocketInterfacer
    [[[init_settings]]]
    [[[runtimesettings]]]
        pubchannels = ToEmonCMS,
[[Misspelt]]
    Type = EmonHubSockedInterfacer
    [[[init_settings]]]
    [[[runtimesettings]]]
[nodes]
"""

NAMES = ("MSG", "Vrms", "P1", "P2", "E1", "T1")
UNITS = ("n", "V", "W", "W", "Wh", "C")
TITLE = ("the title", "below it")


@pytest.fixture
async def hub(tmp_path: Path) -> Hub:
    file = tmp_path / "emonhub.conf"
    file.write_text(CONFIG)
    return Hub(file, load(file))


def heard(hub: Hub, *labels: str) -> Latest:
    latest = Latest()
    for label in labels:
        layout = Layout(1, label, NAMES, UNITS)
        for step in range(3):
            values = (step, 230.5, 100 + step, 0, 7, 20.5)
            latest.accept([Cargo(layout, values, hub.world.time(), rssi=-50)])
    return latest


def lines_of(text: Text) -> list[str]:
    return text.plain.split("\n")


@pytest.mark.parametrize("size", [(80, 24), (100, 30), (160, 50), (40, 12)])
@pytest.mark.parametrize("nodes", [0, 1, 4, 30])
async def test_it_fits_any_terminal(hub: Hub, size: tuple[int, int], nodes: int) -> None:
    latest = heard(hub, *(f"node number {i}" for i in range(nodes)))
    log = LastLines()
    for number in range(50):
        log.emit(logging.LogRecord("emonhub.hub", logging.INFO, "", 0, "a line of the log, " * 9, (), None))
        log.lines[-1] = (logging.INFO, f"{number} {log.lines[-1][1]}")
    lines = lines_of(screen(hub, latest, log, TITLE, size))
    assert len(lines) <= size[1]
    assert all(cell_len(line) <= size[0] for line in lines)
    assert lines[0].startswith("the title")
    assert lines[-1].startswith("49 "), "the newest line of the log stands last"


async def test_every_node_is_there_side_by_side(hub: Hub) -> None:
    lines = lines_of(screen(hub, heard(hub, "loft", "plant", "room", "unit"), LastLines(), TITLE, (160, 50)))
    titles = lines[2]
    assert all(label in titles for label in ("loft", "plant", "room", "unit"))
    assert titles.count("-50 dBm") == 4
    assert [line[:20].strip() for line in lines[3:9]] == list(NAMES), "all values, in their order, where there is room"


async def test_what_does_not_fit_is_the_least_telling(hub: Hub) -> None:
    latest = heard(hub, "loft")
    latest.accept([Cargo(latest.cargos["loft"].layout, (4, 230.5, 103, 0, 7, 20.5), hub.world.time())])
    assert [NAMES[i] for i in latest.chosen("loft", 1)] == ["P1"], "a power that changes"
    assert [NAMES[i] for i in latest.chosen("loft", 4)] == ["MSG", "P1", "P2", "T1"], "then what stands still, by unit"
    text = screen(hub, latest, LastLines(), TITLE, (80, 10)).plain
    assert "P1" in text
    assert "3 more" in text


async def test_nodes_take_turns_where_there_are_too_many(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    latest = heard(hub, *(f"node{i:02d}" for i in range(30)))
    seen = set()
    for page in range(20):
        monkeypatch.setattr(hub.world, "time", lambda page=page: page * 6.0)
        text = screen(hub, latest, LastLines(), TITLE, (80, 24)).plain
        assert "Nodes take turns: page" in text
        seen |= {label for label in latest.cargos if label in text}
    assert seen == set(latest.cargos)


async def test_before_the_first_frame(hub: Hub) -> None:
    assert "Waiting for the first frame" in screen(hub, Latest(), LastLines(), TITLE, (80, 24)).plain


async def test_interfacers_say_how_they_are(hub: Hub) -> None:
    await hub.apply(hub.configuration)
    try:
        text = screen(hub, Latest(), LastLines(), TITLE, (120, 24)).plain
        assert "● Board    " in text
        assert "TCP port 50011 on 127.0.0.1" in text
        assert "● Misspelt refused  there is no interfacer type EmonHubSockedInterfacer" in text
    finally:
        for runner in hub.runners.values():
            await runner.stop(0)


async def test_plain_text_has_every_value(hub: Hub) -> None:
    first = plain(hub, heard(hub, "loft")).splitlines()[0]
    assert first == "loft: MSG 2, Vrms 230.5 V, P1 102 W, P2 0 W, E1 7 Wh, T1 20.5 °C"


def test_numbers_as_people_read_them() -> None:
    assert [shown(value) for value in (None, 3, 20.5, 0.123456, 200.0)] == ["–", "3", "20.5", "0.12", "200"]


def test_a_course_that_stands_still_is_not_drawn() -> None:
    assert spark([1, 1, 1]) == ""
    assert spark([0, 7]) == "▁█"


def test_without_rich_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "rich", None)
    assert demo.main() == 1
    assert "pip install 'emonhub[table]'" in capsys.readouterr().err
