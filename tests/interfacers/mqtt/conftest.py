"""A broker, and interfacers that run under the hub's own supervision."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

import pytest

from emonhub import World
from emonhub.channel import Channels
from emonhub.config.model import InterfacerConfig
from emonhub.nodes.table import Nodes
from emonhub.reporter import Reporter
from emonhub.supervisor import Runner
from tests.fakes.mosquitto import Mosquitto

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    from emonhub import Cargo, Interfacer


class Kept:
    """Takes all that is published on a channel."""

    def __init__(self) -> None:
        self.cargos: list[Cargo] = []
        self.changed = asyncio.Event()

    def accept(self, cargos: list[Cargo]) -> None:
        self.cargos.extend(cargos)
        self.changed.set()


class House:
    """Channels with interfacers on them, each run as the hub runs it."""

    def __init__(self) -> None:
        self.world = World()
        self.nodes = Nodes()
        self.channels = Channels()
        self.out = Kept()
        self.channels.subscribe("test", ("fromMQTT",), self.out)
        self.runners: dict[str, Runner] = {}
        self._stack = AsyncExitStack()

    def add(self, cls: type[Interfacer], name: str = "MQTT", **settings: Any) -> Runner:
        """Start an interfacer that sends what comes on toMQTT and publishes on fromMQTT."""
        settings = {"subchannels": ("toMQTT",), "pubchannels": ("fromMQTT",), **settings}
        interfacer = cls(name, settings, world=self.world, nodes=self.nodes)
        config = InterfacerConfig(name, cls.__name__, 0, cls, {}, settings)
        runner = Runner(config, interfacer, self.channels)
        self.runners[name] = runner
        runner.start()
        self._stack.push_async_callback(runner.stop, 1.0)
        return runner

    def send(self, *cargos: Cargo) -> None:
        """Put readings on the channel that is sent from."""
        self.channels.publish(("toMQTT",), list(cargos))

    async def close(self) -> None:
        await self._stack.aclose()


@asynccontextmanager
async def a_house() -> AsyncIterator[House]:
    house = House()
    try:
        yield house
    finally:
        await house.close()


@pytest.fixture
async def house() -> AsyncIterator[House]:
    async with a_house() as made:
        yield made


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[Mosquitto]:
    async with Mosquitto(tmp_path) as started:
        yield started


async def until(condition: Callable[[], object], timeout_s: float = 20.0) -> None:
    """Wait for something that nothing tells of."""
    async with asyncio.timeout(timeout_s):
        while not condition():
            await asyncio.sleep(0.005)


@asynccontextmanager
async def serving(
    handle: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
) -> AsyncIterator[int]:
    """A server whose connections have all ended when it has; its port."""
    tasks: set[asyncio.Task[None]] = set()

    async def run(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            await handle(reader, writer)
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()

    async with await asyncio.start_server(run, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def conserved(reporter: Interfacer) -> bool:
    """Whether every frame taken is accounted for."""
    assert isinstance(reporter, Reporter)
    known = reporter.acknowledged + reporter.buffer.frames + sum(reporter.dropped.values()) + reporter.dead
    return reporter.taken == known
