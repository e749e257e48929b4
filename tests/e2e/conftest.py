"""What the tests of whole hubs share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.e2e.hub import Port
from tests.fakes.emoncms import FakeEmoncms

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path


@pytest.fixture
def port(tmp_path: Path) -> Iterator[Port]:
    port = Port(tmp_path / "ttyRFM")
    port.plug_in()
    yield port
    port.close()


@pytest.fixture
async def server() -> AsyncIterator[FakeEmoncms]:
    async with FakeEmoncms() as server:
        yield server


@pytest.fixture
def conf(tmp_path: Path) -> Path:
    return tmp_path / "emonhub.conf"
