"""Secrets in the text of an emonhub.conf, masked for people to see it, and put back into what they return.

In the text that is shown, a secret is `********`. In an older version of the file it is `********~<version>` where
the file has another one now. Both are put back, at the key or in the line where they were.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from emonhub import plugins
from emonhub.config.model import MASK, Problem
from emonhub.config.secrets import REFERENCE, secret_ranges
from emonhub.config.spans import spans
from emonhub.settings import declared

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from emonhub.config.spans import Span
    from emonhub.config.syntax import Where

_NAME = r"(?:pass(?:w(?:or)?d|phrase|code)?|pwd|secret|token|api_?key|(?<![a-z])key)s?"
_SECRET_NAME = re.compile(rf"[\w.-]{{0,60}}{_NAME}", re.IGNORECASE)
_IN_COMMENT = re.compile(rf"{_NAME} ?[=:]\s*(\S.*)", re.IGNORECASE)
_TOKEN = re.compile(re.escape(MASK) + r"(?:~([0-9]+-[0-9a-f]+))?")
_LONG_ENOUGH = 12
"""Characters of a secret that is looked for in the rest of the text, too: shorter ones may be words like others."""


@dataclass(frozen=True, slots=True)
class _Hidden:
    """A secret: where it stands in the text, and what a mask for it is found by."""

    start: int
    end: int
    place: tuple[str, ...]


@dataclass(slots=True)
class _Source:
    """A text that masks stand for."""

    by_place: dict[tuple[str, ...], list[str]] = field(default_factory=lambda: defaultdict(list))
    by_line: dict[str, list[tuple[tuple[str, ...], list[str]]]] = field(default_factory=lambda: defaultdict(list))


def mask(text: str, also: Iterable[str] = (), *, version: str = "", now: str = "") -> str:
    """The text for people to see. `also` are secrets that are known from elsewhere.

    For an older `version`, `now` is the text that is in force.
    """
    hidden = _find(text, also)
    same: Mapping[tuple[str, ...], list[str]] = _source(now, also).by_place if version else {}
    counted: dict[tuple[str, ...], int] = defaultdict(int)
    parts, end = [], 0
    for found in hidden:
        index = counted[found.place]
        counted[found.place] += 1
        secret = text[found.start : found.end]
        known = same.get(found.place, [])
        differs = bool(version) and (index >= len(known) or known[index] != secret)
        parts += [text[end : found.start], f"{MASK}~{version}" if differs else MASK]
        end = found.end
    return "".join(parts) + text[end:]


def unmask(text: str, texts: Mapping[str, str], also: Iterable[str] = ()) -> tuple[str, list[Problem]]:
    """The text with its masks replaced by what they stand for, and a problem for each that stands for nothing.

    texts   what was masked, by version; "" is the one in force
    """
    sources = {version: _source(of, also) for version, of in texts.items()}
    parts: list[str] = []
    problems = []
    for span in spans(text):
        line = text[span.start : span.end]
        tokens = list(_TOKEN.finditer(line))
        secrets = _secrets_for(span, line, tokens, sources) if tokens else []
        if secrets is None:
            number = text.count("\n", 0, span.start) + 1
            where = span.where if span.kind == "key" else ()
            message = f"{MASK} stands for a secret that is not known here: write the secret itself"
            problems.append(Problem("error", number, where, "", message))
            secrets = [token[0] for token in tokens]
        end = 0
        for token, secret in zip(tokens, secrets, strict=True):
            parts += [line[end : token.start()], secret]
            end = token.end()
        parts.append(line[end:])
    return "".join(parts), problems


def _secrets_for(
    span: Span, line: str, tokens: Sequence[re.Match[str]], sources: Mapping[str, _Source]
) -> list[str] | None:
    found = []
    for index, token in enumerate(tokens):
        source = sources.get(token[1] or "")
        if source is None:
            return None
        known = source.by_place.get(_place(span, line), [])
        if len(known) != len(tokens):
            # The section has another name now, perhaps: taken only where it can be no other secret.
            others = {tuple(secrets) for _, secrets in source.by_line.get(_TOKEN.sub(MASK, line).strip(), ())}
            known = list(others.pop()) if len(others) == 1 else []
        if len(known) != len(tokens):
            return None
        found.append(known[index])
    return found


def _source(text: str, also: Iterable[str] = ()) -> _Source:
    source = _Source()
    in_lines: dict[tuple[int, int], list[_Hidden]] = defaultdict(list)
    hidden = _find(text, also)
    lines = [(span.start, span.end) for span in spans(text)]
    index = 0
    for found in hidden:
        source.by_place[found.place].append(text[found.start : found.end])
        while found.start >= lines[index][1]:
            index += 1
        in_lines[lines[index]].append(found)
    for (start, end), of_line in in_lines.items():
        masked, last = "", start
        for found in of_line:
            masked += text[last : found.start] + MASK
            last = found.end
        secrets = [text[found.start : found.end] for found in of_line]
        source.by_line[(masked + text[last:end]).strip()].append((of_line[0].place, secrets))
    return source


def _place(span: Span, line: str) -> tuple[str, ...]:
    return ("key", *span.where) if span.kind == "key" else ("line", _TOKEN.sub(MASK, line).strip())


def _find(text: str, also: Iterable[str]) -> list[_Hidden]:
    all_spans = list(spans(text))
    names = _secret_names(text, all_spans)
    ranges: dict[tuple[int, int], Span] = {}
    texts = {secret for secret in also if len(secret) >= _LONG_ENOUGH}
    for span in all_spans:
        for start, end in _in_span(text, span, names):
            ranges[start, end] = span
            if span.kind == "key" and end - start >= _LONG_ENOUGH:
                texts.add(text[start:end].strip("\"'"))
    pattern = _any_of(texts)
    for span in all_spans:
        if pattern is not None and span.kind != "section":
            for match in pattern.finditer(text, span.value[0] or span.start, span.end):
                ranges[match.span()] = span
    found = []
    last = 0
    for (start, end), span in sorted(ranges.items(), key=lambda item: (item[0][0], -item[0][1])):
        if start >= last and end > start:
            found.append((start, end, span))
            last = end
    of_span: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for start, end, span in found:
        of_span[span.start].append((start, end))
    places = {span.start: _place_of(text, span, of_span[span.start]) for _, _, span in found}
    return [_Hidden(start, end, places[span.start]) for start, end, span in found]


def _place_of(text: str, span: Span, ranges: Iterable[tuple[int, int]]) -> tuple[str, ...]:
    if span.kind == "key":
        return ("key", *span.where)
    masked, last = "", span.start
    for start, end in ranges:
        masked += text[last:start] + MASK
        last = end
    return ("line", (masked + text[last : span.end]).strip())


def _any_of(texts: Iterable[str]) -> re.Pattern[str] | None:
    words = sorted((re.escape(t) for t in texts if len(t) >= _LONG_ENOUGH), key=len, reverse=True)
    return re.compile("|".join(words)) if words else None


def _in_span(text: str, span: Span, names: Mapping[Where, frozenset[str]]) -> list[tuple[int, int]]:
    line = text[span.start : span.end]
    found = [(span.start + start, span.start + end) for start, end in secret_ranges(line)]
    found += [(span.start + match.start(), span.start + match.end()) for match in re.finditer(re.escape(MASK), line)]
    if span.kind == "key":
        key = span.where[-1]
        value = text[slice(*span.value)]
        if (key in names.get(span.where[:2], ()) or _SECRET_NAME.fullmatch(key)) and _is_plain(value):
            quotes = 3 if value[:3] in {'"""', "'''"} and len(value) > 5 else 0
            found += _lines_of(text, span.value[0] + quotes, span.value[1] - quotes)
    comment = span.value[1] if span.kind == "key" else span.start
    match = _IN_COMMENT.search(text[comment : span.end].rstrip())
    if match:
        found.append((comment + match.start(1), comment + match.end(1)))
    return found


def _is_plain(value: str) -> bool:
    """Whether a value says more than where the secret is to be found."""
    return bool(REFERENCE.sub("", value).strip(" \t\r\n,\"'"))


def _lines_of(text: str, start: int, end: int) -> list[tuple[int, int]]:
    """A range, cut at the ends of lines, so that those stay where they are."""
    return [(start + m.start(), start + m.end()) for m in re.finditer(r"[^\r\n]+", text[start:end])]


def _secret_names(text: str, all_spans: Iterable[Span]) -> dict[Where, frozenset[str]]:
    """Names of secret settings, by interfacer."""
    found: dict[Where, frozenset[str]] = {}
    for span in all_spans:
        if span.kind == "key" and len(span.where) == 3 and span.where[::2] == ("interfacers", "Type"):
            cls = plugins.find(text[slice(*span.value)].strip(" ,\"'")).cls
            if cls is not None:
                found[span.where[:2]] = frozenset(n for n, setting in declared(cls).items() if setting.secret)
    return found
