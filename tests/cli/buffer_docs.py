"""Runs the commands of docs/buffer.md on a record of its own.

python -m tests.cli.buffer_docs     writes what they print into the page
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
import re
import shlex
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Self
from unittest import mock

from emonhub.buffer import promise
from emonhub.buffer.choose import open_buffer
from emonhub.buffer.deadletters import DeadLetters
from emonhub.buffer.stored import StoredBuffer
from emonhub.cargo import Cargo, Layout
from emonhub.cli import main
from emonhub.cli.place import open_place
from emonhub.demo.sink import DemoEmoncms
from emonhub.world import World

PAGE = Path(__file__).parents[2] / "docs" / "buffer.md"
_BLOCK = re.compile(r"(?<=^```console\n).*?(?=^```$)", re.MULTILINE | re.DOTALL)
_LOCAL = "http://192.168.1.20/emoncms"

CONFIGURATION = """
[hub]
    state_dir = {state}
[interfacers]
[[RFM2Pi]]
    Type = EmonHubJeeInterfacer
    [[[init_settings]]]
        com_port = /dev/ttyAMA0
        com_baud = 38400
    [[[runtimesettings]]]
        pubchannels = ToEmonCMS,
[[emoncmsorg]]
    Type = EmoncmsHttpReporter
    [[[init_settings]]]
        keep = 90 d
    [[[runtimesettings]]]
        url = https://emoncms.org
        apikey = 0123456789abcdef0123456789abcdef
        subchannels = ToEmonCMS,
[[local]]
    Type = EmoncmsHttpReporter
    [[[init_settings]]]
        buffer_mode = hybrid
    [[[runtimesettings]]]
        url = {url}
        apikey = 0123456789abcdef0123456789abcdef
        subchannels = ToEmonCMS,
[nodes]
[[10]]
    nodename = emonTx
    [[[rx]]]
        names = P1, P2, Vrms, T1, pulse
        datacodes = h, h, h, h, L
        scales = 1, 1, 0.1, 0.1, 1
        units = W, W, V, C, p
[[23]]
    nodename = emonTH
    [[[rx]]]
        names = temperature, humidity, battery
        datacodes = h, h, h
        scales = 0.1, 0.1, 0.1
        units = C, %, V
"""


class Stage:
    """A place as on a user's machine, under a folder that is left out of what is printed."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.conf = root / "etc" / "emonhub" / "emonhub.conf"
        self.state = root / "var" / "lib" / "emonhub"
        self.conf.parent.mkdir(parents=True)
        self.state.mkdir(parents=True)
        self._server = DemoEmoncms()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self.url = asyncio.run_coroutine_threadsafe(self._server.start(), self._loop).result(20)
        self.conf.write_text(CONFIGURATION.format(state=self.state, url=self.url))
        asyncio.run(self._fill())
        letters = DeadLetters(self.state / "buffer" / "emoncmsorg" / "deadletters.jsonl")
        now = time.time()
        for ago, record in ((7000, "10,1e999,0,239.8,18.6,5043,-52"), (3000, "10,1e999,0,240.1,18.6,5061,-52")):
            letters.add(now - ago, record, "Format error, json string supplied is not valid", now - ago + 20)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._server.stop(), self._loop).result(20)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _fill(self) -> None:
        """Four hours that were delivered and kept, and ten minutes of an outage."""
        place = open_place(self.conf)
        reporter = place.reporters["emoncmsorg"]
        reporter.world = World(seed=1)
        buffer, folder = await open_buffer(reporter, place.state, reporter.world)
        assert isinstance(buffer, StoredBuffer)
        assert folder is not None
        reporter.equip(buffer, folder)
        now = time.time() // 60 * 60 + 5  # so that the nodes take turns in the same way each time
        reporter.accept(list(_house(now - 4 * 3600, now - 600)))
        buffer.remove(buffer.first + buffer.frames)
        reporter.accept(list(_house(now - 600, now)))
        await buffer.close()
        folder.disown()

    def run(self, line: str) -> str:
        """What a command line prints."""
        command, *arguments = shlex.split(line)
        if command == "head":
            _, count, name = arguments
            return "".join((self.root / name).read_text().splitlines(keepends=True)[: int(count)])
        assert command == "emonhub"
        where = ["--config", str(self.conf)] if arguments[0] != "check" else [str(self.conf)]
        output = io.StringIO()
        before = Path.cwd()
        os.chdir(self.root)
        try:
            with (
                contextlib.redirect_stdout(output),
                mock.patch.object(promise, "memory_dir", return_value=Path("/dev/shm/emonhub-997")),
                mock.patch.object(promise, "_free", return_value=1e11),
            ):
                status = main([*arguments, *where])
        finally:
            os.chdir(before)
        assert status == 0, output.getvalue()
        return output.getvalue().replace(str(self.root), "").replace(self.url, _LOCAL)


def _house(start: float, end: float) -> list[Cargo]:
    tx = Layout(10, "emonTx", ("P1", "P2", "Vrms", "T1", "pulse"), ("W", "W", "V", "C", "p"))
    th = Layout(23, "emonTH", ("temperature", "humidity", "battery"), ("C", "%", "V"))
    found = []
    at = start
    while at < end:
        turn = int(at / 10)
        values = (400 + turn * 7 % 900, 0, 238 + turn % 40 / 10, 18.6, 5000 + turn % 1000)
        found.append(Cargo(tx, values, round(at, 3), -52))
        if turn % 6 == 0:
            found.append(Cargo(th, (19.5 + turn % 9 / 10, 55.5, 2.9), round(at + 1.3, 3), -78))
        at += 10
    return found


def performed(page: str, stage: Stage) -> list[tuple[str, str, str]]:
    """Of each command in the page: the command, what the page says it prints, and what it prints now."""
    found = []
    for block in _BLOCK.findall(page):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, said = part.partition("\n")
            found.append((command, said, stage.run(command)))
    return found


def rewrite(page: str, stage: Stage) -> str:
    """The page with what the commands print now."""

    def block(found: re.Match[str]) -> str:
        commands = [line[2:] for line in found[0].splitlines() if line.startswith("$ ")]
        return "".join(f"$ {command}\n{stage.run(command)}" for command in commands)

    return _BLOCK.sub(block, page)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder, Stage(Path(folder)) as there:
        PAGE.write_text(rewrite(PAGE.read_text("utf-8"), there), "utf-8")
    sys.stdout.write(f"{PAGE}\n")
