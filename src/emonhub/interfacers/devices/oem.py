"""emonPi 1/2/3, emonTx 4/5/6, emonTH 2, and whatever prints such lines, on a serial line.

What they print, a line each:

    MSG:2,V1:245.1,P1:100,E1:0,pulse:3            named values
    {"power1":100,"power2":200}                   the same as JSON
    OK 17 1 0 0 0 (-40)                           bytes of a node that was heard by radio
    '+++' then [Enter] for config mode            asks whether somebody wants to set it up
    anything else                                 a message: firmware, answers to commands
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from emonhub import Cargo, FrameError, setting, text
from emonhub.interfacers.devices import oemsettings
from emonhub.interfacers.devices.keyvalue import Pairs, read_json, read_pairs
from emonhub.interfacers.devices.radioline import RadioLineInterfacer

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterable

_REPLY_S = 1.0
"""A device that answers a command does so within this time."""

_REST_OF_REPLY_S = 0.3
"""A reply of several lines has all come within this time after its first line."""

_SILENT_S = 20.0
"""A device that prints nothing for so long after the opening of its port is set up all the same."""

_BACK_TO_WORK_S = 2.1
"""Firmware that takes `4v` for the start of a longer command gives it up after two seconds."""

_PROMPT_GAP_S = 0.1
"""Between the commands of the configuration mode, whose firmware reads them one at a time."""

_WHOLE_AFTER_S = 1.0
"""The rest of a line that was being printed when the port was opened is complete before this, at any usual speed."""

_MAX_SHAPES = 64
"""Sets of names that are remembered to tell a line that was cut short by a restart of the device."""


@dataclass(slots=True)
class _Held:
    """The first line behind the opening of the port, while it may have been cut."""

    pairs: Pairs
    time: float
    line: bytes


class EmonHubOEMInterfacer(RadioLineInterfacer):
    """Reads a monitor on a serial port that prints named values or byte lines, sets it up, and sends through it.

    Frames with names come from the node that `nodename` says, or else from one with the interfacer's own name.
    """

    boards = frozenset({"emonTx", "emon32"})
    com_baud = RadioLineInterfacer.com_baud.but(38400, "speed of the port; 115200 for emonPi 2 and 3 and USB devices")
    nodename = setting(text(), "", "node id of lines with names; empty = the interfacer's own name")

    group = oemsettings.GROUP
    frequency = oemsettings.FREQUENCY
    baseid = oemsettings.BASEID
    period = oemsettings.PERIOD
    vcal = oemsettings.VCAL
    ical1 = oemsettings.ical(1)
    ical2 = oemsettings.ical(2)
    ical3 = oemsettings.ical(3)
    ical4 = oemsettings.ical(4)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.firmware = ""
        self._no_old_keys = False  # its firmware gives the letters of the commands other meanings
        self._old_style = False
        self._heard = asyncio.Event()
        self._prompted = asyncio.Event()
        self._changed = asyncio.Event()
        self._to_set: set[str] = set()
        self._awaiting: asyncio.Future[str] | None = None
        self._first_line = False
        self._opened = 0.0
        self._held: _Held | None = None
        self._shapes: set[tuple[str, ...]] = set()

    def jobs(self) -> Iterable[Coroutine[Any, Any, None]]:
        return (self._set_up(), self._answer_prompts(), self.broadcast_time())

    def settings_changed(self, changed: set[str]) -> None:
        self._to_set |= changed & oemsettings.KEYS.keys()
        self._changed.set()
        super().settings_changed(changed)

    async def open(self) -> None:
        await super().open()
        self.firmware = ""
        self._no_old_keys = False
        self._heard.clear()
        self._prompted.clear()
        self._awaiting = None
        self._held = None
        self._shapes.clear()
        self._first_line = True
        self._opened = self.world.monotonic()

    # Reading

    def parse(self, lines: Iterable[bytes], now: float) -> list[Cargo]:
        cargos: list[Cargo] = []
        for whole in lines:
            line = whole.strip(b" \t\r\n\v\f\x00")
            if not line:
                continue
            self._heard.set()
            first_line, self._first_line = self._first_line, False
            try:
                self._take(line, now, cargos, first=first_line)
            except FrameError as error:
                self.discard(error, line)
        return cargos

    def _take(self, line: bytes, now: float, cargos: list[Cargo], *, first: bool) -> None:
        if line.startswith(b"{"):
            self._let_go(cargos)
            cargos.append(self._read(line, read_json).cargo(self, self._node, now, line))
        elif b":" in line and line[:1] not in b"|>['":
            self._take_pairs(line, now, cargos, first=first)
        else:
            self._let_go(cargos)
            fields = line.split()
            if fields[0] == b"OK":
                cargos.append(self.frame(fields[1:], line, now))
            elif not fields[0].isdigit() or len(fields) < 2:
                self._take_message(line)
            elif not (first and fields[-1].startswith(b"(")):  # else an OK has been cut off, and a node id perhaps
                cargos.append(self.frame(fields, line, now))

    def _read(self, line: bytes, read: Any) -> Pairs:
        try:
            found: Pairs = read(line.decode("ascii"))
        except UnicodeDecodeError:
            raise FrameError("noise", "not text") from None
        return found

    def _take_pairs(self, line: bytes, now: float, cargos: list[Cargo], *, first: bool) -> None:
        pairs = self._read(line, read_pairs)
        names = tuple(pairs.values)
        awaited = self._awaiting is not None and names not in self._shapes
        if b"," not in line and (not names or awaited):
            self._let_go(cargos)
            self._take_message(line)
            return
        if first and self.world.monotonic() - self._opened < _WHOLE_AFTER_S:
            if not names:
                self.log.debug("The first line is cut: %s", line)
                return
            if names[0].upper() != "MSG":
                self._held = _Held(pairs, now, line)
                return
        self._let_go(cargos, names)
        if not pairs.problems:
            self._refuse_cut(names)
        cargos.append(pairs.cargo(self, self._node, now, line))

    def _let_go(self, cargos: list[Cargo], following: tuple[str, ...] = ()) -> None:
        """Take over the first line, unless the names of the line behind it show that its start is missing."""
        held, self._held = self._held, None
        if held is None:
            return
        names = tuple(held.pairs.values)
        rest = following[-len(names) :]
        if names != following and rest[1:] == names[1:] and rest and rest[0].endswith(names[0]):
            self.log.debug("The first line is cut: %s", held.line)
            return
        self._shapes.add(names)
        cargos.append(held.pairs.cargo(self, self._node, held.time, held.line))

    def _refuse_cut(self, names: tuple[str, ...]) -> None:
        """A line with the first names of another one only: its last number may lack digits. A second one is good."""
        if names in self._shapes:
            return
        cut = any(shape[: len(names)] == names for shape in self._shapes)
        if len(self._shapes) >= _MAX_SHAPES:
            self._shapes.clear()
        self._shapes.add(names)
        if cut:
            raise FrameError("cut short", "it ends before the names that lines of this device have")

    @property
    def _node(self) -> str:
        return self.nodename or self.name

    def _take_message(self, line: bytes) -> None:
        """A line that is no frame."""
        if line.startswith(b"?"):
            self.bad["unreliable"] += 1
            self.log.debug("Frame with a wrong checksum: %s", line)
            return
        try:
            said = line.decode("ascii")
        except UnicodeDecodeError:
            said = ""
        if not said.isprintable() or not said:
            raise FrameError("noise", "not text")
        self.log.debug("The device says: %s", said)
        self._no_old_keys = self._no_old_keys or oemsettings.has_other_commands(said)
        if (found := oemsettings.firmware_of(said)) and found != self.firmware:
            self.firmware = found
            self.log.info("Device: %s", found)
        if oemsettings.PROMPT in said:
            self._prompted.set()
        elif self._awaiting is not None and not self._awaiting.done():
            self._awaiting.set_result(said)

    # Sending

    async def send(self, cargos: list[Cargo]) -> None:
        """Control frames: `T30,1,0,58,7` sends the bytes 1, 0, 58, 7 to node 30."""
        for cargo in self.due(cargos):
            try:
                node, data = self.packed(cargo)
                if self._no_old_keys:
                    raise FrameError("not sent, no transmitter", f"{self.firmware} has no command to send a frame")
            except FrameError as error:
                self.discard(error)
                continue
            reply = await self._ask("T" + ",".join(map(str, (node, *data))))
            self.log.debug("Sent to node %s: %s; the device says: %s", node, list(data), reply or "nothing")

    async def _ask(self, command: str) -> str:
        """Give the device a command. Returns what it says to it within a second, or an empty text."""
        async with self._line:
            self._awaiting = asyncio.get_running_loop().create_future()
            try:
                await self.write(command.encode() + b"\n")
                async with asyncio.timeout(_REPLY_S):
                    return await self._awaiting
            except TimeoutError:
                return ""
            finally:
                self._awaiting = None

    async def _set_up(self) -> None:
        """Give the device the settings that the configuration has, once; later, those that change."""
        self._to_set = {name for name in oemsettings.KEYS if getattr(self, name)}
        style_known = False
        while True:
            self._changed.clear()
            changed, self._to_set = self._to_set, set()
            wanted = [name for name in oemsettings.KEYS if name in changed and getattr(self, name)]
            if wanted and not style_known:
                await self._find_style()
                style_known = True
            if wanted and self._no_old_keys:
                self.log.warning(
                    "%s are not sent: %s has commands of its own; set it up with those, and remove these settings",
                    ", ".join(wanted),
                    self.firmware or "this firmware",
                )
            elif wanted:
                await self._give(wanted)
            self._is_set_up.set()
            await self._changed.wait()

    async def _find_style(self) -> None:
        """Find out which firmware it is, and whether it has the letter of a command first or the value."""
        try:
            async with asyncio.timeout(_SILENT_S):
                await self._heard.wait()
        except TimeoutError:
            self.log.info("The device prints nothing; its settings are sent all the same")
        if await self._ask("v"):
            await self.world.sleep(_REST_OF_REPLY_S)
        if self._no_old_keys:
            return
        reply = await self._ask("4v")
        self._old_style = reply not in {"", "4v"}
        if not self._old_style:
            await self.world.sleep(_BACK_TO_WORK_S)

    async def _give(self, names: list[str]) -> None:
        for name in names:
            command = oemsettings.command(name, getattr(self, name), old_style=self._old_style)
            reply = await self._ask(command)
            if reply:
                self.log.info("Set %s with %s; the device says: %s", name, command.strip(), reply)
            else:
                self.log.warning("The device does not answer %s (%s)", command.strip(), name)

    async def _answer_prompts(self) -> None:
        """In the configuration mode that a device offers when it starts, have it list its settings, and go on."""
        while True:
            await self._prompted.wait()
            self._prompted.clear()
            for command in (b"++s\r\n", b"k\r\n", b"x\r\n"):
                await self.say(command, then_wait_s=_PROMPT_GAP_S)
