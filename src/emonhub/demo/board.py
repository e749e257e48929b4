"""A radio board with the RFM12demo firmware of JeeLabs, as far as its serial line shows, without any line or radio.

It takes commands letter by letter, without line ends: numbers, with commas between them, then the letter.

    v            firmware and settings         <n>q    1 = frames with a wrong checksum are not printed
    <n>i         own node id, 1 to 30          <n>c    1 = collect mode: acknowledge nothing
    <n>b         band: 4, 8 or 9 for           <n>p    mains that it measures: 1 = 230 V, 2 = 110 V
                 433, 868 or 915 MHz           <b1>,<b2>,…,<n>s    send these bytes to node <n>, 0 = to all;
    <n>g         group, 0 to 250                                   a instead of s asks for an acknowledgement

Each is repeated behind `> `; a change of the settings shows them all, and a frame sent is confirmed by its length:

    > 210g                                      > 30,1,0,58,7,0s
     A i1* g210 @ 433 MHz q1 USA 0               -> 5 b
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from random import Random

FIRMWARE = "RFM12demo.12"

_COMMANDS = b"vibgqcpas"
_BANDS_MHZ = {4: 433, 8: 868, 9: 915}

_MAX_PAYLOAD = 66
"""Bytes of a frame of the RFM12 format."""

_MAX_STACK = _MAX_PAYLOAD + 4
"""Numbers of a command that the firmware keeps; those beyond it are lost."""

_MAX_NOISE = 20
"""Bytes that it prints of a frame with a wrong checksum."""


@dataclass(slots=True)
class RadioBoard:
    """The board and its settings, which are public; they start as a new board has them."""

    node_id: int = 1
    group: int = 210
    band_mhz: int = 433
    quiet: bool = True
    collect: bool = True
    usa: bool = False
    _value: int = 0
    _stack: bytes = b""

    def banner(self) -> bytes:
        """What it prints when it starts."""
        return b"\r\n" + self._firmware_line()

    def feed(self, data: bytes) -> bytes:
        """What it prints on getting `data`, which may end within a command. What is no command prints nothing."""
        return b"".join(map(self._take, data))

    def receive(self, node: int, payload: bytes, rssi: int) -> bytes:
        """The line that it prints for a frame heard from `node` at `rssi` dBm. Raises ValueError if none can be so."""
        if not 0 <= node <= 31 or len(payload) > _MAX_PAYLOAD:
            raise ValueError(f"no frame of this radio: node {node}, {len(payload)} bytes")
        return _frame_line("OK", node, payload, rssi)

    def receive_noise(self, rng: Random) -> bytes:
        """The line for a frame with a wrong checksum, made up by `rng`; nothing with quiet on."""
        node, size, rssi = rng.randrange(32), rng.randint(1, _MAX_NOISE), rng.randint(-104, -88)
        return b"" if self.quiet else _frame_line(" ?", node, rng.randbytes(size), rssi)

    def _take(self, byte: int) -> bytes:
        if 0x30 <= byte <= 0x39:
            self._value = (10 * self._value + byte - 0x30) & 0xFFFF  # 16 bits, as in the firmware
            return b""
        if byte == 0x2C:
            if len(self._stack) < _MAX_STACK:
                self._stack += bytes((self._value & 0xFF,))
            self._value = 0
            return b""
        stack, value = self._stack, self._value
        self._stack, self._value = b"", 0
        if byte not in _COMMANDS:
            return b""
        letter = chr(byte)
        repeated = ",".join(map(str, (*stack, value)))
        return f"> {repeated}{letter}\r\n".encode() + self._obey(letter, value, len(stack))

    def _obey(self, letter: str, value: int, count: int) -> bytes:
        match letter:
            case "v":
                return self._firmware_line()
            case "a" | "s":
                return f" -> {min(count, _MAX_PAYLOAD)} b\r\n".encode()
            case "i" if 1 <= value <= 30:
                self.node_id = value
            case "b" if value in _BANDS_MHZ:
                self.band_mhz = _BANDS_MHZ[value]
            case "g" if value <= 250:
                self.group = value
            case "q" if value <= 1:
                self.quiet = bool(value)
            case "c" if value <= 1:
                self.collect = bool(value)
            case "p" if value in {1, 2}:
                self.usa = value == 2
            case _:
                return b""
        return self._settings_line()

    def _firmware_line(self) -> bytes:
        return f"[{FIRMWARE}]".encode() + self._settings_line()

    def _settings_line(self) -> bytes:
        return (
            f" {chr(0x40 + self.node_id)} i{self.node_id}{'*' * self.collect} g{self.group} @ {self.band_mhz} MHz"
            f" q{self.quiet:d} USA {self.usa:d}\r\n"
        ).encode()


def _frame_line(start: str, node: int, payload: bytes, rssi: int) -> bytes:
    return f"{start} {' '.join(map(str, (node, *payload)))} ({rssi})\r\n".encode()


__all__ = ["FIRMWARE", "RadioBoard"]
