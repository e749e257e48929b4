"""What the hub does now: its interfacers, nodes, and log."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from aiohttp import web

from emonhub.web import events
from emonhub.web.api.contract import Endpoint, Field
from emonhub.web.view import overview

if TYPE_CHECKING:
    from emonhub.web.site import Site

_LEVELS = ("", "DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
_OBJECT = {"type": "object"}
_LIST = {"type": "array", "items": _OBJECT}
_OK = {"type": "object", "required": ["ok"], "properties": {"ok": {"type": "boolean"}}}


def endpoints(site: Site) -> list[Endpoint]:
    """The endpoints of this part."""
    hub = site.hub

    async def get_overview(_request: web.Request, _said: dict[str, Any]) -> Any:
        return overview(hub)

    async def get_nodes(_request: web.Request, _said: dict[str, Any]) -> Any:
        return site.history.listing(hub.world.time())

    async def get_history(request: web.Request, _said: dict[str, Any]) -> Any:
        node = site.history.nodes.get((request.match_info["source"], request.match_info["node"]))
        if node is None:
            raise web.HTTPNotFound(text="this node has not been heard")
        layout = node.layout
        count = max((len(row) for row in node.rows), default=0)
        series = [
            {"name": layout.name_of(i), "unit": layout.unit_of(i), "values": node.series(i)} for i in range(count)
        ]
        return {"times": list(node.times), "series": series}

    async def get_log(_request: web.Request, _said: dict[str, Any]) -> Any:
        return list(site.log.lines)

    async def get_events(request: web.Request, said: dict[str, Any]) -> Any:
        return await events.handle(request, site, said["topics"])

    async def put_level(_request: web.Request, said: dict[str, Any]) -> Any:
        name, level = said["interfacer"], said["level"]
        if not name:
            logging.getLogger("emonhub").setLevel(level or hub.configuration.hub.loglevel)
        elif (runner := hub.runners.get(name)) is not None:
            itf = runner.interfacer
            itf.log.setLevel(level or itf.loglevel.upper() or logging.NOTSET)
        else:
            raise web.HTTPNotFound(text="there is no such interfacer, or it does not run")
        return {"ok": True}

    level = {
        "interfacer": Field("string", "its name; empty for the hub", ""),
        "level": Field("string", "empty for what is configured", words=_LEVELS),
    }
    topics = {"topics": Field("string", f"some of {', '.join(events.TOPICS)}", ",".join(events.TOPICS))}
    no = (404,)
    return [
        Endpoint("GET", "/api/v1/overview", get_overview, "The hub, its interfacers, what is wrong", gives=_OBJECT),
        Endpoint("GET", "/api/v1/nodes", get_nodes, "Nodes and their newest values", gives=_LIST),
        Endpoint(
            "GET", "/api/v1/nodes/{source}/{node}/history", get_history, "The last hour", gives=_OBJECT, errors=no
        ),
        Endpoint("GET", "/api/v1/log", get_log, "The newest log lines", gives=_LIST),
        Endpoint("PUT", "/api/v1/loglevel", put_level, "Log more or less for now", body=level, gives=_OK, errors=no),
        Endpoint(
            "GET",
            "/api/v1/events",
            get_events,
            "What is live, as server-sent events",
            query=topics,
            gives="text/event-stream",
            errors=(503,),
        ),
    ]
