"""The API, version 1: what the page and the command line are made with. JSON in, JSON out; errors are {"error": …}."""

from __future__ import annotations

from typing import TYPE_CHECKING

from emonhub.web.api import live, session

if TYPE_CHECKING:
    from aiohttp import web

    from emonhub.web.site import Site


def routes(site: Site) -> list[web.RouteDef]:
    """Every route."""
    return [*session.routes(site), *live.routes(site)]
