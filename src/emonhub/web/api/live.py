"""What the hub does now: its interfacers, nodes, and log."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import web

from emonhub.web.view import overview

if TYPE_CHECKING:
    from emonhub.web.site import Site


def routes(site: Site) -> list[web.RouteDef]:
    """The routes of this part."""

    async def get_overview(_request: web.Request) -> web.Response:
        return web.json_response(overview(site.hub))

    async def get_nodes(_request: web.Request) -> web.Response:
        return web.json_response(site.history.listing(site.hub.world.time()))

    async def get_history(request: web.Request) -> web.Response:
        node = site.history.nodes.get((request.match_info["source"], request.match_info["node"]))
        if node is None:
            raise web.HTTPNotFound(text="this node has not been heard")
        layout = node.layout
        count = max((len(row) for row in node.rows), default=0)
        return web.json_response(
            {
                "times": list(node.times),
                "series": [
                    {"name": layout.name_of(i), "unit": layout.unit_of(i), "values": node.series(i)}
                    for i in range(count)
                ],
            }
        )

    async def get_log(_request: web.Request) -> web.Response:
        return web.json_response(list(site.log.lines))

    return [
        web.get("/api/v1/overview", get_overview),
        web.get("/api/v1/nodes", get_nodes),
        web.get("/api/v1/nodes/{source}/{node}/history", get_history),
        web.get("/api/v1/log", get_log),
    ]
