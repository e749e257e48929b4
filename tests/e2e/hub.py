"""A real hub in a process of its own, a serial port to talk to it, and its configuration."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import tty
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from tests.fakes.emoncms import FakeEmoncms

PATIENCE_S = 20.0
"""Before a test gives up on something: much more than it takes on a slow machine."""


class Port:
    """A serial port that a device may be plugged into: a pseudo-terminal behind a link with a fixed name."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._master = self._slave = -1

    def plug_in(self) -> None:
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        self.path.symlink_to(os.ttyname(self._slave))

    def pull_out(self) -> None:
        self.path.unlink()
        os.close(self._master)
        os.close(self._slave)
        self._master = -1

    def say(self, *lines: str) -> None:
        os.write(self._master, "".join(f"{line}\r\n" for line in lines).encode())

    def close(self) -> None:
        if self._master >= 0:
            self.pull_out()


class HubProcess:
    """`emonhub` as a user starts it."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.lines: list[str] = []
        self._news = asyncio.Condition()
        self._reading = asyncio.create_task(self._read())

    async def _read(self) -> None:
        assert self.process.stderr is not None
        async for line in self.process.stderr:
            async with self._news:
                self.lines.append(line.decode().rstrip("\n"))
                self._news.notify_all()

    @property
    def log(self) -> str:
        return "\n".join(self.lines)

    def count(self, text: str) -> int:
        return sum(text in line for line in self.lines)

    async def says(self, text: str, times: int = 1) -> None:
        """Wait until it has logged `text` so many times."""
        try:
            async with asyncio.timeout(PATIENCE_S), self._news:
                await self._news.wait_for(lambda: self.count(text) >= times)
        except TimeoutError:
            raise AssertionError(f"the hub did not say {text!r} {times} times:\n{self.log}") from None

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    async def ends(self) -> int:
        async with asyncio.timeout(PATIENCE_S):
            status = await self.process.wait()
            await self._reading
            return status

    async def stop(self) -> int:
        self.signal(signal.SIGTERM)
        return await self.ends()


@asynccontextmanager
async def running(*arguments: str | Path, environ: dict[str, str] | None = None) -> AsyncIterator[HubProcess]:
    """A hub started with these arguments; killed at the end if it still runs."""
    hub = HubProcess(
        await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "emonhub",
            *map(str, arguments),
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            env={**os.environ, **(environ or {})},
        )
    )
    try:
        yield hub
    finally:
        if hub.process.returncode is None:
            hub.process.kill()
        await hub.ends()


async def until(condition: Callable[[], object], what: str = "it") -> None:
    """Wait until a condition in this process holds."""
    try:
        async with asyncio.timeout(PATIENCE_S):
            while not condition():
                await asyncio.sleep(0.01)
    except TimeoutError:
        raise AssertionError(f"{what} did not come about") from None


def interfacer(name: str, type_name: str, init: dict[str, object], run: dict[str, object]) -> str:
    """One entry of [interfacers]."""
    lines = [f"[[{name}]]", f"    Type = {type_name}", "    [[[init_settings]]]"]
    lines += [f"        {key} = {value}" for key, value in init.items()]
    lines += ["    [[[runtimesettings]]]"]
    lines += [f"        {key} = {value}" for key, value in run.items()]
    return "\n".join(lines) + "\n"


# Node 10 as the board prints it: 100 W, 21.5 °C, -40 dBm.
FRAME = "OK 10 100 0 215 0 (-40)"
NAMED = {"power": 100, "temp": 21.5, "rssi": -40}


def radio(port: Port, **run: object) -> str:
    init = {"com_port": port.path, "com_baud": 38400}
    return interfacer("RFM2Pi", "EmonHubJeeInterfacer", init, {"pubchannels": "ToEmonCMS,"} | run)


def emoncms(server: FakeEmoncms, name: str = "emoncmsorg", **run: object) -> str:
    given = {"subchannels": "ToEmonCMS,", "url": server.url, "apikey": server.write_key, "interval": 0}
    return interfacer(name, "EmonHubEmoncmsHTTPInterfacer", {}, given | run)


def listener(number: int, **run: object) -> str:
    given = {"pubchannels": "ToEmonCMS,"} | run
    return interfacer("tcp", "EmonHubSocketInterfacer", {"port_nb": number}, given)


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


NODES = """
[nodes]
[[10]]
    nodename = emonTx
    [[[rx]]]
        names = power, temp
        datacodes = h, h
        scales = 1, 0.1
        units = W, C
"""


def configuration(state: Path, *interfacers: str, nodes: str = NODES, hub: str = "") -> str:
    top = f"[hub]\nloglevel = INFO\nstate_dir = {state}\n{hub}\n[web]\nport = 0\n"
    return f"{top}[interfacers]\n{''.join(interfacers)}{nodes}"


def replace(path: Path, text: str) -> None:
    """Change a file as a careful editor does: the new one takes the place of the old."""
    beside = path.with_name(path.name + ".new")
    beside.write_text(text)
    beside.replace(path)


async def flows(port: Port, server: FakeEmoncms) -> None:
    """A frame said now arrives."""
    before = len(server.frames)
    port.say(FRAME)
    await until(lambda: len(server.frames) > before, "the frame")
