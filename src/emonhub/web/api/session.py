"""Logging in and out."""

from __future__ import annotations

from importlib import resources
from typing import TYPE_CHECKING

from aiohttp import web

from emonhub.web.auth import COOKIE

if TYPE_CHECKING:
    from emonhub.web.site import Site


def routes(site: Site) -> list[web.RouteDef]:
    """The routes of this part."""

    async def page(_request: web.Request) -> web.Response:
        text = resources.files("emonhub.web").joinpath("static", "login.html").read_text("utf-8")
        return web.Response(text=text, content_type="text/html")

    async def log_in(request: web.Request) -> web.Response:
        form = await request.post()
        key = site.auth.log_in(str(form.get("password", "")), request.remote or "")
        if key is None:
            return web.json_response({"error": "the password is wrong"}, status=401)
        response = web.json_response({"ok": True})
        response.set_cookie(COOKIE, key, httponly=True, samesite="Strict", secure=request.secure)
        return response

    async def log_out(request: web.Request) -> web.Response:
        site.auth.log_out(request.cookies.get(COOKIE, ""))
        response = web.json_response({"ok": True})
        response.del_cookie(COOKIE)
        return response

    async def session(request: web.Request) -> web.Response:
        found = site.auth.session(request)
        return web.json_response(
            {"csrf": found.csrf if found is not None else None, "password": site.auth.needs_password}
        )

    return [
        web.get("/login", page),
        web.post("/login", log_in),
        web.get("/api/v1/session", session),
        web.post("/api/v1/logout", log_out),
    ]
