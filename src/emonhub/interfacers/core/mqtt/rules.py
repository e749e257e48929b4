"""Rules: what the messages of other people's devices mean. Pure: a topic and a payload in, a reading out.

A topic pattern such as `shellies/{node}/emeter/{channel:digits}/{name}` captures parts of a topic: `{x}` a whole level
or a part of one, `{x:digits}` digits only, `{x...}` all levels that follow. What it captured, and the fields of a JSON
payload, fill in the templates for the node and for the names of values.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from emonhub import FrameError, SettingError
from emonhub.interfacers.core.mqtt.topics import sound

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

WORDS: Mapping[str, float] = {
    **dict.fromkeys(("on", "true", "open", "opened", "online", "yes", "enabled", "detected"), 1),
    **dict.fromkeys(("off", "false", "closed", "close", "offline", "no", "disabled", "clear"), 0),
}
"""What words mean as numbers, where a rule does not say otherwise."""

_MAX_VALUES = 200
"""Values taken from one message; who sends more is no meter."""

_MAX_DEPTH = 8
_CAPTURE = re.compile(r"\{(\w+)(:digits|\.\.\.)?\}")
_UNFIT = re.compile(r"[^\w.\-]+")
_LATEST = 1e11


@dataclass(frozen=True, slots=True)
class Reading:
    """What a message says. `time` is None when it does not say when."""

    node: str
    names: tuple[str, ...]
    units: tuple[str, ...]
    values: tuple[float, ...]
    time: float | None = None


@dataclass(frozen=True)
class Rule:
    """How messages on some topics are read.

    topic   the pattern
    node    template of the node's name
    name    template of a value's name; what stands before the paths of a JSON payload's values
    values  paths into a JSON payload, each `path`, `path:name` or `path:name:unit`, or with `|` in place of `:`;
            empty = all numbers in it
    root    path to the part of a JSON payload that is looked at, where `values` names nothing
    skip    keys of a JSON payload that are left out, wherever they stand
    time    path to the time in Unix seconds; empty = when the message came
    words   what words mean as numbers, beside the usual
    units   units by the last part of a value's name
    strict  whether a message without a number is an error; else it is passed over
    """

    topic: str
    node: str = "{node}"
    name: str = "{name}"
    values: tuple[str, ...] = ()
    root: str = ""
    skip: frozenset[str] = frozenset()
    time: str = ""
    words: Mapping[str, float] = field(default_factory=dict)
    units: Mapping[str, str] = field(default_factory=dict)
    strict: bool = False

    def __post_init__(self) -> None:
        self._compiled  # noqa: B018 - so that a pattern that can't be one is found out now

    @property
    def filter(self) -> str:
        """What is to be subscribed to."""
        return self._compiled[1]

    @cached_property
    def _compiled(self) -> tuple[re.Pattern[str], str]:
        return _compile(self.topic)

    @cached_property
    def _wanted(self) -> list[_Path]:
        return [_Path.parse(one) for one in self.values]

    def captures(self, topic: str) -> dict[str, str] | None:
        """What a topic captures, or None when the rule is not for it."""
        match = self._compiled[0].fullmatch(topic)
        return match.groupdict() if match else None

    def read(self, captured: Mapping[str, str], payload: bytes) -> Reading | None:
        """The reading in a message; None for one without a number. Raises FrameError."""
        text = payload.decode("utf-8", "replace").strip()
        read = self._read_json if text[:1] in {"{", "["} else self._read_plain
        found = read(captured, text)
        if found is None and self.strict:
            raise FrameError("no number", f"{self.topic}: there is no number in {text[:80]!r}")
        return found

    def _read_plain(self, captured: Mapping[str, str], text: str) -> Reading | None:
        value = self._number(text)
        if value is None:
            return None
        name = _named(self._start(captured)) or "value"
        return Reading(_fill(self.node, captured, {}), (name,), (self._unit(name),), (value,))

    def _read_json(self, captured: Mapping[str, str], text: str) -> Reading | None:
        try:
            payload = json.loads(text)
        except (ValueError, RecursionError):
            raise FrameError("bad JSON", f"{self.topic}: {text[:80]!r} is not JSON") from None
        start = self._start(captured)
        found: dict[str, tuple[float, str]] = {}
        for parts, raw, unit in self._leaves(payload):
            value = self._number(raw)
            name = _named("_".join(part for part in (start, *parts) if part))
            if value is not None and name and len(found) < _MAX_VALUES:
                found[name] = (value, unit or self._unit(parts[-1] if parts else name))
        if not found:
            return None
        fields = payload if isinstance(payload, dict) else {}
        names = tuple(found)
        values, units = zip(*found.values(), strict=True)
        return Reading(_fill(self.node, captured, fields), names, units, values, self._time(payload))

    def _start(self, captured: Mapping[str, str]) -> str:
        return "" if self.name == "{name}" and "name" not in captured else _fill(self.name, captured, {})

    def _leaves(self, payload: Any) -> Iterator[tuple[tuple[str, ...], Any, str]]:
        """(name parts, value, unit or empty) of all that is to be looked at in a payload."""
        for path in self._wanted:
            yield path.names, path.of(payload), path.unit
        if not self._wanted:
            root = _Path.parse(self.root).of(payload) if self.root else payload
            yield from ((parts, raw, "") for parts, raw in _walk(root, self.skip))

    def _number(self, raw: object) -> float | None:
        if isinstance(raw, bool):
            return int(raw)
        if isinstance(raw, int | float):
            return raw if raw - raw == 0 else None
        if not isinstance(raw, str) or len(raw) > 40:
            return None
        word = raw.strip().lower()
        known = self.words.get(word, WORDS.get(word))
        if known is not None:
            return known
        try:
            value = float(word)
        except ValueError:
            return None
        if value - value != 0:
            return None
        return int(word) if word.lstrip("+-").isdecimal() and word.isascii() else value

    def _unit(self, name: str) -> str:
        """The unit of the longest end of a name that has one."""
        parts = name.split("_")
        ends = ("_".join(parts[index:]) for index in range(len(parts)))
        return next((self.units[end] for end in ends if end in self.units), "")

    def _time(self, payload: Any) -> float | None:
        time = _Path.parse(self.time).of(payload) if self.time else None
        if isinstance(time, int | float) and not isinstance(time, bool) and 0 < time < _LATEST:
            return time
        return None


@dataclass(frozen=True, slots=True)
class _Path:
    """A way into a JSON payload: keys and list indices with dots between."""

    keys: tuple[str, ...]
    names: tuple[str, ...]
    unit: str

    @classmethod
    def parse(cls, text: str) -> _Path:
        path, *rest = text.split("|") if "|" in text else text.split(":")
        keys = tuple(path.split("."))
        name = rest[0] if rest else None
        names = keys if name is None else (name,) if name else ()
        return cls(keys, names, rest[1] if len(rest) > 1 else "")

    def of(self, payload: Any) -> Any:
        for key in self.keys:
            if isinstance(payload, dict):
                payload = payload.get(key)
            elif isinstance(payload, list) and key.isdecimal() and int(key) < len(payload):
                payload = payload[int(key)]
            else:
                return None
        return payload


def _walk(payload: Any, skip: frozenset[str], above: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    if len(above) > _MAX_DEPTH:
        return
    if isinstance(payload, dict):
        for key, inside in payload.items():
            if key not in skip:
                yield from _walk(inside, skip, (*above, key))
    elif isinstance(payload, list):
        for index, inside in enumerate(payload, 1):
            yield from _walk(inside, skip, (*above, str(index)))
    else:
        yield above, payload


def _compile(topic: str) -> tuple[re.Pattern[str], str]:
    """The regular expression that a topic pattern means, and the filter that brings its messages."""
    if "#" in topic or "+" in topic:
        raise SettingError(f"{topic}: write {{x}} for + and {{x...}} for #, with a name in place of x")
    pattern, levels = [], []
    parts = topic.split("/")
    for index, part in enumerate(parts):
        captures = list(_CAPTURE.finditer(part))
        rest = _CAPTURE.sub("", part)
        if "{" in rest or "}" in rest:
            raise SettingError(f"{topic}: {part} is no level of a topic with {{captures}} in it")
        if any(capture[2] == "..." for capture in captures):
            if index + 1 != len(parts) or part != captures[0][0]:
                raise SettingError(f"{topic}: {captures[0][0]} must be the last level, and alone in it")
            pattern.append(rf"(?P<{captures[0][1]}>[^/$].*)")
            levels.append("#")
            continue
        levels.append("+" if captures else part)
        pattern.append(_level_pattern(part))
    try:
        return re.compile("/".join(pattern), re.DOTALL), "/".join(levels)
    except re.error as error:
        raise SettingError(f"{topic}: {error}") from error


def _level_pattern(part: str) -> str:
    made, end = "", 0
    for capture in _CAPTURE.finditer(part):
        inside = r"\d+" if capture[2] == ":digits" else r"[^/$][^/]*?"
        made += re.escape(part[end : capture.start()]) + f"(?P<{capture[1]}>{inside})"
        end = capture.end()
    return made + re.escape(part[end:])


def _fill(template: str, captured: Mapping[str, str], fields: Mapping[str, Any]) -> str:
    def value(match: re.Match[str]) -> str:
        key = match[1]
        if key in captured:
            return captured[key]
        if isinstance(fields.get(key), str | int | float):
            return sound(str(fields[key]))
        raise FrameError("no node", f"the message has no {key} to fill in {template}")

    return _CAPTURE.sub(value, template)


def _named(name: str) -> str:
    """A name as it is used downstream: what is no letter, digit, dot or dash becomes `_`."""
    return _UNFIT.sub("_", name).strip("_")
