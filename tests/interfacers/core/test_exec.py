from __future__ import annotations

import os
import shlex
import sys
from typing import TYPE_CHECKING, Any

import pytest

from emonhub import Cargo, Layout, SettingError
from emonhub.interfacers.core.exec import EmonHubExecInterfacer
from tests.interfacers.harness import QuickWorld, running, until

if TYPE_CHECKING:
    from pathlib import Path

LASTING = "import time\ntime.sleep(60)"


def program(code: str, **settings: Any) -> EmonHubExecInterfacer:
    command = shlex.join([sys.executable, "-c", code])
    values = {"command": command, "pubchannels": ("out",), **settings}
    return EmonHubExecInterfacer("Exec", values, world=QuickWorld())


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    with open(f"/proc/{pid}/stat") as file:  # one that nobody has asked for its end yet
        return file.read().rpartition(")")[2].split()[0] == "Z"


async def test_lines_and_objects_become_frames() -> None:
    code = f"""
print("10 97 0 1530")
print('{{"power": 97, "volts": 240.5, "node": "kitchen", "time": 1700000000.5}}')
print('{{"power": 98}}')
{LASTING}
"""
    async with running(program(code)) as hub:
        await until(lambda: len(hub.heard) == 3)
        line, named, plain = hub.heard
        assert hub.frames == [(10, 97, 0, 1530), ("kitchen", 97, 240.5), ("Exec", 98)]
        assert named.layout.names == ("power", "volts")
        assert named.time == 1700000000.5
        assert named.device_time
        assert not plain.device_time
        assert abs(plain.time - line.time) < 60


async def test_lines_are_taken_as_the_socket_takes_them() -> None:
    code = f'print("1700000000 10 5 7")\n{LASTING}'
    async with running(program(code, timestamped=True, targeted=True)) as hub:
        await hub.has((10, 7))
        assert hub.interfacer.last_received == 1700000000


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("{", "bad JSON"),
        ("{}", "no values"),
        ('{"a": 1, "time": "now"}', "bad time"),
        ('{"a": 1, "time": true}', "bad time"),
        ('{"a": 1, "node": [1]}', "bad node"),
        ('{"a": 1, "node": -1}', "bad node"),
        ('{"a": {"b": 1}}', "value non-numeric"),
        ("10 x", "non-numeric"),
        ("x" * 70000, "too long"),
    ],
)
async def test_a_bad_line_costs_only_itself(line: str, reason: str) -> None:
    code = f"print({line!r})\nprint('5 1')\n{LASTING}"
    async with running(program(code)) as hub:
        await hub.has((5, 1))
        assert hub.bad[reason] == 1


async def test_what_it_says_is_logged_and_how_it_ended(caplog: pytest.LogCaptureFixture) -> None:
    code = "import sys\nprint('5 1')\nprint('no meter', file=sys.stderr)\nsys.exit(3)"
    async with running(program(code), wait=False) as hub:
        await hub.is_waiting()
        assert hub.runner.last_error == "the program ended with exit status 3: no meter"
        assert hub.frames[0] == (5, 1)
        await until(lambda: len(hub.heard) > 2)  # it is started again
        world = hub.interfacer.world
        assert isinstance(world, QuickWorld)
        assert world.waits[:2] == [1.0, 2.0]
    assert "The program says: no meter" in caplog.text


async def test_one_that_ends_well_is_run_at_intervals() -> None:
    async with running(program("print('5 1')", interval=2.0)) as hub:
        await until(lambda: len(hub.heard) >= 2)


async def test_one_that_is_not_there_is_waited_for(tmp_path: Path) -> None:
    file = tmp_path / "program"
    async with running(program("", command=str(file)), wait=False) as hub:
        await hub.is_waiting()
        assert "No such file" in hub.runner.last_error
        file.write_text("#!/bin/sh\necho 5 1\nsleep 60\n")
        file.chmod(0o755)
        await until(lambda: hub.heard)


async def test_it_is_ended_with_all_that_it_has_started() -> None:
    code = """
import os, signal, subprocess, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen(["sleep", "60"])
print(1, os.getpid(), child.pid)
time.sleep(60)
"""
    async with running(program(code)) as hub:
        await until(lambda: hub.heard)
        pids = [int(value or 0) for value in hub.heard[0].values]
    await until(lambda: all(map(gone, pids)))


async def test_control_frames_go_to_its_standard_input() -> None:
    code = "import sys, json\nfor line in sys.stdin:\n    o = json.loads(line)\n    print(o['node'], o['relay'] * 2)"
    async with running(program(code, subchannels=("in",))) as hub:
        hub.channels.publish(("in",), [Cargo(Layout(30, "heater", ("relay",)), (4,), 1.0)])
        await hub.has((30, 8))


async def test_one_that_does_not_read_is_not_waited_for() -> None:
    async with running(program(LASTING, subchannels=("in",))) as hub:
        frames = [Cargo(Layout(30, "", ("relay",)), (4,), 1.0)] * 5000

        def refused() -> bool:
            hub.channels.publish(("in",), frames)
            return hub.runner.failed_sends > 0

        await until(refused)


def test_a_command_is_needed() -> None:
    with pytest.raises(SettingError, match="command must be set"):
        program("", command="")
    with pytest.raises(SettingError, match="quote"):
        program("", command="echo 'x")
