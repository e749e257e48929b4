"""The chip of an RFM69 module, Semtech's SX1231: its registers, modes and FIFO, as its data sheet describes them.

All of it happens in the loop, one thing after the other: who shares a chip between tasks takes turns with a lock.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from emonhub import FrameError, Unavailable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from emonhub.interfacers.devices.rfm69.bus import Bus

FIFO = 0x00
OP_MODE = 0x01
CALIBRATION = 0x0A
RSSI_CONFIG = 0x23
RSSI_VALUE = 0x24
IRQ_FLAGS_1 = 0x27
IRQ_FLAGS_2 = 0x28
SYNC_1 = 0x2F
SYNC_2 = 0x30
PACKET_CONFIG_2 = 0x3D
AES_KEY = 0x3E

SLEEP = 0x00
STANDBY = 0x04
TRANSMIT = 0x0C
RECEIVE = 0x10

_WRITE = 0x80  # the top bit of an address
_MODE_READY = 0x80
_PACKET_SENT = 0x08
_PAYLOAD_READY = 0x04
_CRC_OK = 0x02
_RESTART_RX = 0x04
_AES_ON = 0x01
_RSSI_START = 0x01
_RSSI_DONE = 0x02
_CALIBRATE = 0x80
_CALIBRATED = 0x40

MAX_BYTES = 65
"""Of a frame behind its length byte: the FIFO holds 66."""

_STEP_S = 0.0005
_STEPS = 200
"""A tenth of a second: the chip changes its mode, and sends the longest frame, in a fraction of it."""


@dataclass(frozen=True, slots=True)
class Packet:
    """What came by radio, without the length byte in front; `rssi` in dBm."""

    data: bytes
    rssi: int
    crc_ok: bool


class Chip:
    """One chip on its bus. What goes wrong on the bus, and a chip that does not answer, is raised as Unavailable."""

    def __init__(self, bus: Bus, sleep: Callable[[float], Awaitable[None]]) -> None:
        self._bus = bus
        self._pause = sleep

    def read(self, address: int, count: int = 1) -> bytes:
        """`count` registers from `address` on; of the FIFO, as many bytes."""
        return self._transfer(bytes((address, *bytes(count))))[1:]

    def write(self, address: int, *values: int) -> None:
        """Registers from `address` on; of the FIFO, as many bytes."""
        self._transfer(bytes((address | _WRITE, *values)))

    def _transfer(self, data: bytes) -> bytes:
        try:
            return self._bus.transfer(data)
        except OSError as error:
            raise Unavailable(f"the SPI bus can't be used: {error}", retry_s=10.0) from error

    async def find(self) -> bool:
        """Whether a chip answers: it keeps what is written into a register."""
        for pattern in (0xAA, 0x55):
            if not await self._until(lambda pattern=pattern: self._keeps(SYNC_1, pattern)):  # type: ignore[misc]
                return False
        return True

    def _keeps(self, address: int, value: int) -> bool:
        self.write(address, value)
        return self.read(address) == bytes((value,))

    async def set_up(self, registers: Mapping[int, int], key: bytes = b"") -> None:
        """Write these registers, and the key for AES if there is one, and calibrate. Leaves the chip in standby."""
        await self.enter(STANDBY)
        for address, value in registers.items():
            self.write(address, value)
        if key:
            self.write(AES_KEY, *key)
            self.write(PACKET_CONFIG_2, registers[PACKET_CONFIG_2] | _AES_ON)
        self.write(CALIBRATION, _CALIBRATE)
        await self._await(lambda: self.read(CALIBRATION)[0] & _CALIBRATED, "does not calibrate itself")

    async def enter(self, mode: int) -> None:
        """Change the mode, and wait until it has changed."""
        self.write(OP_MODE, mode)
        await self._await(lambda: self.read(IRQ_FLAGS_1)[0] & _MODE_READY, f"does not get into mode {mode >> 2}")

    def sleep(self) -> None:
        """Switch the radio off, and forget what is in the FIFO."""
        self.write(OP_MODE, SLEEP)

    async def listen(self) -> None:
        """Receive from now on. What is still in the FIFO is gone."""
        if self.read(IRQ_FLAGS_2)[0] & _PAYLOAD_READY:
            self.write(PACKET_CONFIG_2, self.read(PACKET_CONFIG_2)[0] | _RESTART_RX)
        await self.enter(RECEIVE)

    def listens(self, sync: bytes) -> bool:
        """Whether it still is as it was set up; a chip whose supply broke down has forgotten all."""
        return self.read(OP_MODE)[0] == RECEIVE and self.read(SYNC_1, 2) == sync

    async def receive(self) -> Packet | None:
        """What has come in since, if anything has. Raises FrameError for what is no packet. Goes on listening."""
        flags = self.read(IRQ_FLAGS_2)[0]
        if not flags & _PAYLOAD_READY:
            return None
        # Emptied while it receives, the FIFO would be filled anew at once, and the signal strength with it.
        await self.enter(STANDBY)
        rssi = self._rssi()
        length = self.read(FIFO)[0]
        data = self.read(FIFO, length) if 0 < length <= MAX_BYTES else b""
        await self.listen()
        if not data:
            raise FrameError("length", f"a packet of {length} bytes: must be 1 to {MAX_BYTES}")
        return Packet(data, rssi, bool(flags & _CRC_OK))

    async def rssi_now(self) -> int:
        """How strong the channel's signal is at this moment, dBm. The chip must be listening."""
        self.write(RSSI_CONFIG, _RSSI_START)
        await self._until(lambda: self.read(RSSI_CONFIG)[0] & _RSSI_DONE)
        return self._rssi()

    async def transmit(self, data: bytes) -> None:
        """Send a packet of these bytes, and listen again."""
        await self.enter(STANDBY)
        self.write(FIFO, len(data), *data)
        try:
            self.write(OP_MODE, TRANSMIT)
            await self._await(lambda: self.read(IRQ_FLAGS_2)[0] & _PACKET_SENT, "does not send")
        finally:
            self.write(OP_MODE, STANDBY)
        await self.listen()

    def _rssi(self) -> int:
        return -(self.read(RSSI_VALUE)[0] // 2)

    async def _await(self, condition: Callable[[], object], complaint: str) -> None:
        if not await self._until(condition):
            raise Unavailable(f"the radio {complaint}: check its wiring and its supply", retry_s=10.0)

    async def _until(self, condition: Callable[[], object]) -> bool:
        for _ in range(_STEPS):
            if condition():
                return True
            await self._pause(_STEP_S)
        return bool(condition())
