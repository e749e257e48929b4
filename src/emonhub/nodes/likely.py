"""What homes have, by unit: a value outside of it was most likely decoded by the wrong template."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from emonhub.cargo import Value

_RANGES: dict[str, tuple[float, float]] = {
    "Hz": (45, 65),
    "C": (-40, 125),
    "%": (0, 100),
    "W": (-30_000, 30_000),
    "Wh": (-1e8, 1e8),
    "p": (0, 1e9),
    "n": (0, 1e8),
}
_MAINS_V = (80.0, 280.0)
_BATTERY_V = (0.5, 60.0)

_NO_SENSOR_C = (300, -127)
"""What the firmwares of emonTx boards send for a temperature sensor that is not there."""


def remark(value: Value, unit: str, name: str) -> str:
    """`unlikely`, `no sensor`, or nothing for a value as homes have it."""
    if value is None:
        return ""
    if unit == "C" and value in _NO_SENSOR_C:
        return "no sensor"
    low, high = _range(unit, name)
    # A board that measures three phases has 0 V where it is connected to one.
    good = low <= value <= high or (unit == "V" and value == 0)
    return "" if good else "unlikely"


def _range(unit: str, name: str) -> tuple[float, float]:
    if unit == "V":
        return _BATTERY_V if "bat" in name.lower() else _MAINS_V
    return _RANGES.get(unit, (float("-inf"), float("inf")))
