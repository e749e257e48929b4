"""The base of the interfacers with an RFM69 radio module: gets hold of it, sets it up, waits for its packets."""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Any, ClassVar

from emonhub import Cargo, FrameError, Interfacer, SettingError, Unavailable, matching, setting
from emonhub.interfacers.devices.gpio import HEADER, Lines, LinesOf, open_lines, open_output
from emonhub.interfacers.devices.rfm69.bus import Bus, BusOf, open_bus
from emonhub.interfacers.devices.rfm69.chip import SYNC_1, SYNC_2, Chip, Packet

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_LOOK_S = 1.0
"""With an interrupt pin the chip is looked at all the same so often: a radio that was reset raises none."""

_CHECK_S = 10.0
_SILENT_S = 300.0
"""A network that was heard and is silent for so long: perhaps it is the radio that is deaf, and it is set up anew."""

_RESET_S = 0.3


def pin(default: str, what: str) -> Any:
    """The setting of a pin of the 40-pin header; empty or `None` is none."""
    return setting(matching(r"(?i)\d*|none", "the number of a pin of the header, or None"), default, what, init=True)


class RFM69Interfacer(Interfacer):
    """Takes packets off a radio on the SPI bus. A subclass says how the radio is set up and what its packets are."""

    packed_frames = True

    poll_s: ClassVar[float] = 0.02
    """How often the radio is looked at without an interrupt: it holds one packet, and does not hear the next."""

    selPin = pin("26", "the header's pin that the radio is selected with (NSS)")  # noqa: N815
    interruptPin = pin("None", "the header's pin that its DIO0 is on; None = the radio is polled")  # noqa: N815
    resetPin = pin("None", "the header's pin that its RESET is on; None = it is not reset")  # noqa: N815

    bus_of: ClassVar[BusOf] = staticmethod(open_bus)
    lines_of: ClassVar[LinesOf] = staticmethod(open_lines)
    output_of: ClassVar[Callable[..., Any]] = staticmethod(open_output)

    chip: Chip
    _bus: Bus | None = None
    _lines: Lines | None = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.turn = asyncio.Lock()  # who has it talks to the chip
        self._woken = asyncio.Event()
        self.early: deque[Packet] = deque()  # packets that came while somebody else had the chip
        self._checked_at = 0.0
        self._heard_at: float | None = None

    # For subclasses to fill in

    def registers(self) -> Mapping[int, int]:
        """What the radio is set up with."""
        raise NotImplementedError

    def key(self) -> bytes:
        """The key that packets are encrypted with, or nothing."""
        return b""

    async def take(self, packet: Packet) -> Cargo | None:
        """What a packet with a good checksum says; None when it is not for us. Raises FrameError."""
        raise NotImplementedError

    # The rest of the work

    def check(self) -> None:
        for name in ("selPin", "interruptPin", "resetPin"):
            number = self._pin(name)
            if number and int(number) not in HEADER:
                raise SettingError(f"{name}: pin {number} of the header can't be used: see its numbers in the docs")
        if not self._pin("selPin"):
            raise SettingError("selPin must be set, to the header's pin that the radio is selected with")

    def endpoint(self) -> str:
        return f"radio on SPI bus 0, selected by pin {self.selPin}"

    async def open(self) -> None:
        self.turn = asyncio.Lock()
        self.early.clear()
        self._heard_at = None
        self._bus = self.bus_of(self._pin("selPin"))
        self.chip = Chip(self._bus, self.world.sleep)
        await self._reset()
        await self._set_up()
        self._watch_interrupts()

    async def close(self) -> None:
        self._stop_watching()
        if self._bus is not None:
            bus, self._bus = self._bus, None
            # Asleep it draws no current, and does not pass on what nobody fetches.
            with suppress(Unavailable):
                self.chip.sleep()
            bus.close()

    async def run(self) -> None:
        while True:
            self._woken.clear()
            packet = await self._next()
            if packet is None:
                await self._wait()
                await self._check()
                continue
            self._heard_at = self.world.monotonic()
            try:
                cargo = await self.take(packet)
            except FrameError as error:
                self.discard(error, packet.data.hex(" "))
            else:
                if cargo is not None:
                    self.publish([cargo])

    def cargo(self, node: int, data: bytes, rssi: int) -> Cargo | None:
        """The frame of a node; None, and counted, when it can't be used."""
        self.decoders.refresh()
        fields = [str(number).encode() for number in (node, *data)]
        line = b"OK " + b" ".join(fields) + b" (%d)" % rssi  # as radio boards print it, for `emonhub decode`
        try:
            decoder = self.decoders[fields[0]]
            values = decoder.unpack(data)
        except FrameError as error:
            self.discard(error, line)
            return None
        return Cargo(decoder.layout, values, self.world.time(), rssi, raw=line)

    async def _next(self) -> Packet | None:
        async with self.turn:
            return self.early.popleft() if self.early else await self.fetch()

    async def fetch(self) -> Packet | None:
        """A packet from the chip, whose turn we have. Broken ones are counted, and are none."""
        try:
            packet = await self.chip.receive()
        except FrameError as error:
            self.discard(error)
            return None
        if packet is not None and not packet.crc_ok:
            # Noise looks like the start of a packet now and then: that is no line in the log each time.
            self.bad["crc"] += 1
            self.log.debug("Packet with a wrong checksum (%d dBm): %s", packet.rssi, packet.data.hex(" "))
            return None
        return packet

    async def _set_up(self) -> None:
        if not await self.chip.find():
            raise Unavailable(
                f"no radio answers on SPI bus 0: check its wiring, and that pin {self.selPin} (selPin) is its NSS",
                retry_s=10.0,
            )
        await self.chip.set_up(self.registers(), self.key())
        await self.chip.listen()
        self._checked_at = self.world.monotonic()

    async def _check(self) -> None:
        now = self.world.monotonic()
        if now - self._checked_at < _CHECK_S:
            return
        self._checked_at = now
        silent = self._heard_at is not None and now - self._heard_at >= _SILENT_S
        registers = self.registers()
        async with self.turn:
            if silent:
                self._heard_at = None
                self.log.info("Nothing heard for %g s: the radio is set up anew", _SILENT_S)
            elif self.chip.listens(bytes((registers[SYNC_1], registers[SYNC_2]))):
                return
            else:
                self.log.warning("The radio has lost its settings, and is set up anew", extra={"repeats": "lost"})
            await self._set_up()

    async def _reset(self) -> None:
        number = self._pin("resetPin")
        if not number:
            return
        output = self.output_of(number, high=True)
        try:
            await self.world.sleep(_RESET_S)
            output.set(high=False)
            await self.world.sleep(_RESET_S)
        except OSError as error:
            raise Unavailable(f"pin {number} (resetPin) can't be set: {error}", retry_s=10.0) from error
        finally:
            output.release()

    def _pin(self, name: str) -> str:
        value: str = getattr(self, name)
        return "" if value.lower() == "none" else value

    # Waiting for packets

    def _watch_interrupts(self) -> None:
        number = self._pin("interruptPin")
        if not number:
            return
        try:
            self._lines = self.lines_of("", [number], pull="off", edges=True, debounce_s=0, rising=True)
        except Unavailable as error:
            self.log.info("The radio is polled: %s", error, extra={"repeats": str(error)})
            return
        asyncio.get_running_loop().add_reader(self._lines.fileno(), self._wake, self._lines)

    def _wake(self, lines: Lines) -> None:
        try:
            lines.new_edges()
        except OSError as error:
            self._stop_watching()
            self.log.warning("Pin %s (interruptPin) is gone, the radio is polled: %s", self.interruptPin, error)
        self._woken.set()

    def _stop_watching(self) -> None:
        if self._lines is not None:
            lines, self._lines = self._lines, None
            asyncio.get_running_loop().remove_reader(lines.fileno())
            lines.release()

    async def _wait(self) -> None:
        if self._lines is None:
            await self.world.sleep(self.poll_s)
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(_LOOK_S):
                await self._woken.wait()
