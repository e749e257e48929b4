"""EmonHubSimulatorInterfacer: a simulated house behind a simulated radio board on a pseudo-terminal.

It publishes nothing itself. Its frames come out of the pseudo-terminal as an RFM2Pi prints them, so that an ordinary
EmonHubJeeInterfacer on that port takes them the way that real ones go.
"""

from __future__ import annotations

import asyncio
import os
import tty
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emonhub import Interfacer, SettingError, Unavailable, integer, number, setting, text
from emonhub.demo.board import RadioBoard
from emonhub.demo.nodes import SimulatedNodes

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterable

_STEP_S = 0.1
"""Real seconds between two looks at which nodes are due."""


class EmonHubSimulatorInterfacer(Interfacer):
    """Plays a day of a house for four nodes, encoded with their own definitions, through a pseudo-terminal."""

    link = setting(
        text(), "", "path of a symbolic link to the pseudo-terminal: the Jee interfacer's com_port", init=True
    )
    seed = setting(integer(0), 1, "chooses the house's day: the same seed plays the same day", init=True)
    speed = setting(number(0.01), 1.0, "seconds of the house that pass in one real second")
    start_hour = setting(number(0, 24), 11.0, "time of day that it starts with, in hours", init=True)

    _master = -1

    def check(self) -> None:
        if not self.link:
            raise SettingError(
                "link must be set in [[[init_settings]]], to the path that a Jee interfacer has as com_port"
            )

    def endpoint(self) -> str:
        return f"a simulated house on {self.link}"

    async def open(self) -> None:
        self._master, slave = os.openpty()
        try:
            tty.setraw(slave)
            self._place_link(Path(self.link), os.ttyname(slave))
        finally:
            # The slave stays with the master alone: who opens the link is its only user, as with a real port.
            self._slave = slave
        os.set_blocking(self._master, False)
        self._board = RadioBoard()
        self._nodes = SimulatedNodes(self.seed)
        asyncio.get_running_loop().add_reader(self._master, self._take_commands)

    def jobs(self) -> Iterable[Coroutine[Any, Any, None]]:
        return (self._play(),)

    async def _play(self) -> None:
        """Print what is due, for ever."""
        house_time = self.start_hour * 3600
        last = self.world.monotonic()
        while True:
            await self.world.sleep(_STEP_S)
            now = self.world.monotonic()
            until = house_time + (now - last) * self.speed
            for _, node, payload, rssi in self._nodes.due(house_time, until):
                self._print(self._board.receive(node, payload, rssi))
            house_time, last = until, now

    async def close(self) -> None:
        if self._master >= 0:
            asyncio.get_running_loop().remove_reader(self._master)
            os.close(self._master)
            os.close(self._slave)
            self._master = -1
        self._remove_link()

    def _place_link(self, link: Path, target: str) -> None:
        if link.exists() and not link.is_symlink():
            raise Unavailable(f"{link} is in the way: it is no link of a simulator", retry_s=10.0)
        try:
            link.unlink(missing_ok=True)
            link.symlink_to(target)
        except OSError as error:
            raise Unavailable(f"the link {link} can't be made: {error.strerror}", retry_s=10.0) from error

    def _remove_link(self) -> None:
        link = Path(self.link)
        if link.is_symlink():
            link.unlink(missing_ok=True)

    def _take_commands(self) -> None:
        try:
            data = os.read(self._master, 4096)
        except OSError:
            return  # nobody has the port open
        self._print(self._board.feed(data))

    def _print(self, line: bytes) -> None:
        try:
            os.write(self._master, line)
        except BlockingIOError:
            return  # nobody reads, and the terminal is full: lost, as on a real line
