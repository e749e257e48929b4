"""What the fake emoncms keeps: inputs, their processes, feeds of two engines, and how a batch goes into them.

No network and no clock here; the rules are those of emoncms 11.16.8 as observed (§3 and §5 of the reference).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, Protocol

from tests.fakes.emoncms_php import (
    NO_LAST_ITEM,
    NOT_VALID,
    Crashed,
    Refused,
    frame_values,
    node_name,
    number,
    php_array,
    to_int,
)

# PHPFina drops points further than this many slots behind its last one.
MAX_PADDING = 15_768_000

Engine = Literal["phpfina", "phptimeseries"]


class StoredFrame(NamedTuple):
    """One frame that reached the inputs: its corrected time, and a list if all its values were positional."""

    time: int
    node: str
    values: dict[str, float] | list[float]


def to_float32(value: float) -> float:
    """The number as a feed holds it, in 32 bits."""
    try:
        stored: float = struct.unpack("<f", struct.pack("<f", value))[0]
    except OverflowError:
        return float("inf") if value > 0 else float("-inf")
    return stored


class Feed(Protocol):
    """A feed of either engine."""

    last: tuple[int, float] | None  # the last point processed, also when it was late or dropped

    def post(self, time: int, value: float) -> None:
        """Take a point in, by the rules of the engine."""

    def points(self) -> list[tuple[int, float]]:
        """What is stored, in file order, without the holes."""


@dataclass
class PhpFina:
    """Fixed interval: a slot per interval_s, the last value in a slot wins, the first point fixes the start."""

    interval: int
    last: tuple[int, float] | None = None
    slots: dict[int, float] = field(default_factory=dict)
    _first: int | None = None
    _end: int = 0

    def post(self, time: int, value: float) -> None:
        self.last = (time, value)
        slot = time // self.interval
        if self._first is None:
            self._first = self._end = slot
        if slot < self._first or slot - self._end > MAX_PADDING:
            return
        self._end = max(self._end, slot)
        self.slots[slot * self.interval] = to_float32(value)

    def points(self) -> list[tuple[int, float]]:
        return sorted(self.slots.items())


@dataclass
class PhpTimeSeries:
    """Variable interval: a point older than the newest is dropped unless its very second is there already."""

    last: tuple[int, float] | None = None
    rows: dict[int, float] = field(default_factory=dict)
    _newest: int | None = None

    def post(self, time: int, value: float) -> None:
        self.last = (time, value)
        if self._newest is None or time > self._newest:
            self._newest = time & 0xFFFFFFFF  # the file has 32 bits for a time
            self.rows[self._newest] = to_float32(value)
        elif time in self.rows:
            self.rows[time] = to_float32(value)

    def points(self) -> list[tuple[int, float]]:
        return list(self.rows.items())


@dataclass
class Process:
    """One entry of an input's process list: 1 = log to feed, 4 = power to kWh."""

    number: int
    feed_id: int
    feed: Feed

    def run(self, time: int, value: float) -> None:
        if self.number == 1:
            self.feed.post(time, value)
            return
        total = 0.0
        if self.feed.last is not None:
            before, total = self.feed.last
            # A late point adds nothing but moves the time back: this is how a batch sent twice counts twice.
            total += max(0, time - before) * value / 3_600_000
        self.feed.post(time, total)


@dataclass
class Input:
    """An input: its last value and the time of the frame that was processed last (not the newest)."""

    id: int
    node: str
    name: str
    time: int | None = None
    value: float | None = None
    processes: list[Process] = field(default_factory=list)

    @property
    def process_list(self) -> str:
        return ",".join(f"{p.number}:{p.feed_id}" for p in self.processes)


@dataclass
class Store:
    """The inputs and feeds of one user."""

    node_limit: int = 32
    creation_enabled: bool = True  # /input/disable.json sets it off
    inputs: dict[tuple[str, str], Input] = field(default_factory=dict)
    feeds: dict[int, Feed] = field(default_factory=dict)
    frames: list[StoredFrame] = field(default_factory=list)
    unique: set[tuple[int, str]] = field(default_factory=set)
    _nodes: set[str] = field(default_factory=set)

    def input(self, node: str, name: str) -> Input:
        """The input of that name, made if it is not there."""
        key = (node, name)
        if key not in self.inputs:
            self._nodes.add(node)
            self.inputs[key] = Input(len(self.inputs) + 1, node, name)
        return self.inputs[key]

    def add_process(self, node: str, name: str, process: int, engine: Engine, interval: int) -> Feed:
        """A new feed behind the input; interval in seconds, used by PHPFina only."""
        feed: Feed = PhpFina(interval) if engine == "phpfina" else PhpTimeSeries()
        feed_id = len(self.feeds) + 1
        self.feeds[feed_id] = feed
        self.input(node, name).processes.append(Process(process, feed_id, feed))
        return feed

    def bulk(self, batch: Any, parameters: dict[str, str], now: int, limit: int | None = None) -> str:
        """Store a decoded batch in order and return what PHP printed on the way.

        Refused and Crashed end it at the frame at fault; those before it stay stored. At most limit frames go in.
        """
        if batch is None or batch == []:
            raise Refused(NOT_VALID)
        if not isinstance(batch, list):
            raise Crashed("TypeError: count(): Argument #1 ($value) must be of type Countable|array")
        last = batch[-1]
        if isinstance(last, dict):
            raise Crashed("Error: Cannot use object of type stdClass as array")  # (guess) by what happens in the middle
        # (guess) PHP takes the first letter of a text for its first item.
        if not isinstance(last, list | str) or not last or last[0] is None:
            raise Refused(NO_LAST_ITEM)
        reference = reference_time(parameters, now, last[0])
        printed = ""
        for item in batch[:limit]:
            try:
                printed += self._frame(item, reference)
            except Refused as error:
                error.printed = printed + error.printed
                raise
        return printed

    def _frame(self, item: Any, reference: int) -> str:
        if not isinstance(item, list):
            raise Crashed("TypeError: count(): Argument #1 ($value) must be of type Countable|array")
        if len(item) < 3:
            return ""
        time = to_int(item[0]) + reference
        node = node_name(item[1])
        values, printed = frame_values(item[2:])
        if not values:
            return printed
        if node not in self._nodes and len(self._nodes) >= self.node_limit:
            raise Refused(
                "Error: Reached the maximal allowed number of different NodeIds, "
                f"limit is {self.node_limit}. Node '{node}' was ignored.",
                printed,
            )
        if not self._update(time, node, values):
            return printed
        named = any(isinstance(value, dict) for value in item[2:])
        self.frames.append(StoredFrame(time, node, values if named else list(values.values())))
        self.unique.add((time, node))
        return printed

    def _update(self, time: int, node: str, values: dict[str, float]) -> bool:
        """Put the values into the inputs and run the processes; False if not one was there or could be made."""
        known = {name: self.inputs.get((node, name)) for name in values}
        for name, value in values.items():
            entry = known[name]
            if entry is None and self.creation_enabled:
                entry = self.input(node, name)
            if entry is not None:
                entry.time, entry.value = time, value
        for name, entry in known.items():
            for process in entry.processes if entry else ():
                process.run(time, values[name])
        return self.creation_enabled or any(known.values())

    def listing(self) -> list[dict[str, Any]]:
        """The answer of /input/list.json (§5.1)."""
        return [
            {
                "id": str(entry.id),
                "nodeid": entry.node,
                "name": entry.name,
                "description": "",
                "processList": entry.process_list,
                "time": entry.time,
                "value": number(entry.value),
            }
            for entry in self.inputs.values()
        ]

    def reading(self, node: str | None, name: str | None) -> Any:
        """The answer of /input/get, whole or of one node or one input (§5.1)."""
        nodes: dict[str, dict[str, Any]] = {}
        for entry in self.inputs.values():
            nodes.setdefault(entry.node, {})[entry.name] = {
                "time": entry.time,
                "value": number(entry.value),
                "processList": entry.process_list,
            }
        if node is None:
            return php_array({key: php_array(inputs) for key, inputs in nodes.items()})
        if node not in nodes:
            return "Node does not exist"
        if name is None:
            return php_array(nodes[node])
        return nodes[node].get(name, "Node variable does not exist")


def reference_time(parameters: dict[str, str], now: int, last_time: Any) -> int:
    """What is added to the time of each frame (§3.1): the first of sentat, offset, time, else the last frame's."""
    for name in ("sentat", "offset"):
        if name in parameters:
            return now - to_int(parameters[name])
    if "time" in parameters:
        return to_int(parameters["time"])
    return now - to_int(last_time)
