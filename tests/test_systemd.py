"""The hub tells systemd how it is."""

from __future__ import annotations

import asyncio
import configparser
import os
import socket
from pathlib import Path

import pytest

from emonhub.cli import _parser, run
from emonhub.hub import DRAIN_S, READERS_END_S
from emonhub.systemd import Notifier


@pytest.mark.parametrize("abstract", [False, True])
def test_notifies_a_socket(tmp_path: Path, abstract: bool) -> None:
    name = f"@emonhub-test-{os.getpid()}" if abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind("\0" + name[1:] if abstract else name)
        Notifier({"NOTIFY_SOCKET": name}).notify("READY=1", "STATUS=Running")
        assert server.recv(100) == b"READY=1\nSTATUS=Running"


@pytest.mark.parametrize("environ", [{}, {"NOTIFY_SOCKET": "/nobody/there"}, {"NOTIFY_SOCKET": "x" * 300}])
def test_goes_on_where_nobody_listens(environ: dict[str, str]) -> None:
    Notifier(environ).notify("READY=1")


def test_a_full_queue_does_not_stop_the_loop(tmp_path: Path) -> None:
    name = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(name)
        notifier = Notifier({"NOTIFY_SOCKET": name})
        for _ in range(2000):
            notifier.notify("WATCHDOG=1")


async def test_feeds_the_watchdog_at_half_its_time(tmp_path: Path) -> None:
    name = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(name)
        server.setblocking(False)
        loop = asyncio.get_running_loop()
        environ = {"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "100000", "WATCHDOG_PID": str(os.getpid())}
        task = asyncio.create_task(Notifier(environ).keep_alive())
        async with asyncio.timeout(10):
            beats = [await loop.sock_recv(server, 100) for _ in range(3)]
        task.cancel()
    assert beats == [b"WATCHDOG=1"] * 3
    assert Notifier(environ)._period == 0.05


def test_the_unit_file_gives_the_hub_the_time_it_needs() -> None:
    unit = configparser.ConfigParser(strict=True, interpolation=None)
    unit.optionxform = str  # type: ignore[assignment, method-assign] # keys as they stand
    unit.read_string((Path(__file__).parents[1] / "packaging" / "emonhub.service").read_text())
    service = unit["Service"]
    assert service["Type"] == "notify"
    assert int(service["TimeoutStopSec"]) > run._HARD_STOP_S > READERS_END_S + DRAIN_S
    assert int(service["WatchdogSec"]) >= 10
    program, *arguments = service["ExecStart"].split()
    assert program.endswith("/emonhub")
    assert _parser().parse_args(arguments).file == Path("/etc/emonhub/emonhub.conf")


@pytest.mark.parametrize("environ", [{}, {"WATCHDOG_USEC": "0"}, {"WATCHDOG_USEC": "x"},
                                     {"WATCHDOG_USEC": "1000000", "WATCHDOG_PID": "1"}])  # fmt: skip
async def test_no_watchdog_no_beats(environ: dict[str, str]) -> None:
    async with asyncio.timeout(10):
        await Notifier(environ).keep_alive()
