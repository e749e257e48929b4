from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

from emonhub.errors import SettingError
from emonhub.interfacers.core.serial import EmonHubSerialInterfacer, ports_named
from emonhub.nodes.definition import Codec, NodeDefinition
from emonhub.nodes.table import Nodes
from emonhub.settings import declared
from tests.interfacers.harness import Port, QuickWorld, running, until


def serial(port: Port | Path, nodes: Nodes | None = None, **settings: Any) -> EmonHubSerialInterfacer:
    path = port.path if isinstance(port, Port) else port
    values = {"com_port": str(path), "pubchannels": ("out",), **settings}
    return EmonHubSerialInterfacer("USB", values, world=QuickWorld(), nodes=nodes)


def test_the_port_must_be_named() -> None:
    with pytest.raises(SettingError, match="com_port must be set"):
        EmonHubSerialInterfacer("USB")


def test_it_says_what_it_talks_to(tmp_path: Path) -> None:
    assert serial(tmp_path / "tty", com_baud=57600).endpoint() == f"{tmp_path}/tty at 57600"
    assert declared(EmonHubSerialInterfacer)["com_baud"].default == 9600


async def test_lines_are_frames(port: Port) -> None:
    async with running(serial(port)) as hub:
        await port.print(b"99 100 200 300 5000\r\n10 3.5 -7\r\n")
        await hub.has((99, 100, 200, 300, 5000), (10, 3.5, -7))
        await port.print(b"10 1 2\n")  # a bare newline is an end as well
        await hub.has((10, 1, 2))


async def test_names_are_those_of_the_node(port: Port) -> None:
    nodes = Nodes({"10": NodeDefinition("10", "meter", rx=Codec(names=("a",)))})
    async with running(serial(port, nodes)) as hub:
        await port.print(b"10 1 2\r\n")
        await until(lambda: hub.heard)
        layout = hub.heard[0].layout
        assert (layout.nodename, layout.name_of(0), layout.name_of(1)) == ("meter", "a", "2")


async def test_with_nodeoffset_all_numbers_are_values(port: Port) -> None:
    async with running(serial(port, nodeoffset=7)) as hub:
        await port.print(b"99 100\r\n")
        await hub.has((7, 99, 100))


async def test_lines_in_pieces_of_a_byte(port: Port) -> None:
    async with running(serial(port)) as hub:
        for byte in b"10 1 2\r\n11 3\r\n":
            await port.print(bytes((byte,)))
        await hub.has((10, 1, 2), (11, 3))


async def test_bad_lines_are_counted_and_cost_no_other(port: Port, caplog: pytest.LogCaptureFixture) -> None:
    bad = {
        b"": "empty line",
        b"\x00\x00": "bad node id",
        b"\xff\xfe\x80 1": "bad node id",
        "10 1 2°".encode(): "non-numeric",
        "10 1 2°".encode()[:-1]: "non-numeric",  # a character of several bytes, cut in the middle
        b"10 1 x": "non-numeric",
        b"10 ": "too short",
        b"meter 5": "unknown node",
        b"10 " + b"1 " * 3000: "length",
        b"9" * (1 << 20): "too long",
        b"OK 10 97 0 (-47)": "unknown node",
    }
    async with running(serial(port)) as hub:
        for number, line in enumerate(bad):
            await port.print(line + b"\r\n" + b"10 %d\r\n" % number)
        await hub.has(*((10, number) for number in range(len(bad))))
        reasons = list(bad.values())
        assert hub.bad == {reason: reasons.count(reason) for reason in reasons}
    assert "EmonHubJeeInterfacer" in caplog.text
    assert max(len(record.getMessage()) for record in caplog.records) < 500


async def test_not_finite_values_are_left_out(port: Port) -> None:
    async with running(serial(port)) as hub:
        await port.print(b"10 1 nan inf 2\r\n")
        await hub.has((10, 1, None, None, 2))
        assert hub.bad == {"value not finite": 2}


async def test_a_port_that_comes_late(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    port = Port(tmp_path / "tty")
    async with running(serial(port), wait=False) as hub:
        await hub.is_waiting()
        assert hub.runner.last_error == f"there is no {port.path}"
        port.plug_in()
        await hub.is_running()
        await port.print(b"10 1\r\n")
        await hub.has((10, 1))
        port.pull_out()
    assert caplog.text.count("there is no") == 1  # said once, however often it is tried


async def test_a_port_that_vanishes_and_returns_costs_one_line_at_most(port: Port) -> None:
    interfacer = serial(port)
    world = interfacer.world
    assert isinstance(world, QuickWorld)
    async with running(interfacer) as hub:
        for number in range(3):
            await port.print(b"10 1\r\n10 2")
            await hub.has((10, 1))
            port.pull_out()
            await hub.is_waiting()
            assert str(port.path) in hub.runner.last_error
            port.plug_in()
            await hub.is_running()
            await port.print(b"5 5\r\n11 %d\r\n" % number)  # never glued to the half line of before
            await hub.has((5, 5), (11, number))
    assert world.waits
    assert max(world.waits) < 2  # seconds between two looks for it


async def test_something_that_is_no_serial_port(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("10 1\n")
    async with running(serial(file), wait=False) as hub:
        await hub.is_waiting()
        assert "can't be opened" in hub.runner.last_error
    assert hub.heard == []


def test_ports_with_wildcards_come_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    for name in ("ttyUSB10", "ttyUSB2", "ttyACM3", "ttyS0"):
        (tmp_path / name).touch()
    assert [Path(port).name for port in ports_named(f"{tmp_path}/tty[AU]*")] == ["ttyACM3", "ttyUSB2", "ttyUSB10"]
    assert ports_named("/dev/ttyUSB7") == ["/dev/ttyUSB7"]
    assert ports_named("/dev/nothing-like-it*") == []
