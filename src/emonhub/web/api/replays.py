"""Replays: begun, watched, stopped."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from aiohttp import web

from emonhub.errors import SettingError
from emonhub.web import records
from emonhub.web.api.contract import Endpoint, Field

if TYPE_CHECKING:
    from emonhub.web.site import Site

_ID = {"type": "object", "required": ["id"], "properties": {"id": {"type": "integer"}}}
_OK = {"type": "object", "required": ["ok"], "properties": {"ok": {"type": "boolean"}}}
_REPLAY = {
    "type": "object",
    "required": ["id", "of", "into", "sent", "refused", "total", "state", "error", "time_left"],
    "properties": {
        **{key: {"type": "integer"} for key in ("id", "sent", "refused", "total")},
        **{key: {"type": "string"} for key in ("of", "into", "error")},
        "state": {"enum": ["running", "done", "failed", "stopped"]},
        "time_left": {"type": ["number", "null"]},
    },
}

_BODY = {
    "of": Field("string", "the reporter whose record it is"),
    "into": Field("string", "the reporter that sends it; the same where nothing is said", None, nullable=True),
    "from": Field("time", "read from then on", None, nullable=True),
    "to": Field("time", "read before then", None, nullable=True),
    "node": Field("node", "of one node, by its id or its name", None, nullable=True),
    "batchsize": Field("integer", "frames in one request", None, nullable=True, low=1, high=100_000),
    "interval": Field("number", "seconds between requests", None, nullable=True, low=0, high=3600),
}


def endpoints(site: Site) -> list[Endpoint]:
    """The endpoints of this part."""
    hub = site.hub

    async def begin(_request: web.Request, said: dict[str, Any]) -> Any:
        source = records.reporter_of(hub, said["of"])
        record = records.record_of(hub, source)
        if record is None:
            raise web.HTTPConflict(text=f"{source.name} keeps nothing on disk: there is no record to replay")
        query = records.query_of(said, source.read_back, hub.world.time())
        if said["to"] in {None, ""}:
            # What is delivered from now on is not sent twice.
            query = replace(query, until=hub.world.time())
        pace = (said["batchsize"] or 0, said["interval"] or 0.0)
        try:
            return {"id": site.replays.start(record, source, said["into"] or source.name, query, pace)}
        except SettingError as error:
            raise web.HTTPConflict(text=str(error)) from None

    async def get(_request: web.Request, _said: dict[str, Any]) -> Any:
        return site.replays.all()

    async def stop(request: web.Request, _said: dict[str, Any]) -> Any:
        number = request.match_info["id"]
        if not number.isdecimal() or len(number) > 9 or not await site.replays.stop(int(number)):
            raise web.HTTPNotFound(text="there is no such replay")
        return {"ok": True}

    at = "/api/v1/replays"
    all_of_them = {"type": "array", "items": _REPLAY}
    return [
        Endpoint("POST", at, begin, "Send frames of a record again", body=_BODY, gives=_ID, errors=(404, 409)),
        Endpoint("GET", at, get, "Replays under way, and the last that are over", gives=all_of_them),
        Endpoint("POST", f"{at}/{{id}}/stop", stop, "Stop one", gives=_OK, errors=(404,)),
    ]
