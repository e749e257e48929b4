"""Where the captures of real devices are: a folder beside the checkout, which not everybody has."""

from __future__ import annotations

from pathlib import Path

import pytest

_FOLDER = Path(__file__).parents[2] / "shared" / "testdata"


def testdata(name: str) -> Path:
    """The folder of one kind of captures, such as `rfm2pi`; skips the test where the captures are not."""
    path = _FOLDER / name
    if not path.exists():
        pytest.skip(f"no captures of real devices: {path} is not there")
    return path
