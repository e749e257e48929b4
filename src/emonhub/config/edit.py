"""Puts settings into the text of an emonhub.conf: what is not asked for stays as it is, to the byte."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from emonhub.config.interfacers import INIT, RUNTIME, other_spelling
from emonhub.config.spans import Span, spans
from emonhub.config.syntax import LONGEST_LINE, Tree, read
from emonhub.errors import SettingError
from emonhub.settings import Raw, describe

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from emonhub.config.syntax import Where
    from emonhub.settings import Setting

_NAME = re.compile(r"[^\W_][\w.\- ]{0,63}")
_STEP = "    "


def edit(
    text: str,
    interfacer: str,
    values: Mapping[str, str | None],
    declarations: Mapping[str, Setting[Any]],
    type_name: str = "",
) -> str:
    """The text with these settings of an interfacer in it, None for what is to have its default again.

    values        as a person writes them behind the `=`, without quotes; lists with commas
    declarations  of the interfacer's class
    type_name     its type; an interfacer that is not there is added with it

    Raises SettingError, with what is wrong in words for the user.
    """
    tree = read(text)
    if tree.problems:
        found = tree.problems[0]
        raise SettingError(f"line {found.line}: {found.message}: mend this first")
    for name in values:
        if name not in declarations:
            raise SettingError(f"{name} is no setting of {type_name or interfacer}")
    wanted = {name: None if value is None else _raw(value, declarations[name]) for name, value in values.items()}
    editor = _Editor(text, interfacer)
    if not editor.is_there:
        editor.add_interfacer(tree, type_name)
    elif type_name:
        editor.set_type(type_name)
    for name, raw in wanted.items():
        editor.put(name, raw, declarations[name].section)
    _check(tree, editor, wanted, type_name)
    return editor.text


def _raw(value: str, declaration: Setting[Any]) -> Raw:
    """What is to be read back for a value that a person has written."""
    value = value.strip()
    if re.search(r"[\x00-\x1f\x7f\x85\u2028\u2029]", value):
        raise SettingError(f"{declaration.name} must be one line")
    if len(value) > LONGEST_LINE // 2:
        raise SettingError(f"{declaration.name} is too long")
    if describe(declaration.kind).name == "list":
        return [part.strip().strip("\"'") for part in value.split(",") if part.strip()]
    return value


def quoted(raw: Raw) -> str:
    """A value as it is written behind the `=`. Raises SettingError for one that can't be."""
    if isinstance(raw, list):
        return ", ".join(map(_quoted, raw)) + ("," if len(raw) < 2 else "")
    return _quoted(raw)


def _quoted(text: str) -> str:
    if text and not re.search(r"[,#]", text) and text[0] not in "\"'" and text == text.strip():
        return text
    for quote in ('"', "'", "'''", '"""'):
        inside = text.replace(quote, "") == text and not (len(quote) == 3 and text.endswith(quote[0]))
        if inside and not (len(quote) == 3 and text.startswith(quote[0])):
            return f"{quote}{text}{quote}"
    raise SettingError("a value with quotes of all kinds can't be written into emonhub.conf")


@dataclass(slots=True)
class _Editor:
    """A text that is being changed. Looked through anew for each change: files are short."""

    text: str
    interfacer: str
    newline: str = field(init=False)

    def __post_init__(self) -> None:
        self.newline = "\r\n" if "\r\n" in self.text else "\n"

    @property
    def is_there(self) -> bool:
        """Whether the interfacer has a section."""
        return any(span.kind == "section" and span.where == self._where() for span in spans(self.text))

    def add_interfacer(self, tree: Tree, type_name: str) -> None:
        """Add it behind the last of the others."""
        if not type_name:
            raise SettingError(f"there is no [[{self.interfacer}]]: to add it, name its type")
        if not _NAME.fullmatch(self.interfacer):
            raise SettingError("a name has letters, digits, blanks, - and _, and starts with a letter or a digit")
        if ("interfacers",) not in tree.lines:
            raise SettingError("the file has no section [interfacers]")
        inside = [span for span in spans(self.text) if span.where[:1] == ("interfacers",)]
        last = [span for span in inside if span.kind != "other"][-1]
        heads = [span for span in inside if span.kind == "section" and len(span.where) == 2]
        indent = self._indent(heads[-1]) if heads else ""
        deeper = [span for span in inside if len(span.where) == 3]
        step = self._indent(deeper[-1]).removeprefix(indent) if deeper else _STEP
        step = step if step.strip(" \t") == "" and step else _STEP
        lines = [
            "",
            f"{indent}[[{self.interfacer}]]",
            f"{indent}{step}Type = {type_name}",
            f"{indent}{step}[[[{INIT}]]]",
            f"{indent}{step}[[[{RUNTIME}]]]",
        ]
        self._insert(last.end, lines)

    def set_type(self, type_name: str) -> None:
        """Give it this type."""
        where = self._where("Type")
        for span in spans(self.text):
            if span.kind == "key" and span.where == where:
                if self.text[slice(*span.value)].strip("\"' ,") != type_name:
                    self._replace(*span.value, type_name)
                return
        self._insert_key(self._where(), "Type", type_name)

    def put(self, name: str, raw: Raw | None, kind: str) -> None:
        """Set or take out one setting; it belongs in the section `kind`."""
        places = [span for span in self._keys(name) if self._kind_of(span.where[2]) in {INIT, RUNTIME}]
        if raw is None:
            for span in reversed(places):
                self._take_out(span)
            return
        places.sort(key=lambda span: (self._kind_of(span.where[2]) != kind, span.where[2] != kind))
        if places:
            self._replace(*places[0].value, quoted(raw))
        else:
            self._insert_key(self._section(kind), name, quoted(raw))

    def _where(self, *parts: str) -> Where:
        return ("interfacers", self.interfacer, *parts)

    def _keys(self, name: str) -> list[Span]:
        return [
            span
            for span in spans(self.text)
            if span.kind == "key" and len(span.where) == 4 and span.where[:2] == self._where() and span.where[3] == name
        ]

    @staticmethod
    def _kind_of(section: str) -> str:
        return section if section in {INIT, RUNTIME} else other_spelling(section)

    def _section(self, kind: str) -> Where:
        """The section that settings of this kind stand in; added where there is none."""
        mine = [span for span in spans(self.text) if span.where[:2] == self._where()]
        heads = [span for span in mine if span.kind == "section" and len(span.where) == 3]
        found = [span.where for span in heads if self._kind_of(span.where[2]) == kind]
        if found:
            return self._where(kind) if self._where(kind) in found else found[0]
        indent = self._indent(heads[0]) if heads else self._indent(mine[0]) + _STEP
        # Settings of the other section that stand behind it would fall into this one, so that it comes last.
        last = [span for span in mine if span.kind != "other"][-1]
        self._insert(last.end, [f"{indent}[[[{kind}]]]"])
        return self._where(kind)

    def _insert_key(self, section: Where, name: str, value: str) -> None:
        """Add a key behind the others of its section, or behind the comment that holds it switched off."""
        all_spans = list(spans(self.text))
        head = next(span for span in all_spans if span.kind == "section" and span.where == section)
        depth = len(section)
        direct = [s for s in all_spans if s.kind == "key" and len(s.where) == depth + 1 and s.where[:-1] == section]
        sample = re.compile(rf"\s*#+\s*{re.escape(name)}\s*=")
        others = [s for s in all_spans if s.kind == "other" and s.where == section]
        samples = [s for s in others if sample.match(self.text[s.start : s.end])]
        after = samples[-1] if samples else direct[-1] if direct and name != "Type" else head
        indent = self._indent(direct[-1]) if direct else self._indent(head) + _STEP
        self._insert(after.end, [f"{indent}{name} = {value}"])

    def _take_out(self, span: Span) -> None:
        """Remove a key; a comment behind it stays."""
        rest = self.text[span.value[1] : span.end]
        if rest.strip():
            self._replace(span.start, span.end, self._indent(span) + rest.lstrip())
        else:
            self._replace(span.start, span.end, "")

    def _indent(self, span: Span) -> str:
        line = self.text[span.start : span.end]
        return line[: len(line) - len(line.lstrip(" \t"))]

    def _insert(self, at: int, lines: Iterable[str]) -> None:
        added = "".join(line + self.newline for line in lines)
        if at and self.text[at - 1] not in "\r\n":
            added = self.newline + added.removesuffix(self.newline)
        self._replace(at, at, added)

    def _replace(self, start: int, end: int, new: str) -> None:
        self.text = self.text[:start] + new + self.text[end:]


def _check(before: Tree, editor: _Editor, wanted: Mapping[str, Raw | None], type_name: str) -> None:
    """Read the result back: it must say what was asked for, and all else as before. Raises SettingError."""
    after = read(editor.text)
    settings = _settings(after, editor.interfacer)
    same = {name: settings.get(name) for name in wanted} == dict(wanted)
    if (
        after.problems
        or not same
        or _rest(before, editor, wanted, type_name) != _rest(after, editor, wanted, type_name)
    ):
        raise SettingError("this can't be put into the file as it is written: edit it as a text")


def _settings(tree: Tree, interfacer: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    section = tree.values["interfacers"][interfacer]
    for kind in (INIT, RUNTIME):
        for name, values in section.items():
            if isinstance(values, dict) and (name == kind or other_spelling(name) == kind):
                found = {**values, **found}
    return found


def _rest(tree: Tree, editor: _Editor, wanted: Mapping[str, Any], type_name: str) -> Any:
    """All that the text says but for what was asked for, and but for sections without anything in them."""

    def strip(values: Any, path: Where) -> Any:
        if not isinstance(values, dict):
            return values
        inside = path[:2] == ("interfacers", editor.interfacer)
        kept = {}
        for key, value in values.items():
            asked = inside and ((len(path) == 3 and key in wanted) or (len(path) == 2 and type_name and key == "Type"))
            if not asked and (found := strip(value, (*path, key))) != {}:
                kept[key] = found
        return kept

    return strip(tree.values, ())
