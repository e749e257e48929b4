"""The hub's own web server: on a TCP port for browsers, on a Unix socket for the command line."""

from __future__ import annotations

import asyncio
import logging
from importlib import resources
from typing import TYPE_CHECKING

from aiohttp import web

from emonhub.state import socket_path
from emonhub.web import events, metrics
from emonhub.web.api import routes
from emonhub.web.auth import COOKIE, may_listen_on
from emonhub.web.site import Site
from emonhub.web.view import complaints, ready

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from emonhub.hub import Hub

    Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

log = logging.getLogger("emonhub.web")

_OPEN = frozenset({"/health", "/ready", "/login", "/favicon.ico"})
"""What everybody may ask for; beside it, what the pages are made of (/static)."""

_BIGGEST_BODY = 4 << 20
_HANDLE_S = 60.0
"""Longest time for a request, from its first byte to its answer; events are without end."""

_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline';"
    " frame-ancestors 'none'; base-uri 'none'; form-action 'self'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
}


class Server:
    """The page and the API of one hub, for as long as it runs."""

    def __init__(self, hub: Hub) -> None:
        self.site = Site(hub)
        self._hub = hub
        self._runner = web.AppRunner(application(self.site), access_log=None, shutdown_timeout=1.0)
        self._tcp: web.TCPSite | None = None
        self._listening: tuple[str, int] | None = None
        self._tried: tuple[str, int, str] | None = None
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
        if self._tcp is not None:
            await self._tcp.stop()
            self._tcp = self._listening = None
        if not config.port:
            return
        site = web.TCPSite(self._runner, host, config.port)
        try:
            await site.start()
        except OSError as error:
            log.warning("No page: can't listen on %s:%d: %s", host, config.port, error.strerror or error)
            return
        self._tcp = site
        self._listening = (host, config.port)
        log.info("The page is at %s", self.url)

    async def stop(self) -> None:
        """Let go of the ports."""
        self._hub.observe(None)
        logging.getLogger("emonhub").removeHandler(self.site.log)
        await self._runner.cleanup()
        if self._socket is not None:
            self._socket.unlink(missing_ok=True)

    async def _listen_on_socket(self) -> None:
        path = socket_path(self._hub.keeper.state)
        if path is None:
            return
        try:
            path.unlink(missing_ok=True)
            await web.UnixSite(self._runner, str(path)).start()
            path.chmod(0o600)
            self._socket = path
        except OSError as error:
            log.warning("The command line can't reach this hub: %s: %s", path, error.strerror or error)


def application(site: Site) -> web.Application:
    """The application that serves a hub."""

    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            if request.path not in _OPEN and not request.path.startswith("/static/"):
                site.auth.check(request)
            if request.path == "/api/v1/events":
                return await handler(request)
            async with asyncio.timeout(_HANDLE_S):
                return await handler(request)
        except web.HTTPException as error:
            return _problem(request, error)
        except TimeoutError:
            return web.json_response({"error": "this took too long"}, status=503)
        except ConnectionError:
            raise
        except Exception:
            log.exception("A request failed: %s %s", request.method, request.path)
            return web.json_response({"error": "the hub failed to answer: see its log"}, status=500)

    async def add_headers(request: web.Request, response: web.StreamResponse) -> None:
        response.headers.update(_HEADERS)
        if not request.path.startswith("/static/"):
            response.headers.setdefault("Cache-Control", "no-store")

    app = web.Application(middlewares=[guard], client_max_size=_BIGGEST_BODY)
    app.on_response_prepare.append(add_headers)
    app.add_routes(routes(site))
    app.router.add_get("/", lambda request: _page(request, site))
    app.router.add_get("/health", lambda _request: _health(site))
    app.router.add_get("/ready", lambda _request: _ready(site))
    app.router.add_get("/metrics", lambda _request: _metrics(site))
    app.router.add_get("/api/v1/events", lambda request: events.handle(request, site))
    app.router.add_static("/static/", str(resources.files("emonhub.web").joinpath("static")), append_version=False)
    return app


def _problem(request: web.Request, error: web.HTTPException) -> web.StreamResponse:
    if request.method == "GET" and request.path == "/" and error.status == 401:
        return web.Response(status=302, headers={"Location": "/login"})
    if error.status < 400:
        return web.Response(status=error.status, headers={"Location": error.headers.get("Location", "/")})
    headers = {"Retry-After": error.headers["Retry-After"]} if "Retry-After" in error.headers else {}
    return web.json_response({"error": error.text or error.reason}, status=error.status, headers=headers)


async def _page(request: web.Request, site: Site) -> web.StreamResponse:
    page = resources.files("emonhub.web").joinpath("static", "index.html").read_text("utf-8")
    response = web.Response(text=page, content_type="text/html")
    if site.auth.session(request) is None and not site.auth.needs_password:
        response.set_cookie(COOKIE, site.auth.start_session(), httponly=True, samesite="Strict")
    return response


async def _health(site: Site) -> web.Response:
    """Alive, and what is wrong: the answer itself says that the loop turns."""
    reasons = complaints(site.hub)
    return web.json_response({"status": "degraded" if reasons else "ok", "reasons": len(reasons)})


async def _ready(site: Site) -> web.Response:
    reasons = ready(site.hub)
    return web.json_response({"ready": not reasons}, status=503 if reasons else 200)


async def _metrics(site: Site) -> web.Response:
    text = metrics.render(site.hub, site.history)
    return web.Response(body=text.encode(), headers={"Content-Type": metrics.CONTENT_TYPE})
