"""A live table of nodes, values and units in the terminal. Reads the hub; the hub knows nothing of it."""

from __future__ import annotations

import logging
from collections import deque
from typing import TYPE_CHECKING

from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from emonhub.reporter import Reporter
from emonhub.supervisor import State

if TYPE_CHECKING:
    from rich.console import RenderableType

    from emonhub.cargo import Cargo, Value
    from emonhub.hub import Hub

_STALE_S = 60.0
"""A node unheard for so long stands out."""

_SPARKS = "▁▂▃▄▅▆▇█"
_HISTORY = 24
_MAX_NODES = 20

_STATE_STYLE = {
    State.RUNNING: "green",
    State.STARTING: "cyan",
    State.WAITING: "yellow",
    State.FAILED: "red",
    State.REFUSED: "red",
    State.STOPPED: "dim",
}


class LastLines(logging.Handler):
    """The newest log lines, for showing under the table."""

    def __init__(self, count: int = 5) -> None:
        super().__init__()
        self.lines: deque[tuple[int, str]] = deque(maxlen=count)

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one."""
        self.lines.append((record.levelno, self.format(record)))


class Latest:
    """The newest cargo of every node, and how its values went. Subscribes to a hub's channels."""

    def __init__(self) -> None:
        self.cargos: dict[str, Cargo] = {}
        self.history: dict[tuple[str, int], deque[float]] = {}

    def accept(self, cargos: list[Cargo]) -> None:
        """Take note of these."""
        for cargo in cargos:
            key = cargo.layout.label
            if key not in self.cargos and len(self.cargos) >= _MAX_NODES:
                continue
            self.cargos[key] = cargo
            for index, value in enumerate(cargo.values):
                if value is not None:
                    self.history.setdefault((key, index), deque(maxlen=_HISTORY)).append(value)


def render(hub: Hub, latest: Latest, log: LastLines, title: str) -> RenderableType:
    """The whole screen."""
    parts: list[RenderableType] = [Text(title, style="bold"), _nodes(hub, latest), _interfacers(hub)]
    if log.lines:
        parts.append(_log(log))
    return Group(*parts)


def _nodes(hub: Hub, latest: Latest) -> RenderableType:
    if not latest.cargos:
        return Text("\nWaiting for the first frame ...\n", style="dim")
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for header, justify in (("node", "left"), ("value", "left"), ("reading", "right"), ("unit", "left")):
        table.add_column(header, justify=justify, no_wrap=True)  # type: ignore[arg-type]
    table.add_column("", no_wrap=True, min_width=_HISTORY // 2)
    table.add_column("age", justify="right", no_wrap=True)
    table.add_column("rssi", justify="right", no_wrap=True)
    now = hub.world.time()
    for label, cargo in sorted(latest.cargos.items()):
        layout = cargo.layout
        age = now - cargo.time
        style = "yellow" if age > _STALE_S else ""
        for index, value in enumerate(cargo.values):
            first = index == 0
            table.add_row(
                Text(label, style="bold cyan") if first else "",
                layout.name_of(index),
                Text(_number(value), style=style or "bold"),
                Text(layout.unit_of(index), style="dim"),
                Text(_spark(latest.history.get((label, index))), style="blue"),
                Text(f"{age:.0f} s" if first else "", style=style),
                f"{cargo.rssi}" if first and cargo.rssi else "",
                end_section=index == len(cargo.values) - 1,
            )
    return table


def _interfacers(hub: Hub) -> RenderableType:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for header in ("interfacer", "state", "what it did"):
        table.add_column(header, no_wrap=header != "what it did")
    for name, runner in hub.runners.items():
        state = runner.state
        table.add_row(name, Text(state.value, style=_STATE_STYLE[state]), _did(runner.interfacer, runner.last_error))
    for name, refused in hub.refused.items():
        if name not in hub.runners:
            table.add_row(name, Text(State.REFUSED.value, style="red"), refused.reason)
    return table


def _did(interfacer: object, error: str) -> str:
    if isinstance(interfacer, Reporter):
        text = f"{interfacer.acknowledged} frames delivered in {interfacer.requests} requests"
        text += f", {interfacer.buffer.frames} waiting" + (f": {interfacer.trouble}" if interfacer.trouble else "")
        for reason, count in interfacer.dropped.items():
            text += f", {count} dropped ({reason})"
        return text + (f", {interfacer.dead} refused for good" if interfacer.dead else "")
    received = getattr(interfacer, "received", 0)
    bad = getattr(interfacer, "bad", {})
    parts = [f"{received} frames"] if received else []
    parts += [f"{count} {reason}" for reason, count in bad.items()]
    endpoint = interfacer.endpoint() if hasattr(interfacer, "endpoint") else ""
    return "; ".join(part for part in (endpoint, ", ".join(parts), error) if part)


def _log(log: LastLines) -> RenderableType:
    text = Text(overflow="ellipsis", no_wrap=True)
    for level, line in log.lines:
        style = "red" if level >= logging.ERROR else "yellow" if level >= logging.WARNING else "dim"
        text.append(line + "\n", style=style)
    return text


def _number(value: Value) -> str:
    if value is None:
        return "–"
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)


def _spark(history: deque[float] | None) -> str:
    if not history or len(history) < 2:
        return ""
    low, high = min(history), max(history)
    if low == high:
        return ""
    step = (high - low) / (len(_SPARKS) - 1)
    return "".join(_SPARKS[round((value - low) / step)] for value in list(history)[-_HISTORY // 2 :])
