"""RFM12Pi, RFM69Pi and emonPi: radio boards with the RFM12demo firmware of JeeLabs on a serial line.

What they print, a line each:

    OK 10 97 0 1 0 (-47)                          a frame: node, bytes, and the signal strength in dBm
     ? 12 167 129 24 0 (-98)                      a frame with a wrong checksum; only with quiet off
    [RFM12demo.12] A i5* g210 @ 433 MHz q1        firmware and settings, after a start and after `v`
     A i5 g210 @ 433 MHz q1                       settings, after a command
    > 210g                                        a command acknowledged
     -> 4 b                                       a frame sent
"""

from __future__ import annotations

import asyncio
import re
import time
from typing import TYPE_CHECKING

from emonhub import Cargo, FrameError, choice, encode, integer, setting, switch
from emonhub.interfacers.core.serial import EmonHubSerialInterfacer

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterable
    from typing import Any

_ANSWER_S = 2.0
"""An Arduino that the opening of its port has reset is up again within this time."""

_COMMAND_GAP_S = 1.0
"""The firmware takes its commands letter by letter and stores each in EEPROM: sent faster, some are lost."""

_WEAKEST_RSSI = -200
"""dBm. What is below was garbled between board and hub: no receiver hears it."""

_BANDS = {"433": "4b", "868": "8b", "915": "9b"}
_SHOWN_SETTINGS = re.compile(rb" i(\d+)\*? g(\d+) @ (\d+) ?MHz(?:.* q(\d))?")


class EmonHubJeeInterfacer(EmonHubSerialInterfacer):
    """Reads frames from a radio board on a serial port, sets the board up, and sends control frames through it."""

    adds_nodeoffset = True
    packed_frames = True

    com_port = EmonHubSerialInterfacer.com_port.but("/dev/ttyAMA0")
    com_baud = EmonHubSerialInterfacer.com_baud.but(38400, "speed of the port; old RFM12Pi boards have 9600")
    datacode = EmonHubSerialInterfacer.datacode.but("h")
    interval = EmonHubSerialInterfacer.interval.but(
        0.0, "seconds between broadcasts of the time for emonGLCD; 0 = none"
    )

    baseid = setting(integer(1, 26), 15, "the board's own node id")
    frequency = setting(choice("433", "868", "915"), "433", "radio band", unit="MHz")
    group = setting(integer(0, 250), 210, "radio network group")
    quiet = setting(switch(), True, "1 = the board keeps frames with a wrong checksum to itself")
    calibration = setting(choice("230V", "110V"), "230V", "mains voltage that an emonPi measures")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.firmware = ""
        self._board: dict[str, str] = {}  # the board's own settings, as far as it has shown them
        self._shown = asyncio.Event()
        self._to_set: set[str] = set()

    def jobs(self) -> Iterable[Coroutine[Any, Any, None]]:
        return (self._set_up(), self._broadcast_time())

    def settings_changed(self, changed: set[str]) -> None:
        self._to_set |= changed & self._commands().keys()
        self._changed.set()

    async def open(self) -> None:
        await super().open()
        self._shown.clear()
        self._changed = asyncio.Event()

    def parse(self, lines: Iterable[bytes], now: float) -> list[Cargo]:
        cargos = []
        decoders = self.decoders
        for line in lines:
            fields = line.split()
            if not fields:
                continue  # the board leaves lines empty between its messages
            if fields[0] == b"OK":
                del fields[0]
            elif not fields[0].isdigit():
                self._take_message(line)
                continue
            try:
                if not fields:
                    raise FrameError("too short", "no node id")
                rssi = self._rssi(fields.pop()) if fields[-1].startswith(b"(") else 0
                decoder = decoders[fields[0]]
                del fields[0]
                values = decoder.decode(fields)
                cargos.append(Cargo(decoder.layout, values, now, rssi))
            except (FrameError, IndexError) as error:
                cut = error if isinstance(error, FrameError) else FrameError("too short", "no node id")
                self.discard(cut, line)
        return cargos

    async def send(self, cargos: list[Cargo]) -> None:
        """Control frames: `30,1,0,58,7,0s` sends the bytes 1, 0, 58, 7 to node 30."""
        for cargo in cargos:
            node = cargo.target or cargo.layout.node
            try:
                if not isinstance(node, int) or not 0 <= node <= 255:
                    raise FrameError("bad node id", f"node {node!r} can't be reached by radio: 0 to 255")
                data = encode(cargo.values, self.nodes.tx(node), datacode=self.datacode, scale=self.scale)
            except FrameError as error:
                self.discard(FrameError(f"not sent, {error.reason}", f"for node {node}: {error}"))
                continue
            await self.write(",".join(map(str, (node, *data, "0s"))).encode())
            self.log.debug("Sent to node %s: %s", node, list(data))

    def _rssi(self, field: bytes) -> int:
        try:
            rssi = int(field[1:-1])
        except ValueError:
            raise FrameError("non-numeric", f"{field!r} is no signal strength") from None
        if _WEAKEST_RSSI <= rssi <= 0:
            return rssi
        self.note_bad_value("rssi", f"{rssi} dBm")
        return 0

    def _take_message(self, line: bytes) -> None:
        """A line that is no frame."""
        text = line.decode("utf-8", "backslashreplace").strip("\r\x00 ")
        if text.startswith("?"):
            self.bad["unreliable"] += 1
            self.log.debug("Frame with a wrong checksum: %s", text)
        elif shown := _SHOWN_SETTINGS.search(b" " + line):
            number, group, band, quiet = (None if part is None else part.decode() for part in shown.groups())
            self._board = {"baseid": number or "", "group": group or "", "frequency": band or ""}
            if quiet is not None:
                self._board["quiet"] = quiet
            if text.startswith("["):
                self.firmware = text[1:].partition("]")[0]
            self._shown.set()
            self.log.debug("The board's settings: %s", text)
        elif ">" in text:
            self.log.debug("The board confirms: %s", text)
        elif text.isprintable() and text.isascii():
            self.log.debug("The board says: %s", text)
        else:
            self.discard(FrameError("noise", "not text"), line)

    def _commands(self) -> dict[str, tuple[str, str]]:
        """For each setting of the board: the command that sets it, and the value that the board then shows."""
        return {
            "frequency": (_BANDS[self.frequency], self.frequency),
            "group": (f"{self.group}g", str(self.group)),
            "baseid": (f"{self.baseid}i", str(self.baseid)),
            "quiet": (f"{int(self.quiet)}q", str(int(self.quiet))),
            "calibration": ("1p" if self.calibration == "230V" else "2p", ""),
        }

    async def _set_up(self) -> None:
        """Ask the board for its settings and change those that differ; later, those that the configuration changes."""
        await self.write(b"v")
        try:
            async with asyncio.timeout(_ANSWER_S):
                await self._shown.wait()
            self.log.info("Board %s: %s", self.firmware or "without a name", _as_text(self._board))
        except TimeoutError:
            self.log.info("The board does not say what it is; its settings are sent all the same")
        self._to_set = {name for name, (_, shown) in self._commands().items() if self._board.get(name) != shown}
        while True:
            for name, (command, _) in self._commands().items():
                if name in self._to_set:
                    self._to_set.discard(name)
                    await self.write(command.encode())
                    self.log.info("Setting the board's %s: %s", name, command)
                    await self.world.sleep(_COMMAND_GAP_S)
            await self._changed.wait()
            self._changed.clear()

    async def _broadcast_time(self) -> None:
        while True:
            await self.world.sleep(self.interval or 60.0)
            if self.interval:
                now = time.localtime(self.world.time())
                await self.write(b"00,%02d,%02d,00,s" % (now.tm_hour, now.tm_min))


def _as_text(settings: dict[str, str]) -> str:
    return ", ".join(f"{name} {value}" for name, value in settings.items())
