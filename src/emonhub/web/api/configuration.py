"""emonhub.conf: shown with its secrets masked, checked, edited by forms, saved, and taken back."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from aiohttp import web

from emonhub import plugins
from emonhub.config.edit import edit
from emonhub.config.load import check, describe_problem
from emonhub.config.masks import mask, unmask
from emonhub.config.parse import ParseFailed
from emonhub.config.save import CantSave, Changed, Saver, decode, encode, version_of
from emonhub.config.secrets import all_secrets
from emonhub.config.spans import spans
from emonhub.errors import EmonHubError, SettingError
from emonhub.settings import declared
from emonhub.web.api.contract import Endpoint, Field, failed

if TYPE_CHECKING:
    from emonhub.config.model import Problem
    from emonhub.web.site import Site

_TEXT = Field("string", "emonhub.conf, whole")
_PROBLEMS = {
    "type": "array",
    "items": {
        "type": "object",
        "required": ["severity", "line", "where", "value", "message", "text"],
        "properties": {
            "severity": {"enum": ["error", "warning"]},
            "line": {"type": "integer"},
            "where": {"type": "array", "items": {"type": "string"}},
            "value": {"type": "string"},
            "message": {"type": "string"},
            "text": {"type": "string"},
        },
    },
}


class ConfigurationApi:
    """Works on the file of one hub. What waits for a disk or takes its time runs in a thread."""

    def __init__(self, site: Site) -> None:
        self._hub = site.hub
        state = site.hub.keeper.state
        self._saver = Saver(site.hub.path, state / "versions" if state is not None else None)
        self._saving = asyncio.Lock()

    def endpoints(self) -> list[Endpoint]:
        """The endpoints of this part."""
        at = "/api/v1/configuration"
        text = {"type": "object", "required": ["text"], "properties": {"text": {"type": "string"}}}
        versions = {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["id", "time", "size"],
                "properties": {"id": {"type": "string"}, "time": {"type": "number"}, "size": {"type": "integer"}},
            },
        }
        edit_body = {
            "text": _TEXT,
            "interfacer": Field("string", "its name"),
            "type": Field("string", "its type; needed for a new one", ""),
            "settings": Field("object", "values; null for the default", {}, of=Field("string", nullable=True)),
        }
        save_body = {"text": _TEXT, "version": Field("string", "of the file that is to be replaced")}
        checked = {"type": "object", "properties": {"good": {"type": "boolean"}, "problems": _PROBLEMS}}
        saved = {"type": "object", "properties": {"version": {"type": "string"}, "problems": _PROBLEMS}}
        return [
            Endpoint("GET", at, self._get, "The file, secrets masked, and its problems", gives=_shown_schema()),
            Endpoint("POST", f"{at}/check", self._check, "Check a text", body={"text": _TEXT}, gives=checked),
            Endpoint(
                "POST", f"{at}/edit", self._edit, "Put settings into a text", body=edit_body, gives=text, errors=(422,)
            ),
            Endpoint("PUT", at, self._put, "Save and apply", body=save_body, gives=saved, errors=(409, 422)),
            Endpoint("GET", f"{at}/versions", self._versions, "The last versions, newest first", gives=versions),
            Endpoint("GET", f"{at}/versions/{{id}}", self._version, "One of them", gives=text, errors=(404,)),
        ]

    async def _get(self, _request: web.Request, _said: dict[str, Any]) -> Any:
        return await asyncio.to_thread(self._shown)

    def _shown(self) -> dict[str, Any]:
        data = self._read()
        text, _ = decode(data)
        why_not = self._saver.why_not()
        return {
            "text": mask(text, all_secrets(self._hub.configuration)),
            "version": version_of(data),
            "writable": not why_not,
            "why_not": why_not,
            "file": str(self._hub.path),
            "problems": self._problems(data)[1],
        }

    async def _check(self, _request: web.Request, said: dict[str, Any]) -> Any:
        data, problems = await asyncio.to_thread(self._unmasked, said["text"])
        good, found = await asyncio.to_thread(self._problems, data)
        return {"good": good and not problems, "problems": [*problems, *found]}

    async def _edit(self, _request: web.Request, said: dict[str, Any]) -> Any:
        try:
            return {"text": await asyncio.to_thread(_edited, said)}
        except SettingError as error:
            return failed(422, str(error))

    async def _put(self, _request: web.Request, said: dict[str, Any]) -> Any:
        async with self._saving:
            try:
                data, problems = await asyncio.to_thread(self._unmasked, said["text"])
                good, found = await asyncio.to_thread(self._problems, data)
                if problems or not good:
                    return failed(422, "this can't be used: nothing is changed", problems=problems or found)
                now = self._hub.world.time()
                version = await asyncio.to_thread(self._saver.save, data, said["version"], now)
            except Changed as error:
                return failed(409, str(error), version=error.version)
            except CantSave as error:
                return failed(422, str(error), problems=[])
        self._hub.look_now()
        return {"version": version, "problems": found}

    async def _versions(self, _request: web.Request, _said: dict[str, Any]) -> Any:
        found = await asyncio.to_thread(self._saver.versions)
        return [{"id": version.id, "time": version.time, "size": version.size} for version in found]

    async def _version(self, request: web.Request, _said: dict[str, Any]) -> Any:
        found = await asyncio.to_thread(self._old, request.match_info["id"])
        if found is None:
            raise web.HTTPNotFound(text="this version is not kept any more")
        return {"text": found}

    def _old(self, id_: str) -> str | None:
        data = self._saver.version(id_)
        if data is None:
            return None
        now, _ = decode(self._read())
        return mask(decode(data)[0], all_secrets(self._hub.configuration), version=id_, now=now)

    def _read(self) -> bytes:
        try:
            return self._saver.read()
        except OSError as error:
            raise EmonHubError(f"{self._hub.path} can't be read: {error.strerror or error}") from error

    def _unmasked(self, text: str) -> tuple[bytes, list[dict[str, Any]]]:
        """What would be saved for a text, and masks in it that stand for nothing. Raises CantSave."""
        old = self._read()
        texts = {"": decode(old)[0]}
        if "~" in text:
            for version in self._saver.versions():
                if f"~{version.id}" in text and (data := self._saver.version(version.id)) is not None:
                    texts[version.id] = decode(data)[0]
        text, problems = unmask(text, texts, all_secrets(self._hub.configuration))
        return encode(text, old), [self._as_json(problem) for problem in problems]

    def _problems(self, data: bytes) -> tuple[bool, list[dict[str, Any]]]:
        """Whether a content can be used, and what is wrong with it."""
        try:
            found = check(data, self._hub.path, self._hub.world.environ)
        except ParseFailed as error:
            return False, [self._as_json(problem) for problem in error.problems]
        return True, [self._as_json(problem) for problem in found.problems]

    def _as_json(self, problem: Problem) -> dict[str, Any]:
        return {
            "severity": problem.severity,
            "line": problem.line,
            "where": list(problem.where),
            "value": problem.value,
            "message": problem.message,
            "text": describe_problem(problem, self._hub.path),
        }


def _edited(said: dict[str, Any]) -> str:
    text, name, type_name = said["text"], said["interfacer"], said["type"]
    known = type_name or _type_in(text, name)
    cls = plugins.find(known).cls if known else None
    if cls is None:
        what = plugins.find(known).problem if known else f"there is no [[{name}]] with a Type in the file"
        raise SettingError(what)
    return edit(text, name, said["settings"], declared(cls), type_name)


def _type_in(text: str, name: str) -> str:
    for span in spans(text):
        if span.kind == "key" and span.where == ("interfacers", name, "Type"):
            return text[slice(*span.value)].strip("\"' ,")
    return ""


def _shown_schema() -> dict[str, Any]:
    return {
        "type": "object",
        "required": ["text", "version", "writable", "why_not", "file", "problems"],
        "properties": {
            "text": {"type": "string"},
            "version": {"type": "string"},
            "writable": {"type": "boolean"},
            "why_not": {"type": "string"},
            "file": {"type": "string"},
            "problems": _PROBLEMS,
        },
    }
