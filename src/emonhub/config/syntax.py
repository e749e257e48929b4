"""The grammar of emonhub.conf: lines into sections, keys and values, each with its line.

It is ConfigObj's, as emonHub has always read it:

    [section]  [[inside it]]  [[[inside that]]]     depth = number of brackets; indentation means nothing
    key = value                                     a text
    key = a, b,   key = a,   key = ,                lists: of two, of one, of none
    key = "a, b"  key = 'it is # this'              quotes keep commas and hashes; around names and keys too
    key = '''several                                three quotes keep line ends
    lines'''                                        # a comment, at the start of a line or behind a value

ConfigObj itself is not used: its regular expressions take hours over a long list with one quote missing, and its
errors name no key. What it accepts is read here alike.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, TypeAlias

Where: TypeAlias = "tuple[str, ...]"
"""Sections and key, outermost first."""

LONGEST_LINE = 20_000
"""Characters. No setting comes near; without a bound, a file of rubbish keeps a running hub busy for minutes."""

DEEPEST = 16
"""Sections within sections; five are in use. Bounds the recursion of what walks through them."""

_MOST_PROBLEMS = 50
"""A file of something else has one in every line: nobody reads them all."""

_SECTION = re.compile(
    r"""\s* (?P<open>(?:\[\s*)+)
        (?P<name> "\s*\S.*?\s*" | '\s*\S.*?\s*' | [^'"\s].*? )
        (?P<close>(?:\s*\])+) \s*(?:\#.*)?""",
    re.VERBOSE,
)
_QUOTED_KEY = re.compile(r"""(?P<key>".*?"|'.*?')\s*=\s*(?P<value>.*)""")
_LONGEST_HEAD = 500
"""Characters of a section's or a quoted key's name at most: the time of their patterns grows with its square."""


@dataclass(frozen=True, slots=True)
class SyntaxProblem:
    """One thing that can't be read. `key` is empty where it stands against a section's line or no key is known."""

    line: int
    sections: Where
    key: str
    message: str


@dataclass(slots=True)
class Tree:
    """What a text says: nested dicts of texts and lists of texts, and the line of every section and key, from 1."""

    values: dict[str, Any] = field(default_factory=dict)
    lines: dict[Where, int] = field(default_factory=dict)
    problems: list[SyntaxProblem] = field(default_factory=list)


class _BadValue(Exception):
    pass


def read(text: str) -> Tree:
    """Read a whole text. Never raises: what can't be read is among `problems`."""
    return _Reader(_split_lines(text)).read()


def _split_lines(text: str) -> list[str]:
    if "\n" not in text:
        text = text.replace("\r", "\n")
    return [line.rstrip("\r") for line in text.split("\n")]


class _Reader:
    def __init__(self, lines: list[str]) -> None:
        self._lines = lines
        self._tree = Tree()
        self._index = 0
        self._path: list[str] = []
        self._open: list[dict[str, Any]] = [self._tree.values]  # the section of each depth, the file itself first
        self._lost = 0  # from this depth on, sections hang in the air: their own line was bad

    def read(self) -> Tree:
        while self._index < len(self._lines):
            line = self._lines[self._index]
            self._index += 1
            bare = line.strip()
            if len(self._tree.problems) >= _MOST_PROBLEMS:
                self._path = []
                self._problem("", "more that can't be read follows: this is no emonhub.conf, or a quote is not closed")
                break
            if not bare or bare.startswith("#"):
                continue
            if len(line) > LONGEST_LINE:
                self._problem("", f"the line is longer than {LONGEST_LINE} characters: this is no emonhub.conf")
            elif not self._read_section(bare):
                self._read_key(bare)
        return self._tree

    def _problem(self, key: str, message: str, line: int = 0) -> None:
        self._tree.problems.append(SyntaxProblem(line or self._index, tuple(self._path), key, message))

    def _read_section(self, line: str) -> bool:
        """Take the line if it is a section's. Returns whether it is."""
        found = split_section(line)
        if found is None:
            return False
        name, opened, closed = found
        if opened != closed:
            self._problem("", f"section [{name}] has {opened} opening and {closed} closing brackets: make them equal")
        self._enter(name, max(opened, closed), sound=opened == closed)
        return True

    def _enter(self, name: str, depth: int, *, sound: bool) -> None:
        above = len(self._path)
        if sound and depth > DEEPEST:
            self._problem("", f"section {name} is {depth} sections deep: {DEEPEST} are the most")
            sound = False
        elif sound and depth > above + 1:
            self._problem(
                "",
                f"section {_bracketed(name, depth)} stands directly in {self._here()}: "
                f"a section is missing above it, or it has brackets too many",
            )
            sound = False
        del self._path[depth - 1 :], self._open[depth:]
        if self._lost and self._lost >= depth:
            self._lost = 0
        while len(self._path) < min(depth, DEEPEST) - 1:
            self._path.append("?")
            self._open.append({})
        parent = self._open[-1]
        self._path.append(name)
        where = tuple(self._path)
        section: dict[str, Any] = {}
        if sound and name in parent:
            self._problem("", f"{_bracketed(name, depth)} is there twice, first in line {self._first(where)}: {_TWICE}")
            sound = False
        self._open.append(section)
        if sound:
            parent[name] = section
        elif not self._lost:
            self._lost = depth
        if not self._lost:
            self._tree.lines[where] = self._index

    def _here(self) -> str:
        if not self._path:
            return "the file"
        return _bracketed(self._path[-1], len(self._path))

    def _first(self, where: Where) -> int:
        return self._tree.lines.get(where, 0)

    def _read_key(self, line: str) -> None:
        start = self._index
        key, value, message = split_key(line)
        if message:
            self._problem("", message)
            return
        try:
            read: str | list[str] = self._read_triple(value) if value[:3] in {'"""', "'''"} else split_value(value)
        except _BadValue as error:
            self._index = start
            self._problem(key, str(error))
            return
        section = self._open[-1]
        where = (*self._path, key)
        if key in section:
            self._problem(key, f"is there twice, first in line {self._first(where)}: {_TWICE}", start)
            return
        section[key] = read
        if not self._lost:
            self._tree.lines[where] = start

    def _read_triple(self, value: str) -> str:
        quote = value[:3]
        found = re.fullmatch(rf"(.*?){quote}\s*(?:#.*)?", value[3:])
        if found:
            return found[1]
        if quote in value[3:]:
            raise _BadValue(f"something stands behind the closing {quote}")
        parts = [value[3:]]
        while self._index < len(self._lines):
            line = self._lines[self._index]
            self._index += 1
            if quote in line and len(line) <= LONGEST_LINE:
                found = re.fullmatch(rf"(.*?){quote}\s*(?:#.*)?", line)
                if not found:
                    raise _BadValue(f"something stands behind the closing {quote} in line {self._index}")
                return "\n".join([*parts, found[1]])
            parts.append(line)
        raise _BadValue(f"the quote {quote} is never closed")


_TWICE = "put both together, or take one out"


def split_section(line: str) -> tuple[str, int, int] | None:
    """A section's name and how many brackets open and close around it; None for a line that is no section's."""
    if not line.startswith("["):
        return None
    match = _SECTION.fullmatch(line) if len(line) <= _LONGEST_HEAD else _shortened(line)
    if match is None:
        return None
    return _unquote(match["name"]), match["open"].count("["), match["close"].count("]")


def _shortened(line: str) -> re.Match[str] | None:
    """A long section line: only its comment may be long."""
    head, hash_sign, _ = line[:_LONGEST_HEAD].rpartition("#")
    return _SECTION.fullmatch(head) if hash_sign else None


def _bracketed(name: str, depth: int) -> str:
    return "[" * depth + name + "]" * depth


def _unquote(text: str) -> str:
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'" else text


def split_key(line: str) -> tuple[str, str, str]:
    """Key, value, and why that can't be told."""
    if line[0] in "\"'":
        match = _QUOTED_KEY.match(line) if "=" in line[:_LONGEST_HEAD] else None
        if match is None:
            return "", "", "the line starts with a quote that is not closed, or has no = behind it"
        return _unquote(match["key"]), match["value"], ""
    key, equals, value = line.partition("=")
    if not equals:
        if line.startswith("["):
            return "", "", "the line is no section: brackets must be closed, and only a # comment may follow"
        return "", "", "the line is neither a [section] nor a key = value: add the =, or a # in front of a comment"
    if not key:
        return "", "", "the line has no name in front of the ="
    return key.rstrip(), value.strip(), ""


def split_value(text: str) -> str | list[str]:
    """What stands behind the `=`: a text, or a list where there is a comma. Raises _BadValue."""
    items: list[str] = []
    position, is_list = 0, False
    while position < len(text):
        if text[position].isspace():
            position += 1
            continue
        if text[position] == "#":
            break
        if text[position] == ",":
            if not items and re.fullmatch(r",\s*(?:#.*)?", text[position:]):
                return []
            raise _BadValue("has nothing between two commas, or in front of the first")
        item, position = _next_item(text, position)
        items.append(item)
        while position < len(text) and text[position].isspace():
            position += 1
        if position < len(text) and text[position] == ",":
            is_list = True
            position += 1
        else:
            break
    return items if is_list else items[0] if items else ""


def _next_item(text: str, start: int) -> tuple[str, int]:
    """The item that starts here, and where it ends."""
    quote = text[start]
    comma = text.find(",", start)
    comment = text.find("#", start)
    end = min((at for at in (comma, comment) if at >= 0), default=len(text))
    if quote in "\"'":
        match = re.compile(rf"{quote}\s*(?=,|#|$)").search(text, start + 1)
        if match:
            return text[start + 1 : match.start()], match.start() + 1
        # A lone quote behind a comma and a blank has always been taken as it is, if another item follows.
        if not (start and text[start - 1].isspace() and end == comma):
            kind = "a quote" if quote == '"' else "an apostrophe"
            raise _BadValue(f"starts with {kind} that is not closed: close it, or put quotes of the other sort around")
    return text[start:end].rstrip(), end
