"""The thread in which stores are called."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar, TypeVarTuple

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class StorageThread:
    """The one thread that waits for a disk or a database, so that the loop never does."""

    def __init__(self, name: str = "storage") -> None:
        self._pool = ThreadPoolExecutor(1, thread_name_prefix=name)

    async def run(self, call: Callable[[*Ts], T], *arguments: *Ts) -> T:
        """What `call` returns, from the thread; calls come in the order in which they were asked for."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, call, *arguments)
