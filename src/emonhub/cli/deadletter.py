"""`emonhub deadletter`: frames that a target refuses for good."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

from emonhub.archive.survey import holder
from emonhub.cli import EXIT_BAD_FILE
from emonhub.cli.place import CommandError, Place, become_owner
from emonhub.cli.progress import count
from emonhub.clock import Clock

if TYPE_CHECKING:
    import argparse

    from emonhub.buffer.deadletters import DeadLetter
    from emonhub.buffer.folder import ReporterFolder

_RECORD_SHOWN = 60


def main(place: Place, arguments: argparse.Namespace) -> int:
    """Run one of its actions. Returns the exit status."""
    name = arguments.name
    place.expect(name)
    place.expect_folder(name)
    become_owner(place.state)
    folder = place.folder(name)
    letters = folder.dead_letters.all()
    if arguments.action == "list":
        return _list(name, letters, as_json=arguments.json)
    chosen = _chosen(name, letters, arguments)
    if arguments.action == "show":
        for letter in chosen:
            _show(letter)
    elif arguments.action == "retry":
        _retry(folder, name, chosen)
    else:
        folder.dead_letters.take({letter.id for letter in chosen})
        print(f"{count(len(chosen), 'letter')} of {name} dropped")
    return 0


def _list(name: str, letters: list[DeadLetter], *, as_json: bool) -> int:
    if as_json:
        print(json.dumps([asdict(letter) for letter in letters], indent=2, ensure_ascii=False))
    elif not letters:
        print(f"{name} has no dead letters")
    for letter in letters if not as_json else ():
        record = letter.record if len(letter.record) <= _RECORD_SHOWN else letter.record[: _RECORD_SHOWN - 1] + "…"
        print(f"{letter.id:>4}  {Clock.text(letter.time)}  {record:<30}  {letter.reason}")
    return 0


def _chosen(name: str, letters: list[DeadLetter], arguments: argparse.Namespace) -> list[DeadLetter]:
    if arguments.all == bool(arguments.ids):
        raise CommandError("name the letters by their numbers, or write --all", EXIT_BAD_FILE)
    if arguments.all:
        return letters
    unknown = sorted(set(arguments.ids) - {letter.id for letter in letters})
    if unknown:
        which = ", ".join(map(str, unknown))
        raise CommandError(f"{name} has no letter {which}: see emonhub deadletter list {name}", EXIT_BAD_FILE)
    return [letter for letter in letters if letter.id in arguments.ids]


def _show(letter: DeadLetter) -> None:
    print(f"letter     {letter.id}")
    print(f"read       {Clock.text(letter.time)} ({letter.time:.3f})")
    print(f"set aside  {Clock.text(letter.buried)}")
    print(f"answer     {letter.reason}")
    print(f"record     {letter.record}\n")


def _retry(folder: ReporterFolder, name: str, chosen: list[DeadLetter]) -> None:
    if chosen:
        # Laid in before they are taken out: a crash between the two sends a frame twice, and loses none.
        folder.lay_in([(letter.time, letter.record) for letter in chosen])
        folder.dead_letters.take({letter.id for letter in chosen})
    when = "sent within seconds" if holder(folder.path / "hub.lock") else "sent once a hub runs"
    print(f"{count(len(chosen), 'letter')} of {name} to be {when}; what is refused again comes back as a new letter")
