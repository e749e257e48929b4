"""Running asyncio code, aiohttp on both sides included, on a loop whose time jumps instead of passing."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar

import aiohttp
from async_solipsism import EventLoop
from async_solipsism.clock import Clock

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from aiohttp.client_proto import ResponseHandler

T = TypeVar("T")


class VirtualConnector(aiohttp.TCPConnector):
    """A connector for aiohttp.ClientSession that asks the loop for connections instead of opening sockets.

    Hosts must be IP addresses (there is no resolver), and there is no TLS.
    """

    async def _wrap_create_connection(
        self, *args: Any, addr_infos: list[Any], req: Any, timeout: aiohttp.ClientTimeout, **kwargs: Any
    ) -> tuple[asyncio.Transport, ResponseHandler]:
        host, port = addr_infos[0][4][:2]
        client_error = kwargs.pop("client_error", aiohttp.ClientConnectorError)
        kwargs.pop("server_hostname", None)
        try:
            async with asyncio.timeout(timeout.sock_connect):
                loop: Any = self._loop
                made: tuple[asyncio.Transport, ResponseHandler] = await loop.create_connection(
                    *args, host=host, port=port, **kwargs
                )
                return made
        except OSError as error:
            if error.errno is None and isinstance(error, TimeoutError):
                raise
            raise client_error(req.connection_key, error) from error


def run_virtual(coro_fn: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run a coroutine function to its end on a virtual-time loop; for use in a plain (not async) test.

    Waiting for something that nothing will ever do fails at once with async_solipsism.SleepForeverError.
    """
    with asyncio.Runner(loop_factory=_loop) as runner:
        return runner.run(coro_fn())


class _Clock(Clock):  # type: ignore[misc] # the library has no types
    """As in life, every wait takes some time: one shorter than a tick would come round again and again for ever."""

    def advance(self, delta: float) -> None:
        super().advance(max(delta, self.resolution))


def _loop() -> EventLoop:
    loop = EventLoop()
    loop._selector.clock = loop._EventLoop__clock = _Clock()
    return loop
