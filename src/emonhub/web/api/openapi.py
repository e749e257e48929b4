"""The OpenAPI document (https://spec.openapis.org/oas/v3.1.0), made of the endpoints' declarations."""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from emonhub import __version__
from emonhub.web.api.contract import REQUIRED

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from emonhub.web.api.contract import Endpoint, Field

_ERROR = {
    "type": "object",
    "required": ["error"],
    "properties": {"error": {"type": "string", "description": "what is wrong, for people"}},
}


def document(endpoints: Iterable[Endpoint]) -> dict[str, Any]:
    """The whole document."""
    paths: dict[str, dict[str, Any]] = {}
    for endpoint in endpoints:
        paths.setdefault(endpoint.path, {})[endpoint.method.lower()] = _operation(endpoint)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "emonHub",
            "version": __version__,
            "description": "What the hub's page and command line are made with. Times are Unix seconds.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": paths,
        "security": [{"token": []}, {"session": [], "csrf": []}],
        "components": {
            "schemas": {"Error": _ERROR},
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer", "description": "token of [web]"},
                "session": {"type": "apiKey", "in": "cookie", "name": "emonhub_session"},
                "csrf": {
                    "type": "apiKey",
                    "in": "header",
                    "name": "X-CSRF-Token",
                    "description": "from /api/v1/session; for what changes something",
                },
            },
        },
    }


def _operation(endpoint: Endpoint) -> dict[str, Any]:
    found: dict[str, Any] = {"summary": endpoint.summary, "operationId": _operation_id(endpoint)}
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in re.findall(r"{(\w+)}", endpoint.path)
    ]
    parameters += [
        {"name": name, "in": "query", "required": field.default is REQUIRED, "schema": field.schema}
        for name, field in endpoint.query.items()
    ]
    if parameters:
        found["parameters"] = parameters
    if endpoint.body:
        found["requestBody"] = {
            "required": any(field.default is REQUIRED for field in endpoint.body.values()),
            "content": {"application/json": {"schema": _body(endpoint.body)}},
        }
    kind, schema = (
        (endpoint.gives, {"type": "string"})
        if isinstance(endpoint.gives, str)
        else ("application/json", dict(endpoint.gives))
    )
    found["responses"] = {"200": {"description": "done", "content": {kind: {"schema": schema}}}}
    for status in sorted({400, 401, 403, 413, 415, *endpoint.errors}):
        content = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
        found["responses"][str(status)] = {"description": HTTPStatus(status).phrase, "content": content}
    return found


def _body(fields: Mapping[str, Field]) -> dict[str, Any]:
    return {
        "type": "object",
        "required": [name for name, field in fields.items() if field.default is REQUIRED],
        "properties": {name: field.schema for name, field in fields.items()},
    }


def _operation_id(endpoint: Endpoint) -> str:
    words = re.findall(r"\w+", endpoint.path.removeprefix("/api/v1"))
    return "_".join([endpoint.method.lower(), *words])
