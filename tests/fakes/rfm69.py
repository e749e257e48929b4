"""An RFM69 as its data sheet describes it, seen from the SPI bus: registers, modes, FIFO, interrupt flags, DIO0.

What it hears and sends is `Air`: frames as they are on the air, with everything that must be alike on both sides.
It does not model bits, bandwidths and times: a frame is there or it is not.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

FIFO_SIZE = 66
SLEEP, STANDBY, SYNTHESIZER, TRANSMIT, RECEIVE = range(5)
READ_ONLY = {0x10, 0x24, 0x27, 0x28}
DEFAULTS = {0x01: 0x04, 0x0A: 0x41, 0x10: 0x24, 0x24: 0xFF, 0x2E: 0x98, 0x2F: 0x01, 0x30: 0x01, 0x37: 0x10, 0x3D: 0x02}


@dataclass(frozen=True)
class Air:
    """One frame on the air. `data` is what stands behind its length byte."""

    data: bytes
    sync: bytes = b"\x2d\xd2"
    carrier: bytes = b"\x6c\x40\x00"
    bitrate: bytes = b"\x02\x40"
    whitened: bool = False
    key: bytes = b""
    rssi: int = -60
    crc_ok: bool = True
    length: int | None = None  # that its length byte says, where that is a lie


class FakeRFM69:
    """The chip, and the bus that leads to it."""

    def __init__(self) -> None:
        self.sent: list[Air] = []
        self.lost: list[Air] = []  # heard, and nobody had fetched what came before, or it did not listen
        self.noise = [-110]  # dBm, that measurements of the channel give in turn; the last one from then on
        self.present = True
        self.stuck = False  # does not get into another mode
        self.broken = False
        self.opened = 0
        self.closed = 0
        self.on_dio0: Callable[[], None] = lambda: None
        self.on_sent: Callable[[Air], None] = lambda _frame: None
        self.power_up()

    def power_up(self) -> None:
        """As after a reset: everything it was told is forgotten."""
        self.registers = bytearray(0x80)
        for address, value in DEFAULTS.items():
            self.registers[address] = value
        self.fifo: deque[int] = deque()
        self._payload_ready = self._crc_ok = self._packet_sent = False

    # The bus

    def __call__(self, select_pin: str) -> FakeRFM69:
        self.opened += 1
        return self

    def close(self) -> None:
        self.closed += 1

    def transfer(self, data: bytes) -> bytes:
        if self.broken:
            raise OSError(5, "Input/output error")
        if not self.present:
            return bytes(len(data))
        address = data[0] & 0x7F
        answer = bytearray(1)
        for value in data[1:]:
            if data[0] & 0x80:
                answer.append(0)
                self._write(address, value)
            else:
                answer.append(self._read(address))
            address += address != 0  # the FIFO is read and written at one address
        self._step()
        return bytes(answer)

    def _read(self, address: int) -> int:
        if address == 0x00:
            return self._take_byte()
        if address == 0x27:
            return 0x00 if self.stuck else 0x80
        if address == 0x28:
            flags = 0x40 * bool(self.fifo) | 0x08 * self._packet_sent
            return flags | 0x04 * self._payload_ready | 0x02 * self._crc_ok
        return self.registers[address]

    def _take_byte(self) -> int:
        byte = self.fifo.popleft() if self.fifo else 0
        if not self.fifo:
            self._payload_ready = self._crc_ok = False
        return byte

    def _write(self, address: int, value: int) -> None:
        if address == 0x00:
            if len(self.fifo) < FIFO_SIZE:
                self.fifo.append(value)
        elif address == 0x01:
            self._change_mode(value)
        elif address == 0x0A:
            self.registers[address] = 0x40 if self.mode == STANDBY else 0x00
        elif address == 0x23:
            self.registers[address] = 0x02
            self.registers[0x24] = -2 * (self.noise.pop(0) if len(self.noise) > 1 else self.noise[0])
        elif address == 0x3D:
            if value & 0x04:
                self._clear()
            self.registers[address] = value & ~0x04
        elif address not in READ_ONLY:
            self.registers[address] = value

    @property
    def mode(self) -> int:
        return self.registers[0x01] >> 2 & 0x07

    @property
    def sync(self) -> bytes:
        return bytes(self.registers[0x2F : 0x2F + (self.registers[0x2E] >> 3 & 0x07) + 1])

    @property
    def key(self) -> bytes:
        return bytes(self.registers[0x3E:0x4E]) if self.registers[0x3D] & 0x01 else b""

    def _change_mode(self, value: int) -> None:
        before = self.mode
        self.registers[0x01] = value
        self._packet_sent = self._packet_sent and self.mode == TRANSMIT
        if self.mode == SLEEP or (self.mode == RECEIVE and before != RECEIVE):
            self._clear()

    def _clear(self) -> None:
        self.fifo.clear()
        self._payload_ready = self._crc_ok = False

    # The air

    def hear(self, frame: Air) -> None:
        """A frame goes by."""
        registers = self.registers
        alike = (
            frame.sync == self.sync
            and frame.carrier == bytes(registers[0x07:0x0A])
            and frame.bitrate == bytes(registers[0x03:0x05])
            and frame.whitened == (registers[0x37] >> 5 & 0x03 == 2)
        )
        length = len(frame.data) if frame.length is None else frame.length
        if not alike or length > registers[0x38]:
            return
        if self.mode != RECEIVE or self.fifo:
            self.lost.append(frame)
            return
        if not frame.crc_ok and not registers[0x37] & 0x08:
            return  # cleared by itself
        # With the wrong key the bytes come out as others; the checksum is that of the encrypted ones, and right.
        data = frame.data if frame.key == self.key else bytes(byte ^ 0xA7 for byte in frame.data)
        self.fifo.extend((length, *data)[:FIFO_SIZE])
        registers[0x24] = -2 * frame.rssi
        self._payload_ready, self._crc_ok = True, frame.crc_ok
        if registers[0x25] >> 6 == 0x01:
            self.on_dio0()

    def _step(self) -> None:
        """What it does once the bus lets go of it."""
        if self.mode == TRANSMIT and self.fifo and not self.stuck:
            length, *data = self.fifo
            self._clear()
            self._packet_sent = True
            assert length == len(data)
            registers = self.registers
            frame = Air(
                bytes(data), self.sync, bytes(registers[0x07:0x0A]), bytes(registers[0x03:0x05]),
                registers[0x37] >> 5 & 0x03 == 2, self.key,
            )  # fmt: skip
            self.sent.append(frame)
            self.on_sent(frame)
