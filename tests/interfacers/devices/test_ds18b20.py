from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path
from typing import Any

import pytest

from emonhub.config.load import load
from emonhub.errors import FrameError, SettingError
from emonhub.interfacers.devices.ds18b20 import EmonHubDS18B20Interfacer, parse
from emonhub.interfacers.devices.polling import until_next
from emonhub.nodes.definition import Codec, NodeDefinition
from emonhub.nodes.table import Nodes
from tests.interfacers.harness import QuickWorld, running, until
from tests.testdata import testdata

CASES = Path(__file__).parents[2] / "devices" / "ds18b20"

GOOD = "93 01 7f 80 7f ff 0d 10 bd : crc=bd YES\n93 01 7f 80 7f ff 0d 10 bd t=25187\n"
BAD = GOOD.replace("YES", "NO")
LOST_POWER = "50 05 4b 46 7f ff 0c 10 1c : crc=1c YES\n50 05 4b 46 7f ff 0c 10 1c t=85000\n"
TRUE_85 = "50 05 4b 46 7f ff 10 10 5a : crc=5a YES\n50 05 4b 46 7f ff 10 10 5a t=85000\n"
COLD = "5e ff 4b 46 7f ff 02 10 0e : crc=0e YES\n5e ff 4b 46 7f ff 02 10 0e t=-10125\n"

FIRST, SECOND, THIRD = "28-000008e2db06", "28-000009770529", "28-0000096a49b4"


class Bus:
    """The folder in which the kernel shows the sensors."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "devices"

    def plug_in(self, sensor: str, content: str = GOOD) -> None:
        (self.folder / sensor).mkdir(parents=True, exist_ok=True)
        (self.folder / sensor / "new").write_text(content)
        (self.folder / sensor / "new").rename(self.folder / sensor / "w1_slave")

    def pull_out(self, sensor: str) -> None:
        shutil.rmtree(self.folder / sensor)


@pytest.fixture
def bus(tmp_path: Path) -> Bus:
    return Bus(tmp_path)


def sensors(bus: Bus, nodes: Nodes | None = None, **values: Any) -> EmonHubDS18B20Interfacer:
    settings = {"folder": str(bus.folder), "pubchannels": ("out",), "read_interval": 0.1, **values}
    return EmonHubDS18B20Interfacer("DS18B20", settings, world=QuickWorld(), nodes=nodes)


class TestParse:
    @pytest.mark.parametrize(
        "capture",
        ["all_ff", "all_zero_crc_yes", "crc_fail_27500", "good_19187", "good_25187", "good_27500", "power_on_85"],
    )
    def test_captures(self, capture: str) -> None:
        folder = testdata("ds18b20")
        content = (folder / f"{capture}.w1_slave").read_text()
        wanted = json.loads((folder / f"{capture}.expected.json").read_text())
        # Zeros pass the checksum, and are what a bus reads that is shorted to ground.
        if wanted["crc_ok"] and not wanted["power_on_default"] and capture != "all_zero_crc_yes":
            assert parse(content) == wanted["celsius"]
        else:
            with pytest.raises(FrameError) as caught:
                parse(content)
            assert caught.value.reason == ("power-on value" if wanted["power_on_default"] else "checksum")

    @pytest.mark.parametrize(("content", "celsius"), [(GOOD, 25.187), (COLD, -10.125), (TRUE_85, 85)])
    def test_good(self, content: str, celsius: float) -> None:
        assert parse(content) == celsius

    @pytest.mark.parametrize(
        ("content", "reason"),
        [
            (BAD, "checksum"),
            (LOST_POWER, "power-on value"),
            ("", "not understood"),
            (GOOD[:60], "not understood"),
            (GOOD.replace("t=25187", ""), "not understood"),
            (GOOD.replace("25187", "127937"), "out of range"),
        ],
    )
    def test_bad(self, content: str, reason: str) -> None:
        with pytest.raises(FrameError) as caught:
            parse(content)
        assert caught.value.reason == reason


@pytest.mark.parametrize(
    ("now", "interval", "wait"),
    [(1000.0, 10, 10), (1003.5, 10, 6.5), (1009.9999, 10, 10.0001), (7, 1, 1), (7, 0.5, 0.5)],
)
def test_round_times(now: float, interval: float, wait: float) -> None:
    assert until_next(now, interval) == pytest.approx(wait)


async def test_all_sensors_are_one_frame_with_their_names(bus: Bus) -> None:
    bus.plug_in(FIRST)
    bus.plug_in(SECOND, COLD)
    bus.plug_in(THIRD)
    (bus.folder / "w1_bus_master1").mkdir()
    interfacer = sensors(bus, ids=(SECOND, FIRST.upper()), names=("cyl_bot", "ambient"))
    async with running(interfacer) as hub:
        await until(lambda: len(hub.heard) >= 2)
    for cargo in hub.heard:
        assert cargo.layout.node == "sensors"
        named = dict(zip(cargo.layout.names, cargo.values, strict=True))
        assert named == {"ambient": 25.187, "cyl_bot": -10.125, THIRD: 25.187}


@pytest.mark.parametrize("case", sorted(path.parent for path in CASES.glob("*/bus")), ids=lambda case: case.name)
async def test_own_cases(case: Path, tmp_path: Path) -> None:
    """A case is a folder, with the sensors as the kernel shows them in `bus`: adding one needs no code."""
    conf = tmp_path / "emonhub.conf"
    conf.write_text((case / "conf").read_text().replace("BUS", str(case / "bus")))
    found = load(conf)
    assert found.errors == []
    (config,) = found.interfacers.values()
    interfacer = EmonHubDS18B20Interfacer(config.name, config.settings, world=QuickWorld(), nodes=Nodes(found.nodes))
    wanted = json.loads((case / "expected.json").read_text())
    async with running(interfacer) as hub:
        await until(lambda: hub.heard and len(hub.bad) >= len(wanted["bad"]), f"a frame, {hub.bad}")
    layout = hub.heard[0].layout
    assert (layout.node, layout.nodename) == (wanted["node"], wanted["nodename"])
    named = {layout.name_of(i): (value, layout.unit_of(i)) for i, value in enumerate(hub.heard[0].values)}
    assert named == {n: (v, u) for (n, v), u in zip(wanted["values"].items(), wanted["units"], strict=True)}
    assert sorted(hub.bad) == wanted["bad"]


async def test_the_node_may_have_units_and_another_name(bus: Bus) -> None:
    bus.plug_in(FIRST)
    nodes = Nodes({"heat": NodeDefinition("heat", "tank", rx=Codec(names=("top",), units=("C",)))})
    async with running(sensors(bus, nodes, nodename="heat", ids=(FIRST,), names=("top",))) as hub:
        await until(lambda: hub.heard)
        layout = hub.heard[0].layout
        assert (layout.node, layout.nodename, layout.names, layout.units) == ("heat", "tank", ("top",), ("C",))


async def test_a_sensor_that_lies_is_left_out_and_counted(bus: Bus) -> None:
    bus.plug_in(FIRST)
    bus.plug_in(SECOND, LOST_POWER)
    bus.plug_in(THIRD, BAD)
    async with running(sensors(bus)) as hub:
        await until(lambda: hub.bad["value power-on value"] and hub.bad["value checksum"] and hub.heard)
        assert {cargo.layout.names for cargo in hub.heard} == {(FIRST,)}
        bus.plug_in(SECOND)
        await until(lambda: hub.heard[-1].layout.names == (FIRST, SECOND))


async def test_when_all_lie_there_is_no_frame(bus: Bus) -> None:
    bus.plug_in(FIRST, LOST_POWER)
    async with running(sensors(bus)) as hub:
        await until(lambda: hub.bad["value power-on value"] >= 2)
        assert hub.heard == []


async def test_sensors_come_and_go(bus: Bus, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with running(sensors(bus), wait=False) as hub:
        await hub.is_waiting()
        assert "sudo modprobe -a w1-gpio w1-therm" in hub.runner.last_error
        bus.plug_in(FIRST)
        await hub.is_running()
        bus.plug_in(SECOND)
        await until(lambda: hub.heard and hub.heard[-1].layout.names == (FIRST, SECOND))
        bus.pull_out(FIRST)
        await until(lambda: hub.heard[-1].layout.names == (SECOND,))
        bus.pull_out(SECOND)
        await hub.is_waiting()
        assert "no sensor 28-" in hub.runner.last_error
        bus.plug_in(FIRST)
        await hub.is_running()
    assert f"gone is {FIRST}" in caplog.text


async def test_stopping_does_not_wait_for_the_next_reading(bus: Bus) -> None:
    bus.plug_in(FIRST)
    interfacer = sensors(bus, read_interval=3600.0)
    async with running(interfacer):
        await until(lambda: interfacer.still_reading)
    await until(lambda: not interfacer.still_reading)


def test_two_sensors_can_not_have_one_name(bus: Bus) -> None:
    with pytest.raises(SettingError, match="same name"):
        sensors(bus, ids=(FIRST, SECOND), names=("a", "a"))
