"""`emonhub backlog make`: a record of frames that nobody has measured, to test a target's strength with."""

from __future__ import annotations

import asyncio
import math
import time
from dataclasses import replace
from itertools import islice
from random import Random
from typing import TYPE_CHECKING

from emonhub.archive.query import parse_time
from emonhub.archive.survey import holder
from emonhub.buffer.choose import mode_of, open_buffer
from emonhub.buffer.stored import StoredBuffer
from emonhub.cargo import Cargo, Layout
from emonhub.cli import EXIT_BAD_FILE
from emonhub.cli.place import CommandError, Place, become_owner
from emonhub.cli.progress import Progress, count, length, share
from emonhub.clock import Clock
from emonhub.errors import SettingError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from emonhub.reporter import Reporter

_FIRST_NODE = 201
_CHUNK = 5000
"""Frames at a time: more than the front holds, so that each such run goes to the disk in one write."""

_WAIT_S = 0.002
_HOUSE_STEP_S = 600.0
_DAY_S = 86400.0

_NAMES = ("MSG", "Vrms", "P1", "P2", "E1", "temperature")
_UNITS = ("", "V", "W", "W", "Wh", "C")


def main(place: Place, arguments: argparse.Namespace) -> int:
    """Make it. Returns the exit status."""
    name = arguments.name
    place.expect_folder(name)
    reporter = place.reporters.get(name)
    if reporter is None:
        raise CommandError(f"{name} can't be made from this configuration, so nothing tells how it writes frames")
    if mode_of(reporter, place.state) == "sql":
        raise CommandError(f"{name} keeps frames in a database: give it buffer_mode = journal for such a test")
    if arguments.kept and not reporter.keep:
        raise CommandError(f"{name} keeps no record: set keep = 90 d in its [[[init_settings]]]")
    path = place.folder_path(name)
    hub = holder(path / "hub.lock") if path is not None else 0
    if hub:
        raise CommandError(f"a hub runs (process {hub}) and writes to this journal: stop it first")
    try:
        until = parse_time(arguments.until, time.time(), end=True)
    except SettingError as error:
        raise CommandError(str(error), EXIT_BAD_FILE) from error
    become_owner(place.state)
    seconds = arguments.days * _DAY_S
    if arguments.house:
        cargos, total = _house(until - seconds, seconds), _house_frames(seconds)
    else:
        cargos = synthetic(until - seconds, seconds, arguments.nodes, arguments.interval)
        total = math.ceil(seconds / arguments.interval) * arguments.nodes
    started = time.monotonic()
    made = asyncio.run(_make(place, reporter, cargos, total, kept=arguments.kept))
    took = length(time.monotonic() - started)
    state = "delivered and kept" if arguments.kept else "owed"
    print(f"{count(made, 'frame')} made in {took}, read from {Clock.text(until - seconds)} on, {state}")
    if reporter.dropped:
        dropped = ", ".join(f"{frames} ({reason})" for reason, frames in reporter.dropped.items())
        print(f"dropped, as the settings of {name} say: {dropped}")
    return 0


async def _make(place: Place, reporter: Reporter, cargos: Iterator[Cargo], total: int, *, kept: bool) -> int:
    buffer, folder = await open_buffer(reporter, place.state, reporter.world)
    if not isinstance(buffer, StoredBuffer):
        raise CommandError(f"the journal of {reporter.name} can't be opened")
    made = 0
    progress = Progress(lambda: f"{made} of about {total} frames, {share(made, total)}")
    try:
        if kept and buffer.frames:
            raise CommandError(
                f"{reporter.name} owes {count(buffer.frames, 'frame')}, which would come before these:"
                " let a hub deliver them first"
            )
        reporter.equip(buffer, folder)
        while chunk := list(islice(cargos, _CHUNK)):
            reporter.accept(chunk)
            buffer.spill()
            while not buffer.durable:
                if buffer.trouble:
                    raise CommandError(f"{made} frames are made, and no more: {buffer.trouble}")
                await asyncio.sleep(_WAIT_S)
            if kept:
                buffer.remove(buffer.first + buffer.frames)
            made += len(chunk)
            progress.look()
    finally:
        progress.clear()
        await buffer.close()
        if folder is not None:
            folder.disown()
    return made


def synthetic(start: float, seconds: float, nodes: int, interval: float) -> Iterator[Cargo]:
    """Frames of `nodes` nodes, each every `interval` seconds, in the order of time: like those of real ones in size,
    and different from frame to frame.
    """
    layouts = [Layout(_FIRST_NODE + i, f"backlog{i + 1}", _NAMES, _UNITS) for i in range(nodes)]
    random = Random(1)
    energies = [0.0] * nodes
    steps = [(layout, index, interval * index / nodes) for index, layout in enumerate(layouts)]
    for turn in range(math.ceil(seconds / interval)):
        at = start + turn * interval
        sun = max(0.0, -math.cos(2 * math.pi * (at % _DAY_S) / _DAY_S))
        for layout, index, later in steps:
            chance = random.random()
            power = int(200 + 100 * index + 2500 * chance**8)
            solar = int(3000 * sun * (0.8 + 0.2 * chance))
            energies[index] += power * interval / 3600
            values = (
                turn + 1,
                int(23000 + 800 * chance) / 100,
                power,
                -solar,
                int(energies[index]),
                int(180 + 60 * sun + 9 * chance) / 10,
            )
            yield Cargo(layout, values, round(at + later, 3), -50 - index % 40)


def _house(start: float, seconds: float) -> Iterator[Cargo]:
    """What the nodes of the simulated house send, decoded as a hub does."""
    from emonhub.demo.nodes import NODES, SimulatedNodes  # noqa: PLC0415
    from emonhub.nodes.decoder import compile_decoder  # noqa: PLC0415

    decoders = {}
    for node in NODES:
        number = _FIRST_NODE - 1 + node.id
        definition = replace(node.definition, nodename=f"{node.template}_{number}")
        decoders[node.id] = compile_decoder(number, definition)
    nodes = SimulatedNodes(1)
    first = start % _DAY_S  # the house's day goes with ours
    for step in range(math.ceil(seconds / _HOUSE_STEP_S)):
        since = first + step * _HOUSE_STEP_S
        for when, node_id, payload, rssi in nodes.due(since, min(since + _HOUSE_STEP_S, first + seconds)):
            decoder = decoders[node_id]
            values = decoder.unpack(payload)
            yield Cargo(decoder.layout, tuple(values), round(start + when - first, 3), rssi)


def _house_frames(seconds: float) -> int:
    from emonhub.demo.nodes import NODES  # noqa: PLC0415

    return int(sum(seconds / node.period_s for node in NODES))
