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
from typing import TYPE_CHECKING

from emonhub import Cargo, FrameError, choice, integer, setting, switch
from emonhub.interfacers.devices.radioline import RadioLineInterfacer

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterable
    from typing import Any

_ANSWER_S = 2.0
"""An Arduino that the opening of its port has reset is up again within this time."""

_COMMAND_GAP_S = 1.0
"""The firmware takes its commands letter by letter and stores each in EEPROM: sent faster, some are lost."""

_BANDS = {"433": "4b", "868": "8b", "915": "9b"}
_SHOWN_SETTINGS = re.compile(rb" i(\d+)\*? g(\d+) @ (\d+) ?MHz(?:.*? q(\d))?(?:.*? USA (\d))?")
_CALIBRATIONS = {"0": "230V", "1": "110V"}


class EmonHubJeeInterfacer(RadioLineInterfacer):
    """Reads frames from a radio board on a serial port, sets the board up, and sends control frames through it."""

    boards = frozenset({"RFM2Pi"})
    com_baud = RadioLineInterfacer.com_baud.but(38400, "speed of the port; old RFM12Pi boards have 9600")

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
        self._changed = asyncio.Event()
        self._first_line = True

    def jobs(self) -> Iterable[Coroutine[Any, Any, None]]:
        return (self._set_up(), self.broadcast_time())

    def settings_changed(self, changed: set[str]) -> None:
        self._to_set |= changed & self._commands().keys()
        self._changed.set()
        super().settings_changed(changed)

    async def open(self) -> None:
        await super().open()
        self._board.clear()  # it may be another one
        self._shown.clear()
        self._first_line = True

    def parse(self, lines: Iterable[bytes], now: float) -> list[Cargo]:
        cargos = []
        for line in lines:
            fields = line.split()
            if not fields:
                continue  # the board leaves lines empty between its messages
            first_line, self._first_line = self._first_line, False
            if fields[0] == b"OK":
                del fields[0]
            elif not fields[0].isdigit():
                self._take_message(line)
                continue
            elif first_line and fields[-1].startswith(b"("):
                # What prints the signal strength prints OK: the port was opened in the middle of this line.
                self.log.debug("The first line is cut: %s", line)
                continue
            try:
                cargos.append(self.frame(fields, line, now))
            except FrameError as error:
                self.discard(error, line)
        return cargos

    async def send(self, cargos: list[Cargo]) -> None:
        """Control frames: `30,1,0,58,7,0s` sends the bytes 1, 0, 58, 7 to node 30."""
        for cargo in self.due(cargos):
            try:
                node, data = self.packed(cargo)
            except FrameError as error:
                self.discard(error)
                continue
            await self.say(",".join(map(str, (node, *data, "0s"))).encode())
            self.log.debug("Sent to node %s: %s", node, list(data))

    def _take_message(self, line: bytes) -> None:
        """A line that is no frame."""
        text = line.decode("utf-8", "backslashreplace").strip("\r\x00 ")
        if line.startswith(b"\x01"):
            return  # the emonPi's firmware marks with it what is for its display
        if text.startswith("?"):
            self.bad["unreliable"] += 1
            self.log.debug("Frame with a wrong checksum: %s", text)
        elif shown := _SHOWN_SETTINGS.search(b" " + line):
            self._take_settings(shown, text)
        elif ">" in text:
            self.log.debug("The board confirms: %s", text)
        elif text.isprintable() and text.isascii():
            self.log.debug("The board says: %s", text)
        else:
            self.discard(FrameError("noise", "not text"), line)

    def _take_settings(self, shown: re.Match[bytes], text: str) -> None:
        number, group, band, quiet, usa = (None if part is None else part.decode() for part in shown.groups())
        board = {"baseid": number, "group": group, "frequency": band, "quiet": quiet}
        board["calibration"] = _CALIBRATIONS.get(usa or "")
        self._board = {name: value for name, value in board.items() if value is not None}
        self.log.debug("The board's settings: %s", text)
        self._shown.set()
        if text.startswith("["):
            self.firmware = text[1:].partition("]")[0]
            if self._is_set_up.is_set():  # it has started anew
                self._to_set = set(self._commands())
                self._changed.set()

    def _commands(self) -> dict[str, tuple[str, str]]:
        """For each setting of the board: the command that sets it, and the value that the board then shows."""
        return {
            "frequency": (_BANDS[self.frequency], self.frequency),
            "group": (f"{self.group}g", str(self.group)),
            "baseid": (f"{self.baseid}i", str(self.baseid)),
            "quiet": (f"{int(self.quiet)}q", str(int(self.quiet))),
            "calibration": ("1p" if self.calibration == "230V" else "2p", self.calibration),
        }

    async def _set_up(self) -> None:
        """Ask the board for its settings and change those that differ; later, those that the configuration changes."""
        await self.say(b"v")
        try:
            async with asyncio.timeout(_ANSWER_S):
                await self._shown.wait()
            self.log.info("Board %s: %s", self.firmware or "without a name", _as_text(self._board))
        except TimeoutError:
            self.log.info("The board does not say what it is; its settings are sent all the same")
        self._to_set = set(self._commands())
        while True:
            await self._set_what_differs()
            self._is_set_up.set()
            await self._changed.wait()

    async def _set_what_differs(self) -> None:
        self._changed.clear()
        for name in self._commands():
            if name not in self._to_set:
                continue
            self._to_set.discard(name)
            command, wanted = self._commands()[name]
            if self._board.get(name) == wanted:
                continue
            self.log.info("Setting the board's %s: %s", name, command)
            await self.say(command.encode(), then_wait_s=_COMMAND_GAP_S)
            if self._board.get(name, wanted) != wanted:
                self.log.warning("The board has not taken %s: its %s is %s", command, name, self._board[name])


def _as_text(settings: dict[str, str]) -> str:
    return ", ".join(f"{name} {value}" for name, value in settings.items())
