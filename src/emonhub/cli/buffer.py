"""`emonhub buffer`: what reporters owe and keep, for people."""

from __future__ import annotations

import json
import time
from collections import deque
from itertools import islice
from typing import TYPE_CHECKING, Any

from emonhub.archive import csvform
from emonhub.archive.query import Query, parse_time
from emonhub.archive.record import Progress as Reading
from emonhub.archive.survey import Amount, Survey, holder, survey
from emonhub.archive.verify import verify
from emonhub.buffer.choose import mode_of
from emonhub.cli import EXIT_BAD_FILE, EXIT_FAILED, importing
from emonhub.cli.place import CommandError, Place, become_owner, written
from emonhub.cli.progress import Progress, amount, count, length, share
from emonhub.clock import Clock
from emonhub.errors import SettingError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator

    from emonhub.archive.record import Frame
    from emonhub.cargo import Cargo


def main(place: Place, arguments: argparse.Namespace) -> int:
    """Run one of its actions. Returns the exit status."""
    actions: dict[str, Callable[[Place, argparse.Namespace], int]] = {
        "status": _status,
        "peek": _peek,
        "export": _export,
        "import": importing.main,
        "pause": _pause,
        "resume": _resume,
        "check": _check,
    }
    return actions[arguments.action](place, arguments)


# status


def _status(place: Place, arguments: argparse.Namespace) -> int:
    names = arguments.names or place.names
    found: list[dict[str, Any]] = []
    for name in names:
        place.expect(name)
        mode = _mode(place, name)
        there = survey(place.record(name)) if place.folder_path(name) else None
        found.append({"reporter": name, "mode": mode, "configured": name in place.configs})
        if there is not None:
            found[-1] |= there.as_json()
        if not arguments.json:
            _print_status(place, name, mode, there)
    if arguments.json:
        print(json.dumps({"state_dir": str(place.state), "reporters": found}, indent=2, ensure_ascii=False))
    elif not names:
        print("no reporter: nothing owes delivery in this configuration")
    return 0


def _mode(place: Place, name: str) -> str:
    reporter = place.reporters.get(name)
    return mode_of(reporter, place.state) if reporter is not None else ""


def _print_status(place: Place, name: str, mode: str, there: Survey | None) -> None:
    print(name + ("" if name in place.configs else "    (not in the configuration: nothing sends this)"))
    if name in place.configs and name not in place.reporters:
        print("    mode        not known: its settings have errors, see emonhub check")
    if mode == "memory":
        print("    mode        memory: what it owes is in the hub's memory only, see the hub's log")
    elif mode:
        print(f"    mode        {mode}")
    if there is None:
        if mode != "memory":
            print("    nothing yet: it has not run")
        return
    now = time.time()
    print(f"    folder      {there.folder}")
    print(f"    sending     {_sending(there)}")
    waits = f", {count(there.in_front, 'frame')} of them not in the journal yet" if there.in_front else ""
    print(f"    owed        {_amount(there.owed, now, age=True)}{waits}")
    print(f"    kept        {_amount(there.kept, now)}")
    if there.inbox:
        print(f"    inbox       {count(there.inbox, 'file')} to be taken in" + ("" if there.hub else " once it runs"))
    if there.dead_letters:
        print(f"    dead        {count(there.dead_letters, 'letter')}: emonhub deadletter list {name}")
    if there.quarantined:
        print(f"    quarantine  {count(len(there.quarantined), 'damaged file')} set aside")


def _sending(there: Survey) -> str:
    if there.hub is None:
        runs = "the system does not tell whether a hub runs"
    else:
        runs = f"a hub runs (process {there.hub})" if there.hub else "no hub runs"
    if there.sender and there.sender != there.hub:
        runs += f", a replay sends (process {there.sender})"
    return ("PAUSED, see emonhub buffer resume; " if there.paused else "") + runs


def _amount(what: Amount, now: float, *, age: bool = False) -> str:
    if not what.frames or what.first_time is None:
        return "nothing"
    text = f"{count(what.frames, 'frame')}, {amount(what.bytes)}, read from {Clock.text(what.first_time)}"
    text += f" to {Clock.text(what.last_time)}" if what.last_time is not None else ""
    return text + (f" (the oldest {length(max(0.0, now - what.first_time))} ago)" if age else "")


# peek


def _peek(place: Place, arguments: argparse.Namespace) -> int:
    record = place.record(arguments.name)
    read_back = place.read_back(arguments.name)
    frames = record.frames(arguments.part)
    chosen = deque(frames, arguments.count) if arguments.last else list(islice(frames, arguments.count))
    for frame in chosen:
        print(_shown(frame, read_back(frame.record, frame.time, frame.notes)))
    if not chosen:
        nothing = {"owed": "owes nothing", "delivered": "keeps no delivered frames", "all": "has no frames"}
        hint = "; see --delivered" if arguments.part == "owed" else ""
        print(f"{arguments.name} {nothing[arguments.part]}{hint}")
    return 0


def _shown(frame: Frame, cargo: Cargo | None) -> str:
    start = f"{csvform.iso(frame.time)}  "
    if cargo is None:
        return start + frame.record
    layout = cargo.layout
    parts = [
        f"{layout.name_of(i)}={'-' if value is None else value} {layout.unit_of(i)}".rstrip()
        for i, value in enumerate(cargo.values)
    ]
    if cargo.rssi:
        parts.append(f"rssi={cargo.rssi}")
    who = f"{layout.node} {layout.nodename}" if layout.nodename != str(layout.node) else layout.nodename
    return f"{start}{who.rstrip()}  {', '.join(parts)}"


# export


def _export(place: Place, arguments: argparse.Namespace) -> int:
    record = place.record(arguments.name)
    read_back = place.read_back(arguments.name)
    query = query_of(arguments, read_back)
    reading = Reading()
    passes = [0]
    progress = Progress(lambda: f"{share(reading.done + passes[0] * reading.total, 2 * reading.total)} read")

    def frames() -> Iterator[Frame]:
        reading.done = 0
        yield from query.among(record.frames(arguments.part, reading))
        passes[0] = 1

    with written(arguments.output) as file:
        rows = csvform.write(frames, read_back, file, progress.step)
    progress.clear()
    if arguments.output is not None:
        print(f"{count(rows, 'frame')} written to {arguments.output}")
    return 0


def query_of(arguments: argparse.Namespace, read_back: Any) -> Query:
    """The frames that --from, --to and --node ask for. Raises CommandError."""
    now = time.time()
    query = Query(node=arguments.node, read_back=read_back)
    try:
        if arguments.since:
            query.since = parse_time(arguments.since, now)
        if arguments.until:
            query.until = parse_time(arguments.until, now, end=True)
    except SettingError as error:
        raise CommandError(str(error), EXIT_BAD_FILE) from error
    if query.since >= query.until:
        raise CommandError("--from is not before --to: there is nothing between them", EXIT_BAD_FILE)
    return query


# pause, resume


def _pause(place: Place, arguments: argparse.Namespace) -> int:
    return _set_paused(place, arguments.names, paused=True)


def _resume(place: Place, arguments: argparse.Namespace) -> int:
    return _set_paused(place, arguments.names, paused=False)


def _set_paused(place: Place, names: list[str], *, paused: bool) -> int:
    for name in names:  # all or none
        place.expect(name)
    become_owner(place.state)
    for name in names:
        folder = place.folder(name)
        already = folder.paused == paused
        folder.paused = paused
        if already:
            print(f"{name} is {'paused' if paused else 'not paused'} already")
        elif not paused:
            print(f"{name} is resumed")
        else:
            runs = holder(folder.path / "hub.lock")
            when = "the hub sends nothing to it from the next second on" if runs else "a hub will send nothing to it"
            print(f"{name} is paused: {when}, until emonhub buffer resume {name}")
    return 0


# check


def _check(place: Place, arguments: argparse.Namespace) -> int:
    names = arguments.names or [name for name in place.names if place.folder_path(name) and _mode(place, name) != "sql"]
    bad = False
    for name in names:
        if _mode(place, name) == "sql":
            raise CommandError(f"{name} keeps frames in a database: check it with the database's own tools")
        record = place.record(name)
        reading = Reading(total=sum(segment.size for segment in record.look().segments))
        progress = Progress(lambda r=reading, n=name: f"{n}: {share(r.done, r.total)} checked")  # type: ignore[misc]

        def step(segment: Any, reading: Reading = reading, progress: Progress = progress) -> None:
            progress.look()
            reading.done += segment.size

        verdict = verify(record, step)
        progress.clear()
        for damage in verdict.damages:
            cost = f" ({count(damage.frames, 'frame')} lost)" if damage.frames else ""
            print(f"{record.folder / damage.file}: {damage.what}{cost}")
        bad = bad or bool(verdict.damages)
        state = "all is well" if not verdict.damages else f"{count(verdict.lost, 'frame')} lost"
        print(f"{name}: {count(verdict.files, 'file')}, {count(verdict.frames, 'good frame')}: {state}")
    if not names:
        print("no reporter has a folder: there is nothing to check")
    return EXIT_FAILED if bad else 0
