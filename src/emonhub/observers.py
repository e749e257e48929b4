"""Who sees what passes a hub's interfacers."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from emonhub.cargo import Cargo
    from emonhub.errors import FrameError
    from emonhub.interfacer import Interfacer, Observer


class Observers:
    """The hub's own observers and, while it is looked at, a guest."""

    def __init__(self, *own: Observer) -> None:
        self._own = own
        self.guest: Observer | None = None

    def passed(self, interfacer: Interfacer, cargos: list[Cargo]) -> None:
        """Tell all of them."""
        for observer in self._own:
            observer.passed(interfacer, cargos)
        if self.guest is not None:
            self.guest.passed(interfacer, cargos)

    def discarded(self, interfacer: Interfacer, error: FrameError, raw: bytes | str) -> None:
        """Tell all of them."""
        for observer in self._own:
            observer.discarded(interfacer, error, raw)
        if self.guest is not None:
            self.guest.discarded(interfacer, error, raw)
