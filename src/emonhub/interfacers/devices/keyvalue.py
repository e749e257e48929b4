"""Lines of named values: `MSG:2,V1:245.1,P1:100`, or the same as a JSON object."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from emonhub import Cargo, FrameError

if TYPE_CHECKING:
    from emonhub import Interfacer, NodeId

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?|[+-]?(nan|inf|infinity)", re.ASCII | re.IGNORECASE)
_MAX_PAIRS = 250
"""The largest of the family prints less than fifty; what has more is no frame."""


@dataclass(slots=True)
class Pairs:
    """What a line says. `problems` has (reason, detail) for each pair that had to be left out."""

    values: dict[str, float] = field(default_factory=dict)
    problems: list[tuple[str, str]] = field(default_factory=list)

    def cargo(self, interfacer: Interfacer, node: NodeId, now: float, raw: bytes = b"") -> Cargo:
        """The frame of `node` with these values. Raises FrameError when there are none, or nobody wants the node."""
        for reason, detail in self.problems:
            interfacer.note_bad_value(reason, f"node {node}: {detail}")
        if not self.values:
            raise FrameError("no values", f"node {node}: no value of the frame can be used")
        return named_cargo(interfacer, node, self.values, now, raw)

    def take(self, name: str, value: float | str) -> None:
        """Take a pair over, or note what is wrong with it."""
        shown = f"{name[:40]!r}"
        if not _NAME.fullmatch(name):
            self.problems.append(("bad name", f"{shown} is no name of letters, digits, _ and -"))
        elif isinstance(value, str) and not _NUMBER.fullmatch(value):
            self.problems.append(("non-numeric", f"{name} = {value[:40]!r} is no number"))
        elif not abs(number := float(value)) < _LARGEST:
            self.problems.append(("not finite", f"{name} = {str(value)[:40]} is left out"))
        else:
            if name in self.values:
                self.problems.append(("name twice", f"{name} comes twice; the first one is left out"))
            self.values[name] = int(number) if number.is_integer() and abs(number) < _EXACT else number


_LARGEST = 1e270
"""Beyond this a scale could make an infinity of it, and no target takes it."""

_EXACT = 1 << 53


def named_cargo(interfacer: Interfacer, node: NodeId, values: dict[str, float], now: float, raw: bytes = b"") -> Cargo:
    """A frame of values with names, scaled and named as [nodes] has it. Raises FrameError when it is unwanted."""
    meaning = interfacer.decoders.named(node, tuple(values))
    return Cargo(meaning.layout, meaning.values(tuple(values.values())), now, raw=raw)


def read_pairs(text: str) -> Pairs:
    """The pairs of `name:value,name:value`. Parts without a colon, and names without a value, are passed over."""
    found = Pairs()
    parts = text.split(",")
    if len(parts) > _MAX_PAIRS:
        raise FrameError("length", f"{len(parts)} pairs in one line")
    for part in parts:
        name, colon, value = part.partition(":")
        if not colon or not value.strip():
            continue
        if ":" in value:
            found.problems.append(("bad pair", f"{part[:40]!r} has more than one colon"))
        else:
            found.take(name.strip(), value.strip())
    return found


def read_json(text: str) -> Pairs:
    """The pairs of a JSON object of names and numbers. Raises FrameError for any other text."""
    try:
        members = json.loads(text, object_pairs_hook=list)
    except (ValueError, RecursionError) as error:
        raise FrameError("bad JSON", str(error)[:100]) from None
    if not text.startswith("{"):
        raise FrameError("bad JSON", "it is no object of names and numbers")
    if len(members) > _MAX_PAIRS:
        raise FrameError("length", f"{len(members)} pairs in one object")
    found = Pairs()
    for name, value in members:
        if isinstance(value, bool) or not isinstance(value, int | float | str):
            found.problems.append(("non-numeric", f"{name[:40]} is no number"))
        elif isinstance(value, int) and abs(value) > 1 << 64:
            found.problems.append(("out of range", f"{name[:40]} is too large"))
        else:
            found.take(name, value.strip() if isinstance(value, str) else value)
    return found
