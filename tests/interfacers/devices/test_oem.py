from __future__ import annotations

import json
import logging
import random
import re
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emonhub.cargo import Cargo, Layout
from emonhub.errors import SettingError
from emonhub.interfacers.devices import oem as module
from emonhub.interfacers.devices import oemsettings
from emonhub.interfacers.devices.oem import EmonHubOEMInterfacer
from emonhub.settings import declared
from tests.interfacers.harness import Port, QuickWorld, Running, running, until
from tests.testdata import testdata


def oem(port: Port | str, **values: Any) -> EmonHubOEMInterfacer:
    path = port if isinstance(port, str) else str(port.path)
    settings = {"com_port": path, "pubchannels": ("out",), "subchannels": ("tx",), **values}
    return EmonHubOEMInterfacer("USB0", settings, world=QuickWorld())


@pytest.fixture(autouse=True)
def quick_replies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_REPLY_S", 0.05)


class Device:
    """Answers commands, and prints a frame in front of each answer, as a device does that does not wait for ours."""

    def __init__(self, port: Port, answers: dict[str, str]) -> None:
        self.answers = answers
        self.said: list[str] = []
        self._rest = b""
        port.board = self  # type: ignore[assignment]

    def feed(self, data: bytes) -> bytes:
        *lines, self._rest = (self._rest + data).split(b"\n")
        answer = b""
        for line in lines:
            self.said.append(line.decode())
            if said := self.answers.get(line.decode().strip(), self.answers.get("")):
                answer += f"MSG:{len(self.said)},P1:10\r\n{said}\r\n".encode()
        return answer


async def set_up(hub: Running) -> None:
    interfacer = hub.interfacer
    assert isinstance(interfacer, EmonHubOEMInterfacer)
    await until(interfacer._is_set_up.is_set, "the device set up")


def send(hub: Running, *values: Any, node: int = 30) -> None:
    hub.channels.publish(("tx",), [Cargo(Layout(node), values, time.time())])


class TestReading:
    @pytest.mark.parametrize("capture", ["emontxv3cm_readme", "tx3e_readme", "tx3e_source", "workshop_pixel"])
    async def test_captures(self, capture: str, port: Port) -> None:
        folder = testdata("oem_keyvalue")
        wanted = json.loads((folder / f"{capture}.expected.json").read_text())
        async with running(oem(port)) as hub:
            await port.print((folder / f"{capture}.txt").read_bytes().rstrip() + b"\r\nready\r\n")
            await until(lambda: len(hub.heard) == len(wanted))
            for cargo, frame in zip(hub.heard, wanted, strict=True):
                named = dict(zip(cargo.layout.names, cargo.values, strict=True))
                assert {name: named[name] for name in frame} == frame
                assert set(named) - set(frame) <= {"missed", "missedprc"}
                assert cargo.layout.node == "USB0"

    async def test_the_node_may_have_another_name(self, port: Port) -> None:
        async with running(oem(port, nodename="emonTx5")) as hub:
            await port.print(b"MSG:1,P1:5\r\n")
            await hub.has(("emonTx5", 1, 5, 0, 0))

    async def test_first_frame_counts(self, port: Port) -> None:
        async with running(oem(port)) as hub:
            await port.print(b"P1:1,P2:2\r\nP1:3,P2:4\r\n")
            await hub.has(("USB0", 1, 2), ("USB0", 3, 4))

    @pytest.mark.parametrize("cut", [b"2:1,P3:7", b"P2:1,P3:7", b":1,P2:5,P3:7", b"5,P3:7", b"1", b"7 1 0 (-40)"])
    async def test_a_line_that_the_port_was_opened_in_the_middle_of(self, port: Port, cut: bytes) -> None:
        async with running(oem(port)) as hub:
            await port.print(cut + b"\r\nP1:3,P2:4,P3:5\r\n")
            await until(lambda: any(cargo.layout.names[:1] == ("P1",) for cargo in hub.heard))
            names = {name for cargo in hub.heard for name in cargo.layout.names}
            assert names <= {"P1", "P2", "P3"}
            if not cut.startswith(b":"):
                assert hub.frames == [("USB0", 3, 4, 5)]

    async def test_the_first_line_is_whole_when_the_port_had_been_quiet(self, port: Port) -> None:
        interfacer = oem(port)
        async with running(interfacer) as hub:
            interfacer._opened -= 2
            await port.print(b"P1:1,P2:2\r\n")
            await hub.has(("USB0", 1, 2))

    async def test_a_frame_cut_by_a_restart_is_not_taken_for_whole(self, port: Port) -> None:
        async with running(oem(port)) as hub:
            await port.print(b"MSG:1,P1:500,P2:6\r\nMSG:2,P1:5\r\nemonTx V4 starts\r\nMSG:1,P1:501,P2:6\r\n")
            await hub.has(("USB0", 1, 500, 6, 0, 0), ("USB0", 1, 501, 6, 0, 0))
            assert hub.bad == {"cut short": 1}

    async def test_a_sensor_that_leaves_for_good_costs_one_frame(self, port: Port) -> None:
        async with running(oem(port)) as hub:
            await port.print(b"MSG:1,T1:20,T2:21\r\nMSG:2,T1:20\r\nMSG:3,T1:20\r\nMSG:4,T1:20,T2:21\r\nMSG:5,T1:20\r\n")
            await until(lambda: len(hub.heard) == 4)
            # The count of missed frames goes on, whatever names a frame has.
            assert [cargo.values[-2] for cargo in hub.heard] == [0, 1, 1, 1]

    async def test_byte_lines_are_bytes_also_after_named_ones(self, port: Port) -> None:
        async with running(oem(port, nodeoffset=100)) as hub:
            await port.print(b"MSG:1,P1:5\r\nOK 17 1 0 2 0 (-40)\r\n18 3 0\r\n")
            await hub.has(("USB0", 1, 5, 0, 0), (117, 1, 2), (118, 3))

    async def test_messages_are_no_frames(self, port: Port, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.INFO)
        async with running(oem(port)) as hub:
            await port.print(
                b"|emonTx4 CM V1.5.7\r\nOpenEnergyMonitor.org\r\nLoaded config\r\nGroup 210, Node 17, Band 433 MHz\r\n"
                b"vCal = 1.000\r\nCT 1 Cal: 90.90\r\n> Board: emonTx4\r\nError: no sensor\r\n\x00\r\nMSG:1,P1:5\r\n"
            )
            await hub.has(("USB0", 1, 5, 0, 0))
            assert hub.bad == {}
            assert "Device: emonTx4 CM V1.5.7" in caplog.text

    async def test_noise_costs_no_frame(self, port: Port) -> None:
        async with running(oem(port)) as hub:
            await port.print(random.Random(1).randbytes(1 << 20) + b"\r\nMSG:1,P1:5,P2:6\r\n")
            await until(lambda: hub.heard and hub.frames[-1] == ("USB0", 1, 5, 6, 0, 0), f"a frame, {hub.bad}")
            assert len(hub.heard) == 1

    async def test_a_firmware_that_restarts_costs_one_frame_each_time(self, port: Port) -> None:
        async with running(oem(port)) as hub:
            for _ in range(5):
                await port.print(b"MSG:1,V1:240.1,P1:5\r\nMSG:2,V1:240.2,P1:6\r\nMSG:3,V1:24\x00")
                await port.print(b"emonTx4 V1.5.7\r\n'+++' then [Enter] for config mode\r\n")
            await until(lambda: len(hub.heard) == 15)
            whole = [cargo for cargo in hub.heard if "V1" in cargo.layout.names]
            assert [cargo.values[:3] for cargo in whole] == [(1, 240.1, 5), (2, 240.2, 6)] * 5
            assert {cargo.values[-2] for cargo in hub.heard} == {0}

    async def test_nodelistonly(self, port: Port) -> None:
        async with running(oem(port, nodelistonly=True)) as hub:
            await port.print(b"MSG:1,P1:5\r\n")
            await until(lambda: hub.bad["unknown node"])
            assert hub.heard == []

    async def test_sets_of_names_without_end_do_not_fill_the_memory(self, port: Port) -> None:
        interfacer = oem(port)
        async with running(interfacer) as hub:
            await port.print(b"".join(b"MSG:%d,N%d:1\r\n" % (n, n) for n in range(1200)))
            await until(lambda: len(hub.heard) == 1200)
            assert len(interfacer.decoders._named._made) <= 512
            assert len(interfacer._shapes) <= 64


class TestPorts:
    async def test_a_name_with_wildcards(self, port: Port) -> None:
        async with running(oem(f"{port.path.parent}/ttyT*")) as hub:
            assert hub.interfacer.endpoint() == f"{port.path} at 38400"
            await port.print(b"MSG:1,P1:5\r\n")
            await hub.has(("USB0", 1, 5, 0, 0))

    async def test_the_first_that_is_free(self, port: Port) -> None:
        other = Port(port.path.parent / "ttyTest10")
        other.plug_in()
        try:
            async with running(oem(f"{port.path.parent}/ttyT*")), running(oem(f"{port.path.parent}/ttyT*")) as second:
                assert second.interfacer.endpoint() == f"{other.path} at 38400"
        finally:
            other.pull_out()

    async def test_none_there_yet_unplugged_and_back(self, port: Port) -> None:
        port.pull_out()
        async with running(oem(f"{port.path.parent}/ttyT*"), wait=False) as hub:
            await hub.is_waiting()
            assert f"there is no {port.path.parent}/ttyT*" in hub.runner.last_error
            for count in (1, 2):
                port.plug_in()
                await hub.is_running()
                await port.print(b"MSG:%d,P1:5\r\n" % count)
                await until(lambda: hub.heard)
                hub.heard.clear()
                port.pull_out()
                await hub.is_waiting()
            port.plug_in()


class TestSetUp:
    async def test_nothing_configured_nothing_sent(self, port: Port) -> None:
        async with running(oem(port)) as hub:
            await set_up(hub)
            await port.print(b"MSG:1,P1:5\r\n")
            await hub.has(("USB0", 1, 5, 0, 0))
        assert port.commands == b""

    async def test_letter_first(self, port: Port) -> None:
        device = Device(port, {"4v": "4v", "g210": "group set"})
        values: dict[str, Any] = {"group": "210", "frequency": "433", "baseid": "17", "period": "9.8"}
        async with running(oem(port, vcal=(807.86,), ical1=(300.3, 3.2), ical2=(150.0,), **values)) as hub:
            await port.print(b"MSG:1,P1:5\r\n")
            await set_up(hub)
            # The frames that came between a command and its answer are frames.
            assert [frame[1] for frame in hub.frames] == [1, 2, 3]
        assert device.said == [
            "v", "4v", "g210", "b433", "i17", "d9.8", "k0 807.86 0.00", "k1 300.30 3.20", "k2 150.00 0.00",
        ]  # fmt: skip

    async def test_value_first(self, port: Port) -> None:
        device = Device(port, {"4v": "emonTx V3"})
        async with running(oem(port, group="210", baseid="8", period="9.8", vcal=(807.86,), ical1=(300.3, 3.2))) as hub:
            await port.print(b"MSG:1,P1:5\r\n")
            await set_up(hub)
        assert device.said == ["v", "4v", "210g", "8i", "9.8d", " 807.86 0.00k0", " 300.30 3.20k1"]

    @pytest.mark.parametrize(
        ("banner", "version"),
        [
            (b"", "emonPi3 firmware 1.1.0"),
            (b"> emon32 v1.1.0\r\n", "1.1.0"),
            (b"", "> Version\r\n> 1.1.0\r\n> Board: emonTx6"),
        ],
    )
    async def test_firmware_with_other_commands_gets_none(
        self, port: Port, banner: bytes, version: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        device = Device(port, {"v": version, "": "unknown command"})
        async with running(oem(port, baseid="17", frequency="433", vcal=(100.0,))) as hub:
            await port.print(banner + b"MSG:1,P1:5\r\n")
            await set_up(hub)
            send(hub, 1)
            await until(lambda: hub.bad["not sent, no transmitter"])
        assert device.said == ["v"]
        assert "frequency, baseid, vcal are not sent: " in caplog.text

    async def test_only_what_changes_is_sent_again(self, port: Port) -> None:
        device = Device(port, {"": "done", "4v": "4v"})
        interfacer = oem(port, group="210", baseid="17")
        async with running(interfacer) as hub:
            await port.print(b"MSG:1,P1:5\r\n")
            await set_up(hub)
            device.said.clear()
            same = {"com_port": str(port.path), "pubchannels": ("out",), "group": "210"}
            interfacer.update({**same, "baseid": "18"})
            await until(lambda: device.said == ["i18"])
            interfacer.update(same)
            interfacer.update({**same, "period": "5"})
            await until(lambda: device.said == ["i18", "d5"])

    async def test_a_device_that_prints_nothing_is_set_up_too(
        self, port: Port, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        monkeypatch.setattr(module, "_SILENT_S", 0.02)
        async with running(oem(port, group="210")) as hub:
            await set_up(hub)
        assert port.commands == b"v\n4v\ng210\n"
        assert "does not answer g210 (group)" in caplog.text

    async def test_the_prompt_for_configuration_is_answered(self, port: Port) -> None:
        async with running(oem(port)):
            await port.print(b"emonTx V3.4\r\n'+++' then [Enter] for config mode\r\n")
            await until(lambda: port.commands == b"++s\r\nk\r\nx\r\n")

    def test_settings_may_be_left_to_the_device(self) -> None:
        found = declared(EmonHubOEMInterfacer)
        assert all(not found[name].default and found[name].kind("") == found[name].default for name in oemsettings.KEYS)
        assert found["ical1"].kind(["300.30", "3.20"]) == (300.3, 3.2)
        assert found["ical1"].kind("300.3") == (300.3,)
        assert (found["com_port"].default, found["com_baud"].default) == ("/dev/ttyAMA0", 38400)

    @pytest.mark.parametrize(
        ("name", "raw"),
        [("group", "256"), ("baseid", "x"), ("frequency", "50"), ("vcal", ["1", "2"]), ("ical4", ["1", "2", "3"]),
         ("ical1", "nan"), ("period", "1;g5")],
    )  # fmt: skip
    def test_what_no_device_takes_is_refused(self, name: str, raw: Any) -> None:
        with pytest.raises(SettingError, match="must be"):
            declared(EmonHubOEMInterfacer)[name].kind(raw)


class TestSending:
    async def test_frames(self, port: Port) -> None:
        device = Device(port, {"": "sent"})
        async with running(oem(port)) as hub:
            send(hub, 1, 1850)
            await until(lambda: device.said)
            await port.print(b"MSG:9,P1:5\r\n")
            await until(lambda: len(hub.heard) == 2)
            send(hub, 70000)
            send(hub, 1, node=999)
            await until(lambda: hub.bad == {"not sent, out of range": 1, "not sent, bad node id": 1})
        assert device.said == ["T30,1,0,58,7"]

    async def test_the_time(self, port: Port, monkeypatch: pytest.MonkeyPatch) -> None:
        async with running(oem(port, interval=600.0)):
            await until(lambda: port.commands)
        assert len(port.commands) == len(b"00,12,34,00,s")
        assert port.commands.startswith(b"00,")


def test_whatever_a_line_holds_is_read_or_refused() -> None:
    words = st.sampled_from(
        ["MSG", "P1", ":", ",", "1", "2.5", "{", "}", '"', "OK", " ", "(-4)", "?", "nan", "+++", "'"]
    )
    lines = st.lists(st.lists(words).map("".join).map(str.encode) | st.binary(max_size=8), max_size=4)
    interfacer = EmonHubOEMInterfacer("USB0", {"com_port": "x"})

    @settings(max_examples=100)
    @given(lines)
    def check(lines: list[bytes]) -> None:
        for cargo in interfacer.parse(lines, 1.0):
            assert cargo.values
            assert all(value is None or value - value == 0 for value in cargo.values)
            assert len(cargo.layout.names) in {0, len(cargo.values)}
            assert cargo.layout.names == () or all(re.fullmatch(r"[\w-]+", name) for name in cargo.layout.names)

    check()
