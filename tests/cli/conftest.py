"""A place with kept frames."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.cli.kept import Kept

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Kept:
    found = Kept(tmp_path, capsys)
    found.configure()
    return found
