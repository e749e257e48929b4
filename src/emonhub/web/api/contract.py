"""How an endpoint of the API is declared: what it takes, checked before its handler sees it, and what it gives.

The OpenAPI document comes from the same declaration.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from math import isfinite
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    Handler: TypeAlias = Callable[[web.Request, dict[str, Any]], Awaitable[Any]]

Type: TypeAlias = Literal["string", "integer", "number", "boolean", "object", "array", "node", "time"]

_PYTHON: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "object": (dict,),
    "array": (list,),
    "node": (str, int),
    "time": (str, int, float),
}
_A: dict[str, str] = {
    "integer": "a whole number",
    "object": "an object",
    "array": "a list",
    "node": "the id of a node",
    "time": "a time: Unix seconds, 2026-01-31T12:00, -2h",
}
_SCHEMA: dict[str, list[str]] = {"node": ["string", "integer"], "time": ["string", "number"]}

REQUIRED: Any = object()


@dataclass(frozen=True, slots=True)
class Field:
    """One thing that a request says.

    of       what a list or an object holds
    default  what it is when the request does not say; REQUIRED when it must
    """

    type: Type
    help: str = ""
    default: Any = REQUIRED
    nullable: bool = False
    of: Field | None = None
    low: float | None = None
    high: float | None = None
    words: tuple[str, ...] = ()

    def check(self, name: str, value: Any) -> Any:
        """The value if it is one. Raises HTTPBadRequest."""
        if value is None and self.nullable:
            return None
        if not isinstance(value, _PYTHON[self.type]) or (isinstance(value, bool) and self.type != "boolean"):
            raise web.HTTPBadRequest(text=f"{name} must be {_A.get(self.type, f'a {self.type}')}")
        if self.words and value not in self.words:
            raise web.HTTPBadRequest(text=f"{name} must be one of {', '.join(self.words)}")
        if isinstance(value, str):
            _check_text(name, value)
        if isinstance(value, int | float):
            low, high = self.low if self.low is not None else -1e15, self.high if self.high is not None else 1e15
            if not isfinite(value) or not low <= value <= high:
                raise web.HTTPBadRequest(text=f"{name} must be from {low:g} to {high:g}")
        if self.of is not None and isinstance(value, dict):
            for key, part in value.items():
                _check_text(name, key)
                self.of.check(f"{name}.{key}", part)
        if self.of is not None and isinstance(value, list):
            for part in value:
                self.of.check(name, part)
        return value

    def from_query(self, name: str, text: str) -> Any:
        """The value that a text in the query means."""
        try:
            value = _FROM_QUERY.get(self.type, str)(text)
        except ValueError:
            raise web.HTTPBadRequest(text=f"{name} must be {_A.get(self.type, f'a {self.type}')}") from None
        return self.check(name, value)

    @property
    def schema(self) -> dict[str, Any]:
        """As JSON Schema has it."""
        types = _SCHEMA.get(self.type, [self.type]) + ["null"] * self.nullable
        found: dict[str, Any] = {"type": types if len(types) > 1 else types[0]}
        if self.help:
            found["description"] = self.help
        if self.of is not None:
            found["items" if self.type == "array" else "additionalProperties"] = self.of.schema
        if self.words:
            found["enum"] = list(self.words)
        bounds = {"minimum": self.low, "maximum": self.high}
        found |= {key: value for key, value in bounds.items() if value is not None}
        if self.default is not REQUIRED and self.default is not None:
            found["default"] = self.default
        return found


def _check_text(name: str, value: str) -> None:
    try:
        value.encode()
    except UnicodeEncodeError:
        raise web.HTTPBadRequest(text=f"{name} must be a text") from None


def _truth(text: str) -> bool:
    if text.lower() not in {"1", "true", "0", "false", ""}:
        raise ValueError(text)
    return text.lower() in {"1", "true"}


_FROM_QUERY: dict[str, Callable[[str], Any]] = {"integer": int, "number": float, "boolean": _truth}


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One method of one path.

    handler  gets the request, and what it says by `query` and `body`, checked; gives what is answered as JSON, or a
             response
    gives    JSON Schema of the answer, or its content type where it is no JSON
    errors   status codes that it answers besides 200, 400, 401 and 403
    """

    method: str
    path: str
    handler: Handler
    summary: str
    query: Mapping[str, Field] = field(default_factory=dict)
    body: Mapping[str, Field] = field(default_factory=dict)
    gives: Mapping[str, Any] | str = field(default_factory=dict)
    errors: tuple[int, ...] = ()

    @property
    def route(self) -> web.RouteDef:
        """For the application."""
        return web.route(self.method, self.path, self.handle)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Check, call, answer."""
        said = {
            name: wanted.from_query(name, request.query[name]) if name in request.query else wanted.default
            for name, wanted in self.query.items()
        }
        if self.body:
            said |= await self._body(request)
        missing = [name for name, value in said.items() if value is REQUIRED]
        if missing:
            raise web.HTTPBadRequest(text=f"{missing[0]} is missing")
        found = await self.handler(request, said)
        return found if isinstance(found, web.StreamResponse) else web.json_response(found)

    async def _body(self, request: web.Request) -> dict[str, Any]:
        data = await request.read()
        if data and request.content_type != "application/json":
            raise web.HTTPUnsupportedMediaType(text="the body must be application/json")
        try:
            found = json.loads(data) if data else {}
        except (ValueError, RecursionError):
            raise web.HTTPBadRequest(text="the body is no JSON") from None
        if not isinstance(found, dict):
            raise web.HTTPBadRequest(text="the body must be an object")
        return {
            name: wanted.check(name, found[name]) if name in found else wanted.default
            for name, wanted in self.body.items()
        }


def failed(status: int, error: str, **more: Any) -> web.Response:
    """An answer that says what is wrong, and more."""
    return web.json_response({"error": error, **more}, status=status)
