"""Chance against the hub: see `simulation`. A seed that fails fails again, and its events are printed."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING

import pytest

from tests.fakes.virtual import run_virtual
from tests.faults.simulation import Simulation

if TYPE_CHECKING:
    from pathlib import Path

# The virtual network knows no keepalive, and a hub that is killed closes nothing.
pytestmark = [
    pytest.mark.filterwarnings("ignore::async_solipsism.SolipsismWarning"),
    pytest.mark.filterwarnings("ignore:unclosed transport:ResourceWarning"),
]

HOUR_S = 3600.0
MODES = ("journal", "hybrid")


def simulate(seed: int, folder: Path, seconds: float) -> None:
    # Without a folder in memory the front is in the state directory: there the simulation can take it away.
    async def go() -> None:
        await Simulation(seed, folder, MODES[seed % 2]).run(seconds)

    run_virtual(go)
    gc.collect()  # what was left open is found here, where it is no surprise


@pytest.fixture(autouse=True)
def _front_in_the_state_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("emonhub.buffer.choose.memory_dir", lambda _word: None)


@pytest.mark.parametrize("seed", range(2))
def test_an_hour_of_trouble(seed: int, tmp_path: Path) -> None:
    simulate(seed, tmp_path, HOUR_S)


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("seed", range(100, 104))
def test_a_day_of_trouble(seed: int, tmp_path: Path) -> None:
    simulate(seed, tmp_path, 24 * HOUR_S)


@pytest.mark.full
@pytest.mark.timeout(36000)
@pytest.mark.parametrize("block", range(100))
def test_a_thousand_days_of_trouble(block: int, tmp_path: Path) -> None:
    for seed in range(1000 + 10 * block, 1010 + 10 * block):
        folder = tmp_path / str(seed)
        folder.mkdir()
        simulate(seed, folder, 24 * HOUR_S)
