"""What tests of interfacers share: one under its supervisor, pseudo-terminals, and time that passes faster."""

from __future__ import annotations

import asyncio
import os
import tty
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from emonhub.channel import Channels
from emonhub.config.model import InterfacerConfig
from emonhub.supervisor import Runner, State
from emonhub.world import World

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from emonhub.cargo import Cargo
    from emonhub.demo.board import RadioBoard
    from emonhub.interfacer import Interfacer

DEADLINE_S = 20.0
"""How long a test waits for what must come. Only a test that fails ever waits so long."""


async def until(condition: Callable[[], object], what: str = "what was waited for") -> None:
    """Wait until `condition` holds."""
    try:
        async with asyncio.timeout(DEADLINE_S):
            while not condition():
                await asyncio.sleep(0.002)
    except TimeoutError:
        raise AssertionError(f"did not come: {what}") from None


class QuickWorld(World):
    """The real world, but waiting takes a fortieth of its time. `waits` has what was waited for, in true seconds."""

    def __init__(self) -> None:
        super().__init__(seed=1)
        self.waits: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        await asyncio.sleep(seconds / 40)


class Running:
    """An interfacer at work, and what it has published on the channel `out`."""

    def __init__(self, interfacer: Interfacer) -> None:
        self.interfacer = interfacer
        self.heard: list[Cargo] = []
        self.channels = Channels()
        config = InterfacerConfig(interfacer.name, "", 0, type(interfacer), {}, {})
        self.runner = Runner(config, interfacer, self.channels)
        self.channels.subscribe("test", ["out"], self)

    def accept(self, cargos: list[Cargo]) -> None:
        self.heard += cargos

    @property
    def frames(self) -> list[tuple[Any, ...]]:
        """(node id, values…) of each frame, in the order of coming."""
        return [(cargo.layout.node, *cargo.values) for cargo in self.heard]

    @property
    def bad(self) -> Counter[str]:
        return self.interfacer.bad

    async def is_running(self) -> None:
        await until(lambda: self.runner.state is State.RUNNING, f"running; it is {self.runner.last_error!r}")

    async def is_waiting(self) -> None:
        await until(lambda: self.runner.state is State.WAITING, "waiting")

    async def has(self, *frames: tuple[Any, ...]) -> None:
        """Wait until exactly these have come since the last time."""
        await until(lambda: len(self.heard) >= len(frames), f"{frames}, only {self.frames}, bad {self.bad}")
        assert self.frames == list(frames)
        self.heard.clear()


@asynccontextmanager
async def running(interfacer: Interfacer, *, wait: bool = True) -> AsyncIterator[Running]:
    """Run it as the hub does."""
    hub = Running(interfacer)
    hub.runner.start()
    try:
        if wait:
            await hub.is_running()
        yield hub
        assert hub.runner.state is not State.FAILED, hub.runner.last_error
        assert hub.runner.restarts == 0, hub.runner.last_error
    finally:
        await hub.runner.stop(0)


class Port:
    """A serial port that can be plugged in and pulled out: a link to a pseudo-terminal.

    `board` answers what is written to it; `commands` has all of that.
    """

    def __init__(self, path: Path, board: RadioBoard | None = None) -> None:
        self.path = path
        self.board = board
        self.commands = b""
        self._master = self._slave = -1

    def plug_in(self) -> None:
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        os.set_blocking(self._master, False)
        self.path.symlink_to(os.ttyname(self._slave))
        asyncio.get_running_loop().add_reader(self._master, self._listen)

    def pull_out(self) -> None:
        if self._master >= 0:
            asyncio.get_running_loop().remove_reader(self._master)
            self.path.unlink()
            os.close(self._slave)
            os.close(self._master)
            self._master = self._slave = -1

    async def print(self, data: bytes) -> None:
        """What the device sends; waits while the terminal is full."""
        while data:
            try:
                data = data[os.write(self._master, data) :]
            except BlockingIOError:
                await asyncio.sleep(0.001)

    def _listen(self) -> None:
        data = os.read(self._master, 4096)
        self.commands += data
        if self.board is not None:
            os.write(self._master, self.board.feed(data))
