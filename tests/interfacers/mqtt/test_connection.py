"""Connections that are kept: their states, their waits, and who may use them."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from emonhub import World
from emonhub.interfacers.core.mqtt.answers import end
from emonhub.interfacers.core.mqtt.broker import Broker
from emonhub.interfacers.core.mqtt.connection import Connection, ConnectionState, connection_to
from emonhub.interfacers.core.mqtt.messages import Message, Subscription
from tests.fakes.mosquitto import Listener, free_port
from tests.interfacers.mqtt.conftest import serving, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.fakes.mosquitto import Mosquitto


class Watcher:
    """A user that writes down what it is told."""

    def __init__(self, **subscriptions: Subscription) -> None:
        self.subscriptions = {name.replace("_", "/"): one for name, one in subscriptions.items()}
        self.ready = 0
        self.troubles: list[str] = []
        self.messages: list[Message] = []
        self.failures: list[Exception] = []
        self.refused: list[str] = []

    def on_ready(self) -> None:
        self.ready += 1

    def on_trouble(self, reason: str) -> None:
        self.troubles.append(reason)

    def on_message(self, message: Message) -> None:
        self.messages.append(message)

    def on_failure(self, error: Exception) -> None:
        self.failures.append(error)

    def on_refused_filter(self, name: str) -> None:
        self.refused.append(name)


class Waits(World):
    """A world in which waiting takes no time and is written down."""

    def __init__(self) -> None:
        super().__init__(seed=1)
        self.waits: list[float] = []
        self.goes_on = asyncio.Event()
        self.goes_on.set()

    async def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        await self.goes_on.wait()
        await asyncio.sleep(0)


@asynccontextmanager
async def used(connection: Connection, watcher: Watcher) -> AsyncIterator[None]:
    connection.attach(watcher)
    try:
        yield
    finally:
        await connection.detach(watcher)


@asynccontextmanager
async def answering(*answers: bytes) -> AsyncIterator[tuple[int, list[int]]]:
    """A broker that gives these answers to greetings, one after the other, and hangs up behind a bad one.

    Its port, and the protocol levels that it was greeted with.
    """
    left = list(answers)
    levels: list[int] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        greeting = await reader.readexactly(9)
        levels.append(greeting[8])
        answer = left.pop(0) if left else b""
        writer.write(answer)
        if answer[3:4] == b"\x00":
            await reader.read()

    async with serving(handle) as port:
        yield port, levels


async def test_a_broker_that_knows_only_the_older_version() -> None:
    async with answering(b"\x20\x02\x00\x01", b"\x20\x02\x00\x00") as (port, levels):
        connection, watcher = connection_to(Broker("127.0.0.1", port), World()), Watcher()
        async with used(connection, watcher):
            await until(lambda: connection.connected)
            assert levels == [5, 4]
            assert not watcher.troubles


async def test_a_version_that_must_be_and_is_not_known() -> None:
    async with answering(b"\x20\x02\x00\x01") as (port, _):
        connection, watcher = connection_to(Broker("127.0.0.1", port, protocol="5"), World()), Watcher()
        async with used(connection, watcher):
            await until(lambda: watcher.troubles)
            assert "see mqtt_version" in watcher.troubles[0]
            assert connection.state is ConnectionState.REFUSED


@pytest.mark.parametrize(
    ("answer", "trouble", "state"),
    [
        (b"\x20\x02\x00\x05", "it is not allowed", ConnectionState.REFUSED),
        (b"\x20\x02\x00\x02", "its client id is not valid", ConnectionState.REFUSED),
        (b"\x20\x02\x00\x03", "refuses the connection: Server unavailable", ConnectionState.WAITING),
        (b"", "without an answer", ConnectionState.WAITING),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "without an answer", ConnectionState.WAITING),
        (b"\x20\x00", "without an answer", ConnectionState.WAITING),
        (b"\xff" * 100, "without an answer", ConnectionState.WAITING),
    ],
)
async def test_what_brokers_say_to_a_greeting(answer: bytes, trouble: str, state: ConnectionState) -> None:
    world = Waits()
    world.goes_on.clear()
    async with answering(answer) as (port, _):
        connection, watcher = connection_to(Broker("127.0.0.1", port, protocol="3.1.1"), world), Watcher()
        async with used(connection, watcher):
            await until(lambda: watcher.troubles)
            assert trouble in connection.trouble
            assert connection.state is state
            assert world.waits == [60.0] if state is ConnectionState.REFUSED else world.waits[0] <= 0.1


async def test_waits_grow_up_to_their_bound_and_are_spread() -> None:
    world = Waits()
    connection, watcher = connection_to(Broker("localhost.invalid", 1), world), Watcher()
    async with used(connection, watcher):
        await until(lambda: len(world.waits) > 14)
        assert len(watcher.troubles) == 1  # said once, not with each attempt
    waits = world.waits
    assert waits[0] <= 0.1
    assert all(after > before for before, after in pairwise(waits[:9]))
    assert all(22.5 <= wait <= 30 for wait in waits[9:])
    assert len(set(waits)) == len(waits)


async def test_a_broker_on_this_machine_is_tried_every_second() -> None:
    world = Waits()
    connection, watcher = connection_to(Broker("127.0.0.1", free_port()), world), Watcher()
    async with used(connection, watcher):
        await until(lambda: len(world.waits) > 10)
    assert 0.75 <= max(world.waits) <= 1
    assert "no broker answers" in watcher.troubles[0]


def test_why_a_connection_ended() -> None:
    broker = Broker("h", 1, client_id="hub", keepalive_s=7)
    assert "client id 'hub'" in end("Session taken over", broker, said_by_broker=True)
    assert "Server shutting down" in end("Server shutting down", broker, said_by_broker=True)
    assert end("Keep alive timeout", broker, said_by_broker=False) == "the broker has not answered for 7 s"


async def test_who_else_uses_it_hears_only_what_it_asked_for(broker: Mosquitto) -> None:
    world, wanted = World(), Broker("127.0.0.1", broker.port)
    one, other = Watcher(a_x=Subscription(1), both=Subscription()), Watcher(a_y=Subscription(), both=Subscription())
    async with used(connection_to(wanted, world), one):
        await until(lambda: one.ready)
        async with used(connection_to(wanted, world), other), Listener(broker.port) as device:
            assert other.ready == 1
            for topic in ("a/x", "a/y", "a/z", "both"):
                await device.published(topic, topic)
            await until(lambda: len(one.messages) == len(other.messages) == 2)
        # The other has gone, and what both wanted to hear still comes.
        async with Listener(broker.port) as device:
            for topic in ("a/y", "both", "a/x"):
                await device.published(topic, topic)
            await until(lambda: len(one.messages) == 4)
    assert [message.topic for message in one.messages] == ["a/x", "both", "both", "a/x"]
    assert [message.topic for message in other.messages] == ["a/y", "both"]


async def test_a_connection_is_closed_when_nobody_uses_it(broker: Mosquitto) -> None:
    world, wanted = World(), Broker("127.0.0.1", broker.port)
    connection, watcher = connection_to(wanted, world), Watcher()
    assert connection_to(wanted, world) is connection
    assert connection_to(Broker("127.0.0.1", broker.port, user="other"), world) is not connection
    assert connection_to(wanted, World()) is not connection
    async with used(connection, watcher):
        await until(lambda: connection.connected)
    assert not connection.connected
    assert not connection.publish("x", "1")
    assert (await connection.confirm("x", "1")).lost
    assert connection_to(wanted, world) is not connection


async def test_a_filter_that_the_broker_refuses() -> None:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly((await reader.readexactly(2))[1])
        writer.write(b"\x20\x02\x00\x00")
        request = await reader.readexactly((await reader.readexactly(2))[1])
        writer.write(b"\x90\x04" + request[:2] + b"\x80\x01")  # no to the first, yes to the second
        await reader.read()

    async with serving(handle) as port:
        connection, watcher = connection_to(Broker("127.0.0.1", port, protocol="3.1.1"), World()), Watcher()
        watcher.subscriptions = {"bad": Subscription(), "good": Subscription(1)}
        async with used(connection, watcher):
            await until(lambda: watcher.refused)
        assert watcher.refused == ["bad"]
