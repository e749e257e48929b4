"""The hub's own web server: on a TCP port for browsers, on a Unix socket for the command line."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

from aiohttp import web

from emonhub.state import socket_path
from emonhub.web.application import application
from emonhub.web.auth import may_listen_on
from emonhub.web.connections import Connections, Protocol
from emonhub.web.site import Site

if TYPE_CHECKING:
    from pathlib import Path

    from emonhub.hub import Hub

log = logging.getLogger("emonhub.web")

_KEEPALIVE_S = 30.0
"""For the next request to begin on a connection."""


class Server:
    """The page and the API of one hub, for as long as it runs."""

    def __init__(self, hub: Hub) -> None:
        self.site = Site(hub)
        self._hub = hub
        self.connections = Connections(self._protocol)
        self._runner = web.AppRunner(
            application(self.site, self.connections),
            access_log=None,
            shutdown_timeout=1.0,
        )
        self._tcp: asyncio.Server | None = None
        self._unix: asyncio.Server | None = None
        self._listening: tuple[str, int] | None = None
        self._tried: tuple[str, int, str] | None = None
        self._applying = asyncio.Lock()
        self._socket: Path | None = None

    @property
    def url(self) -> str:
        """Where the page is; empty while it is nowhere."""
        if self._listening is None:
            return ""
        host, port = self._listening
        return f"http://{f'[{host}]' if ':' in host else host}:{port}"

    async def start(self) -> None:
        """Serve, as far as ports are free; what is not is said in the log, and the hub goes on without."""
        logging.getLogger("emonhub").addHandler(self.site.log)
        self._hub.observe(self.site)
        await self._runner.setup()
        await self._listen_on_socket()
        await self.apply()

    async def apply(self) -> None:
        """Listen where the configuration says now."""
        async with self._applying:
            await self._apply()

    async def _apply(self) -> None:
        config = self._hub.configuration.web
        why_not = may_listen_on(config)
        host = "127.0.0.1" if why_not else config.bind
        wanted = (host, config.port, config.password)
        if wanted == self._tried:
            return
        if self._tried is not None and self._tried[2] != config.password:
            self.site.auth.end_all()
        self._tried = wanted
        if why_not:
            log.error("%s", why_not)
        if (host, config.port) == self._listening:
            return
        self._close_tcp()
        if not config.port:
            return
        loop = asyncio.get_running_loop()
        try:
            self._tcp = await loop.create_server(self.connections, host, config.port, backlog=64, reuse_address=True)
        except OSError as error:
            log.warning("No page: can't listen on %s:%d: %s", host, config.port, error.strerror or error)
            return
        self._listening = (host, config.port)
        log.info("The page is at %s", self.url)

    async def stop(self) -> None:
        """Let go of the ports."""
        self._hub.observe(None)
        logging.getLogger("emonhub").removeHandler(self.site.log)
        await self.site.replays.close()
        self._close_tcp()
        if self._unix is not None:
            self._unix.close()
        await self._runner.cleanup()
        if self._socket is not None:
            self._socket.unlink(missing_ok=True)

    def _protocol(self) -> asyncio.Protocol:
        server = self._runner.server
        assert server is not None
        options: dict[str, Any] = {"keepalive_timeout": _KEEPALIVE_S, "access_log": None}
        return Protocol(server, loop=asyncio.get_running_loop(), **options)

    def _close_tcp(self) -> None:
        if self._tcp is not None:
            self._tcp.close()
        self._tcp = self._listening = None

    async def _listen_on_socket(self) -> None:
        path = socket_path(self._hub.keeper.state)
        if path is None:
            return
        try:
            path.unlink(missing_ok=True)
            self._unix = await asyncio.get_running_loop().create_unix_server(self._protocol, str(path))
            path.chmod(0o600)
            self._socket = path
        except OSError as error:
            log.warning("The command line can't reach this hub: %s: %s", path, error.strerror or error)
