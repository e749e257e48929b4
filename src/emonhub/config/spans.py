"""Where in the text of an emonhub.conf its sections, keys and values stand: for changing one of them only."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from emonhub.config.syntax import LONGEST_LINE, Where, split_key, split_section

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True, slots=True)
class Span:
    """A line of the text; a value in three quotes and all its lines are one.

    where       of a section or a key, its place; of another line (a comment, nothing, rubbish) the section around it
    start, end  its place in the text, the line end included
    value       of a key, the place of its value, without blanks and comment around it
    """

    kind: Literal["section", "key", "other"]
    where: Where
    start: int
    end: int
    value: tuple[int, int] = (0, 0)


def spans(text: str) -> Iterator[Span]:
    """Every line, in order; together they are the whole text. Exact for a text that can be read without a problem."""
    path: list[str] = []
    lines = list(_lines(text))
    index = 0
    while index < len(lines):
        start, end = lines[index]
        index += 1
        line = text[start:end]
        bare = line.strip()
        section = split_section(bare) if len(bare) <= LONGEST_LINE else None
        if section is not None:
            name, opened, closed = section
            depth = max(opened, closed)
            del path[depth - 1 :]
            path += ["?"] * (depth - 1 - len(path)) + [name]
            yield Span("section", tuple(path), start, end)
            continue
        key, value, problem = ("", "", "none") if not bare or bare[0] == "#" else split_key(bare)
        if problem or len(bare) > LONGEST_LINE:
            yield Span("other", tuple(path), start, end)
            continue
        first = end - len(line[line.find(bare) :]) + len(bare) - len(value)
        if value[:3] in {'"""', "'''"}:
            last, index = _end_of_triple(text, lines, index, first, value[:3])
            end = lines[index - 1][1]
        else:
            last = first + value_end(value)
        yield Span("key", (*path, key), start, end, (first, last))


def _lines(text: str) -> Iterator[tuple[int, int]]:
    separator = "\n" if "\n" in text or "\r" not in text else "\r"
    start = 0
    while start < len(text):
        end = text.find(separator, start) + 1 or len(text)
        yield start, end
        start = end


def _end_of_triple(text: str, lines: list[tuple[int, int]], index: int, first: int, quote: str) -> tuple[int, int]:
    """Where a value in three quotes ends, and the line after it; without a closing quote, its first line is all."""
    close = text.find(quote, first + 3)
    if close < 0:
        start, end = lines[index - 1]
        return start + len(text[start:end].rstrip()), index
    while lines[index - 1][1] < close + 3:
        index += 1
    return close + 3, index


def value_end(value: str) -> int:
    """Where what stands behind the `=` ends: before a comment, and the blanks in front of that."""
    position = 0
    while position < len(value):
        char = value[position]
        if char == "#":
            break
        if char in "\"'":
            closing = re.compile(rf"{char}\s*(?=,|#|$)").search(value, position + 1)
            if closing:
                position = closing.end()
                continue
        if char == "," or char.isspace():
            position += 1
            continue
        ends = [at for at in (value.find(",", position), value.find("#", position)) if at >= 0]
        position = min(ends, default=len(value))
    return len(value[:position].rstrip())
