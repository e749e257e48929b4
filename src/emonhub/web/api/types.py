"""The types of interfacers and the settings of each: what forms are made of."""

from __future__ import annotations

import asyncio
import inspect
from typing import TYPE_CHECKING, Any

from emonhub import plugins
from emonhub.reporter import Reporter
from emonhub.settings import Setting, declared, describe
from emonhub.web.api.contract import Endpoint

if TYPE_CHECKING:
    from aiohttp import web

_TEXT = {"type": "string"}
_SETTING = {
    "type": "object",
    "required": ["name", "section", "kind", "choices", "default", "help", "unit", "secret", "rule"],
    "properties": {
        **dict.fromkeys(("name", "section", "kind", "default", "help", "unit", "rule"), _TEXT),
        "choices": {"type": "array", "items": _TEXT},
        "secret": {"type": "boolean"},
    },
}
_TYPE = {
    "type": "object",
    "required": ["type", "doc", "kind", "problem", "settings"],
    "properties": {
        **dict.fromkeys(("type", "doc", "problem"), _TEXT),
        "kind": {"enum": ["interfacer", "reporter"]},
        "settings": {"type": "array", "items": _SETTING},
    },
}


def endpoints() -> list[Endpoint]:
    """The endpoints of this part."""
    return [
        Endpoint(
            "GET",
            "/api/v1/types",
            _get,
            "Every type of interfacer, and its settings",
            gives={"type": "array", "items": _TYPE},
        )
    ]


async def _get(_request: web.Request, _said: dict[str, Any]) -> Any:
    # In a thread, for it may import what no interfacer in use has needed so far.
    return await asyncio.to_thread(lambda: [_type(name) for name in plugins.type_names()])


def _type(name: str) -> dict[str, Any]:
    found = plugins.find(name)
    cls = found.cls
    return {
        "type": name,
        "doc": inspect.getdoc(cls) or "" if cls is not None else found.problem,
        "kind": "reporter" if cls is not None and issubclass(cls, Reporter) else "interfacer",
        "problem": found.problem,
        "settings": [_setting(one) for one in declared(cls).values()] if cls is not None else [],
    }


def _setting(one: Setting[Any]) -> dict[str, Any]:
    kind = describe(one.kind)
    return {
        "name": one.name,
        "section": one.section,
        "kind": kind.name,
        "choices": list(kind.choices),
        "default": one.default_text,
        "help": one.help,
        "unit": one.unit,
        "secret": one.secret,
        "rule": one.kind.rule,
    }
