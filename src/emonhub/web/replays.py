"""Replays that run inside the hub: frames of a reporter's record, sent again to the same target or another one."""

from __future__ import annotations

import asyncio
import itertools
from collections import deque
from contextlib import closing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from emonhub.archive.replay import ReplayBuffer, Translation, attach
from emonhub.buffer.folder import ReporterFolder
from emonhub.channel import Channels
from emonhub.errors import SettingError
from emonhub.hub import build
from emonhub.logs import masked
from emonhub.reporter import Reporter
from emonhub.supervisor import Runner

if TYPE_CHECKING:
    from collections.abc import Iterator

    from emonhub.archive.query import Query
    from emonhub.archive.record import Record
    from emonhub.buffer.base import Batch
    from emonhub.hub import Hub

_AT_ONCE = 3
_REMEMBERED = 20
"""Replays that are over, and are still told of."""

_AHEAD = 1000
_LOCK_S = 0.05
"""Between two tries to become the one who sends: the hub's reporter lets go between two of its requests."""


class _Ahead(ReplayBuffer):
    """Reads the record in a thread, always further than what is asked for, so that the loop never waits for a disk."""

    @classmethod
    async def make(cls, frames: Iterator[tuple[float, str]]) -> _Ahead:
        """One that knows its first frames already."""
        first = await asyncio.to_thread(list, itertools.islice(frames, _AHEAD))
        return cls(itertools.chain(first, frames))

    async def fetch(self, limit: int, skip: int = 0) -> Batch | None:
        short = limit + skip + _AHEAD - self.frames
        if short > 0:
            source = self._source
            found = await asyncio.to_thread(list, itertools.islice(source, short))
            self._source = itertools.chain(found, source) if found else iter(())
        return await super().fetch(limit, skip)


@dataclass(slots=True)
class Replay:
    """One of them. `state` is running, done, failed or stopped; `error` what it waits for, or why it failed."""

    id: int
    of: str
    into: str
    target: Reporter
    state: str = "running"
    error: str = ""
    total: int = 0
    started: float = 0.0
    task: asyncio.Task[None] | None = None
    runner: Runner | None = None

    def as_json(self, now: float) -> dict[str, Any]:
        """For the API."""
        target = self.target
        done = target.acknowledged + target.dead
        running = self.state == "running"
        left = None
        if running and done and self.total:
            left = max(0.0, self.total - done) * (now - self.started) / done
        trouble = target.trouble or (self.runner.last_error if self.runner is not None else "") if running else ""
        return {
            "id": self.id,
            "of": self.of,
            "into": self.into,
            "sent": target.acknowledged,
            "refused": target.dead,
            "total": self.total,
            "state": self.state,
            "error": masked(trouble or self.error),
            "time_left": left,
        }


class Replays:
    """All of a hub's."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._ids = itertools.count(1)
        self._over: deque[Replay] = deque(maxlen=_REMEMBERED)
        self._running: dict[int, Replay] = {}

    def all(self) -> list[dict[str, Any]]:
        """Each of them, newest first."""
        now = self._hub.world.monotonic()
        found = [*self._running.values(), *self._over]
        return [replay.as_json(now) for replay in sorted(found, key=lambda one: one.id, reverse=True)]

    def start(self, record: Record, source: Reporter, into: str, query: Query, pace: tuple[int, float]) -> int:
        """Begin one; `pace` is batchsize and seconds between requests, 0 for the usual. Raises SettingError."""
        if len(self._running) >= _AT_ONCE:
            raise SettingError(f"{_AT_ONCE} replays are under way: wait for one to end, or stop it")
        target = self._target(into, *pace)
        replay = Replay(next(self._ids), source.name, into, target)
        self._running[replay.id] = replay
        replay.task = asyncio.create_task(self._run(replay, record, source, query), name=f"replay {replay.id}")
        return replay.id

    async def stop(self, id_: int) -> bool:
        """End one. Returns whether there was such."""
        replay = self._running.get(id_)
        if replay is None or replay.task is None:
            return any(one.id == id_ for one in self._over)
        replay.task.cancel()
        await asyncio.wait([replay.task])
        return True

    async def close(self) -> None:
        """End all."""
        for id_ in list(self._running):
            await self.stop(id_)

    def _target(self, name: str, batchsize: int, interval: float) -> Reporter:
        """A reporter of the replay's own: as configured, but for how fast it sends."""
        runner = self._hub.runners.get(name)
        if runner is None or not isinstance(runner.interfacer, Reporter):
            raise SettingError("there is no such reporter to send into")
        config = runner.config
        runtime = {**config.runtime, "interval": 0.0, "pause": "off", "pubchannels": (), "subchannels": ()}
        if batchsize:
            runtime["batchsize"] = batchsize
        # A broker ends a connection when another one comes with the same client id: the hub's own.
        init = {**config.init, **({"mqtt_client_id": ""} if "mqtt_client_id" in config.init else {})}
        config = replace(config, init=init, runtime=runtime)
        target = build(config, world=self._hub.world, nodes=self._hub.nodes)
        assert isinstance(target, Reporter)
        if interval:
            target.max_rate = target.batchsize / interval
        return target

    async def _run(self, replay: Replay, record: Record, source: Reporter, query: Query) -> None:
        target = replay.target
        translation = Translation(target, source.read_back, source.form, replay.into == source.name)
        folder = None
        try:
            if self._hub.keeper.state is not None and self._folder_of(replay.into) is not None:
                folder = await asyncio.to_thread(ReporterFolder, self._hub.keeper.state, replay.into)
            replay.total = await asyncio.to_thread(_count, record, query, translation)
            unreadable = translation.unreadable.total()
            if not replay.total:
                raise SettingError(
                    "there is nothing to send" if not unreadable else "none of these frames can be sent to this target"
                )
            replay.error = "waiting for its turn to send"
            if folder is not None:
                await _turn(folder)
            replay.error = f"{unreadable} frames can't be turned into its form" if unreadable else ""
            replay.started = self._hub.world.monotonic()
            with closing(record.frames("delivered")) as frames:  # type: ignore[type-var]
                await self._send(replay, await _Ahead.make(translation.of(query.among(frames))))
            replay.state = "done"
        except asyncio.CancelledError:
            replay.state, replay.error = "stopped", ""
            raise
        except Exception as error:  # noqa: BLE001 - what it failed of is told; it costs the hub nothing
            replay.state, replay.error = "failed", str(error) or type(error).__name__
        finally:
            if folder is not None:
                folder.unlock()
            self._running.pop(replay.id, None)
            self._over.appendleft(replay)

    def _folder_of(self, name: str) -> ReporterFolder | None:
        runner = self._hub.runners.get(name)
        return runner.interfacer.folder if runner is not None and isinstance(runner.interfacer, Reporter) else None

    async def _send(self, replay: Replay, buffer: _Ahead) -> None:
        target = replay.target
        attach(target, buffer)
        # Under its own name, so that its log lines are told from those of the hub's own.
        runner = replay.runner = Runner(self._hub.runners[replay.into].config, target, Channels())
        runner.start()
        try:
            await buffer.done.wait()
        finally:
            await runner.stop(0)


def _count(record: Record, query: Query, translation: Translation) -> int:
    return sum(1 for _ in translation.of(query.among(record.frames("delivered"))))


async def _turn(folder: ReporterFolder) -> None:
    """Become the one who sends."""
    while True:
        if folder.lock():
            return
        await asyncio.sleep(_LOCK_S)
