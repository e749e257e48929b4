"""Runs one interfacer: opens it, keeps its tasks going, restarts what fails, keeps its state for people to see."""

from __future__ import annotations

import asyncio
import enum
import logging
from typing import TYPE_CHECKING, Any

from emonhub.channel import Inbox
from emonhub.errors import Unavailable
from emonhub.reporter import Reporter

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from emonhub.cargo import Cargo
    from emonhub.channel import Channels
    from emonhub.config.model import InterfacerConfig
    from emonhub.interfacer import Interfacer

_FIRST_RESTART_S = 1.0
_LONGEST_RESTART_S = 60.0
_SETTLED_S = 60.0
"""Having run this long, a failure counts as a first one again."""
_CLOSE_S = 5.0
"""A `close` that takes longer is left behind: it must not keep the port's next owner waiting for ever."""


class State(enum.Enum):
    """What an interfacer is doing."""

    STARTING = "starting"
    RUNNING = "running"
    WAITING = "waiting"
    """The outside thing is not there; it is tried again and again."""
    FAILED = "failed"
    """It raised, and is restarted after a while."""
    REFUSED = "refused"
    """Its settings are wrong; it runs once they are mended."""
    STOPPED = "stopped"


class Runner:
    """One interfacer and its supervision."""

    def __init__(self, config: InterfacerConfig, interfacer: Interfacer, channels: Channels) -> None:
        self.config = config
        self.interfacer = interfacer
        self.state = State.STARTING
        self.last_error = ""
        self.restarts = 0
        self.failed_sends = 0
        self.missed = 0  # cargo for a live sender that was not running
        self.inbox = Inbox()
        self._channels = channels
        self._task: asyncio.Task[None] | None = None
        self._stopping = False
        self._broken: BaseException | None = None
        self._tasks: list[asyncio.Task[Any]] = []
        self._log = logging.getLogger(interfacer.log.name)

    @property
    def name(self) -> str:
        return self.interfacer.name

    def start(self) -> None:
        """Wire it up and let it run."""
        self.interfacer.connect(self._channels.publish)
        self.rewire()
        self._task = asyncio.create_task(self._supervise(), name=self.name)

    def rewire(self) -> None:
        """Subscribe to the channels that its settings name now."""
        if isinstance(self.interfacer, Reporter) or self.interfacer.sends:
            self._channels.subscribe(self.name, self.interfacer.subchannels, self)

    def accept(self, cargos: list[Cargo]) -> None:
        """Take cargo off a channel. A failure in here is this interfacer's own, and the publisher never notices."""
        if isinstance(self.interfacer, Reporter):
            try:
                self.interfacer.accept(cargos)
            except Exception as error:  # the supervisor boundary
                self._log.exception("Dropped %d frames: taking them over failed", len(cargos))
                self.interfacer.dropped["internal error"] += len(cargos)
                self._break(error)
        elif self.state is State.RUNNING:
            self.inbox.put(cargos)
        else:
            self.missed += len(cargos)

    async def stop(self, grace_s: float) -> None:
        """Stop within `grace_s` seconds; a reporter uses them to send what it owes."""
        self._stopping = True
        self._channels.unsubscribe(self.name)
        if self._task is None:
            return
        if isinstance(self.interfacer, Reporter) and self.state is State.RUNNING:
            self.interfacer.stop_delivery()
            await asyncio.wait([self._task], timeout=grace_s)
        self._task.cancel()
        await asyncio.wait([self._task], timeout=_CLOSE_S + 1)
        self.state = State.STOPPED

    async def _supervise(self) -> None:
        loop = asyncio.get_running_loop()
        failures = 0
        while True:
            started = loop.time()
            try:
                await self._run_once()
                if self._stopping:
                    return
                wait = _FIRST_RESTART_S  # its reading side came to an end: perhaps there is more later
            except Unavailable as error:
                wait = error.retry_s
                if self.last_error != str(error) or self.state is State.RUNNING:
                    self._log.warning("Waiting: %s", error)
                self._set(State.WAITING, str(error))
            except Exception as error:  # the supervisor boundary
                failures = 1 if loop.time() - started > _SETTLED_S else failures + 1
                wait = min(_LONGEST_RESTART_S, _FIRST_RESTART_S * 2.0 ** min(failures - 1, 20))
                self.restarts += 1
                said = f"{type(error).__name__}: {error}"
                self._log.error(
                    "Failed, restarting in %g s: %s",
                    wait,
                    said,
                    exc_info=self.last_error != said,
                    extra={"repeats": said},
                )
                self._set(State.FAILED, said)
            if self._stopping:
                return
            await self.interfacer.world.sleep(wait)

    async def _run_once(self) -> None:
        itf = self.interfacer
        self._broken = None
        try:
            await itf.open()
            if self.state is not State.RUNNING:
                where = itf.endpoint()
                self._log.info("Running%s", f": {where}" if where else "")
            self._set(State.RUNNING)
            await self._run_tasks()
        finally:
            try:
                async with asyncio.timeout(_CLOSE_S):
                    await itf.close()
            except Exception as error:  # the supervisor boundary
                self._log.warning("Closing failed: %s: %s", type(error).__name__, error)

    async def _run_tasks(self) -> None:
        itf = self.interfacer
        lasting = []
        if itf.reads:
            lasting.append(self._task_of(itf.run(), "read"))
        if isinstance(itf, Reporter):
            lasting.append(self._task_of(itf.run_delivery(), "deliver"))
        elif itf.sends:
            lasting.append(self._task_of(self._send(), "send"))
        if not lasting:
            lasting.append(self._task_of(asyncio.Event().wait(), "idle"))
        self._tasks = lasting + [self._task_of(job, "job") for job in itf.jobs()]
        pending = set(self._tasks)
        try:
            while pending.issuperset(lasting):
                done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
                if self._broken is not None:
                    raise self._broken
                for task in done:
                    task.result()
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            self._tasks = []

    def _task_of(self, job: Coroutine[Any, Any, Any], what: str) -> asyncio.Task[Any]:
        return asyncio.create_task(job, name=f"{self.name} {what}")

    async def _send(self) -> None:
        itf = self.interfacer
        while True:
            cargos = await self.inbox.get()
            if itf.pause in {"out", "all"}:
                self.missed += len(cargos)
                continue
            try:
                await itf.send(cargos)
            except Unavailable:
                raise
            except Exception as error:  # the supervisor boundary
                self.failed_sends += len(cargos)
                self._log.warning(
                    "Not sent, and gone: %d frames (%s: %s)",
                    len(cargos),
                    type(error).__name__,
                    error,
                    extra={"repeats": "send"},
                )

    def _break(self, error: BaseException) -> None:
        self._broken = error
        for task in self._tasks:
            task.cancel()

    def _set(self, state: State, error: str = "") -> None:
        self.state = state
        if error or state is State.RUNNING:
            self.last_error = error
