"""The live tap: frames and rejects as they pass, to whoever listens; who is slow misses some, and is told how many."""

from __future__ import annotations

from collections import deque
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from emonhub.logs import masked

if TYPE_CHECKING:
    from collections.abc import Iterator

    from emonhub.cargo import Cargo
    from emonhub.errors import FrameError
    from emonhub.hub import Hub
    from emonhub.interfacer import Interfacer

QUEUE = 500
"""Events that wait for one listener at most; the oldest go."""

LISTENERS = 100
_RAW_SHOWN = 400


class Listener:
    """One who listens: takes events in lumps, so that a burst costs one message."""

    def __init__(self) -> None:
        self._waiting: deque[dict[str, Any]] = deque(maxlen=QUEUE)
        self.missed = 0

    def put(self, event: dict[str, Any]) -> None:
        """Add an event; never waits."""
        if len(self._waiting) == QUEUE:
            self.missed += 1
        self._waiting.append(event)

    def take(self) -> list[dict[str, Any]]:
        """All that waits."""
        events = list(self._waiting)
        self._waiting.clear()
        if self.missed:
            events.insert(0, {"event": "missed", "count": self.missed})
            self.missed = 0
        return events


class Tap:
    """An observer that costs nothing while nobody listens."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self.listeners: set[Listener] = set()

    @contextmanager
    def listen(self) -> Iterator[Listener]:
        """Hear everything from now on."""
        listener = Listener()
        self.listeners.add(listener)
        try:
            yield listener
        finally:
            self.listeners.discard(listener)

    def passed(self, interfacer: Interfacer, cargos: list[Cargo]) -> None:
        """Tell everyone of frames."""
        if self.listeners:
            to = self._receivers(interfacer.pubchannels)
            for cargo in cargos[-QUEUE:]:
                self._tell(_frame(interfacer, cargo, to))

    def discarded(self, interfacer: Interfacer, error: FrameError, raw: bytes | str) -> None:
        """Tell everyone of what could not be used."""
        if self.listeners:
            self._tell(
                {
                    "event": "discarded",
                    "time": interfacer.world.time(),
                    "interfacer": interfacer.name,
                    "reason": error.reason,
                    "detail": masked(str(error)),
                    "raw": _shown(raw),
                }
            )

    def _tell(self, event: dict[str, Any]) -> None:
        for listener in self.listeners:
            listener.put(event)

    def _receivers(self, channels: tuple[str, ...]) -> list[str]:
        wanted = set(channels)
        return [
            name for name, runner in self._hub.runners.items() if wanted.intersection(runner.interfacer.subchannels)
        ]


def _frame(interfacer: Interfacer, cargo: Cargo, to: list[str]) -> dict[str, Any]:
    layout = cargo.layout
    return {
        "event": "frame",
        "time": cargo.time,
        "interfacer": interfacer.name,
        "node": str(layout.node),
        "name": layout.label,
        "raw": _shown(cargo.raw),
        "values": [[layout.name_of(i), value, layout.unit_of(i)] for i, value in enumerate(cargo.values)],
        "rssi": cargo.rssi or None,
        "target": cargo.target or None,
        "channels": list(interfacer.pubchannels),
        "to": to,
    }


def _shown(raw: bytes | str) -> str:
    text = raw if isinstance(raw, str) else raw.decode("utf-8", "backslashreplace")
    return text[:_RAW_SHOWN]
