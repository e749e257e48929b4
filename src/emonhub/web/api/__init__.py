"""The API, version 1: what the page and the command line are made with. JSON in, JSON out; errors are {"error": …}."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from emonhub.web.api import openapi, replays, session, types
from emonhub.web.api.configuration import ConfigurationApi
from emonhub.web.api.contract import Endpoint
from emonhub.web.api.live import LiveApi
from emonhub.web.api.reporters import ReportersApi
from emonhub.web.api.unknown import UnknownApi

if TYPE_CHECKING:
    from aiohttp import web

    from emonhub.web.site import Site


def endpoints(site: Site) -> list[Endpoint]:
    """Every endpoint of the API."""
    found = [
        *session.endpoints(site),
        *LiveApi(site).endpoints(),
        *ConfigurationApi(site).endpoints(),
        *types.endpoints(),
        *UnknownApi(site).endpoints(),
        *ReportersApi(site).endpoints(),
        *replays.endpoints(site),
    ]

    async def get_document(_request: web.Request, _said: dict[str, Any]) -> Any:
        return openapi.document(found)

    found.append(
        Endpoint("GET", "/api/v1/openapi.json", get_document, "This document", gives={"type": "object"}),
    )
    return found


def routes(site: Site) -> list[web.RouteDef]:
    """Every route, those of the login page too."""
    return [*session.pages(site), *(endpoint.route for endpoint in endpoints(site))]
