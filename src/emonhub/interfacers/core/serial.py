"""Serial ports: any device that prints lines of decimal numbers."""

from __future__ import annotations

import glob
import os
import re
from typing import TYPE_CHECKING

from emonhub import Cargo, FrameError, Interfacer, SettingError, Unavailable, integer, setting, text
from emonhub.interfacers.core.lines import LineSplitter

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Iterable

_CHUNK = 1 << 16


class EmonHubSerialInterfacer(Interfacer):
    """Reads lines such as `10 97 0 1530`: the node id, then the values, with blanks between and a newline at the end.

    With `nodeoffset` set, all numbers are values and `nodeoffset` is the node id. A port that is missing, vanishes or
    returns is looked for once a second.
    """

    adds_nodeoffset = False

    com_port = setting(
        text(),
        "",
        "the port, such as /dev/ttyUSB0 or one of /dev/serial/by-id; of /dev/ttyUSB* the first that is free",
        init=True,
    )
    com_baud = setting(integer(50, 4_000_000), 9600, "speed of the port", unit="bits/s", init=True)

    port = ""  # the one that is open, or was last
    baud = 0  # its speed
    _taken = ""
    _reader: asyncio.StreamReader
    _writer: asyncio.StreamWriter | None = None

    def check(self) -> None:
        if not self.com_port:
            raise SettingError("com_port must be set in [[[init_settings]]], to the name of a serial port")

    def endpoint(self) -> str:
        return f"{self.port or self.com_port} at {self.baud or self.com_baud}"

    async def open(self) -> None:
        self._splitter = LineSplitter()
        problems = []
        for port in ports_named(self.com_port):
            try:
                self._reader, self._writer = await self.world.open_serial(port, self.com_baud)
            except Unavailable as error:
                problems.append(str(error))
            else:
                self.take(port, self.com_baud)
                return
        raise Unavailable("; ".join(problems) or f"there is no {self.com_port}")

    def take(self, port: str, baud: int) -> None:
        """This port is ours: nobody who looks for one is to try it."""
        self.port, self.baud = port, baud
        self._taken = os.path.realpath(port)
        self.world.ports_taken.add(self._taken)

    async def run(self) -> None:
        while True:
            try:
                data = await self._reader.read(_CHUNK)
            except OSError as error:
                raise Unavailable(f"{self.port} is gone: {error}") from error
            if not data:
                raise Unavailable(f"{self.port} is gone")
            lines = self._splitter.feed(data)
            if self._splitter.overlong:
                self.discard(self._splitter.overlong)
                self._splitter.overlong = None
            self.decoders.refresh()
            self.publish(self.parse(lines, self.world.time()))

    async def close(self) -> None:
        self.world.ports_taken.discard(self._taken)
        self._taken = ""
        if self._writer is not None:
            writer, self._writer = self._writer, None
            writer.close()
            try:
                await writer.wait_closed()
            except OSError:
                self.log.debug("closing %s", self.port, exc_info=True)

    def parse(self, lines: Iterable[bytes], now: float) -> list[Cargo]:
        """The frames in these lines; `now` is when they were read, Unix seconds."""
        cargos = []
        decoders = self.decoders
        for line in lines:
            fields = line.split()
            try:
                if not fields:
                    raise FrameError("empty line", "the line is empty")
                decoder = decoders[b"%d" % self.nodeoffset] if self.nodeoffset else decoders[fields.pop(0)]
                values = decoder.decode(fields)
                cargos.append(Cargo(decoder.layout, values, now, raw=line))
            except FrameError as error:
                if line.startswith(b"OK "):
                    error = FrameError(error.reason, "radio boards print this: use Type = EmonHubJeeInterfacer")
                self.discard(error, line)
        return cargos

    async def write(self, data: bytes) -> None:
        """Send bytes down the line. Raises Unavailable when the port is gone."""
        if self._writer is None:
            raise Unavailable(f"{self.com_port} is not open")
        try:
            self._writer.write(data)
            await self._writer.drain()
        except OSError as error:
            raise Unavailable(f"{self.port} is gone: {error}") from error


def ports_named(pattern: str) -> list[str]:
    """The ports that a name with wildcards means, in the order of their numbers; a name without any means itself."""
    if not glob.has_magic(pattern):
        return [pattern]

    def order(port: str) -> tuple[str, list[int]]:
        return re.sub(r"\d+", "", port), [int(number) for number in re.findall(r"\d+", port)]

    return sorted(glob.glob(pattern), key=order)
