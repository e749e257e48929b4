"""Nodes that are heard and not known: listed, accepted, forgotten."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from aiohttp import web

from emonhub.config import accepted
from emonhub.web.api.contract import Endpoint, Field
from emonhub.web.unknown import as_json

if TYPE_CHECKING:
    from pathlib import Path

    from emonhub.nodes.definition import NodeDefinition
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
        return [as_json(heard) for heard in self._site.unknown.listing()]

    async def _accept(self, _request: web.Request, said: dict[str, Any]) -> Any:
        node = _id(said["node"])
        heard = [one for one in self._site.unknown.listing() if one.node == node and one.frames]
        if not heard:
            raise web.HTTPNotFound(text="this node has not been heard, or is known already")
        definition = self._site.unknown.definition(node, said["template"])
        sizes = {len(one.frames[-1]) for one in heard}
        if definition is None or definition.rx is None or definition.rx.size not in sizes:
            raise web.HTTPConflict(text="there is no template of that name for frames of this length")
        await self._change(lambda nodes: nodes | {definition.id: definition})
        return {"ok": True}

    async def _forget(self, _request: web.Request, said: dict[str, Any]) -> Any:
        node = _id(said["node"])
        there = self._site.unknown.forget(node)
        if await self._change(lambda nodes: {id_: one for id_, one in nodes.items() if id_ != str(node)}) or there:
            return {"ok": True}
        raise web.HTTPNotFound(text="this node has not been heard")

    async def _change(self, change: Any) -> bool:
        """Change the accepted nodes; the hub takes them up at once. Returns whether anything has changed."""
        path = self._path()
        async with self._writing:
            changed = await asyncio.to_thread(_rewrite, path, change)
        if changed:
            self._site.hub.look_now()
        return changed

    def _path(self) -> Path:
        state = self._site.hub.keeper.state
        if state is None:
            raise web.HTTPConflict(text="there is no state directory to keep it in: set state_dir in [hub]")
        return state / accepted.NAME


_NO = (404, 409)


def _rewrite(path: Path, change: Any) -> bool:
    old, _ = accepted.load(path)
    new: dict[str, NodeDefinition] = change(old)
    if new == old:
        return False
    try:
        accepted.save(path, new)
    except OSError as error:
        raise web.HTTPConflict(text=f"{path} can't be written: {error.strerror or error}") from error
    return True


def _id(said: str | int) -> int:
    if isinstance(said, int) or (said.isdecimal() and len(said) < 10):
        return int(said)
    raise web.HTTPBadRequest(text="node must be a whole number")
