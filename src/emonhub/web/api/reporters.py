"""Reporters: paused and resumed, what they owe and keep looked at and taken out, dead letters."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from aiohttp import web

from emonhub.logs import masked
from emonhub.web import records
from emonhub.web.api.contract import Endpoint, Field
from emonhub.web.export import Export

if TYPE_CHECKING:
    from emonhub.reporter import Reporter
    from emonhub.web.site import Site

_OK = {"type": "object", "required": ["ok"], "properties": {"ok": {"type": "boolean"}}}
_COUNT = {"type": "object", "required": ["count"], "properties": {"count": {"type": "integer"}}}
_IDS = {"ids": Field("array", "which letters; null for all", None, nullable=True, of=Field("integer"))}
_NULLABLE = {"type": ["number", "null"]}
_PEEK = {"n": Field("integer", "how many", 20, low=1, high=1000), "last": Field("boolean", "the newest", False)}
_EXPORT = {
    "from": Field("time", "read from then on", None, nullable=True),
    "to": Field("time", "read before then", None, nullable=True),
    "node": Field("string", "of one node, by its id or its name", ""),
    "what": Field("string", "which frames", "all", words=("owed", "delivered", "all")),
}
_FRAMES = {"type": "array", "items": {"type": "object", "properties": {"time": {"type": "number"}}}}
_LETTERS = {"type": "array", "items": {"type": "object", "properties": {"id": {"type": "integer"}}}}
_KEPT = {
    "type": "object",
    "required": ["frames", "bytes", "from", "to"],
    "properties": {
        "frames": {"type": "integer"},
        "bytes": {"type": "integer"},
        "from": _NULLABLE,
        "to": _NULLABLE,
    },
}

_EXPORTS = 2
"""At once: each reads the whole record, in a thread of its own."""


class ReportersApi:
    """Works on the reporters of one hub."""

    def __init__(self, site: Site) -> None:
        self._hub = site.hub
        self._exports = 0

    def endpoints(self) -> list[Endpoint]:
        """The endpoints of this part."""
        at = "/api/v1/reporters/{name}"
        no = (404,)
        return [
            Endpoint("POST", f"{at}/pause", self._pause, "Send nothing until resumed", gives=_OK, errors=(404, 409)),
            Endpoint("POST", f"{at}/resume", self._resume, "Send again", gives=_OK, errors=(404, 409)),
            Endpoint("GET", f"{at}/peek", self._peek, "Some frames that wait", query=_PEEK, gives=_FRAMES, errors=no),
            Endpoint("GET", f"{at}/record", self._record, "What is kept of what was delivered", gives=_KEPT, errors=no),
            Endpoint(
                "GET",
                f"{at}/export",
                self._export,
                "Frames as CSV",
                query=_EXPORT,
                gives="text/csv",
                errors=(404, 409, 503),
            ),
            Endpoint("GET", f"{at}/deadletters", self._letters, "Frames refused for good", gives=_LETTERS, errors=no),
            Endpoint(
                "POST", f"{at}/deadletters/retry", self._retry, "Send them again", body=_IDS, gives=_COUNT, errors=no
            ),
            Endpoint(
                "POST", f"{at}/deadletters/drop", self._drop, "Throw them away", body=_IDS, gives=_COUNT, errors=no
            ),
        ]

    def _reporter(self, request: web.Request) -> Reporter:
        return records.reporter_of(self._hub, request.match_info["name"])

    async def _pause(self, request: web.Request, _said: dict[str, Any]) -> Any:
        return await self._set_paused(self._reporter(request), paused=True)

    async def _resume(self, request: web.Request, _said: dict[str, Any]) -> Any:
        return await self._set_paused(self._reporter(request), paused=False)

    async def _set_paused(self, reporter: Reporter, *, paused: bool) -> Any:
        folder = reporter.folder
        if folder is None:
            raise web.HTTPConflict(
                text="it keeps nothing on disk, so that it can't remember a pause: set pause = out in its settings"
            )
        await asyncio.to_thread(setattr, folder, "paused", paused)
        if folder.look():  # the hub itself looks each second
            reporter.log.info("Sending is paused" if folder.is_paused else "Sending is resumed")
            reporter.hurry()
        return {"ok": True}

    async def _peek(self, request: web.Request, said: dict[str, Any]) -> Any:
        return await records.peek(self._hub, self._reporter(request), said["n"], last=said["last"])

    async def _record(self, request: web.Request, _said: dict[str, Any]) -> Any:
        return await records.kept(self._hub, self._reporter(request))

    async def _export(self, request: web.Request, said: dict[str, Any]) -> web.StreamResponse:
        reporter = self._reporter(request)
        record = records.record_of(self._hub, reporter)
        if record is None:
            raise web.HTTPConflict(text="it keeps nothing on disk: there is nothing to export")
        query = records.query_of(said, reporter.read_back, self._hub.world.time())
        if self._exports >= _EXPORTS:
            raise web.HTTPServiceUnavailable(text="other exports are under way: try again when they are done")
        self._exports += 1
        try:
            return await Export(record, query, reporter.read_back, said["what"]).respond(request, reporter.name)
        finally:
            self._exports -= 1

    async def _letters(self, request: web.Request, _said: dict[str, Any]) -> Any:
        found = await asyncio.to_thread(self._reporter(request).dead_letters.all)
        return [asdict(letter) | {"reason": masked(letter.reason)} for letter in found]

    async def _retry(self, request: web.Request, said: dict[str, Any]) -> Any:
        reporter = self._reporter(request)
        ids = None if said["ids"] is None else set(said["ids"])
        letters = [x for x in await asyncio.to_thread(reporter.dead_letters.all) if ids is None or x.id in ids]
        if letters:
            # Taken in before they are taken out: an end between the two sends a frame twice, and loses none.
            reporter.take_in([letter.time for letter in letters], [letter.record for letter in letters])
            await asyncio.to_thread(reporter.dead_letters.take, {letter.id for letter in letters})
        return {"count": len(letters)}

    async def _drop(self, request: web.Request, said: dict[str, Any]) -> Any:
        ids = None if said["ids"] is None else set(said["ids"])
        return {"count": len(await asyncio.to_thread(self._reporter(request).dead_letters.take, ids))}
