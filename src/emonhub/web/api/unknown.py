"""Nodes that are heard and not known: listed, accepted, forgotten."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from aiohttp import web

from emonhub.config import accepted
from emonhub.nodes.proposals import as_json
from emonhub.nodes.templates import definition_from, named_template
from emonhub.web.api.contract import Endpoint, Field

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from emonhub.web.site import Site

_NODE = Field("node", "its id")
_OK = {"type": "object", "required": ["ok"], "properties": {"ok": {"type": "boolean"}}}
_HEARD = {
    "type": "object",
    "required": ["source", "node", "size", "frames", "time", "rssi", "raw", "candidates"],
    "properties": {
        "source": {"type": "string"},
        "node": {"type": "integer"},
        "size": {"type": "integer"},
        "frames": {"type": "integer"},
        "time": {"type": "number"},
        "rssi": {"type": ["integer", "null"]},
        "raw": {"type": "string"},
        "candidates": {"type": "array", "items": {"type": "object"}},
    },
}


class UnknownApi:
    """Works on the nodes that one hub hears."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._writing = asyncio.Lock()

    def endpoints(self) -> list[Endpoint]:
        """The endpoints of this part."""
        at = "/api/v1/unknown"
        body = {"node": _NODE, "template": Field("string", "one of its candidates")}
        gives = {"type": "array", "items": _HEARD}
        return [
            Endpoint("GET", at, self._get, "Nodes that are heard and not known", gives=gives),
            Endpoint("POST", f"{at}/accept", self._accept, "Know one by a template", body=body, gives=_OK, errors=_NO),
            Endpoint(
                "POST", f"{at}/forget", self._forget, "Forget one, also when accepted", body={"node": _NODE}, gives=_OK,
                errors=_NO,
            ),
        ]  # fmt: skip

    async def _get(self, _request: web.Request, _said: dict[str, Any]) -> Any:
        return [as_json(heard) for heard in self._site.hub.autoconf.listing()]

    async def _accept(self, _request: web.Request, said: dict[str, Any]) -> Any:
        node = _id(said["node"])
        heard = [one for one in self._site.hub.autoconf.listing() if one.node == node and one.frames]
        if not heard:
            raise web.HTTPNotFound(text="this node has not been heard, or is known already")
        template = named_template(said["template"])
        sizes = {len(one.frames[-1]) for one in heard}
        if template is None or template.rx.size not in sizes:
            raise web.HTTPConflict(text="there is no template of that name for frames of this length")
        definition = definition_from(template, node)
        await self._change(lambda path: accepted.accept(path, definition))
        return {"ok": True}

    async def _forget(self, _request: web.Request, said: dict[str, Any]) -> Any:
        node = _id(said["node"])
        there = self._site.hub.autoconf.forget(node)
        if await self._change(lambda path: accepted.forget(path, str(node))) or there:
            return {"ok": True}
        raise web.HTTPNotFound(text="this node has not been heard")

    async def _change(self, change: Callable[[Path], bool | None]) -> bool | None:
        """Change the accepted nodes; the hub takes them up at once. Returns what `change` does."""
        path = self._path()
        async with self._writing:
            try:
                found = await asyncio.to_thread(change, path)
            except OSError as error:
                raise web.HTTPConflict(text=f"{path} can't be written: {error.strerror or error}") from error
        self._site.hub.look_now()
        return found

    def _path(self) -> Path:
        state = self._site.hub.keeper.state
        if state is None:
            raise web.HTTPConflict(text="there is no state directory to keep it in: set state_dir in [hub]")
        return state / accepted.NAME


_NO = (404, 409)


def _id(said: str | int) -> int:
    if isinstance(said, int) or (said.isdecimal() and len(said) < 10):
        return int(said)
    raise web.HTTPBadRequest(text="node must be a whole number")
