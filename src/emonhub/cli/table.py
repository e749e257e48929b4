"""A live picture of a hub in the terminal: nodes side by side, interfacers, the newest log lines; always one screen.

Reads the hub; the hub knows nothing of it. What does not fit is left out by rank: values that have changed come
before those that stand still, and a node's powers and temperatures before its counters.
"""

from __future__ import annotations

import logging
from collections import deque
from dataclasses import dataclass
from time import strftime
from typing import TYPE_CHECKING

from rich.cells import cell_len
from rich.text import Text

from emonhub.reporter import Reporter
from emonhub.supervisor import State

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from emonhub.cargo import Cargo, Value
    from emonhub.hub import Hub
    from emonhub.interfacer import Interfacer

_STALE_S = 60.0
"""A node unheard for so long stands out."""

_HISTORY = 32
_MAX_NODES = 60

_CARD_WIDTH = 37
"""Columns that a node needs: its longest usual names, the number, the unit, and some of its course."""

_GAP = 3
_NUMBER_WIDTH = 8
_UNIT_WIDTH = 3
_NAME_WIDTH = 20
_LEAST_CARD = 4
"""Lines: a title and three values. With less of each, nodes take turns."""

_PAGE_S = 6.0
_LEAST_LOG = 3

_SPARKS = "▁▂▃▄▅▆▇█"

_STATE_STYLE = {
    State.RUNNING: "green",
    State.STARTING: "cyan",
    State.WAITING: "yellow",
    State.FAILED: "red",
    State.REFUSED: "red",
    State.STOPPED: "dim",
}

_SHOWN_UNIT = {"C": "°C", "n": "", "p": ""}

_RANK_OF_UNIT = {unit: rank for rank, unit in enumerate(("W", "VA", "C", "°C", "%", "V", "A", "Hz", "kWh", "Wh"))}
_LEAST_RANK = len(_RANK_OF_UNIT)


class LastLines(logging.Handler):
    """The newest log lines."""

    def __init__(self, count: int = 40) -> None:
        super().__init__()
        self.lines: deque[tuple[int, str]] = deque(maxlen=count)

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one."""
        by = record.name.rpartition(".")[2]
        self.lines.append((record.levelno, f"{strftime('%H:%M:%S')} {by:<8} {record.getMessage()}"))


class Latest:
    """The newest cargo of every node, and how its values went. Subscribes to a hub's channels."""

    def __init__(self) -> None:
        self.cargos: dict[str, Cargo] = {}
        self.frames = 0
        self._history: dict[tuple[str, int], deque[float]] = {}
        self._changing: set[tuple[str, int]] = set()

    def accept(self, cargos: list[Cargo]) -> None:
        """Take note of these."""
        for cargo in cargos:
            label = cargo.layout.label
            if label not in self.cargos and len(self.cargos) >= _MAX_NODES:
                continue
            self.frames += 1
            self.cargos[label] = cargo
            for index, value in enumerate(cargo.values):
                if value is not None:
                    self._note((label, index), value)

    def _note(self, key: tuple[str, int], value: float) -> None:
        history = self._history.setdefault(key, deque(maxlen=_HISTORY))
        if history and history[-1] != value:
            self._changing.add(key)
        history.append(value)

    def course(self, label: str, index: int, width: int) -> str:
        """How a value went of late, in so many columns."""
        return spark(list(self._history.get((label, index), ()))[-width:])

    def chosen(self, label: str, count: int) -> list[int]:
        """The indices of a node's `count` most telling values, in the node's own order."""
        layout = self.cargos[label].layout

        def rank(index: int) -> tuple[bool, int, int]:
            still = (label, index) not in self._changing
            return still, _RANK_OF_UNIT.get(layout.unit_of(index), _LEAST_RANK), index

        return sorted(sorted(range(len(self.cargos[label].values)), key=rank)[:count])


def screen(hub: Hub, latest: Latest, log: LastLines, title: Sequence[str], size: tuple[int, int]) -> Text:
    """The whole screen; `size` is how many columns and lines there are."""
    width, height = size
    head = [_cut(Text(title[0], style="bold reverse"), width, fill=True)]
    head += [_cut(Text(line, style="dim"), width) for line in title[1:]]
    interfacers = [_cut(line, width) for line in _interfacers(hub)]
    room = height - len(head) - len(interfacers) - _LEAST_LOG - 2
    nodes = _nodes(latest, hub.world.time(), width, max(room, _LEAST_CARD))
    lines = [*head, *nodes, Text(), *interfacers, Text()][:height]
    lines += [_cut(line, width) for line in _log(log, height - len(lines))]
    return Text("\n").join(lines[:height])


def plain(hub: Hub, latest: Latest) -> str:
    """Everything that is known, a line a node and an interfacer: for where the output is no terminal."""
    lines = []
    for label, cargo in sorted(latest.cargos.items()):
        layout = cargo.layout
        values = (
            f"{layout.name_of(i)} {shown(value)} {_SHOWN_UNIT.get(layout.unit_of(i), layout.unit_of(i))}".strip()
            for i, value in enumerate(cargo.values)
        )
        lines.append(f"{label}: {', '.join(values)}")
    lines += [line.plain.strip() for line in _interfacers(hub)]
    return "\n".join(lines)


# Nodes


@dataclass(slots=True)
class _Card:
    label: str
    height: int


def _nodes(latest: Latest, now: float, width: int, height: int) -> list[Text]:
    if not latest.cargos:
        return [Text(), Text("Waiting for the first frame ...", style="dim")]
    columns = max(1, min(len(latest.cargos), (width + _GAP) // (_CARD_WIDTH + _GAP)))
    card_width = (width - _GAP * (columns - 1)) // columns
    labels, page = _page(sorted(latest.cargos), columns * max(1, height // _LEAST_CARD), now)
    cards = [_Card(label, 2 + len(latest.cargos[label].values)) for label in labels]
    drawn = []
    for column in _columns(cards, columns):
        _share(column, height)
        lines = [line for card in column for line in _card(latest, card, now, card_width)]
        drawn.append(lines[:-1])  # the last card needs no distance to a next one
    rows = []
    for row in range(max(map(len, drawn))):
        parts = [_cut(lines[row] if row < len(lines) else Text(), card_width, fill=True) for lines in drawn]
        rows.append(Text(" " * _GAP).join(parts))
    return [*rows, *page]


def _page(labels: list[str], fitting: int, now: float) -> tuple[list[str], list[Text]]:
    """The nodes whose turn it is, and a line that says so where not all of them fit."""
    if len(labels) <= fitting:
        return labels, []
    pages = -(-len(labels) // fitting)
    page = int(now / _PAGE_S) % pages
    shown_now = labels[page * fitting : (page + 1) * fitting]
    return shown_now, [Text(f"Nodes take turns: page {page + 1} of {pages}", style="dim")]


def _columns(cards: list[_Card], count: int) -> list[list[_Card]]:
    """Cards in columns of about the same height; each column in the order of the names."""
    columns: list[list[_Card]] = [[] for _ in range(count)]
    for card in sorted(cards, key=lambda card: -card.height):
        min(columns, key=lambda column: sum(other.height for other in column)).append(card)
    for column in columns:
        column.sort(key=lambda card: card.label)
    return sorted((column for column in columns if column), key=lambda column: column[0].label)


def _share(cards: list[_Card], height: int) -> None:
    """Make the tallest cards of a column lower until it fits."""
    while sum(card.height for card in cards) > height + 1:
        tallest = max(cards, key=lambda card: card.height)
        if tallest.height <= _LEAST_CARD:
            return
        tallest.height -= 1


def _card(latest: Latest, card: _Card, now: float, width: int) -> Iterable[Text]:
    cargo = latest.cargos[card.label]
    layout = cargo.layout
    age = now - cargo.time
    values = latest.chosen(card.label, card.height - 2)
    hidden = len(cargo.values) - len(values)
    about = [f"{age:.0f} s"] + [f"{cargo.rssi} dBm"] * bool(cargo.rssi) + [f"{hidden} more"] * bool(hidden)
    right = "  ".join(about)
    stale = age > _STALE_S
    title = _cut(Text(card.label, style="bold cyan"), width - cell_len(right) - 1, fill=True)
    yield title + Text(f" {right}", style="yellow" if stale else "dim")
    name_width = min(_NAME_WIDTH, width - _NUMBER_WIDTH - _UNIT_WIDTH - 10)
    for index in values:
        line = _cut(Text(layout.name_of(index)), name_width, fill=True)
        line.append(f" {shown(cargo.values[index]):>{_NUMBER_WIDTH}}", style="yellow" if stale else "bold")
        unit = layout.unit_of(index)
        line.append(f" {_SHOWN_UNIT.get(unit, unit):<{_UNIT_WIDTH}}", style="dim")
        line.append(f" {latest.course(card.label, index, width - cell_len(line.plain) - 1)}", style="blue")
        yield line
    yield Text()


def shown(value: Value) -> str:
    """A number as people read it."""
    if value is None:
        return "–"
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)


def spark(values: Sequence[float]) -> str:
    """A course as a line of bars; empty for one that stands still."""
    if len(values) < 2 or min(values) == max(values):
        return ""
    low = min(values)
    step = (max(values) - low) / (len(_SPARKS) - 1)
    return "".join(_SPARKS[round((value - low) / step)] for value in values)


# Interfacers and log


def _interfacers(hub: Hub) -> list[Text]:
    states: list[tuple[str, State, str]] = [
        (name, runner.state, _did(runner.interfacer, runner.last_error)) for name, runner in hub.runners.items()
    ]
    states += [(n, State.REFUSED, refused.reason) for n, refused in hub.refused.items() if n not in hub.runners]
    widest = max((cell_len(name) for name, _, _ in states), default=0)
    lines = []
    for name, state, did in states:
        line = Text("● ", style=_STATE_STYLE[state])
        line.append(_cut(Text(name, style="bold"), widest + 1, fill=True))
        line.append(f"{state.value:<9}", style=_STATE_STYLE[state])
        line.append(did)
        lines.append(line)
    return lines


def _did(interfacer: Interfacer, error: str) -> str:
    if isinstance(interfacer, Reporter):
        parts = [
            f"{_count(interfacer.acknowledged, 'frame')} delivered in {_count(interfacer.requests, 'request')}",
            f"{interfacer.buffer.frames} waiting",
            interfacer.trouble,
            *(f"{count} dropped ({reason})" for reason, count in interfacer.dropped.items()),
            f"{interfacer.dead} refused for good" if interfacer.dead else "",
        ]
    else:
        parts = [_count(interfacer.received, "frame") if interfacer.received else ""]
        parts += [f"{count} {reason}" for reason, count in interfacer.bad.items()]
    return ", ".join(part for part in (*parts, interfacer.endpoint(), error) if part)


def _log(log: LastLines, count: int) -> list[Text]:
    lines = []
    for level, line in list(log.lines)[-count:] if count > 0 else []:
        style = "red" if level >= logging.ERROR else "yellow" if level >= logging.WARNING else "dim"
        lines.append(Text(line.replace("\n", " "), style=style))
    return lines


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _cut(text: Text, width: int, *, fill: bool = False) -> Text:
    cut = text.copy()
    cut.truncate(max(1, width), overflow="ellipsis", pad=fill)
    return cut
