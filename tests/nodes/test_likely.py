"""What homes have, by unit."""

from __future__ import annotations

import pytest

from emonhub.nodes.likely import remark


@pytest.mark.parametrize(
    ("value", "unit", "name", "expected"),
    [
        (230.0, "V", "vrms", ""),
        (79.9, "V", "vrms", "unlikely"),
        (280.1, "V", "V1", "unlikely"),
        (0, "V", "V3", ""),
        (2.9, "V", "battery", ""),
        (230.0, "V", "battery", "unlikely"),
        (50.02, "Hz", "freq", ""),
        (38.0, "Hz", "freq", "unlikely"),
        (-40.0, "C", "temp", ""),
        (-41.0, "C", "temp", "unlikely"),
        (300, "C", "temp", "no sensor"),
        (-127, "C", "temp", "no sensor"),
        (100.1, "%", "humidity", "unlikely"),
        (-32_000, "W", "P1", "unlikely"),
        (1e8 + 1, "n", "MSG", "unlikely"),
        (1e300, "", "something", ""),
        (None, "V", "vrms", ""),
    ],
)
def test_a_value_is_judged_by_its_unit(value: float | None, unit: str, name: str, expected: str) -> None:
    assert remark(value, unit, name) == expected
