"""The world an interfacer may touch: clocks, chance, ports, connections. Handed in: a test hands in another."""

from __future__ import annotations

import asyncio
import errno
import os
import random
import time
from typing import TYPE_CHECKING, Any

from emonhub.buffer.disk import Disk
from emonhub.buffer.thread import StorageThread
from emonhub.clock import Clock
from emonhub.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    import aiohttp

_READ_LIMIT = 1 << 16
"""Bytes an asyncio stream holds back before it stops reading. Lines are bounded elsewhere, this only bounds memory."""


class World:
    """The real one."""

    def __init__(self, *, seed: int | None = None) -> None:
        self.random = random.Random(seed)
        self.environ = os.environ
        self.clock = Clock(self.time)
        self.disk = Disk()
        self.storage = StorageThread()
        self.ports_taken: set[str] = set()  # real names of the serial ports that are in use or being asked
        self.state: Path | None = None  # the state directory, once the hub has found one that can be written

    time = staticmethod(time.time)
    """Wall clock, Unix seconds: for stamping frames, never for timers."""

    def monotonic(self) -> float:
        """The running loop's clock, seconds from some start: for timers."""
        return asyncio.get_running_loop().time()

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await asyncio.sleep(seconds)

    async def open_serial(self, port: str, baud: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A serial port, 8N1. Raises Unavailable while it can't be opened."""
        import serialx  # noqa: PLC0415 - only who has a serial port pays for it

        try:
            return await serialx.open_serial_connection(port, baudrate=baud)
        except FileNotFoundError as error:
            raise Unavailable(f"there is no {port}") from error
        except PermissionError as error:
            raise Unavailable(f"no permission to open {port}: add the hub's user to the group `dialout`") from error
        except (OSError, ValueError) as error:
            raise Unavailable(f"{port} can't be opened: {error}") from error

    async def start_server(
        self,
        handle: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
        host: str | None,
        port: int,
    ) -> asyncio.Server:
        """A TCP server; `host` None is every address of this machine. Raises Unavailable while the port is taken."""
        try:
            try:
                return await asyncio.start_server(handle, host, port, limit=_READ_LIMIT)
            except OSError as error:
                if host is not None or error.errno == errno.EADDRINUSE:
                    raise
                # A machine with IPv6 switched off has IPv6 addresses in name only.
                return await asyncio.start_server(handle, "0.0.0.0", port, limit=_READ_LIMIT)
        except OSError as error:
            raise Unavailable(f"can't listen on {host or '*'}:{port}: {error.strerror or error}") from error

    def http_connector(self, **options: Any) -> aiohttp.BaseConnector:
        """What an HTTP client opens its connections with."""
        import aiohttp  # noqa: PLC0415

        return aiohttp.TCPConnector(**options)
