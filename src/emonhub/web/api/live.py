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

_OBJECT = {"type": "object"}
_LIST = {"type": "array", "items": _OBJECT}
_OK = {"type": "object", "required": ["ok"], "properties": {"ok": {"type": "boolean"}}}
_LEVEL = {
    "interfacer": Field("string", "its name; empty for the hub", ""),
    "level": Field(
        "string", "empty for what is configured", words=("", "DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
    ),
}
_TOPICS = {"topics": Field("string", f"some of {', '.join(events.TOPICS)}", ",".join(events.TOPICS))}


class LiveApi:
    """Looks at one hub."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._hub = site.hub

    def endpoints(self) -> list[Endpoint]:
        """The endpoints of this part."""
        at = "/api/v1"
        history, stream = f"{at}/nodes/{{source}}/{{node}}/history", "text/event-stream"
        return [
            Endpoint("GET", f"{at}/overview", self._overview, "The hub, and what is wrong with it", gives=_OBJECT),
            Endpoint("GET", f"{at}/nodes", self._nodes, "Nodes and their newest values", gives=_LIST),
            Endpoint("GET", history, self._history, "A node's last hour", gives=_OBJECT, errors=(404,)),
            Endpoint("GET", f"{at}/log", self._log, "The newest log lines", gives=_LIST),
            Endpoint("PUT", f"{at}/loglevel", self._level, "Log more for now", body=_LEVEL, gives=_OK, errors=(404,)),
            Endpoint(
                "GET", f"{at}/events", self._events, "What is live", query=_TOPICS, gives=stream, errors=(503,)
            ),
        ]  # fmt: skip

    async def _overview(self, _request: web.Request, _said: dict[str, Any]) -> Any:
        return overview(self._hub)

    async def _nodes(self, _request: web.Request, _said: dict[str, Any]) -> Any:
        return self._site.history.listing(self._hub.world.time())

    async def _history(self, request: web.Request, _said: dict[str, Any]) -> Any:
        node = self._site.history.nodes.get((request.match_info["source"], request.match_info["node"]))
        if node is None:
            raise web.HTTPNotFound(text="this node has not been heard")
        layout = node.layout
        count = max((len(row) for row in node.rows), default=0)
        series = [
            {"name": layout.name_of(i), "unit": layout.unit_of(i), "values": node.series(i)} for i in range(count)
        ]
        return {"times": list(node.times), "series": series}

    async def _log(self, _request: web.Request, _said: dict[str, Any]) -> Any:
        return list(self._site.log.lines)

    async def _events(self, request: web.Request, said: dict[str, Any]) -> Any:
        return await events.handle(request, self._site, said["topics"])

    async def _level(self, _request: web.Request, said: dict[str, Any]) -> Any:
        name, level = said["interfacer"], said["level"]
        if not name:
            logging.getLogger("emonhub").setLevel(level or self._hub.configuration.hub.loglevel)
        elif (runner := self._hub.runners.get(name)) is not None:
            itf = runner.interfacer
            itf.log.setLevel(level or itf.loglevel.upper() or logging.NOTSET)
        else:
            raise web.HTTPNotFound(text="there is no such interfacer, or it does not run")
        return {"ok": True}
