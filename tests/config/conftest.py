from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from emonhub.config.load import load

if TYPE_CHECKING:
    from collections.abc import Callable

    from emonhub.config.model import Configuration

HOUSE = (Path(__file__).parent / "house.conf").read_text(encoding="utf-8")


@pytest.fixture
def loaded(tmp_path: Path) -> Callable[..., Configuration]:
    """Loads a text as an emonhub.conf, with this environment."""

    def load_text(text: str, **environ: str) -> Configuration:
        path = tmp_path / "emonhub.conf"
        path.write_bytes(text.encode())
        return load(path, environ)

    return load_text
