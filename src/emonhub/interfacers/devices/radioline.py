"""What radio boards on a serial port have in common: their byte lines, frames to send, the broadcast of the time.

OK 10 97 0 1 0 (-47)        a frame: node, bytes, and the signal strength in dBm
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, ClassVar

from emonhub import Cargo, FrameError, NodeId
from emonhub.interfacers.core.lines import LineSplitter
from emonhub.interfacers.core.serial import EmonHubSerialInterfacer
from emonhub.interfacers.devices.autoport import AUTO, find
from emonhub.interfacers.devices.packing import TTL, due, packed

if TYPE_CHECKING:
    from collections.abc import Iterator

_WEAKEST_RSSI = -200
"""dBm. What is below was garbled between board and hub: no receiver hears it."""

_MAX_BYTES = 66
"""Of a frame sent: the radio's packets hold no more, and the firmware cuts off what is beyond, without a word."""


class RadioLineInterfacer(EmonHubSerialInterfacer):
    """The base of those that read byte lines and send frames by radio."""

    adds_nodeoffset = True
    packed_frames = True

    boards: ClassVar[frozenset[str]] = frozenset()
    """What may answer on its port, for `com_port = auto`; see autoport."""

    com_port = EmonHubSerialInterfacer.com_port.but(
        "/dev/ttyAMA0",
        "the port, such as /dev/ttyUSB0 or one of /dev/serial/by-id; of /dev/ttyUSB* the first that is free;"
        " auto = look for the board",
    )
    datacode = EmonHubSerialInterfacer.datacode.but("h")
    ttl = TTL
    interval = EmonHubSerialInterfacer.interval.but(
        0.0, "seconds between broadcasts of the time for emonGLCD; 0 = none"
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._is_set_up = asyncio.Event()
        self._interval_changed = asyncio.Event()
        self._line = asyncio.Lock()

    def settings_changed(self, changed: set[str]) -> None:
        if "interval" in changed:
            self._interval_changed.set()

    async def open(self) -> None:
        if self.com_port == AUTO:
            self._splitter = LineSplitter()
            found = await find(self.world, self.name, self.boards, self.com_baud)
            self._reader, self._writer = found.reader, found.writer
            self.take(found.port, found.baud)
            self.log.info("Found the board at %s", self.endpoint())
        else:
            await super().open()
        self._is_set_up.clear()
        self._line = asyncio.Lock()

    def frame(self, fields: list[bytes], line: bytes, now: float) -> Cargo:
        """The frame of these fields: node id, bytes, and the signal strength in brackets where the board prints it.

        Raises FrameError. Takes the fields apart.
        """
        if not fields:
            raise FrameError("too short", "no node id")
        rssi = self._rssi(fields.pop()) if fields[-1].startswith(b"(") else 0
        if not fields:
            raise FrameError("too short", "no node id")
        decoder = self.decoders[fields[0]]
        del fields[0]
        values = decoder.decode(fields)
        return Cargo(decoder.layout, values, now, rssi, raw=line)

    def due(self, cargos: list[Cargo]) -> Iterator[Cargo]:
        """What of this is for nodes that it is to send to, and not too old."""
        return due(self, cargos, self.ttl)

    def packed(self, cargo: Cargo) -> tuple[NodeId, bytes]:
        """The node that a frame is for, and its bytes. Raises FrameError for what can't be sent."""
        return packed(self, cargo, _MAX_BYTES)

    async def say(self, command: bytes, *, then_wait_s: float = 0.0) -> None:
        """Send a command of its own, with nothing between its letters and nothing for a while behind it."""
        async with self._line:
            await self.write(command)
            if then_wait_s:
                await self.world.sleep(then_wait_s)

    async def broadcast_time(self) -> None:
        """The time for displays: now, and every `interval` seconds from now on."""
        await self._is_set_up.wait()
        while True:
            self._interval_changed.clear()
            if self.interval:
                now = time.localtime(self.world.time())
                await self.say(b"00,%02d,%02d,00,s" % (now.tm_hour, now.tm_min))
            try:
                async with asyncio.timeout(self.interval or None):
                    await self._interval_changed.wait()
            except TimeoutError:
                continue

    def _rssi(self, field: bytes) -> int:
        try:
            if not field.endswith(b")"):
                raise ValueError
            rssi = int(field[1:-1])
        except ValueError:
            raise FrameError("non-numeric", f"{field[:40]!r} is no signal strength") from None
        if _WEAKEST_RSSI <= rssi <= 0:
            return rssi
        self.note_bad_value("rssi", f"{rssi} dBm")
        return 0
