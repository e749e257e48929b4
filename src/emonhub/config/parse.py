"""The bytes of emonhub.conf into a plain nested dict: decoded, read, references to other keys filled in."""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass, field
from typing import Any

from emonhub.config.model import Problem
from emonhub.config.syntax import LONGEST_LINE, SyntaxProblem, Tree, Where, read
from emonhub.errors import EmonHubError, SettingError

BIGGEST_FILE = 1 << 20
"""Bytes. Twenty times the longest emonhub.conf: what is bigger is another file."""

_MOST_REFERENCES = 10_000
"""In one file, counted again each time that one leads to another."""

_LONGEST_TRAIL = 16
"""Keys that may lead to one another."""

_REFERENCE = re.compile(r"%\(([^)]*)\)s")
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1a\x1c-\x1f]")


class ParseFailed(EmonHubError):
    """The file can't be used at all: `problems` says why, each with its line."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__("; ".join(f"line {p.line}: {p.message}" if p.line else p.message for p in problems))
        self.problems = problems


@dataclass(frozen=True, slots=True)
class Parsed:
    """A file that could be read.

    values    sections are dicts, values texts or lists of texts
    lines     of every section and key, from 1
    bad       keys that refer to others which are not there, and what is wrong with that
    problems  warnings that concern the file as a whole
    """

    values: dict[str, Any]
    lines: dict[Where, int]
    bad: dict[Where, str] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()


def parse(data: bytes) -> Parsed:
    """Read a whole file, which must have [hub] and [interfacers]. Raises ParseFailed."""
    text, notes = _decode(data)
    tree = read(text)
    if tree.problems:
        raise ParseFailed(tuple(_as_problem(problem) for problem in tree.problems))
    if not tree.lines:
        _fail("the file is empty: [hub] and [interfacers] are needed")
    missing = [name for name in ("hub", "interfacers") if not isinstance(tree.values.get(name), dict)]
    if missing:
        names = " and ".join(f"[{name}]" for name in missing)
        _fail(f"there is no section {names}: is this an emonhub.conf, and all of it?")
    bad = _fill_in(tree)
    return Parsed(tree.values, tree.lines, bad, tuple(notes))


def _fail(message: str, line: int = 0) -> None:
    raise ParseFailed((Problem("error", line, (), "", message),))


def _as_problem(found: SyntaxProblem) -> Problem:
    if found.key:
        return Problem("error", found.line, (*found.sections, found.key), "", found.message)
    return Problem("error", found.line, (), "", found.message)


def _decode(data: bytes) -> tuple[str, list[Problem]]:
    if len(data) > BIGGEST_FILE:
        _fail(f"the file has more than {BIGGEST_FILE >> 20} MiB: this is no emonhub.conf")
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return data.decode("utf-16", "replace"), []
    if b"\0" in data:
        line = data.count(b"\n", 0, data.index(b"\0")) + 1
        _fail("there are zero bytes: the file is damaged, or is no text", line)
    try:
        return data.decode("utf-8-sig"), []
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
    text = data.decode("latin-1")
    if _CONTROL.search(text):
        _fail("there are bytes that are no text: the file is damaged, or is no emonhub.conf", line)
    note = "the file is not in UTF-8, and is read as Latin-1: save it as UTF-8 to be sure of its special characters"
    return text, [Problem("warning", line, (), "", note)]


def _fill_in(tree: Tree) -> dict[Where, str]:
    """Put the values of other keys in for `%(key)s`, everywhere. Returns what could not be, and why."""
    filler = _Filler()
    filled: list[tuple[dict[str, Any], str, Any]] = []
    bad: dict[Where, str] = {}

    def visit(sections: list[dict[str, Any]], path: Where) -> None:
        for key, value in sections[-1].items():
            if isinstance(value, dict):
                visit([*sections, value], (*path, key))
            elif "%(" in (value if isinstance(value, str) else ",".join(value)):
                trail = ((key, id(sections[-1])),)
                try:
                    if isinstance(value, str):
                        filled.append((sections[-1], key, filler.text(value, sections, trail)))
                    else:
                        filled.append((sections[-1], key, [filler.text(part, sections, trail) for part in value]))
                except SettingError as error:
                    bad[*path, key] = str(error)

    visit([tree.values], ())
    for section, key, value in filled:
        section[key] = value
    return bad


class _Filler:
    """Fills references in, within bounds: they can lead to others, and double each other without end."""

    def __init__(self) -> None:
        self._left = _MOST_REFERENCES

    def text(self, text: str, sections: list[dict[str, Any]], trail: tuple[tuple[str, int], ...]) -> str:
        """`sections` are those around the text, outermost first; `trail` the keys that led here."""
        result, end = "", 0
        for match in _REFERENCE.finditer(text):
            self._left -= 1
            if self._left < 0 or len(trail) > _LONGEST_TRAIL:
                raise SettingError("leads to too many other keys with its %(…)s")
            name = match[1]
            found, around = _look_up(name, sections)
            step = (name, id(around[-1]))
            if step in trail:
                raise SettingError(f"%({name})s leads back to itself")
            result += text[end : match.start()] + self.text(found, around, (*trail, step))
            end = match.end()
            if len(result) > LONGEST_LINE:
                raise SettingError("becomes too long with its %(…)s filled in")
        return result + text[end:]


def _look_up(name: str, sections: list[dict[str, Any]]) -> tuple[str, list[dict[str, Any]]]:
    for depth in range(len(sections), 0, -1):
        section = sections[depth - 1]
        default = section.get("DEFAULT")
        for place in (section, default if isinstance(default, dict) else {}):
            value = place.get(name)
            if isinstance(value, str):
                return value, sections[:depth]
            if isinstance(value, list):
                raise SettingError(f"%({name})s is a list, which can't be put into a text")
    raise SettingError(f"%({name})s refers to a key that is not there: correct its name, or write the value itself")
