"""What every test has: a state directory of its own, also for the processes that it starts."""

from __future__ import annotations

import logging
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from emonhub import state

if TYPE_CHECKING:
    from collections.abc import Iterator

# A machine that is busy with other things is slow: that says nothing of what is tested.
settings.register_profile("emonhub", deadline=None)
settings.load_profile("emonhub")


@pytest.fixture(autouse=True)
def state_directory(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where hubs that this test starts keep their buffers, unless their configuration says otherwise."""
    path = tmp_path_factory.mktemp("state")
    monkeypatch.setenv("STATE_DIRECTORY", os.fspath(path))
    yield path
    for word in path.glob("buffer/*/id"):  # what a hub that was killed has left in memory
        shutil.rmtree(state.MEMORY / f"emonhub-{os.getuid()}" / word.read_text(), ignore_errors=True)


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    """A hub sets how much is logged: for its own test only."""
    yield
    for name, logger in logging.Logger.manager.loggerDict.items():
        if name.partition(".")[0] == "emonhub" and isinstance(logger, logging.Logger):
            logger.setLevel(logging.NOTSET)
    logging.getLogger().setLevel(logging.WARNING)


SLOW = ("cli", "demo", "e2e", "faults", "interfacers/mqtt", "interfacers/devices/rfm69", "web")
"""Folders whose tests start processes, servers or browsers, or let days pass: many of them, if none for long."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave them out of the quick part."""
    here = Path(__file__).parent
    for item in items:
        if any(item.path.is_relative_to(here / folder) for folder in SLOW):
            item.add_marker(pytest.mark.slow)
