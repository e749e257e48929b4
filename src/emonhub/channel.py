"""Channels: named streams of cargo between interfacers, and the bounded inbox of those that send live."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable

    from emonhub.cargo import Cargo


class Subscriber(Protocol):
    """Takes cargo off a channel, at once and without waiting: queues, or encodes and buffers. Never raises."""

    def accept(self, cargos: list[Cargo]) -> None:
        """Take these over."""
        ...


class Channels:
    """Who hears whom. Wires are drawn anew on every change, so that passing cargo on looks nothing up."""

    def __init__(self) -> None:
        self._subscribed: dict[str, tuple[tuple[str, ...], Subscriber]] = {}
        self._routes: dict[tuple[str, ...], list[Subscriber]] = {}

    def subscribe(self, owner: str, names: Iterable[str], subscriber: Subscriber) -> None:
        """Let `subscriber` hear these channels from now on, instead of those that `owner` heard before."""
        self._subscribed[owner] = (tuple(names), subscriber)
        self._routes.clear()

    def unsubscribe(self, owner: str) -> None:
        """`owner` hears nothing any more."""
        self._subscribed.pop(owner, None)
        self._routes.clear()

    def publish(self, names: tuple[str, ...], cargos: list[Cargo]) -> int:
        """Hand cargo to everyone who hears one of these channels, once each. Returns how many that were."""
        route = self._routes.get(names)
        if route is None:
            wanted = set(names)
            route = [s for heard, s in self._subscribed.values() if wanted.intersection(heard)]
            self._routes[names] = route
        for subscriber in route:
            subscriber.accept(cargos)
        return len(route)


class Inbox:
    """What waits for a live sender: bounded, the newest wins. What had to go is counted in `dropped`."""

    def __init__(self, capacity: int = 1000) -> None:
        self._waiting: deque[Cargo] = deque(maxlen=capacity)
        self._arrived = asyncio.Event()
        self.dropped = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, cargos: list[Cargo]) -> None:
        """Add at the new end; the oldest make room."""
        if not cargos:
            return
        capacity = self._waiting.maxlen or 0
        self.dropped += max(0, len(self._waiting) + len(cargos) - capacity)
        self._waiting.extend(cargos)
        self._arrived.set()

    async def get(self) -> list[Cargo]:
        """All that waits, oldest first; waits until there is something."""
        await self._arrived.wait()
        self._arrived.clear()
        taken = list(self._waiting)
        self._waiting.clear()
        return taken
