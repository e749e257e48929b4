"""A `read` that blocks, called again and again in a thread of its own."""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from emonhub.cargo import Cargo

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_AHEAD = 16
"""Results that may wait for the loop: a read faster than the loop is slowed down, and does not fill the memory."""

_PAUSE_S = 0.05
"""After a read that found nothing: one that does not wait for its device must not take a whole core."""


class ReadThread:
    """Calls `read` in a thread, and gives what it returns to `take` in the loop.

    A generator's items are handed over one by one, so one that never ends is welcome too. The thread is a daemon:
    a read that never returns keeps nobody from ending, and can't be ended; `alive` says whether it still runs.
    """

    def __init__(self, name: str, read: Callable[[], Any], take: Callable[[Any], None]) -> None:
        self._read = read
        self._take = take
        self._loop = asyncio.get_running_loop()
        self._failed: asyncio.Future[None] = self._loop.create_future()
        self._ended = asyncio.Event()
        self._stopping = threading.Event()
        self._ahead = threading.Semaphore(_AHEAD)
        self._thread = threading.Thread(target=self._work, name=f"{name} read", daemon=True)

    @property
    def alive(self) -> bool:
        """Whether the thread still runs."""
        return self._thread.is_alive()

    async def run(self) -> None:
        """Read until it fails, and raise that."""
        self._thread.start()
        try:
            await self._failed
        finally:
            self._stopping.set()
            self._ahead.release()

    async def wait_ended(self) -> None:
        """Wait until the read that was under way at the end of `run` has returned."""
        await self._ended.wait()

    def _work(self) -> None:
        try:
            while not self._stopping.is_set():
                for found in self._results():
                    self._ahead.acquire()
                    if self._stopping.is_set():
                        break
                    self._call(self._hand_over, found)
        except BaseException as error:  # noqa: BLE001 - carried over to the task that supervises it
            self._call(self._fail, error)
        self._call(self._ended.set)

    def _results(self) -> Iterator[Any]:
        found = self._read()
        if found is None:
            self._stopping.wait(_PAUSE_S)
        elif isinstance(found, Cargo | list | tuple):
            yield found
        else:
            for item in found:
                yield (item,)

    def _call(self, function: Callable[..., object], *arguments: object) -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody listens any more
            self._loop.call_soon_threadsafe(function, *arguments)

    def _hand_over(self, found: Any) -> None:
        self._ahead.release()
        if self._stopping.is_set() or self._failed.done():
            return
        try:
            self._take(found)
        except Exception as error:  # noqa: BLE001 - carried over likewise
            self._fail(error)

    def _fail(self, error: BaseException) -> None:
        if not self._failed.done():
            # A future takes no StopIteration, and SystemExit would end the whole hub.
            carried = error if isinstance(error, Exception) and not isinstance(error, StopIteration) else None
            self._failed.set_exception(carried or RuntimeError(f"read() raised {type(error).__name__}: {error}"))
            self._failed.exception()  # seen: a failure that comes when nobody waits any more is not worth a line
