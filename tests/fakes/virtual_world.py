"""A world on a loop with virtual time: its wall clock goes with the loop, its HTTP stays inside the process."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from emonhub import World
from emonhub.clock import Clock
from tests.fakes.virtual import VirtualConnector

if TYPE_CHECKING:
    import aiohttp

START = 1_800_000_000.0


class VirtualWorld(World):
    """For use inside `run_virtual`. `ahead_s` moves its wall clock against the loop's."""

    def __init__(self, *, seed: int = 1) -> None:
        self.ahead_s = START
        super().__init__(seed=seed)
        loop = asyncio.get_running_loop()
        self.clock = Clock(self.time, loop.time, "virtual", lambda: True)

    def time(self) -> float:
        return asyncio.get_running_loop().time() + self.ahead_s

    def http_connector(self, **options: Any) -> aiohttp.BaseConnector:
        return VirtualConnector(**options)
