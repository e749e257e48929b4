"""Any program whose standard output is lines of numbers or JSON objects, run and supervised."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shlex
import signal
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from emonhub import Cargo, FrameError, NodeId, SettingError, Unavailable, setting, text
from emonhub.interfacers.core.lineframes import LineInterfacer
from emonhub.interfacers.core.lines import LineSplitter
from emonhub.interfacers.devices.keyvalue import read_json

if TYPE_CHECKING:
    from collections.abc import Iterable

_CHUNK = 1 << 16
_GRACE_S = 0.5
"""From asking a program to end until it is killed: the hub's readers have a second for their end."""
_FIRST_RESTART_S = 1.0
_LONGEST_RESTART_S = 60.0
_SETTLED_S = 60.0
"""Having run this long, its end counts as a first one again."""
_UNREAD = 1 << 16
"""Bytes that wait for a program that does not read its standard input. What comes then is refused."""
_NODE = re.compile(r"[A-Za-z][\w.:\- ]{0,63}", re.ASCII)


class EmonHubExecInterfacer(LineInterfacer):
    """Runs a program, and takes the lines that it prints: numbers as the socket takes them, or JSON objects.

    `10 97 0 1530` is a frame of node 10; `{"power": 97, "node": "kitchen", "time": 1700000000}` one of values with
    names, where `node` and `time` may be left out. What the program prints on its standard error goes to the log. One
    that ends is started again: after `interval` if it ended well and that is set, else after waits that grow from a
    second to a minute. Frames of the subchannels go to its standard input, as such JSON objects, one a line.
    """

    command = setting(text(), "", "the program and its arguments, as in a shell but without one", init=True)
    directory = setting(text(), "", "directory that it runs in; empty = that of the hub", init=True)
    nodename = setting(text(), "", "node of JSON objects that name none; empty = the name of the interfacer")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._process: asyncio.subprocess.Process | None = None
        self._started = 0.0
        self._ends = 0
        self._last_words = ""

    def check(self) -> None:
        try:
            words = shlex.split(self.command)
        except ValueError as error:
            raise SettingError(f"command: {error}: every quote needs its other one") from None
        if not words:
            raise SettingError("command must be set in [[[init_settings]]], to a program and its arguments")

    def endpoint(self) -> str:
        return self.command

    async def open(self) -> None:
        words = shlex.split(self.command)
        # Python keeps back what it prints into a pipe, unless it is told not to.
        environ = {**self.world.environ, "PYTHONUNBUFFERED": "1"}
        self._last_words = ""
        self._started = self.world.monotonic()
        try:
            self._process = await asyncio.create_subprocess_exec(
                *words,
                stdin=asyncio.subprocess.PIPE if self.subchannels else asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                cwd=self.directory or None,
                env=environ,
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) else str(error)
            raise Unavailable(f"{words[0]} can't be started: {why}", retry_s=10.0) from error

    async def run(self) -> None:
        while True:
            process = self._running()
            await self._listen(process)
            status = await process.wait()
            ran_s = self.world.monotonic() - self._started
            if status or not self.interval:
                raise self._ended(status, ran_s)
            self._ends = 0
            await self.close()
            await self.world.sleep(max(self.interval - ran_s, 0.0))
            await self.open()

    async def send(self, cargos: list[Cargo]) -> None:
        """Write them to its standard input."""
        stdin = self._running().stdin
        if stdin is None:
            raise Unavailable("the program is started again, to have a standard input", retry_s=0.0)
        if stdin.transport.get_write_buffer_size() > _UNREAD:
            raise FrameError("not read", "the program does not read its standard input")
        stdin.write(b"".join(map(_line, cargos)))

    def settings_changed(self, changed: set[str]) -> None:
        process = self._process
        if process is not None and (process.stdin is not None) != bool(self.subchannels):
            _signal(process, signal.SIGTERM)

    async def close(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        if process.returncode is None:
            _signal(process, signal.SIGTERM)
            with suppress(TimeoutError):
                async with asyncio.timeout(_GRACE_S):
                    await process.wait()
        _signal(process, signal.SIGKILL)  # also what it has started and left behind
        await process.wait()
        # Somebody else may have its pipes still, and asyncio would wait for their end.
        process._transport.close()  # type: ignore[attr-defined]  # noqa: SLF001
        await asyncio.sleep(0)

    def _running(self) -> asyncio.subprocess.Process:
        if self._process is None:
            raise Unavailable("the program does not run")
        return self._process

    def _ended(self, status: int, ran_s: float) -> Unavailable:
        self._ends = 1 if ran_s > _SETTLED_S else self._ends + 1
        wait = min(_LONGEST_RESTART_S, _FIRST_RESTART_S * 2.0 ** min(self._ends - 1, 20))
        how = f"was ended by signal {-status}" if status < 0 else f"ended with exit status {status}"
        said = f": {self._last_words}" if self._last_words and status else ""
        return Unavailable(f"the program {how}{said}", retry_s=wait)

    async def _listen(self, process: asyncio.subprocess.Process) -> None:
        """Take what it prints until it ends."""
        assert process.stdout is not None
        assert process.stderr is not None
        hearing = asyncio.create_task(self._hear(process.stderr), name=f"{self.name} stderr")
        try:
            splitter = LineSplitter()
            while data := await process.stdout.read(_CHUNK):
                self._take(splitter.feed(data))
                if splitter.overlong:
                    self.discard(splitter.overlong)
                    splitter.overlong = None
            self._take(filter(None, [splitter.rest()]))
            with suppress(TimeoutError):
                async with asyncio.timeout(_GRACE_S):
                    await asyncio.shield(hearing)
        finally:
            hearing.cancel()
            await asyncio.gather(hearing, return_exceptions=True)

    async def _hear(self, stderr: asyncio.StreamReader) -> None:
        splitter = LineSplitter()
        while data := await stderr.read(_CHUNK):
            for line in splitter.feed(data):
                self._say(line)
        self._say(splitter.rest())

    def _say(self, line: bytes) -> None:
        words = line.decode("utf-8", "backslashreplace").strip()[:500]
        if words:
            self._last_words = words[:200]
            self.log.warning("The program says: %s", words, extra={"repeats": words})

    def _take(self, lines: Iterable[bytes]) -> None:
        now = self.world.time()
        self.decoders.refresh()
        cargos: list[Cargo] = []
        for line in lines:
            if not line.lstrip().startswith(b"{"):
                cargos += self.parse([line], now)
                continue
            try:
                cargos.append(self._named(line, now))
            except FrameError as error:
                self.discard(error, line)
        self.publish(cargos)

    def _named(self, line: bytes, now: float) -> Cargo:
        """The frame of a JSON object."""
        try:
            members = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise FrameError("bad JSON", str(error)[:100]) from None
        node = self._node(members.pop("node", self.nodename or self.name))
        sent = members.pop("time", None)
        pairs = read_json(json.dumps(members))
        cargo = pairs.cargo(self, node, now if sent is None else _time(sent), line)
        cargo.device_time = sent is not None
        return cargo

    def _node(self, node: Any) -> NodeId:
        if isinstance(node, str) and node.isascii() and node.isdigit():
            node = int(node[:10])
        if isinstance(node, int) and not isinstance(node, bool) and 0 <= node < 1 << 31:
            return int(node) + self.nodeoffset
        if isinstance(node, str) and _NODE.fullmatch(node):
            return node
        raise FrameError("bad node", f"{str(node)[:40]!r} is neither a number nor a name")


def _time(sent: Any) -> float:
    if isinstance(sent, int | float) and not isinstance(sent, bool) and 0 < sent < 1e11:
        return float(sent)
    raise FrameError("bad time", f"{str(sent)[:40]!r} is no time in Unix seconds")


def _line(cargo: Cargo) -> bytes:
    """A frame as a JSON object on a line."""
    layout = cargo.layout
    named = {layout.name_of(index): value for index, value in enumerate(cargo.values)}
    return json.dumps({**named, "node": cargo.target or layout.node, "time": cargo.time}).encode() + b"\n"


def _signal(process: asyncio.subprocess.Process, number: signal.Signals) -> None:
    """To the program and to everything that it has started."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)
