"""DS18B20 temperature sensors on the kernel's 1-wire bus.

Each sensor is a folder in /sys/bus/w1/devices, whose file `w1_slave` says (kernel: Documentation/w1/slaves/w1_therm)

    93 01 7f 80 7f ff 0d 10 bd : crc=bd YES       the nine bytes read, and whether their checksum is right
    93 01 7f 80 7f ff 0d 10 bd t=25187            thousandths of a degree Celsius

Reading it makes the sensor measure, which takes up to 0.75 s.
"""

from __future__ import annotations

import asyncio
import re
import threading
from pathlib import Path
from typing import Any

from emonhub import Cargo, FrameError, Interfacer, SettingError, Unavailable, name_list, number, setting, text
from emonhub.interfacers.devices.keyvalue import named_cargo
from emonhub.interfacers.devices.polling import until_next

_BUS = "/sys/bus/w1/devices"
_LINES = re.compile(r"((?:[0-9a-f]{2} ){9}): crc=[0-9a-f]{2} (YES|NO)\s+(?:[0-9a-f]{2} ){9}t=(-?\d{1,6})\s*", re.ASCII)

_POWER_ON = 85_000
"""What a sensor answers that has had no power since it was asked to measure."""

_NOT_MEASURED = "0c"
"""Byte 6 of a sensor until it has measured for the first time: what tells that value from a true 85 °C."""

_LOWEST, _HIGHEST = -55_000, 125_000
"""What the data sheet says that it can measure."""


def parse(content: str) -> float:
    """The degrees Celsius that a `w1_slave` file says. Raises FrameError when it must not be believed."""
    found = _LINES.fullmatch(content)
    if found is None:
        raise FrameError("not understood", repr(content[:100]))
    data, good, thousandths = found[1], found[2] == "YES", int(found[3])
    if not good:
        raise FrameError("checksum", "the bus is disturbed, or the sensor has a bad connection")
    if not data.replace("00", "").strip():
        raise FrameError("checksum", "only zeros: the data line is shorted to ground")
    if thousandths == _POWER_ON and data.split()[6] == _NOT_MEASURED:
        raise FrameError("power-on value", "85 °C is what a sensor says that has lost its power while it measured")
    if not _LOWEST <= thousandths <= _HIGHEST:
        raise FrameError("out of range", f"{thousandths / 1000} °C")
    return thousandths / 1000


class EmonHubDS18B20Interfacer(Interfacer):
    """Reads all DS18B20 sensors of the 1-wire bus together, at times that are multiples of `read_interval`.

    Sensors may come and go. One that can't be read is left out of the frame, and counted.
    """

    read_interval = setting(number(0.1), 10.0, "how often they are read, at round times", unit="s")
    nodename = setting(text(), "sensors", "node id of the frames")
    ids = setting(
        name_list(), (), "ids of sensors that have a name, such as 28-000008e2db06; the others go by their id"
    )
    names = setting(name_list(), (), "their names, in the same order")
    folder = setting(text(), _BUS, "where the kernel shows the sensors", init=True)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._stopping = threading.Event()
        self._there: set[str] = set()

    def check(self) -> None:
        if len(set(self.names)) < len(self.names):
            raise SettingError("names: two sensors have the same name")

    def endpoint(self) -> str:
        return f"1-wire sensors in {self.folder}"

    async def open(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stopping = threading.Event()
        self._there = set()
        await asyncio.to_thread(self._sensors)

    async def close(self) -> None:
        self._stopping.set()

    def read(self) -> Cargo | None:  # type: ignore[override] # a plain one gets a thread of its own
        """Wait for the next round time, and read all sensors, in a thread of its own."""
        if self._stopping.wait(until_next(self.world.time(), self.read_interval)):
            return None
        now = self.world.time()
        names = dict(zip((id_.lower() for id_ in self.ids), self.names, strict=False))
        values: dict[str, float] = {}
        for sensor in self._sensors():
            label = names.get(sensor.name.lower(), sensor.name)
            try:
                values[label] = parse(_content(sensor))
            except FrameError as error:
                self._loop.call_soon_threadsafe(self.note_bad_value, error.reason, f"{label}: {error}")
        if not values:
            return None
        self.decoders.refresh()
        try:
            return named_cargo(self, self.nodename, values, now)
        except FrameError as error:
            self._loop.call_soon_threadsafe(self.discard, error)
            return None

    def _sensors(self) -> list[Path]:
        """The sensors that are there now. Raises Unavailable when there are none."""
        bus = Path(self.folder)
        found = sorted(bus.glob("28-*"))
        if not found:
            raise Unavailable(_what_is_missing(bus), retry_s=10.0)
        there = {sensor.name for sensor in found}
        if there != self._there:
            come, gone = sorted(there - self._there), sorted(self._there - there)
            self._loop.call_soon_threadsafe(
                self.log.info,
                "Sensors: %s",
                "; ".join(f"{what} {', '.join(ids)}" for what, ids in (("there is", come), ("gone is", gone)) if ids),
            )
            self._there = there
        return found


def _content(sensor: Path) -> str:
    try:
        return (sensor / "w1_slave").read_text("ascii", "replace")
    except OSError as error:
        raise FrameError("unreadable", error.strerror or str(error)) from error


def _what_is_missing(bus: Path) -> str:
    if not bus.is_dir():
        return (
            f"there is no {bus}: switch 1-wire on (on a Raspberry Pi dtoverlay=w1-gpio in /boot/firmware/config.txt and"
            " a restart), then `sudo modprobe -a w1-gpio w1-therm`"
        )
    return f"there is no sensor 28-… in {bus}: check the wiring and its pull-up resistor, and `sudo modprobe w1-therm`"
