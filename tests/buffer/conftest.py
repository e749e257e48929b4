"""Databases for the tests of buffers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.fakes import databases
from tests.fakes.databases import Place, Server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

SERVED = [pytest.param(kind, marks=pytest.mark.slow) for kind in ("mysql", "postgresql")]  # to start one takes seconds


@pytest.fixture(scope="session")
def servers() -> Iterator[Callable[[str], Server]]:
    """Started when the first test wants one."""
    started: dict[str, Server] = {}

    def get(kind: str) -> Server:
        if kind not in started:
            started[kind] = databases.start(kind)
        return started[kind]

    yield get
    for server in started.values():
        server.close()


@pytest.fixture(params=["sqlite", *SERVED])
def place(request: pytest.FixtureRequest, servers: Callable[[str], Server], tmp_path: Path) -> Place:
    if request.param == "sqlite":
        return Place(f"sqlite://{tmp_path}/buffer.sqlite")
    return servers(request.param).database()


@pytest.fixture(params=SERVED)
def served(request: pytest.FixtureRequest, servers: Callable[[str], Server]) -> Place:
    return servers(request.param).database()
