"""A frame as emoncms takes it, all but its time: written as text, and read back from it.

index form   17,3,240,-44                                     node id, values by position, rssi last
names form   "emonTx",{"P1":3,"Vrms":240,"rssi":-44}
with gaps    17,{"1":3,"3":240,"4":-44}                       a value is missing: the others by position
"""

from __future__ import annotations

import json
import re
from functools import partial
from typing import TYPE_CHECKING, Any

from emonhub import Cargo, FrameError, Layout, NodeId, Value

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

_STRIPPED = re.compile(r"[^\w\-.\s]")
"""What emoncms takes out of node and input names."""

_ESCAPED = re.compile(r"[\x00-\x1f]")
"""What JSON would write with a backslash. emoncms takes backslashes out of forms."""

_MAX_LAYOUTS = 4096


def _node_text(node: NodeId) -> str:
    return str(node) if isinstance(node, int) else quoted(node, "0")


def quoted(name: str, unnamed: str) -> str:
    """A name as JSON, without what emoncms would take out of it, and with nothing that a form would spoil."""
    clean = _ESCAPED.sub(" ", _STRIPPED.sub("", name))
    return json.dumps(clean if clean.strip() else unnamed, ensure_ascii=False)


class _Formats(dict[int, str]):
    """Format texts by number of values, each made when it is first asked for."""

    def __init__(self, make: Callable[[int], str]) -> None:
        super().__init__()
        self._make = make

    def __missing__(self, count: int) -> str:
        text = self[count] = self._make(count)
        return text


class Writer:
    """Writes the frames of one layout.

    All that does not change from frame to frame is in a format text, one for each number of values, made once.
    `odd` is told of a number of values that the names don't fit.
    """

    def __init__(self, node: NodeId, names: tuple[str, ...], odd: Callable[[int], None]) -> None:
        self._node = _node_text(node)
        self._names = [quoted(name, str(i)) for i, name in enumerate(names, 1)]
        self._odd = odd
        self._without_rssi = _Formats(partial(self._format, with_rssi=False))
        self._with_rssi = _Formats(partial(self._format, with_rssi=True))

    def write(self, cargo: Cargo) -> str:
        """One frame, from behind its time on."""
        values = cargo.values
        if None in values:
            return self._with_gaps(cargo)
        rssi = cargo.rssi
        if rssi:
            return self._with_rssi[len(values)] % (*values, rssi)
        return self._without_rssi[len(values)] % values

    def _named(self, count: int) -> bool:
        if self._names and len(self._names) != count:
            self._odd(count)
        return bool(self._names) and len(self._names) == count

    def _format(self, count: int, *, with_rssi: bool) -> str:
        if not count:
            raise FrameError("no value", "the frame has no values")
        parts = ["%s"] * count + ["%d"] * with_rssi
        node = self._node.replace("%", "%%")
        if self._named(count):
            names = [name.replace("%", "%%") for name in (*self._names, '"rssi"')]
            text = f"{node},{{{','.join(map('{}:{}'.format, names, parts))}}}"
        else:
            text = f"{node},{','.join(parts)}"
        return text

    def _with_gaps(self, cargo: Cargo) -> str:
        """A frame in which some value is missing: emoncms takes null for 0, so the value is left out by name."""
        count = len(cargo.values)
        named = self._named(count)
        names: Sequence[str] = self._names if named else [f'"{i}"' for i in range(1, count + 1)]
        pairs = [f"{n}:{v}" for n, v in zip(names, cargo.values, strict=True) if v is not None]
        if not pairs:
            raise FrameError("no value", "no value in the frame is a number")
        if cargo.rssi:
            pairs.append(f'"rssi":{cargo.rssi}' if named else f'"{count + 1}":{cargo.rssi}')
        return f"{self._node},{{{','.join(pairs)}}}"


class Reader:
    """Reads records back. Frames that mean the same share their layout."""

    def __init__(self) -> None:
        self._layouts: dict[tuple[Any, ...], Layout] = {}

    def read(self, record: str, time: float, notes: Mapping[str, Any]) -> Cargo | None:
        """The cargo that was written as `record`; None when it is none of these forms.

        A last value beyond the node's names is its rssi where it can be one. Without a note nothing tells that, and
        it stays a value.
        """
        try:
            node, *values = json.loads(f"[{record}]", object_pairs_hook=tuple)
        except (ValueError, RecursionError):
            return None
        if not values or not isinstance(node, int | str) or isinstance(node, bool):
            return None
        note = notes.get(str(node)) or _stripped_note(node, notes) or {}
        names = tuple(note.get("names", ()))
        found = _from_pairs(values, names) if isinstance(values[0], tuple) else _from_list(values, names)
        if found is None:
            return None
        names, values, rssi = found
        nodename = note.get("nodename", node if isinstance(node, str) else "")
        layout = self._layout(note.get("node", node), nodename, names, tuple(note.get("units", ())))
        return Cargo(layout, tuple(values), time, rssi)

    def _layout(self, *meaning: Any) -> Layout:
        layout = self._layouts.get(meaning)
        if layout is None:
            if len(self._layouts) >= _MAX_LAYOUTS:
                self._layouts.clear()
            layout = self._layouts[meaning] = Layout(*meaning)
        return layout


_Found = tuple[tuple[str, ...], list[Value], int]


def _stripped_note(node: int | str, notes: Mapping[str, Any]) -> Any:
    """The note of a node whose name was written without some of its characters."""
    written = json.dumps(node, ensure_ascii=False)
    return next((note for name, note in notes.items() if quoted(name, "0") == written), None)


def _from_list(values: list[Any], names: tuple[str, ...]) -> _Found | None:
    if not all(map(_is_number, values)):
        return None
    if names and len(values) == len(names) + 1 and _is_rssi(values[-1]):
        return names, values[:-1], values[-1]
    return names, values, 0


def _from_pairs(values: list[Any], names: tuple[str, ...]) -> _Found | None:
    pairs = list(values[0])
    if len(values) > 1 or not pairs or not all(isinstance(pair, tuple) and _is_number(pair[1]) for pair in pairs):
        return None
    written = [json.loads(quoted(name, str(i))) for i, name in enumerate(names, 1)]
    by_name = _placed(pairs, [*written, "rssi"])
    if by_name is not None:
        *rest, rssi = by_name
        return (names, rest, rssi or 0) if rest else (("rssi",), [rssi], 0)
    if all(key.isdecimal() for key, _ in pairs):
        count = max(int(key) for key, _ in pairs)
        by_position = _placed(pairs, list(map(str, range(1, min(count, 1 << 12) + 1))))
        if by_position is not None:
            return _from_gaps(by_position, names)
    rssi = pairs.pop()[1] if len(pairs) > 1 and pairs[-1][0] == "rssi" and _is_rssi(pairs[-1][1]) else 0
    return tuple(key for key, _ in pairs), [value for _, value in pairs], rssi


def _from_gaps(values: list[Value], names: tuple[str, ...]) -> _Found:
    if names and len(values) == len(names) + 1 and _is_rssi(values[-1]):
        return names, values[:-1], int(values[-1] or 0)
    return names, values + [None] * (len(names) - len(values)), 0


def _placed(pairs: list[tuple[str, Any]], keys: list[str]) -> list[Any] | None:
    """The values in the order of `keys`, None for those without; None when there is a key that is not among them."""
    waiting = iter([*pairs, ("", None)])
    key, value = next(waiting)
    found: list[Any] = []
    for wanted in keys:
        if key == wanted:
            found.append(value)
            key, value = next(waiting)
        else:
            found.append(None)
    return found if next(waiting, None) is None else None


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value - value == 0


def _is_rssi(value: Any) -> bool:
    return isinstance(value, int) and value < 0
