"""Whether pins are high or low: a contact, a relay's feedback, a status output."""

from __future__ import annotations

from typing import ClassVar

from emonhub import (
    Cargo,
    FrameError,
    Interfacer,
    SettingError,
    Unavailable,
    choice,
    name_list,
    number,
    setting,
    switch,
    text,
)
from emonhub.interfacers.devices.gpio import CHIP, Lines, LinesOf, check_pins, open_lines
from emonhub.interfacers.devices.keyvalue import named_cargo
from emonhub.interfacers.devices.polling import until_next


class EmonHubDigitalInputInterfacer(Interfacer):
    """Reads pins at times that are multiples of `read_interval`, as 1 and 0 with the names `pin11`, `pin13`, …"""

    pins = setting(name_list(), (), "the pins to read", init=True)
    chip = CHIP
    invert = setting(switch(), False, "1 = a low pin reads as 1", init=True)
    pull = setting(choice("off", "up", "down"), "off", "the pins' own resistors; off = as they are", init=True)
    read_interval = setting(number(0.1), 10.0, "how often they are read, at round times", unit="s")
    nodename = setting(text(), "gpio", "node id of the frames")

    lines_of: ClassVar[LinesOf] = staticmethod(open_lines)

    _lines: Lines | None = None

    def check(self) -> None:
        if not self.pins:
            raise SettingError("pins must be set in [[[init_settings]]], to the numbers of pins of the header")
        if len(set(self.pins)) < len(self.pins):
            raise SettingError("pins: the same pin twice")
        check_pins(self.chip, self.pins)

    def endpoint(self) -> str:
        return f"pins {', '.join(self.pins)}" + (f" of {self.chip}" if self.chip else "")

    async def open(self) -> None:
        self._lines = self.lines_of(self.chip, self.pins, pull=self.pull, edges=False, debounce_s=0)

    async def read(self) -> Cargo | None:
        await self.world.sleep(until_next(self.world.time(), self.read_interval))
        assert self._lines is not None
        try:
            high = self._lines.values()
        except OSError as error:
            raise Unavailable(f"{self.endpoint()} can't be read: {error}") from error
        now = self.world.time()
        values: dict[str, float] = {f"pin{p}": int(h is not self.invert) for p, h in zip(self.pins, high, strict=True)}
        self.decoders.refresh()
        try:
            return named_cargo(self, self.nodename, values, now)
        except FrameError as error:
            self.discard(error)
            return None

    async def close(self) -> None:
        if self._lines is not None:
            lines, self._lines = self._lines, None
            lines.release()
