"""Runs one interfacer: opens it, keeps its tasks going, restarts what fails, keeps its state for people to see."""

from __future__ import annotations

import asyncio
import enum
import logging
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

from emonhub.channel import Inbox
from emonhub.errors import Unavailable
from emonhub.reporter import Reporter

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from emonhub.cargo import Cargo
    from emonhub.channel import Channels, Subscriber
    from emonhub.config.model import InterfacerConfig
    from emonhub.interfacer import Interfacer

T = TypeVar("T")

_FIRST_RESTART_S = 1.0
_LONGEST_RESTART_S = 60.0
_SHORTEST_RETRY_S = 0.05
"""Whatever an interfacer asks for, it does not take the whole core by trying."""
_SETTLED_S = 60.0
"""Having run this long, a failure counts as a first one again."""
_CLOSE_S = 5.0
"""A `close` that takes longer is left behind: it must not keep the port's next owner waiting for ever."""
_OFTEN = 5
"""Lines about coming and going in a minute: a loose plug is heard of, and does not fill the log."""


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
        self.last_failure = ""  # stays when it runs again
        self.restarts = 0
        self.failed_sends = 0
        self.missed = 0  # cargo for a live sender that was not running
        self.inbox = Inbox()
        self._channels = channels
        self._task: asyncio.Task[None] | None = None
        self._stopping = False
        self._broken: BaseException | None = None
        self._tasks: list[asyncio.Task[Any]] = []
        self._log = interfacer.log

    @property
    def name(self) -> str:
        return self.interfacer.name

    def start(self) -> None:
        """Wire it up and let it run."""
        self.interfacer.connect(self._channels.publish)
        self.rewire()
        self._task = asyncio.create_task(self._supervise(), name=self.name)
        self._task.add_done_callback(self._ended)

    def rewire(self) -> None:
        """Take over the settings that are not the interfacer's own affair: its log level, the channels it hears."""
        self._log.setLevel(self.interfacer.loglevel.upper() or logging.NOTSET)
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

    async def stop(self, grace_s: float, close_s: float = _CLOSE_S, successor: Subscriber | None = None) -> None:
        """Stop. A reporter has `grace_s` seconds to send what it owes, then closing may take `close_s`.

        What is published from now on is taken by `successor`, if there is one.
        """
        self._stopping = True
        if successor is None:
            self._channels.unsubscribe(self.name)
        else:
            self._channels.subscribe(self.name, self.interfacer.subchannels, successor)
        if self._task is None:
            return
        if isinstance(self.interfacer, Reporter) and self.state is State.RUNNING:
            self.interfacer.stop_delivery()
            await asyncio.wait([self._task], timeout=grace_s)
        self._task.cancel()
        await asyncio.wait([self._task], timeout=close_s)
        if grace_s:
            # What comes after it may want the same device.
            with suppress(TimeoutError):
                async with asyncio.timeout(grace_s):
                    await self.interfacer.read_returned()
        self.state = State.STOPPED

    async def _supervise(self) -> None:
        loop = asyncio.get_running_loop()
        failures = 0
        while True:
            started = loop.time()
            try:
                await self._run_once()
                wait = _FIRST_RESTART_S  # its reading side came to an end: perhaps there is more later
            except Unavailable as error:
                wait = max(error.retry_s, _SHORTEST_RETRY_S)
                self._wait_for_it(error)
            except Exception as error:  # the supervisor boundary
                failures = 1 if loop.time() - started > _SETTLED_S else failures + 1
                wait = min(_LONGEST_RESTART_S, _FIRST_RESTART_S * 2.0 ** min(failures - 1, 20))
                self._fail(error, wait, first=failures == 1)
            if self._stopping:
                return
            await self.interfacer.world.sleep(wait)

    def _wait_for_it(self, error: Unavailable) -> None:
        if self.last_error != str(error) or self.state is State.RUNNING:
            self._log.warning("Waiting: %s", error, extra={"repeats": str(error), "often": _OFTEN})
        self._set(State.WAITING, str(error))

    def _fail(self, error: Exception, wait: float, *, first: bool) -> None:
        self.restarts += 1
        said = f"{type(error).__name__}: {error}"
        self._log.error(
            "Failed, restarting in %g s: %s",
            wait,
            said,
            exc_info=error if first or self.last_failure != said else None,
            extra={"repeats": said, "often": _OFTEN},
        )
        self.last_failure = said
        self._set(State.FAILED, said)

    def _ended(self, task: asyncio.Task[None]) -> None:
        """Nothing but a stop ends the supervision; should anything else do, it is said, and the others go on."""
        if not task.cancelled() and task.exception() is not None:
            self._log.critical("Its supervision has failed: it does not run any more", exc_info=task.exception())
            self._set(State.FAILED, f"supervision: {task.exception()}")

    async def _run_once(self) -> None:
        itf = self.interfacer
        self._broken = None
        if itf.still_reading:
            raise Unavailable("the read that was under way when it failed has not returned yet")
        try:
            await _uncancelled(itf.open())
            if self.state is not State.RUNNING:
                where = itf.endpoint()
                said = f"Running: {where}" if where else "Running"
                self._log.info("%s", said, extra={"repeats": said, "often": _OFTEN})
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
        jobs = list(itf.jobs())
        lasting = []
        if itf.reads:
            lasting.append(self._task_of(itf.run(), "read"))
        if isinstance(itf, Reporter):
            lasting.append(self._task_of(itf.run_delivery(), "deliver"))
        elif itf.sends:
            lasting.append(self._task_of(self._send(), "send"))
        if not lasting:
            lasting.append(self._task_of(asyncio.Event().wait(), "idle"))
        self._tasks = lasting + [self._task_of(job, "job") for job in jobs]
        pending = set(self._tasks)
        try:
            while pending.issuperset(lasting):
                done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
                if self._broken is not None:
                    raise self._broken
                for task in done:
                    if task.cancelled():
                        raise RuntimeError(f"{task.get_name()} was cancelled by somebody else")
                    task.result()
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            self._tasks = []

    def _task_of(self, job: Coroutine[Any, Any, Any], what: str) -> asyncio.Task[Any]:
        return asyncio.create_task(_uncancelled(job), name=f"{self.name} {what}")

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
                self.failed_sends += len(cargos)
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


async def _uncancelled(job: Coroutine[Any, Any, T]) -> T:
    """Run somebody's code; what it raises is an ordinary error, unless it is we who cancel it."""
    try:
        return await job
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
        raise RuntimeError("it was cancelled from within") from None
    except (SystemExit, KeyboardInterrupt) as error:
        # A library that gives up with sys.exit() ends its interfacer, not the hub.
        raise RuntimeError(f"it raised {type(error).__name__}: {error}") from error
