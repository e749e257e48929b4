"""Pulses on a pin: meters with an S0 output, a reed contact, or an optical sensor."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, ClassVar

from emonhub import FrameError, Interfacer, SettingError, Unavailable, choice, number, setting, text
from emonhub.interfacers.devices.gpio import CHIP, Lines, LinesOf, check_pins, open_lines
from emonhub.interfacers.devices.keyvalue import named_cargo
from emonhub.interfacers.devices.total import StoredTotal

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterable


class EmonHubPulseCounterInterfacer(Interfacer):
    """Counts the pulses on a pin, each at its falling edge, and sends their total, named `Pulse`, when it has changed.

    The total goes on after a restart. It is stored every `save_interval` seconds while it changes, and at a stop: a
    power cut costs no more than the pulses since.
    """

    adds_nodeoffset = False

    pulse_pin = setting(text(), "", "the pin that the pulses come in on", init=True)
    chip = CHIP
    bouncetime = setting(number(0, 1000), 1.0, "pulses shorter than this are none", init=True, unit="ms")
    pull = setting(choice("down", "up", "off"), "down", "the pin's own resistor", init=True)
    rate_limit = setting(number(0), 2.0, "between two frames at least", init=True, unit="s")
    save_interval = setting(number(10), 600.0, "between two times of storing the total at least", unit="s")
    nodeoffset = Interfacer.nodeoffset.but(0, "node id of the frames")

    lines_of: ClassVar[LinesOf] = staticmethod(open_lines)

    _lines: Lines | None = None
    _stored: StoredTotal | None = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.total = 0
        self._saved = 0
        self._changed = asyncio.Event()
        self._to_save = asyncio.Event()
        self._lost: asyncio.Future[None] | None = None

    def check(self) -> None:
        if not self.pulse_pin:
            raise SettingError("pulse_pin must be set in [[[init_settings]]], to the number of a pin of the header")
        check_pins(self.chip, [self.pulse_pin])

    def endpoint(self) -> str:
        return f"pin {self.pulse_pin}" + (f" of {self.chip}" if self.chip else "")

    async def open(self) -> None:
        await self._load()
        self._changed.clear()
        self._lines = self.lines_of(
            self.chip, [self.pulse_pin], pull=self.pull, edges=True, debounce_s=self.bouncetime / 1000
        )
        loop = asyncio.get_running_loop()
        self._lost = loop.create_future()
        loop.add_reader(self._lines.fileno(), self._count, self._lines, self._lost)

    async def close(self) -> None:
        if self._lines is not None:
            lines, self._lines = self._lines, None
            asyncio.get_running_loop().remove_reader(lines.fileno())
            lines.release()
        await self._save()

    def jobs(self) -> Iterable[Coroutine[Any, Any, None]]:
        return (self._save_now_and_then(), self._publish_changes())

    async def run(self) -> None:
        assert self._lost is not None
        await self._lost

    async def _publish_changes(self) -> None:
        while True:
            await self._changed.wait()
            self._changed.clear()
            self.decoders.refresh()
            try:
                self.publish([named_cargo(self, self.nodeoffset, {"Pulse": self.total}, self.world.time())])
            except FrameError as error:
                self.discard(error)
            await self.world.sleep(self.rate_limit)

    def _count(self, lines: Lines, lost: asyncio.Future[None]) -> None:
        try:
            new = lines.new_edges()
        except OSError as error:
            asyncio.get_running_loop().remove_reader(lines.fileno())
            if not lost.done():
                lost.set_exception(Unavailable(f"{self.endpoint()} is gone: {error}"))
            return
        if new:
            self.total += new
            self._changed.set()
            self._to_save.set()

    # The stored total

    async def _load(self) -> None:
        if self._stored is not None:
            return  # the count of this hub is newer
        if self.world.state is None:
            self.log.warning("There is no state directory: the total starts at 0 with each start of the hub")
            return
        stored = StoredTotal(self.world, self.world.state, self.name)
        try:
            total = await stored.load()
        except OSError as error:
            raise Unavailable(f"{stored.path} can't be read: {error.strerror}", retry_s=10.0) from error
        if total is None and stored.path.exists():
            self.log.error("%s is damaged: the total starts at 0", stored.path)
        self._stored = stored
        self.total += total or 0
        self._saved = self.total

    async def _save_now_and_then(self) -> None:
        while True:
            await self._to_save.wait()
            self._to_save.clear()
            await self.world.sleep(self.save_interval)
            await self._save()

    async def _save(self) -> None:
        total = self.total
        if self._stored is None or total == self._saved:
            return
        try:
            await self._stored.save(total)
            self._saved = total
        except OSError as error:
            self.log.warning("%s can't be written: %s", self._stored.path, error.strerror, extra={"repeats": "total"})
