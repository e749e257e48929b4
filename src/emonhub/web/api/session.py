"""Logging in and out."""

from __future__ import annotations

from importlib import resources
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from aiohttp import web

from emonhub.web.api.contract import Endpoint
from emonhub.web.auth import COOKIE

if TYPE_CHECKING:
    from emonhub.web.site import Site


_BIGGEST_FORM = 4096


def pages(site: Site) -> list[web.RouteDef]:
    """The login page and its form."""

    async def page(_request: web.Request) -> web.Response:
        text = resources.files("emonhub.web").joinpath("static", "login.html").read_text("utf-8")
        return web.Response(text=text, content_type="text/html")

    async def log_in(request: web.Request) -> web.Response:
        site.auth.check_origin(request)
        key = site.auth.log_in(await _password(request), request.remote or "")
        if key is None:
            return web.json_response({"error": "the password is wrong"}, status=401)
        response = web.json_response({"ok": True})
        response.set_cookie(COOKIE, key, httponly=True, samesite="Strict", secure=request.secure)
        return response

    return [web.get("/login", page), web.post("/login", log_in)]


def endpoints(site: Site) -> list[Endpoint]:
    """The endpoints of this part."""

    async def log_out(request: web.Request, _said: dict[str, Any]) -> Any:
        site.auth.log_out(request.cookies.get(COOKIE, ""))
        response = web.json_response({"ok": True})
        response.del_cookie(COOKIE)
        return response

    async def session(request: web.Request, _said: dict[str, Any]) -> Any:
        found = site.auth.session(request)
        return {"csrf": found.csrf if found is not None else None, "password": site.auth.needs_password}

    gives = {
        "type": "object",
        "required": ["csrf", "password"],
        "properties": {"csrf": {"type": ["string", "null"]}, "password": {"type": "boolean"}},
    }
    ok = {"type": "object", "required": ["ok"], "properties": {"ok": {"type": "boolean"}}}
    return [
        Endpoint("GET", "/api/v1/session", session, "Who one is to the hub", gives=gives),
        Endpoint("POST", "/api/v1/logout", log_out, "End the session", gives=ok),
    ]


async def _password(request: web.Request) -> str:
    """The field `password` of the login form. Raises HTTPBadRequest, HTTPRequestEntityTooLarge."""
    data = b""
    async for chunk in request.content.iter_any():
        data += chunk
        if len(data) > _BIGGEST_FORM:
            raise web.HTTPRequestEntityTooLarge(_BIGGEST_FORM, len(data), text="this is no password")
    if request.content_type == "multipart/form-data":
        raise web.HTTPUnsupportedMediaType(text="the form must be application/x-www-form-urlencoded")
    return parse_qs(data.decode("utf-8", "replace"), keep_blank_values=True).get("password", [""])[0]
