"""The hub as a process: a serial port on one side, an emoncms on the other, and people who edit its file."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from typing import TYPE_CHECKING

import pytest

import emonhub
from tests.e2e.hub import (
    FRAME,
    NAMED,
    NODES,
    HubProcess,
    Port,
    configuration,
    emoncms,
    flows,
    free_port,
    listener,
    radio,
    replace,
    running,
    until,
)
from tests.fakes import emoncms_faults as faults
from tests.fakes.emoncms import FakeEmoncms

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow


async def test_changes_are_applied_as_a_difference(conf: Path, tmp_path: Path, port: Port, server: FakeEmoncms) -> None:
    number = free_port()
    conf.write_text(configuration(tmp_path, radio(port), emoncms(server)))
    async with running("run", conf) as hub, FakeEmoncms() as second:
        await hub.says("Running", 2)
        await flows(port, server)

        # One more, and a node that gets another name.
        replace(conf, configuration(tmp_path, radio(port), emoncms(server, sendnames=1), listener(number),
                                    nodes=NODES.replace("emonTx", "house")))  # fmt: skip
        await hub.says("Creating EmonHubSocketInterfacer 'tcp'")
        await hub.says("New settings for 'emoncmsorg': sendnames")
        await hub.says(f"Running: TCP port {number}")
        _, writer = await asyncio.open_connection("127.0.0.1", number)
        writer.write(b"31 7\r\n")
        await until(lambda: ("31", [7]) in [(f.node, f.values) for f in server.frames], "the frame over TCP")
        writer.close()
        await flows(port, server)
        assert (server.frames[-1].node, server.frames[-1].values) == ("house", NAMED)

        # Another server: taken over while running. The listener goes.
        replace(conf, configuration(tmp_path, radio(port), emoncms(second)))
        await hub.says("Stopping 'tcp'")
        await hub.says("New settings for 'emoncmsorg': sendnames, url")
        await flows(port, second)
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", number)

        # What never changed was never touched.
        assert hub.count("Running: " + str(port.path)) == 1
        assert hub.count("RFM2Pi     Running") == 1
        assert hub.count("Creating EmonHubEmoncmsHTTPInterfacer") == 1
        assert hub.count("Creating EmonHubJeeInterfacer") == 1

        # The port's speed is an initial setting: that one starts anew.
        replace(conf, configuration(tmp_path, radio(port).replace("38400", "57600"), emoncms(second)))
        await hub.says(f"Running: {port.path} at 57600")
        assert hub.count("emoncmsorg Running") == 1
        assert await hub.stop() == 0


async def test_a_frame_waiting_outlives_its_reporter_s_restart(
    conf: Path, tmp_path: Path, port: Port, server: FakeEmoncms
) -> None:
    conf.write_text(configuration(tmp_path, radio(port), emoncms(server)))
    async with running("run", conf) as hub:
        await hub.says("Running", 2)
        server.fault = faults.unavailable()
        port.say(FRAME)
        await hub.says("Can't deliver")
        replace(conf, configuration(tmp_path, radio(port)))  # switched off, by taking it out
        await hub.says("Stopping 'emoncmsorg'")
        server.fault = None
        replace(conf, configuration(tmp_path, radio(port), emoncms(server)))
        await until(lambda: server.stored == 1, "the frame from before")
        assert await hub.stop() == 0


@pytest.mark.parametrize("bad", ["[hub]\n[interfacers\n", "", None], ids=["half a bracket", "empty", "gone"])
async def test_a_file_that_can_not_be_used_is_refused_whole(
    conf: Path, tmp_path: Path, port: Port, server: FakeEmoncms, bad: str | None
) -> None:
    good = configuration(tmp_path, radio(port), emoncms(server))
    conf.write_text(good)
    async with running("run", conf) as hub:
        await hub.says("Running", 2)
        if bad is None:
            conf.unlink()
        else:
            conf.write_text(bad)
        await hub.says("New configuration refused, the old one goes on")
        await hub.says("can't be read" if bad is None else "emonhub.conf")
        await flows(port, server)
        conf.write_text(good + emptied("new"))
        await hub.says("can be read again")
        assert hub.count("Stopping") == 0
        await flows(port, server)
        assert await hub.stop() == 0


def emptied(node: str) -> str:
    return f"[[{node}]]\n    nodename = {node}\n"


async def test_one_bad_setting_stays_with_its_interfacer(
    conf: Path, tmp_path: Path, port: Port, server: FakeEmoncms
) -> None:
    conf.write_text(configuration(tmp_path, radio(port), emoncms(server)))
    async with running("run", conf) as hub:
        await hub.says("Running", 2)
        conf.write_text(configuration(tmp_path, radio(port), emoncms(server).replace("http:", "htp:")))
        await hub.says("htp:")
        await hub.says("must be a web address")
        await flows(port, server)
        assert hub.count("Stopping") == 0
        assert await hub.stop() == 0


async def test_a_file_met_half_written_does_no_harm(
    conf: Path, tmp_path: Path, port: Port, server: FakeEmoncms
) -> None:
    """The web editor truncates the file and writes it in place; the hub may look at any moment."""
    conf.write_text(configuration(tmp_path, radio(port), emoncms(server)))
    async with running("run", conf) as hub:
        await hub.says("Running", 2)
        for batchsize in range(2, 7):
            text = configuration(tmp_path, radio(port), emoncms(server, batchsize=batchsize))
            with conf.open("w") as file:
                for part in (text[:100], text[100:-300], text[-300:]):
                    file.write(part)
                    file.flush()
                    await asyncio.sleep(0.03)  # the editor's slowness
            await asyncio.sleep(0.71)  # so that the hub's looks meet the writing in every stage
        await hub.says("New settings for 'emoncmsorg': batchsize")
        assert hub.count("Stopping") == 0
        await flows(port, server)
        assert await hub.stop() == 0


async def test_sighup_reads_the_file_again_at_once(conf: Path, tmp_path: Path, port: Port, server: FakeEmoncms) -> None:
    conf.write_text(configuration(tmp_path, radio(port), emoncms(server), hub=""))
    async with running("run", conf) as hub:
        await hub.says("Running", 2)
        conf.write_text(configuration(tmp_path, radio(port), emoncms(server, batchsize=7)))
        hub.signal(signal.SIGHUP)
        await hub.says("New settings for 'emoncmsorg': batchsize")
        assert await hub.stop() == 0


async def test_a_port_may_vanish_and_return(conf: Path, tmp_path: Path, port: Port, server: FakeEmoncms) -> None:
    conf.write_text(configuration(tmp_path, radio(port), emoncms(server)))
    async with running("run", conf) as hub:
        await hub.says("Running", 2)
        await flows(port, server)
        port.pull_out()
        await hub.says("RFM2Pi     Waiting")
        port.plug_in()
        await hub.says("RFM2Pi     Running", 2)
        await flows(port, server)
        assert hub.count("emoncmsorg Running") == 1
        assert "Traceback" not in hub.log
        assert await hub.stop() == 0


async def test_a_port_may_come_late(conf: Path, tmp_path: Path, server: FakeEmoncms) -> None:
    port = Port(tmp_path / "late")
    conf.write_text(configuration(tmp_path, radio(port), emoncms(server)))
    async with running("run", conf) as hub:
        await hub.says(f"Waiting: there is no {port.path}")
        port.plug_in()
        await hub.says("RFM2Pi     Running")
        await flows(port, server)
        assert await hub.stop() == 0
    port.close()


async def send_frames(number: int, count: int) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", number)
    writer.write(b"".join(b"31 %d\r\n" % i for i in range(count)))
    await writer.drain()
    writer.close()


async def test_a_stop_delivers_the_backlog_first(conf: Path, tmp_path: Path, server: FakeEmoncms) -> None:
    number = free_port()
    conf.write_text(configuration(tmp_path, listener(number), emoncms(server, interval=3600, batchsize=1000)))
    async with running("run", conf) as hub:
        await hub.says("Running", 2)
        await send_frames(number, 1)
        await until(lambda: len(server.frames) == 1, "the first frame")
        await send_frames(number, 999)
        await send_frames(number, 5)  # with the one before: a full batch, and some that wait for an hour
        await until(lambda: len(server.frames) >= 1001, "the full batch")
        await send_frames(number, 500)
        server.fault = faults.Slow(0.2)
        await asyncio.sleep(0.3)  # not for anything to happen: for the frames to be on their way through the kernel
        assert await hub.stop() == 0  # it would be 1 if it had taken ten seconds
        assert len(server.frames) == 1505


@pytest.mark.slow
async def test_a_stop_takes_less_than_ten_seconds_whatever_the_server_does(
    conf: Path, tmp_path: Path, server: FakeEmoncms
) -> None:
    number = free_port()
    conf.write_text(configuration(tmp_path, listener(number), emoncms(server)))
    server.fault = faults.Hang()
    async with running("run", conf) as hub:
        await hub.says("Running", 2)
        await send_frames(number, 3)
        await until(lambda: server.requests, "a request")
        assert await hub.stop() == 0


async def test_two_reporters_do_not_hold_each_other_up(
    conf: Path, tmp_path: Path, port: Port, server: FakeEmoncms
) -> None:
    async with FakeEmoncms() as bad:
        bad.fault = faults.Hang()
        conf.write_text(configuration(tmp_path, radio(port), emoncms(bad, "bad"), emoncms(server, "good")))
        async with running("run", conf) as hub:
            await hub.says("Running", 3)
            for _ in range(3):
                await flows(port, server)
            assert bad.stored == 0


async def test_tells_systemd(conf: Path, tmp_path: Path) -> None:
    conf.write_text(configuration(tmp_path, listener(free_port())))
    address = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.bind(address)
        notify.setblocking(False)
        loop = asyncio.get_running_loop()
        environ = {"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "400000"}
        async with running("run", conf, environ=environ) as hub, asyncio.timeout(20):
            said = [await loop.sock_recv(notify, 500) for _ in range(4)]
            assert b"READY=1\nSTATUS=Running with " + os.fsencode(conf) in said
            assert said.count(b"WATCHDOG=1") == 3
            hub.signal(signal.SIGTERM)
            while await loop.sock_recv(notify, 500) != b"STOPPING=1":
                pass
            assert await hub.ends() == 0


async def test_a_hub_with_only_a_serial_port_loads_no_web_library(conf: Path, tmp_path: Path, port: Port) -> None:
    """Half of an idle hub's memory would be aiohttp."""
    conf.write_text(configuration(tmp_path, radio(port)))
    async with running("run", conf, environ={"PYTHONPROFILEIMPORTTIME": "1"}) as hub:
        await hub.says("RFM2Pi     Running")
        assert await hub.stop() == 0
        imported = {line.rpartition("|")[2].strip() for line in hub.lines if line.startswith("import time:")}
        assert "emonhub.hub" in imported
        assert imported & {"aiohttp", "rich", "aiomqtt", "paho.mqtt", "sqlite3", "emonhub.web"} == set()


# --- the start ---


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "can't be read: No such file or directory"),
        ("[hub]\n[interfacers]\n[[a\n", "emonhub.conf:3: error"),
        ("[hub]\n", "interfacers"),
    ],
    ids=["missing", "broken", "without interfacers"],
)
async def test_a_file_that_can_not_be_used_at_the_start(conf: Path, text: str | None, said: str) -> None:
    if text is not None:
        conf.write_text(text)
    async with running("run", conf) as hub:
        assert await hub.ends() == 2
        assert said in hub.log
        assert "Traceback" not in hub.log


@pytest.mark.parametrize("joined", [False, True])
async def test_the_old_command_line(conf: Path, tmp_path: Path, joined: bool) -> None:
    conf.write_text(configuration(tmp_path, listener(free_port())))
    logfile = tmp_path / "emonhub.log"
    options = {"--config-file": conf, "--logfile": logfile}
    arguments = [f"{k}={v}" for k, v in options.items()] if joined else [str(x) for kv in options.items() for x in kv]
    async with running(*arguments) as hub:
        await until(lambda: logfile.exists() and "Running" in logfile.read_text(), "the log file's line")
        assert await hub.stop() == 0
        assert hub.log == ""
        assert "MainThread emonHub v" in logfile.read_text()


async def test_a_log_file_that_can_not_be_written(conf: Path, tmp_path: Path) -> None:
    conf.write_text(configuration(tmp_path, listener(free_port())))
    async with running("run", conf, "--logfile", tmp_path / "missing" / "x.log") as hub:
        assert await hub.ends() == 2
        assert f"can't log to {tmp_path}/missing/x.log" in hub.log


async def output(*arguments: str | Path) -> tuple[int | None, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "emonhub", *map(str, arguments), stdout=asyncio.subprocess.PIPE
    )
    async with asyncio.timeout(20):
        out, _ = await process.communicate()
    return process.returncode, out.decode()


async def test_show_settings_and_version(conf: Path, tmp_path: Path, server: FakeEmoncms) -> None:
    conf.write_text(configuration(tmp_path, emoncms(server)))
    status, text = await output("--config-file", conf, "--show-settings")
    assert status == 0
    assert server.url in text
    assert server.write_key not in text
    assert await output("--version") == (0, f"emonHub v{emonhub.__version__}\n")


# --- what should never happen ---

FAILING_HUB = """
import sys
from emonhub import hub
from emonhub.cli import main

async def fail(self):
    raise RuntimeError("a bug")

hub.Hub.{task} = fail
sys.exit(main(["run", sys.argv[1]]))
"""


@pytest.mark.parametrize("task", ["_watch", "_sum_up", "apply"])
async def test_a_dead_main_task_ends_the_process(conf: Path, tmp_path: Path, task: str) -> None:
    """So that systemd starts it anew: a hub that goes on without noticing changes would be worse."""
    conf.write_text(configuration(tmp_path, listener(free_port())))
    code = FAILING_HUB.format(task=task).replace("(self)", "(self, _configuration)" if task == "apply" else "(self)")
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, str(conf), stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE
    )
    hub = HubProcess(process)
    assert await hub.ends() == 1
    assert "The hub has failed and ends" in hub.log
    assert "RuntimeError: a bug" in hub.log


STUCK_HUB = """
import asyncio, sys
from emonhub.interfacers.core.socket import EmonHubSocketInterfacer
from emonhub.cli import main, run

run._HARD_STOP_S = 3.0

async def close(self):
    while True:
        try:
            await asyncio.sleep(1)
        except asyncio.CancelledError:
            pass

EmonHubSocketInterfacer.close = close
sys.exit(main(["run", sys.argv[1]]))
"""


async def test_what_does_not_let_go_does_not_keep_the_process(conf: Path, tmp_path: Path) -> None:
    conf.write_text(configuration(tmp_path, listener(free_port())))
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", STUCK_HUB, str(conf), stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE
    )
    hub = HubProcess(process)
    await hub.says("Running")
    assert await hub.stop() == 1
    assert "ending all the same" in hub.log
