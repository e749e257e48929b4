from __future__ import annotations

import asyncio
import logging
import re
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emonhub.cargo import Cargo, Layout
from emonhub.demo.board import RadioBoard
from emonhub.errors import SettingError
from emonhub.interfacers.devices import jee as module
from emonhub.interfacers.devices.jee import EmonHubJeeInterfacer
from emonhub.nodes.datacodes import Scale
from emonhub.nodes.definition import Codec, NodeDefinition
from emonhub.nodes.table import Nodes
from emonhub.settings import declared
from tests.interfacers.harness import Port, QuickWorld, Running, running, until

AS_CONFIGURED = {"baseid": 1, "group": 210, "frequency": "433", "quiet": True, "calibration": "230V"}
"""What a new board has: with these, there is nothing to set."""


def jee(port: Port, nodes: Nodes | None = None, **settings: Any) -> EmonHubJeeInterfacer:
    values = {"com_port": str(port.path), "pubchannels": ("out",), "subchannels": ("tx",), **AS_CONFIGURED, **settings}
    return EmonHubJeeInterfacer("RFM2Pi", values, world=QuickWorld(), nodes=nodes)


@pytest.fixture
def board(port: Port) -> RadioBoard:
    """The board on the port."""
    port.board = RadioBoard()
    return port.board


async def set_up(hub: Running) -> None:
    interfacer = hub.interfacer
    assert isinstance(interfacer, EmonHubJeeInterfacer)
    await until(interfacer._is_set_up.is_set, "the board set up")


def commands(port: Port) -> list[str]:
    """What was sent to the board, cut behind the letter of each command."""
    return re.findall(r"[^a-z]*[a-z]", port.commands.decode())


def send(hub: Running, *values: Any, node: int | str = 30, target: int | str = 0) -> None:
    hub.channels.publish(("tx",), [Cargo(Layout(node), values, time.time(), target=target)])


class TestSettings:
    def test_defaults_are_those_of_today(self) -> None:
        settings = declared(EmonHubJeeInterfacer)
        defaults = {name: settings[name].default for name in ("com_port", "com_baud", "datacode", *AS_CONFIGURED)}
        assert defaults == {
            "com_port": "/dev/ttyAMA0", "com_baud": 38400, "datacode": "h", "baseid": 15, "group": 210,
            "frequency": "433", "quiet": True, "calibration": "230V",
        }  # fmt: skip

    @pytest.mark.parametrize(
        ("name", "raw"),
        [("baseid", "27"), ("baseid", "0"), ("group", "251"), ("frequency", "434"), ("calibration", "240V")],
    )
    def test_what_the_board_would_not_take_is_refused(self, name: str, raw: str) -> None:
        with pytest.raises(SettingError, match="must be"):
            declared(EmonHubJeeInterfacer)[name].kind(raw)


class TestReading:
    async def test_frames(self, port: Port) -> None:
        async with running(jee(port)) as hub:
            await port.print(b"OK 5 0 0 13 255 44 1 (-71)\r\n 10 1 0\r\nOK 11 2 0\r\n")
            await until(lambda: len(hub.heard) == 3)
            assert hub.frames == [(5, 0, -243, 300), (10, 1), (11, 2)]
            assert [cargo.rssi for cargo in hub.heard] == [-71, 0, 0]
            assert all(abs(cargo.time - time.time()) < 60 for cargo in hub.heard)
            assert hub.bad == {}

    @pytest.mark.parametrize(
        ("field", "rssi"), [(b"(0)", 0), (b"(-0)", 0), (b"(-120)", -120), (b"(-4281139229)", 0), (b"(12)", 0)]
    )
    async def test_signal_strength(self, port: Port, field: bytes, rssi: int) -> None:
        async with running(jee(port)) as hub:
            await port.print(b"OK 5 1 0 " + field + b"\r\n")
            await until(lambda: hub.heard)
            assert (hub.frames, hub.heard[0].rssi) == ([(5, 1)], rssi)

    async def test_offset(self, port: Port) -> None:
        nodes = Nodes({"105": NodeDefinition("105", "loft", rx=Codec(datacodes=("B",)))})
        async with running(jee(port, nodes, nodeoffset=100)) as hub:
            await port.print(b"OK 5 1 (-71)\r\nOK 6 1 0 (-71)\r\n")
            await hub.has((105, 1), (106, 1))

    async def test_a_frame_of_a_node_that_may_be_accepted_is_no_bad_one(self, port: Port) -> None:
        async with running(jee(port, Nodes(autoconf=True))) as hub:
            await port.print(b"OK 24 164 0 0 0 151 2 27 0 1 0 0 0 (-45)\r\nOK 5 1 0 (-45)\r\n")
            await hub.has((5, 1))
            assert not hub.bad

    @pytest.mark.parametrize(
        ("line", "reason"),
        [
            (b"OK", "too short"),
            (b"OK 0", "too short"),
            (b"OK (-40)", "too short"),
            (b"OK 5 (-40)", "too short"),
            (b"OK 5 1 (-40)", "length"),
            (b"OK 5 1 256 (-40)", "out of range"),
            (b"OK 5 1 x (-40)", "non-numeric"),
            (b"OK 5 1 2 (-4x)", "non-numeric"),
            (b"OK 5 1 2 (-4", "non-numeric"),
            (b"OK 5 1 2 (", "non-numeric"),
            (b"OK 5 1 2 3[RFM12demo.12] A i1* g210 @ 433 MHz q1", "non-numeric"),
            (b"OK x 1 2 (-40)", "unknown node"),
            (b"OK 5 1 2\x00 (-40)", "non-numeric"),
            (b"\xfe\xff\x00\x80", "noise"),
            (b"x" * (1 << 20), "too long"),
            (b" ? 12 167 129 24 0 (-98)", "unreliable"),
        ],
    )
    async def test_bad_lines_are_counted_and_cost_no_other(self, port: Port, line: bytes, reason: str) -> None:
        async with running(jee(port)) as hub:
            await port.print(b"OK 5 1 0\r\n" + line + b"\r\nOK 5 2 0\r\n")
            await hub.has((5, 1), (5, 2))
            assert hub.bad == {reason: 1}

    @pytest.mark.parametrize(
        "line",
        [
            b"",
            b"> 210g",
            b">\x00 4b",
            b" -> 5 b",
            b"config failed> 210g",
            b"[RF12demo.14] E i5 g210 @ 433 MHz q1",
            b" O i15 g210 @ 433 MHz",
            b"Available commands:",
            b"  <nn> i     - set node ID (standard node ids are 1..30)",
            b"\x01 anything",
        ],
    )
    async def test_what_the_board_says_is_no_data_and_no_fault(self, port: Port, line: bytes) -> None:
        async with running(jee(port)) as hub:
            await port.print(b"OK 5 1 0\r\n" + line + b"\r\nOK 5 2 0\r\n")
            await hub.has((5, 1), (5, 2))
            assert hub.bad == {}

    async def test_a_line_that_the_port_was_opened_in_the_middle_of(self, port: Port) -> None:
        async with running(jee(port)) as hub:
            # Of `OK 10 97 0 7 0 (-47)`, which would be node 7 sending a 0.
            await port.print(b"7 0 97 0 7 0 (-47)\r\nOK 10 97 0 7 0 (-47)\r\n")
            await hub.has((10, 97, 7))

    async def test_a_frame_in_pieces_with_the_banner_in_the_middle(self, port: Port, board: RadioBoard) -> None:
        nodes = Nodes({"10": NodeDefinition("10", rx=Codec(datacodes=("h", "h")))})
        async with running(jee(port, nodes)) as hub:
            await set_up(hub)
            for byte in b"OK 10 97 0 1" + board.banner() + b"OK 10 97 0 1 0 (-47)\r\n":
                await port.print(bytes((byte,)))
            await hub.has((10, 97, 1))
            assert hub.bad == {"length": 1}


class TestSetUp:
    async def test_a_board_that_is_as_wanted_is_asked_and_left_alone(self, port: Port, board: RadioBoard) -> None:
        async with running(jee(port)) as hub:
            await set_up(hub)
            assert port.commands == b"v"
            assert isinstance(hub.interfacer, EmonHubJeeInterfacer)
            assert hub.interfacer.firmware == "RFM12demo.12"

    async def test_only_what_differs_is_set(self, port: Port, board: RadioBoard) -> None:
        wanted: dict[str, Any] = {"baseid": 5, "group": 100, "frequency": "868", "quiet": False, "calibration": "110V"}
        async with running(jee(port, **wanted)) as hub:
            await set_up(hub)
        assert board == RadioBoard(node_id=5, group=100, band_mhz=868, quiet=False, usa=True)
        assert commands(port) == ["v", "8b", "100g", "5i", "0q", "2p"]

    async def test_between_two_settings_the_board_has_time_to_store_them(self, port: Port, board: RadioBoard) -> None:
        interfacer = jee(port, group=100, baseid=5)
        async with running(interfacer) as hub:
            await set_up(hub)
        assert isinstance(interfacer.world, QuickWorld)
        assert interfacer.world.waits[:2] == [1.0, 1.0]

    async def test_a_board_that_does_not_show_a_setting_is_told_it(self, port: Port) -> None:
        async with running(jee(port, group=100, baseid=15)) as hub:
            await until(lambda: b"v" in port.commands)
            await port.print(b"[RF12demo.9] O i15 g210 @ 433 MHz\r\n")
            await set_up(hub)
        assert commands(port) == ["v", "100g", "1q", "1p"]

    async def test_a_mute_board_is_told_everything(
        self, port: Port, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.INFO)
        monkeypatch.setattr(module, "_ANSWER_S", 0.02)
        async with running(jee(port)) as hub:
            await set_up(hub)
        assert commands(port) == ["v", "4b", "210g", "1i", "1q", "1p"]
        assert "does not say what it is" in caplog.text

    async def test_a_setting_that_the_board_does_not_take_is_told(
        self, port: Port, caplog: pytest.LogCaptureFixture
    ) -> None:
        async with running(jee(port, group=100)) as hub:
            await until(lambda: b"v" in port.commands)
            await port.print(b"[RF12demo.9] A i1 g210 @ 433 MHz q1 USA 0\r\n")
            await set_up(hub)
        assert "The board has not taken 100g: its group is 210" in caplog.text

    async def test_settings_that_change_while_it_runs(self, port: Port, board: RadioBoard) -> None:
        interfacer = jee(port)
        async with running(interfacer) as hub:
            await set_up(hub)
            values = {"com_port": str(port.path), "pubchannels": ("out",), **AS_CONFIGURED}
            interfacer.update({**values, "group": 99})
            interfacer.update({**values, "group": 100, "quiet": False})
            await until(lambda: (board.group, board.quiet) == (100, False))
            assert commands(port) == ["v", "100g", "0q"]
            await port.print(b"OK 5 1 0\r\n")
            await hub.has((5, 1))

    async def test_a_change_back_while_the_board_is_being_told(self, port: Port, board: RadioBoard) -> None:
        interfacer = jee(port, group=100)
        async with running(interfacer):
            await until(lambda: board.group == 100)
            interfacer.update({"com_port": str(port.path), **AS_CONFIGURED, "group": 210})
            await until(lambda: board.group == 210)

    async def test_settings_that_change_while_the_board_is_away(self, port: Port, board: RadioBoard) -> None:
        interfacer = jee(port)
        async with running(interfacer) as hub:
            await set_up(hub)
            port.pull_out()
            await hub.is_waiting()
            interfacer.update({"com_port": str(port.path), **AS_CONFIGURED, "group": 100})
            port.plug_in()
            await until(lambda: board.group == 100)

    async def test_a_board_that_is_plugged_in_again_is_set_up_again(self, port: Port, board: RadioBoard) -> None:
        async with running(jee(port, group=100)) as hub:
            await until(lambda: board.group == 100)
            port.pull_out()
            await hub.is_waiting()
            another = port.board = RadioBoard(group=55)
            port.plug_in()
            await until(lambda: another.group == 100)
            await hub.is_running()
            await port.print(b"OK 5 1 0\r\n")
            await hub.has((5, 1))

    async def test_a_board_that_has_started_anew_is_set_up_again(self, port: Port, board: RadioBoard) -> None:
        async with running(jee(port, group=100)) as hub:
            await set_up(hub)
            fresh = port.board = RadioBoard()
            await port.print(fresh.banner())
            await until(lambda: fresh.group == 100)

    async def test_a_port_that_is_not_there_at_first(self, port: Port, board: RadioBoard) -> None:
        port.pull_out()
        interfacer = jee(port, group=100)
        async with running(interfacer, wait=False) as hub:
            await hub.is_waiting()
            interfacer.update({"com_port": str(port.path), **AS_CONFIGURED, "group": 101})
            port.plug_in()
            await until(lambda: board.group == 101)


class TestSending:
    async def test_values_are_packed_for_their_node(self, port: Port, board: RadioBoard) -> None:
        tx = Codec(datacodes=("b", "b", "b", "h", "h", "H", "H"))
        nodes = Nodes({"20": NodeDefinition("20", tx=tx)})
        async with running(jee(port, nodes)) as hub:
            await set_up(hub)
            send(hub, 1, 1850)
            send(hub, 14, 38, 34, 700, -138, 2700, 829, node=7, target=20)
            send(hub, "5", node="31")
            await until(lambda: port.commands.endswith(b"31,5,0,0s"))
        assert commands(port)[1:] == ["30,1,0,58,7,0s", "20,14,38,34,188,2,118,255,140,10,61,3,0s", "31,5,0,0s"]

    @pytest.mark.parametrize(
        ("node", "values", "reason"),
        [
            (30, (70000,), "out of range"),
            (30, (None,), "non-numeric"),
            (30, (), "length"),
            (30, (1,) * 34, "length"),
            (40, (1, 2), "length"),
            (256, (1,), "bad node id"),
            (-1, (1,), "bad node id"),
            ("loft", (1,), "bad node id"),
        ],
    )
    async def test_what_can_not_be_sent_is_dropped_and_counted(
        self, port: Port, board: RadioBoard, node: int | str, values: tuple[Any, ...], reason: str
    ) -> None:
        nodes = Nodes({"40": NodeDefinition("40", tx=Codec(datacodes=("h",), scale=Scale.parse("0.1")))})
        async with running(jee(port, nodes)) as hub:
            await set_up(hub)
            send(hub, *values, node=node)
            send(hub, 7)
            await until(lambda: port.commands.endswith(b"s"))
            assert hub.bad == {f"not sent, {reason}": 1}
        assert commands(port)[1:] == ["30,7,0,0s"]

    async def test_what_is_older_than_its_time_to_live_is_not_sent(self, port: Port, board: RadioBoard) -> None:
        async with running(jee(port, ttl=30)) as hub:
            await set_up(hub)
            now = time.time()
            ages = {1: 31.0, 2: 29.0, 3: -500.0}  # the last by a clock that was ahead
            hub.channels.publish(("tx",), [Cargo(Layout(30), (value,), now - age) for value, age in ages.items()])
            await until(lambda: port.commands.endswith(b"30,3,0,0s"))
            assert hub.bad == {"not sent, too old": 1}
        assert commands(port)[1:] == ["30,2,0,0s", "30,3,0,0s"]

    async def test_a_node_that_another_has_heard_last_is_left_to_it(self, port: Port, board: RadioBoard) -> None:
        nodes = Nodes()
        nodes.heard_by |= {"30": "other", "31": "RFM2Pi"}
        async with running(jee(port, nodes)) as hub:
            await set_up(hub)
            send(hub, 1)
            send(hub, 2, target=30)
            send(hub, 3, target=31)
            send(hub, 4, node=32)  # which nobody has heard
            await until(lambda: port.commands.endswith(b"32,4,0,0s"))
            assert not hub.bad
        assert commands(port)[1:] == ["31,3,0,0s", "32,4,0,0s"]

    async def test_nothing_comes_between_the_letters_of_a_command(self, port: Port, board: RadioBoard) -> None:
        interfacer = jee(port, interval=0.5)
        async with running(interfacer) as hub:
            await set_up(hub)
            for number in range(20):
                send(hub, number)
                group = 100 + number % 2
                interfacer.update(
                    {
                        "com_port": str(port.path),
                        "subchannels": ("tx",),
                        **AS_CONFIGURED,
                        "group": group,
                        "interval": 0.5,
                    }
                )
                await asyncio.sleep(0.01)
            await until(lambda: port.commands.count(b"0s") >= 20)
            await until(lambda: board.group == 101)
        shape = re.compile(r"v|10[01]g|30,\d+,0,0s|00,\d\d,\d\d,00,s")
        assert [command for command in commands(port) if not shape.fullmatch(command)] == []

    async def test_a_control_frame_waits_until_a_setting_is_stored(self, port: Port) -> None:
        interfacer = jee(port, group=100)
        async with running(interfacer) as hub:
            await until(lambda: b"v" in port.commands)
            await port.print(b"[RF12demo.9] A i1 g210 @ 433 MHz q1 USA 0\r\n")
            await until(lambda: b"100g" in port.commands)
            send(hub, 7)
            assert interfacer._line.locked()
            await until(lambda: b"30,7,0,0s" in port.commands)

    async def test_reading_goes_on_while_the_board_is_set_up(self, port: Port) -> None:
        async with running(jee(port)) as hub:
            await port.print(b"OK 5 1 0\r\n")
            await hub.has((5, 1))
            assert isinstance(hub.interfacer, EmonHubJeeInterfacer)
            assert not hub.interfacer._is_set_up.is_set()


class TestTime:
    async def test_the_time_is_sent_at_once_and_then_every_interval(self, port: Port, board: RadioBoard) -> None:
        async with running(jee(port, interval=0.01)):
            await until(lambda: port.commands.count(b"s") >= 3)
        hour, minute = time.localtime()[3:5]
        assert re.fullmatch(r"00,\d\d,\d\d,00,s", commands(port)[1])
        sent = int(commands(port)[1][3:5]) * 60 + int(commands(port)[1][6:8])
        assert (hour * 60 + minute - sent) % 1440 <= 1

    async def test_an_interval_set_later_is_followed_at_once(self, port: Port, board: RadioBoard) -> None:
        interfacer = jee(port)
        async with running(interfacer) as hub:
            await set_up(hub)
            send(hub, 1)
            await until(lambda: port.commands.endswith(b"s"))
            assert b"00," not in port.commands
            interfacer.update({"com_port": str(port.path), **AS_CONFIGURED, "interval": 3600.0})
            await until(lambda: b"00," in port.commands)


def test_any_line_is_parsed_without_a_fuss() -> None:
    words = st.sampled_from(
        [
            b"OK",
            b"?",
            b"->",
            b">",
            b"(-47)",
            b"(",
            b")",
            b"(x)",
            b"10",
            b"0",
            b"255",
            b"-1",
            b"nan",
            b"i5",
            b"g210",
            b"@",
            b"MHz",
        ]
    )
    lines = st.lists(st.one_of(words, st.binary(max_size=6))).map(b" ".join)
    interfacer = EmonHubJeeInterfacer("RFM2Pi", {"com_port": "x"}, nodes=Nodes(autoconf=True))

    @given(st.lists(lines, max_size=5))
    def check(lines: list[bytes]) -> None:
        for cargo in interfacer.parse(lines, 1.0):
            assert cargo.values
            assert -200 <= cargo.rssi <= 0

    check()
