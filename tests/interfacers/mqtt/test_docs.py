"""The page on MQTT: its configurations are right, its example runs, and nothing is missing in it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from emonhub.config.load import load
from emonhub.hub import build
from emonhub.interfacers.core.mqtt import MqttInterfacer
from emonhub.interfacers.core.mqtt.bulk import EmonHubMqttReporter, MqttReporter
from emonhub.interfacers.core.mqtt.families import FAMILIES
from emonhub.interfacers.core.mqtt.live import EmonHubMqttInterfacer
from emonhub.interfacers.core.mqtt.subscriber import EmonHubMqttSubscriberInterfacer
from tests.fakes.mosquitto import Listener, Mosquitto
from tests.interfacers.mqtt.conftest import House, until

PAGE = (Path(__file__).parents[3] / "docs/interfacers/mqtt.md").read_text()
CONFIGURATIONS = re.findall(r"```ini\n(.*?)```", PAGE, re.DOTALL)
OWN = (MqttInterfacer, MqttReporter, EmonHubMqttReporter, EmonHubMqttInterfacer, EmonHubMqttSubscriberInterfacer)
EXPLAINED_ELSEWHERE = {"interval", "batchsize"}


@pytest.mark.parametrize("text", CONFIGURATIONS)
def test_its_configurations_are_right(text: str, tmp_path: Path) -> None:
    path = tmp_path / "emonhub.conf"
    path.write_text(f"[hub]\n[interfacers]\n{text}\n[nodes]\n")
    configuration = load(path)
    assert [p for p in configuration.problems if "channel" not in p.message] == []
    for config in configuration.interfacers.values():
        build(config)


def test_it_names_every_setting_and_family() -> None:
    settings = {name for cls in OWN for name, value in vars(cls).items() if type(value).__name__ == "Setting"}
    missing = {name for name in settings - EXPLAINED_ELSEWHERE if f"`{name}`" not in PAGE and f"{name} =" not in PAGE}
    assert not missing
    assert not [family for family in FAMILIES if f"`{family}`" not in PAGE]


async def test_its_example_runs(house: House, broker: Mosquitto) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert len(code.splitlines()) < 30
    names: dict[str, Any] = {}
    exec(compile(code, "mqtt.md", "exec"), names)
    itf = house.add(names["HeatMeterInterfacer"], mqtt_port=broker.port).interfacer
    assert isinstance(itf, MqttInterfacer)
    await until(lambda: itf.connection and itf.connection.connected)
    async with Listener(broker.port, "meter/heat/seen") as meter:
        await meter.published("meter/heat", "rubbish")
        await meter.published("meter/heat", "41.5;32.0")
        await meter.until(lambda: meter.heard)
    assert [cargo.values for cargo in house.out.cargos] == [(41.5, 32.0)]
    assert itf.bad == {"non-numeric": 1}
