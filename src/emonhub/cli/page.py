"""The page of a hub that a command runs."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from emonhub.config.model import Configuration
    from emonhub.hub import Hub
    from emonhub.web.server import Server

log = logging.getLogger("emonhub.hub")


class Page:
    """The hub's page, where one is asked for: without it, none of what it needs is loaded."""

    def __init__(self) -> None:
        self.hub: Hub | None = None
        self._server: Server | None = None
        self._changing = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()

    def applied(self, configuration: Configuration) -> None:
        """Another configuration is in force."""
        if self.hub is not None and (self._server is not None or configuration.web.port):
            task = asyncio.create_task(self.serve(), name="page")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def serve(self) -> None:
        """Serve it as the configuration says now. What goes wrong with it costs the page only."""
        try:
            async with self._changing:
                await self._serve()
        except Exception:  # a boundary: the hub goes on without its page
            log.exception("The page can't be served")

    async def _serve(self) -> None:
        if self._server is None and self.hub is not None and self.hub.configuration.web.port:
            from emonhub.web.server import Server  # noqa: PLC0415

            self._server = Server(self.hub)
            await self._server.start()
        elif self._server is not None:
            await self._server.apply()

    @property
    def url(self) -> str:
        """Where it is; empty while it is nowhere."""
        return self._server.url if self._server is not None else ""

    async def stop(self) -> None:
        """Serve it no more."""
        self.hub = None
        async with self._changing:
            if self._server is not None:
                await self._server.stop()
