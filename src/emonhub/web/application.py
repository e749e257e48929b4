"""What is served: the page, the API, metrics and health, each only to whom it is for."""

from __future__ import annotations

import asyncio
import logging
from importlib import resources
from typing import TYPE_CHECKING

from aiohttp import web

from emonhub.web import metrics
from emonhub.web.api import routes
from emonhub.web.auth import COOKIE
from emonhub.web.view import complaints, ready

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from emonhub.web.connections import Connections
    from emonhub.web.site import Site

    Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

log = logging.getLogger("emonhub.web")

OPEN = frozenset({"/health", "/ready", "/login", "/favicon.ico"})
"""What everybody may ask for; beside it, what the pages are made of (/static)."""

BIGGEST_BODY = 4 << 20

_HANDLE_S = 60.0
"""Longest time for a request, from its head to its answer; what is sent bit by bit has deadlines of its own."""

HEADERS = {
    "Server": "emonHub",
    "Content-Security-Policy": "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline';"
    " frame-ancestors 'none'; base-uri 'none'; form-action 'self'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
}


def application(site: Site, connections: Connections | None = None) -> web.Application:
    """The application that serves a hub."""

    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        if connections is not None:
            connections.begun(request)
        try:
            if request.path not in OPEN and not request.path.startswith("/static/"):
                site.auth.check(request)
            if _is_stream(request.path):
                return await handler(request)
            async with asyncio.timeout(_HANDLE_S):
                return await handler(request)
        except web.HTTPException as error:
            return _problem(request, error)
        except web.RequestPayloadError:
            return web.json_response({"error": "the body can't be read"}, status=400)
        except TimeoutError:
            return web.json_response({"error": "this took too long"}, status=503)
        except ConnectionError:
            raise
        except Exception:
            log.exception("A request failed: %s %s", request.method, request.path)
            return web.json_response({"error": "the hub failed to answer: see its log"}, status=500)
        finally:
            if connections is not None:
                connections.ended(request)

    async def add_headers(request: web.Request, response: web.StreamResponse) -> None:
        response.headers.update(HEADERS)
        # Asked for again each time: old and new modules must not meet after an update.
        keep = "no-cache" if request.path.startswith("/static/") else "no-store"
        response.headers.setdefault("Cache-Control", keep)

    app = web.Application(middlewares=[guard], client_max_size=BIGGEST_BODY)
    app.on_response_prepare.append(add_headers)
    app.add_routes(routes(site))
    app.add_routes(_pages(site))
    app.router.add_static("/static/", str(resources.files("emonhub.web").joinpath("static")), append_version=False)
    return app


def _is_stream(path: str) -> bool:
    return path == "/api/v1/events" or (path.startswith("/api/v1/reporters/") and path.endswith("/export"))


def _problem(request: web.Request, error: web.HTTPException) -> web.StreamResponse:
    if request.method == "GET" and request.path == "/" and error.status == 401:
        return web.Response(status=302, headers={"Location": "/login"})
    if error.status < 400:
        return web.Response(status=error.status, headers={"Location": error.headers.get("Location", "/")})
    headers = {name: error.headers[name] for name in ("Retry-After", "Allow") if name in error.headers}
    return web.json_response({"error": error.text or error.reason}, status=error.status, headers=headers)


def _pages(site: Site) -> list[web.RouteDef]:
    async def page(request: web.Request) -> web.StreamResponse:
        text = resources.files("emonhub.web").joinpath("static", "index.html").read_text("utf-8")
        response = web.Response(text=text, content_type="text/html")
        if site.auth.session(request) is None and not site.auth.needs_password:
            response.set_cookie(COOKIE, site.auth.start_session(), httponly=True, samesite="Strict")
        return response

    async def health(request: web.Request) -> web.Response:
        """Alive: the answer itself says that the loop turns. What is wrong is told only to who may know."""
        reasons = complaints(site.hub)
        said = {"status": "degraded" if reasons else "ok", "reasons": len(reasons)}
        return web.json_response(said | ({"complaints": reasons} if site.auth.may(request) else {}))

    async def is_ready(request: web.Request) -> web.Response:
        reasons = ready(site.hub)
        said = {"ready": not reasons} | ({"complaints": reasons} if site.auth.may(request) else {})
        return web.json_response(said, status=503 if reasons else 200)

    async def get_metrics(_request: web.Request) -> web.Response:
        text = metrics.render(site.hub, site.history)
        return web.Response(body=text.encode("utf-8", "replace"), headers={"Content-Type": metrics.CONTENT_TYPE})

    return [
        web.get("/", page),
        web.get("/health", health),
        web.get("/ready", is_ready),
        web.get("/metrics", get_metrics),
    ]
