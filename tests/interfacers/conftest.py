from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.interfacers.harness import Port

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


@pytest.fixture
async def port(tmp_path: Path) -> AsyncIterator[Port]:
    """A serial port with a device on it."""
    port = Port(tmp_path / "ttyTest")
    port.plug_in()
    yield port
    port.pull_out()
