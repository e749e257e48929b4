from __future__ import annotations

import asyncio

from emonhub.cargo import Cargo, Layout
from emonhub.channel import Channels, Inbox

LAYOUT = Layout(10)


def cargos(*values: int) -> list[Cargo]:
    return [Cargo(LAYOUT, (value,), 1.0) for value in values]


def values_of(found: list[Cargo]) -> list[int | float | None]:
    return [cargo.values[0] for cargo in found]


class Listener:
    def __init__(self) -> None:
        self.heard: list[Cargo] = []

    def accept(self, cargos: list[Cargo]) -> None:
        self.heard += cargos


class TestChannels:
    def test_everyone_who_hears_a_channel_gets_it_once_and_nobody_else(self) -> None:
        channels = Channels()
        a, b, both, other = Listener(), Listener(), Listener(), Listener()
        channels.subscribe("a", ["A"], a)
        channels.subscribe("b", ["B"], b)
        channels.subscribe("both", ["A", "B", "C"], both)
        channels.subscribe("other", ["C"], other)
        assert channels.publish(("A", "B"), cargos(1)) == 3
        assert channels.publish(("A", "A"), cargos(2)) == 2
        assert values_of(a.heard) == [1, 2]
        assert values_of(b.heard) == [1]
        assert values_of(both.heard) == [1, 2]
        assert other.heard == []

    def test_cargo_that_nobody_hears_is_gone(self) -> None:
        channels = Channels()
        assert channels.publish(("A",), cargos(1)) == 0
        assert channels.publish((), cargos(1)) == 0
        late = Listener()
        channels.subscribe("late", ["A"], late)
        assert channels.publish(("A",), cargos(2)) == 1
        assert values_of(late.heard) == [2]

    def test_a_publisher_may_hear_itself(self) -> None:
        channels = Channels()
        loop = Listener()
        channels.subscribe("loop", ["A"], loop)
        channels.publish(("A",), cargos(1))
        assert values_of(loop.heard) == [1]

    def test_subscribing_anew_replaces_what_was_heard_before(self) -> None:
        channels = Channels()
        listener = Listener()
        channels.subscribe("x", ["A"], listener)
        channels.publish(("A",), cargos(1))
        channels.subscribe("x", ["B"], listener)
        channels.publish(("A",), cargos(2))
        channels.publish(("B",), cargos(3))
        channels.unsubscribe("x")
        channels.unsubscribe("x")
        channels.publish(("B",), cargos(4))
        assert values_of(listener.heard) == [1, 3]

    def test_unsubscribing_while_cargo_is_handed_out_harms_nobody(self) -> None:
        channels = Channels()
        last = Listener()

        class Leaver(Listener):
            def accept(self, cargos: list[Cargo]) -> None:
                channels.unsubscribe("leaver")

        channels.subscribe("leaver", ["A"], Leaver())
        channels.subscribe("last", ["A"], last)
        channels.publish(("A",), cargos(1))
        channels.publish(("A",), cargos(2))
        assert values_of(last.heard) == [1, 2]


class TestInbox:
    async def test_all_that_waits_oldest_first(self) -> None:
        inbox = Inbox()
        inbox.put(cargos(1, 2))
        inbox.put(cargos(3))
        assert len(inbox) == 3
        assert values_of(await inbox.get()) == [1, 2, 3]
        assert len(inbox) == 0

    async def test_the_newest_win_and_the_others_are_counted(self) -> None:
        inbox = Inbox(3)
        inbox.put(cargos(1, 2))
        inbox.put(cargos(3, 4))
        assert inbox.dropped == 1
        inbox.put(cargos(*range(10, 20)))
        assert inbox.dropped == 1 + 3 + 7
        assert values_of(await inbox.get()) == [17, 18, 19]

    async def test_it_waits_until_there_is_something(self) -> None:
        inbox = Inbox()
        inbox.put([])
        waiting = asyncio.create_task(inbox.get())
        for _ in range(3):
            await asyncio.sleep(0)
            inbox.put([])
        assert not waiting.done()
        inbox.put(cargos(1))
        assert values_of(await waiting) == [1]

    async def test_who_stops_waiting_takes_nothing_along(self) -> None:
        inbox = Inbox()
        waiting = asyncio.create_task(inbox.get())
        await asyncio.sleep(0)
        inbox.put(cargos(1))
        waiting.cancel()
        await asyncio.wait([waiting])
        assert values_of(await inbox.get()) == [1]
