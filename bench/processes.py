"""The processes of a measurement: a hub as a user starts it, a sink that takes what it sends, and what they cost."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CORES = sorted(os.sched_getaffinity(0))
MEASURED = {CORES[0]}
"""The core of what is measured. Everything else is kept off it, where there is more than one."""

OTHERS = set(CORES[1:]) or set(CORES)

PATIENCE_S = 600.0

_TICK_S = 1 / os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


class Process:
    """A Python process on cores of its own choice."""

    def __init__(self, *arguments: str, cores: set[int], log: Path | None = None) -> None:
        self._log = log.open("ab") if log else None
        self.process = subprocess.Popen(
            [sys.executable, *arguments],
            stdout=subprocess.PIPE,
            stderr=self._log or subprocess.DEVNULL,
            cwd=Path(__file__).parent.parent,
        )
        os.sched_setaffinity(self.process.pid, cores)

    def line(self) -> str:
        """The next line that it prints."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().decode().strip()

    @property
    def cpu_s(self) -> float:
        """CPU seconds that it has used, all of its threads."""
        fields = self._proc("stat").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) * _TICK_S

    @property
    def rss(self) -> int:
        """Bytes of memory that it has now."""
        return int(self._proc("statm").split()[1]) * _PAGE

    @property
    def written(self) -> int:
        """Bytes that it made the disk write, less those that were deleted before they got there."""
        found = dict(line.split(": ") for line in self._proc("io").splitlines())
        return int(found["write_bytes"]) - int(found["cancelled_write_bytes"])

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Let it end, and wait for that."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        self.process.wait(PATIENCE_S)
        if self.process.stdout is not None:
            self.process.stdout.close()
        if self._log is not None:
            self._log.close()

    def _proc(self, name: str) -> str:
        return Path(f"/proc/{self.process.pid}/{name}").read_text()


class Sink:
    """`bench.sink` in a process of its own."""

    def __init__(self, port: int = 0, delay_s: float = 0.0) -> None:
        self._process = Process("-m", "bench.sink", str(port), str(delay_s), cores=OTHERS)
        self.port = int(self._process.line())
        self.url = f"http://127.0.0.1:{self.port}"

    def stats(self) -> dict[str, float]:
        """What it has taken so far: see `bench.sink`."""
        with urllib.request.urlopen(f"{self.url}/stats", timeout=30) as answer:
            found: dict[str, float] = json.load(answer)
            return found

    def wait_for(self, frames: int, *, look_s: float = 0.02) -> dict[str, float]:
        """Wait until it has taken so many frames."""
        stats: dict[str, float] = {}

        def there() -> bool:
            stats.update(self.stats())
            return stats["frames"] >= frames

        wait_until(there, f"{frames} frames at the sink", look_s=look_s)
        return stats

    def stop(self) -> None:
        """End it."""
        self._process.stop()


@contextmanager
def hub(configuration: str, folder: Path, *, memory: Path | None = None) -> Iterator[Process]:
    """A hub with this configuration, on the core of what is measured; its log is `hub.log` in the folder.

    memory  a folder in memory for what is to outlive the process; None = where the hub finds one
    """
    file = folder / "emonhub.conf"
    file.write_text(configuration)
    program = ["emonhub"] if memory is None else ["bench.machine", str(memory)]
    process = Process("-m", *program, "run", str(file), cores=MEASURED, log=folder / "hub.log")
    try:
        yield process
    finally:
        process.stop()


@contextmanager
def sink(port: int = 0, delay_s: float = 0.0) -> Iterator[Sink]:
    """A sink, ended at the end."""
    found = Sink(port, delay_s)
    try:
        yield found
    finally:
        found.stop()


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def connect(port: int) -> socket.socket:
    """A connection to a port that somebody is about to listen on."""
    end = time.monotonic() + 30
    while True:
        try:
            connection = socket.create_connection(("127.0.0.1", port))
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.002)
        else:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return connection


def wait_until(condition: Callable[[], object], what: str, *, look_s: float = 0.02) -> None:
    """Wait until a condition holds."""
    end = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"{what}: not within {PATIENCE_S:g} s")
        time.sleep(look_s)
