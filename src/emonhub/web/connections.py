"""The connections of browsers: bounded in number, and closed where a client is too slow.

aiohttp waits for the head of a request, and for its answer to be taken, for as long as a client likes. Here a
connection on which no request is being handled is closed after a while, whatever it is that dawdles: so slow or dead
clients cost a few sockets for a minute, and nothing else.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

from aiohttp import web

from emonhub.web.application import HEADERS

if TYPE_CHECKING:
    from collections.abc import Callable

log = logging.getLogger("emonhub.web")

MOST = 200
"""Connections at once: below the 1024 files that a process may have open, and more than a household's browsers make."""

IDLE_S = 45.0
"""Without a request under way: for the head of the next one to come, and for the last answer to be taken."""


class Connections:
    """Makes the protocols of a server's connections, and watches over them."""

    def __init__(self, make: Callable[[], asyncio.Protocol], idle_s: float = IDLE_S, most: int = MOST) -> None:
        self._make = make
        self._idle_s = idle_s
        self._most = most
        self.open: dict[asyncio.BaseProtocol, _Watched] = {}

    def __call__(self) -> asyncio.Protocol:
        """The protocol of a new connection."""
        return _Watched(self._make(), self)

    @property
    def is_full(self) -> bool:
        """Whether no more are taken."""
        return len(self.open) >= self._most

    @property
    def idle_s(self) -> float:
        """How long one may go without a request."""
        return self._idle_s

    def begun(self, request: web.Request) -> None:
        """A request is being handled."""
        if (watched := self.open.get(request.protocol)) is not None:
            watched.busy()

    def ended(self, request: web.Request) -> None:
        """Its answer is on its way."""
        if (watched := self.open.get(request.protocol)) is not None:
            watched.idle()


class Protocol(web.RequestHandler):
    """aiohttp's, but for what it answers to who does not speak HTTP: what was said is neither quoted nor logged."""

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """An answer that says as little as possible."""
        if status >= 500:
            log.error("A request failed", exc_info=exc)
        said = "this is no request that can be understood" if status < 500 else "the hub failed to answer: see its log"
        response = web.json_response({"error": said}, status=status, headers=HEADERS)
        response.force_close()
        return response

    def log_exception(self, *args: Any, **_options: Any) -> None:
        """What is wrong with a client is not worth a line; what is wrong here is logged where it is caught."""
        log.debug(*args)


class _Watched(asyncio.Protocol):
    """Stands between a connection and aiohttp's protocol, and passes everything on."""

    def __init__(self, inner: asyncio.Protocol, connections: Connections) -> None:
        self._inner = inner
        self._connections = connections
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None

    def busy(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def idle(self) -> None:
        self.busy()
        if self._transport is not None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(self._connections.idle_s, self._transport.abort)

    def connection_made(self, transport: Any) -> None:
        if self._connections.is_full:
            transport.abort()
            return
        self._transport = transport
        self._connections.open[self._inner] = self
        self._inner.connection_made(transport)
        self.idle()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._transport is not None:
            self.busy()
            self._connections.open.pop(self._inner, None)
            self._inner.connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._transport is not None:
            self._inner.data_received(data)

    def eof_received(self) -> bool | None:
        return self._inner.eof_received() if self._transport is not None else None

    def pause_writing(self) -> None:
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        self._inner.resume_writing()
