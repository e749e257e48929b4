"""What all handlers share: the hub, and what has been seen of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from emonhub.web.auth import Auth
from emonhub.web.events import Events
from emonhub.web.history import History
from emonhub.web.logview import LogView
from emonhub.web.replays import Replays
from emonhub.web.tap import Tap

if TYPE_CHECKING:
    from emonhub.cargo import Cargo
    from emonhub.errors import FrameError
    from emonhub.hub import Hub
    from emonhub.interfacer import Interfacer


class Site:
    """Also an observer of the hub's interfacers."""

    def __init__(self, hub: Hub) -> None:
        self.hub = hub
        self.history = History(hub.presence)
        self.tap = Tap(hub)
        self.log = LogView()
        self.auth = Auth(lambda: hub.configuration.web, hub.world.monotonic)
        self.replays = Replays(hub)
        self.events = Events(self)

    def passed(self, interfacer: Interfacer, cargos: list[Cargo]) -> None:
        """Frames were published."""
        self.history.passed(interfacer, cargos)
        self.tap.passed(interfacer, cargos)

    def discarded(self, interfacer: Interfacer, error: FrameError, raw: bytes | str) -> None:
        """A frame could not be used."""
        self.tap.discarded(interfacer, error, raw)
