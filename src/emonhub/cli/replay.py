"""`emonhub replay`: recorded frames, sent again."""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from emonhub.archive.query import Query, sender_of
from emonhub.archive.record import Progress as Reading
from emonhub.archive.replay import ReplayBuffer, Translation, attach
from emonhub.archive.survey import holder
from emonhub.buffer.choose import mode_of
from emonhub.channel import Channels
from emonhub.cli import EXIT_BAD_FILE, EXIT_FAILED
from emonhub.cli.buffer import query_of
from emonhub.cli.place import CommandError, Place, become_owner
from emonhub.cli.progress import Progress, count, length, share
from emonhub.clock import Clock
from emonhub.errors import SettingError
from emonhub.hub import build
from emonhub.reporter import Reporter
from emonhub.supervisor import Runner

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from emonhub.archive.record import Part, Record
    from emonhub.buffer.folder import ReporterFolder
    from emonhub.config.model import InterfacerConfig

_LOCK_S = 0.05
"""Between two tries to become the one who sends: a hub lets go between two of its requests."""

_LOOK_S = 0.2
EXIT_INTERRUPTED = 130


@dataclass(slots=True)
class Found:
    """What is to be sent."""

    frames: int = 0
    first_time: float = 0.0
    last_time: float = 0.0
    senders: set[str] = field(default_factory=set)


def main(place: Place, arguments: argparse.Namespace) -> int:
    """Count, then send. Returns the exit status: 1 when a frame was refused or could not be turned."""
    into = arguments.into or arguments.of
    record = place.record(arguments.of)
    config, target = _target(place, into, arguments)
    read_back = place.read_back(arguments.of)
    source = place.reporters.get(arguments.of)
    translation = Translation(
        target, read_back, source.form if source else "", into == arguments.of, anew=arguments.anew
    )
    query = query_of(arguments, read_back)
    part: Part = "all" if arguments.owed else "delivered"
    found = _count(record, query, part, translation)
    for reason, frames in translation.unreadable.items():
        print(f"{count(frames, 'frame')} can't be sent: {reason}", file=sys.stderr)
    status = EXIT_FAILED if translation.unreadable else 0
    if not found.frames:
        hint = (
            ""
            if arguments.owed
            else f" (delivered frames are kept where keep is set, see emonhub buffer status {arguments.of})"
        )
        raise CommandError(f"there is nothing to send{hint}")
    span = f"read from {Clock.text(found.first_time)} to {Clock.text(found.last_time)}"
    requests = -(-found.frames // target.batchsize)
    print(f"{count(found.frames, 'frame')} of {count(len(found.senders), 'node')}, {span}")
    print(f"to {into}, {target.endpoint()}, in about {count(requests, 'request')}")
    if arguments.dry_run:
        return status
    become_owner(place.state)
    folder = place.folder(into) if mode_of(target, place.state) != "memory" else None
    if folder is None:
        print(f"{into} keeps frames in memory: a hub that runs is not kept from sending to it meanwhile")
    sending = Sending(target, config, folder, found.frames)
    try:
        asyncio.run(sending.run(translation.of(query.among(record.frames(part)))))
    except KeyboardInterrupt:
        status = EXIT_INTERRUPTED
    return sending.report(status)


def _target(place: Place, name: str, arguments: argparse.Namespace) -> tuple[InterfacerConfig, Reporter]:
    """A reporter of its own for the replay: as configured, but for how fast it sends."""
    place.expect(name)
    config = place.configs.get(name)
    if config is None:
        raise CommandError(
            f"{name} is not in the configuration: add it, or name another one with --into", EXIT_BAD_FILE
        )
    runtime = {**config.runtime, "interval": 0.0, "pause": "off", "pubchannels": (), "subchannels": ()}
    if arguments.batchsize:
        runtime["batchsize"] = arguments.batchsize
    # A broker ends a connection when another one comes with the same client id: the hub's own, if one runs.
    init = {**config.init, **({"mqtt_client_id": ""} if "mqtt_client_id" in config.init else {})}
    config = replace(config, init=init, runtime=runtime)
    try:
        target = build(config)
    except SettingError as error:
        raise CommandError(f"{name} can't be made: {error}; see emonhub check", EXIT_BAD_FILE) from error
    assert isinstance(target, Reporter)
    if arguments.interval:
        target.max_rate = target.batchsize / arguments.interval
    return config, target


def _count(record: Record, query: Query, part: Part, translation: Translation) -> Found:
    found = Found()
    reading = Reading()
    progress = Progress(lambda: f"counting: {share(reading.done, reading.total)}, {found.frames} frames so far")
    for when, frame in translation.of(query.among(record.frames(part, reading))):
        found.first_time = min(found.first_time, when) if found.frames else when
        found.last_time = max(found.last_time, when)
        found.frames += 1
        found.senders.add(sender_of(frame))
        progress.step()
    progress.clear()
    return found


class Sending:
    """One replay under way."""

    def __init__(self, target: Reporter, config: InterfacerConfig, folder: ReporterFolder | None, total: int) -> None:
        self._target = target
        self._config = config
        self._folder = folder
        self._total = total
        self._buffer: ReplayBuffer | None = None
        self._started = 0.0
        self._runner: Runner | None = None
        self._progress = Progress(self._line)

    async def run(self, frames: Iterator[tuple[float, str]]) -> None:
        """Send all of them; nobody else sends to the target meanwhile."""
        logger = logging.getLogger("emonhub")
        handler = _Say(self._progress)
        logger.addHandler(handler)
        try:
            await self._lock()
            await self._send(frames)
        finally:
            logger.removeHandler(handler)
            if self._folder is not None:
                self._folder.unlock()
            self._progress.clear()

    async def _lock(self) -> None:
        said = False
        while self._folder is not None and not self._folder.lock():
            if not said:
                said = True
                by = holder(self._folder.path / "sending.lock")
                print(
                    f"waiting until {'process ' + str(by) if by else 'somebody else'} has sent what it owes"
                    f" to {self._target.name} (emonhub buffer pause {self._target.name} makes it wait instead)",
                    file=sys.stderr,
                )
            await asyncio.sleep(_LOCK_S)

    async def _send(self, frames: Iterator[tuple[float, str]]) -> None:
        self._buffer = buffer = ReplayBuffer(frames)
        attach(self._target, buffer)
        self._started = time.monotonic()
        runner = self._runner = Runner(self._config, self._target, Channels())
        runner.start()
        try:
            while not buffer.done.is_set():
                try:
                    async with asyncio.timeout(_LOOK_S):
                        await buffer.done.wait()
                except TimeoutError:
                    self._progress.look()
        finally:
            await runner.stop(0)

    def report(self, status: int) -> int:
        """Say how it went. Returns the exit status."""
        target = self._target
        seconds = time.monotonic() - self._started if self._started else 0.0
        took = length(seconds) + (f" ({target.acknowledged / seconds:.0f} a second)" if seconds > 1 else "")
        print(f"{count(target.acknowledged, 'frame')} sent in {count(target.requests, 'request')}, {took}")
        for letter in target.dead_letters.all()[:10]:
            print(f"refused: {Clock.text(letter.time)} {letter.record} ({letter.reason})", file=sys.stderr)
        if target.dead:
            print(f"{count(target.dead, 'frame')} refused for good", file=sys.stderr)
            status = status or EXIT_FAILED
        if status == EXIT_INTERRUPTED:
            last = self._buffer.last_time if self._buffer is not None else None
            go_on = f": go on with --from {last:.3f}" if last is not None else ""
            print(f"interrupted{go_on}", file=sys.stderr)
        return status

    def _line(self) -> str:
        target = self._target
        done = target.acknowledged + target.dead
        text = f"{done} of {self._total} frames, {share(done, self._total)}"
        seconds = time.monotonic() - self._started
        if done and seconds > 0:
            text += f", {length(max(0.0, self._total - done) * seconds / done)} left"
        trouble = target.trouble or (self._runner.last_error if self._runner else "")
        return text + (f"; waiting: {trouble}" if trouble else "")


class _Say(logging.Handler):
    """Warnings of the target, without disturbing the line of progress."""

    def __init__(self, progress: Progress) -> None:
        super().__init__(logging.WARNING)
        self._progress = progress
        self._said = ""

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        if text != self._said:
            self._said = text
            self._progress.clear()
            print(text, file=sys.stderr)
