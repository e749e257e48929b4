"""What a reporter of the running hub owes and keeps, read beside it."""

from __future__ import annotations

import asyncio
from collections import deque
from itertools import islice
from typing import TYPE_CHECKING, Any

from aiohttp import web

from emonhub.archive.query import Query, parse_time
from emonhub.archive.record import Frame, Record, by_node
from emonhub.archive.survey import survey
from emonhub.errors import SettingError
from emonhub.reporter import Reporter

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from emonhub.hub import Hub


def reporter_of(hub: Hub, name: str) -> Reporter:
    """The reporter of that name. Raises HTTPNotFound."""
    runner = hub.runners.get(name)
    if runner is None or not isinstance(runner.interfacer, Reporter):
        raise web.HTTPNotFound(text="there is no such reporter, or it does not run")
    return runner.interfacer


def record_of(hub: Hub, reporter: Reporter) -> Record | None:
    """What it has in files; None where it keeps nothing in files."""
    if reporter.folder is None:
        return None
    return Record(reporter.folder.path, reporter.name, reporter.form, notes_of(hub))


def notes_of(hub: Hub) -> list[dict[str, Any]]:
    """What the configuration says of frames that carry no notes of their own."""
    known = []
    for definition in hub.configuration.nodes.values():
        rx = definition.rx
        names, units = (rx.names, rx.units) if rx is not None else ((), ())
        node: int | str = int(definition.id) if definition.id.isdecimal() else definition.id
        known.append({"node": node, "nodename": definition.nodename, "names": names, "units": units})
    return known


def query_of(said: Mapping[str, Any], read_back: Any, now: float) -> Query:
    """The frames that `from`, `to` and `node` ask for. Raises HTTPBadRequest."""
    query = Query(node=str(said["node"] if said["node"] is not None else ""), read_back=read_back)
    try:
        if said["from"] not in {None, ""}:
            query.since = _time(said["from"], now)
        if said["to"] not in {None, ""}:
            query.until = _time(said["to"], now, end=True)
    except SettingError as error:
        raise web.HTTPBadRequest(text=str(error)) from None
    if query.since >= query.until:
        raise web.HTTPBadRequest(text="from is not before to: there is nothing between them")
    return query


def _time(said: str | float, now: float, *, end: bool = False) -> float:
    return parse_time(said, now, end=end) if isinstance(said, str) else float(said)


async def peek(hub: Hub, reporter: Reporter, count: int, *, last: bool) -> list[dict[str, Any]]:
    """The frames that it owes: those that are sent next, or the newest."""
    record = record_of(hub, reporter)
    if record is not None:
        frames = await asyncio.to_thread(_some, record, count, last=last)
    else:
        skip = max(0, reporter.buffer.frames - count) if last else 0
        batch = await reporter.buffer.fetch(count, skip)
        frames = []
        if batch is not None:
            notes = by_node(notes_of(hub))
            pairs = zip(batch.times, batch.records, strict=True)
            frames = [
                Frame(number, time, text, delivered=False, form=reporter.form, notes=notes)
                for number, (time, text) in enumerate(pairs, batch.first)
            ]
    return [_shown(frame, reporter.read_back) for frame in frames]


def _some(record: Record, count: int, *, last: bool) -> list[Frame]:
    frames = record.frames("owed")
    return list(deque(frames, count)) if last else list(islice(frames, count))


def _shown(frame: Frame, read_back: Callable[..., Any]) -> dict[str, Any]:
    cargo = read_back(frame.record, frame.time, frame.notes)
    layout = cargo.layout if cargo is not None else None
    return {
        "time": frame.time,
        "node": str(layout.node) if layout is not None else "",
        "name": layout.label if layout is not None else "",
        "values": [[layout.name_of(i), value, layout.unit_of(i)] for i, value in enumerate(cargo.values)]
        if cargo is not None and layout is not None
        else [],
        "rssi": (cargo.rssi or None) if cargo is not None else None,
        "record": frame.record,
    }


async def kept(hub: Hub, reporter: Reporter) -> dict[str, Any]:
    """The record that is kept of what was delivered."""
    record = record_of(hub, reporter)
    found = (await asyncio.to_thread(survey, record)).kept if record is not None else None
    return {
        "frames": found.frames if found is not None else 0,
        "bytes": found.bytes if found is not None else 0,
        "from": found.first_time if found is not None else None,
        "to": found.last_time if found is not None else None,
    }
