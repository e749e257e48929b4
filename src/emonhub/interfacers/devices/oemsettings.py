"""The settings that emonTx 4 and emonPi 2 firmware keeps, and the commands that set them.

A command is a letter with a value, and a newline. Newer firmware has the letter first (`g210`), older the value
(`210g`):

    g radio group   b band, MHz   i node id   d seconds between readings   k<n> calibration: amplitude, phase
"""

from __future__ import annotations

import re
from typing import TypeAlias

from emonhub import SettingError, matching, setting

PROMPT = "'+++' then [Enter] for config mode"

Calibration: TypeAlias = tuple[float, ...]


class _CalibrationKind:
    rule = "a number, or two with a comma between: amplitude and phase"

    def __init__(self, most: int) -> None:
        self._most = most
        if most == 1:
            self.rule = "a number"

    def __call__(self, raw: str | list[str]) -> Calibration:
        parts = [raw] if isinstance(raw, str) else raw
        if parts in ([""], []):
            return ()
        try:
            values = tuple(float(part) for part in parts)
        except ValueError:
            values = ()
        if not 0 < len(values) <= self._most or any(value - value != 0 for value in values):
            raise SettingError(f"must be {self.rule}")
        return values


_LEFT = "; empty = as the device has it"

GROUP = setting(
    matching(r"|\d|[1-9]\d|1\d\d|2[0-4]\d|25[0-5]", "0 to 255, or empty"), "", "radio network group" + _LEFT
)
FREQUENCY = setting(
    matching(r"|315|433|868|915", "433, 868, 915 or 315, or empty"), "", "radio band" + _LEFT, unit="MHz"
)
BASEID = setting(
    matching(r"|\d|[1-5]\d|60", "0 to 60, or empty"), "", "the device's own node id in the radio network" + _LEFT
)
PERIOD = setting(
    matching(r"|\d{1,4}(\.\d{0,3})?", "a number of seconds, or empty"), "", "between two readings" + _LEFT, unit="s"
)
VCAL = setting(_CalibrationKind(1), (), "voltage calibration" + _LEFT)


def ical(number: int) -> setting[Calibration]:
    """The setting of a current sensor's calibration."""
    return setting(_CalibrationKind(2), (), f"calibration of current sensor {number}: amplitude, phase{_LEFT}")


KEYS = {
    "group": "g",
    "frequency": "b",
    "baseid": "i",
    "period": "d",
    "vcal": "k0",
    "ical1": "k1",
    "ical2": "k2",
    "ical3": "k3",
    "ical4": "k4",
}
"""The setting's letter, in the order in which they are sent."""


def command(name: str, value: str | Calibration, *, old_style: bool) -> str:
    """What sets `name` to `value`, without its newline."""
    key = KEYS[name]
    if isinstance(value, str):
        return f"{value}{key}" if old_style else f"{key}{value}"
    amplitude, phase = (*value, 0.0)[:2]
    return f" {amplitude:.2f} {phase:.2f}{key}" if old_style else f"{key} {amplitude:.2f} {phase:.2f}"


_OTHER_COMMANDS = re.compile(r"emon32|emonpi ?3|emontx ?6", re.IGNORECASE)
"""Firmware in which `b` dumps the memory, `k` takes six numbers and the node id is `n`: nothing of the above holds."""

_FIRMWARE = re.compile(r"^\|?\W*(?:firmware\s*[=:]\s*)?((?:emon|RFM?\d\d)[\w() .-]*\d[\w.]*)", re.IGNORECASE)


def has_other_commands(said: str) -> bool:
    """Whether this message of a device says that it must not get these commands."""
    return _OTHER_COMMANDS.search(said) is not None


def firmware_of(said: str) -> str:
    """The firmware's name that a message begins with, or an empty text."""
    found = _FIRMWARE.match(said)
    return found[1].strip() if found else ""
