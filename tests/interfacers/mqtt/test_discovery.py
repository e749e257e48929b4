"""Home Assistant's discovery: what is announced, when, and that it is taken back.

The rules are those of Home Assistant's documentation: sensor.mqtt for the keys, core/entity/sensor for which unit and
which state class go with a device class.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from emonhub import Cargo, Layout, SettingError
from emonhub.interfacers.core.mqtt.discovery import Discovery, kind_of
from emonhub.interfacers.core.mqtt.formats import Bases, Formats
from emonhub.interfacers.core.mqtt.live import EmonHubMqttInterfacer
from emonhub.nodes.definition import Codec, NodeDefinition
from emonhub.nodes.table import Nodes
from tests.fakes.mosquitto import Listener
from tests.interfacers.mqtt.conftest import House, until

if TYPE_CHECKING:
    from tests.fakes.mosquitto import Mosquitto

T = 1669888253.994
NAMES = ("P1", "E1", "Vrms", "T1", "pulse", "Msg")
UNITS = ("W", "Wh", "V", "C", "p", "n")
EMONTX = NodeDefinition("17", "emonTx", rx=Codec(names=NAMES, units=UNITS))
LAYOUT = Layout(17, "emonTx", NAMES, UNITS)
NODEVAR = Bases(nodevar="emon/")

KEYS = {
    "availability_topic": str,
    "device": dict,
    "device_class": str,
    "entity_category": str,
    "expire_after": int,
    "name": str,
    "origin": dict,
    "state_class": str,
    "state_topic": str,
    "unique_id": str,
    "unit_of_measurement": str,
    "value_template": str,
}
"""Keys of sensor.mqtt, those that are used."""

UNITS_OF_CLASS = {
    "apparent_power": {"mVA", "VA", "kVA"},
    "battery": {"%"},
    "current": {"A", "mA"},
    "duration": {"d", "h", "min", "s", "ms"},
    "energy": {"J", "kJ", "MJ", "GJ", "mWh", "Wh", "kWh", "MWh", "GWh", "TWh", "cal", "kcal", "Mcal", "Gcal"},
    "frequency": {"Hz", "kHz", "MHz", "GHz"},
    "humidity": {"%"},
    "illuminance": {"lx"},
    "irradiance": {"W/m²", "BTU/(h⋅ft²)"},
    "power": {"mW", "W", "kW", "MW", "GW", "TW"},
    "pressure": {"cbar", "bar", "hPa", "mmHg", "inHg", "kPa", "mbar", "Pa", "psi"},
    "reactive_power": {"mvar", "var", "kvar"},
    "signal_strength": {"dB", "dBm"},
    "speed": {"ft/s", "in/d", "in/h", "in/s", "km/h", "kn", "m/s", "mph", "mm/d", "mm/s"},
    "temperature": {"°C", "°F", "K"},
    "voltage": {"V", "mV", "µV", "kV", "MV"},
    "volume": {"L", "mL", "gal", "fl. oz.", "m³", "ft³", "CCF", "MCF"},
    "volume_flow_rate": {"m³/h", "m³/min", "m³/s", "ft³/min", "L/h", "L/min", "L/s", "gal/min", "mL/s"},
}

COUNTERS_ONLY = {"energy", "volume"}
"""Device classes for which a measurement makes no state class."""


def check_by_the_rules(topic: str, payload: str) -> dict[str, Any]:
    """One announcement, held against the documented schema."""
    assert re.fullmatch(r"homeassistant/sensor/[a-zA-Z0-9_-]+/[a-zA-Z0-9_-]+/config", topic)
    config: dict[str, Any] = json.loads(payload)
    for key, value in config.items():
        assert isinstance(value, KEYS[key])
    assert {"state_topic", "unique_id", "name", "device", "origin", "availability_topic"} <= config.keys()
    assert config["device"]["identifiers"]
    assert config["origin"]["name"]
    assert config["state_class"] in {"measurement", "total_increasing"}
    if "device_class" in config:
        assert config["unit_of_measurement"] in UNITS_OF_CLASS[config["device_class"]]
        assert (config["state_class"] == "total_increasing") is (config["device_class"] in COUNTERS_ONLY)
    assert config.get("expire_after", 1) > 0
    assert config.get("entity_category", "diagnostic") == "diagnostic"
    return config


def make(bases: Bases = NODEVAR, nodes: dict[str, NodeDefinition] | None = None, **more: Any) -> Discovery:
    table = Nodes({"17": EMONTX} if nodes is None else nodes)
    return Discovery("homeassistant", "my hub", "my_hub/status", bases, table, **more)


def announced(discovery: Discovery, layout: Layout = LAYOUT, **cargo: Any) -> dict[str, dict[str, Any]]:
    """What the first reading of a layout brings, by object id."""
    messages = discovery.notice(Cargo(layout, (1,) * len(layout.names), T, **cargo), 0.0)
    return {topic.split("/")[3]: check_by_the_rules(topic, payload) for topic, payload in messages}


def test_the_announcements_of_a_node() -> None:
    found = announced(make(), rssi=-50)
    assert list(found) == ["n_17_1", "n_17_2", "n_17_3", "n_17_4", "n_17_5", "n_17_6", "n_17_rssi"]
    origin = found["n_17_1"].pop("origin")
    assert origin["name"] == "emonHub"
    assert found["n_17_1"] == {
        "name": "P1",
        "unique_id": "my_hub_n_17_1",
        "state_topic": "emon/emonTx/P1",
        "state_class": "measurement",
        "device": {"identifiers": ["my_hub_17"], "name": "emonTx"},
        "availability_topic": "my_hub/status",
        "unit_of_measurement": "W",
        "device_class": "power",
    }
    kinds = [(c.get("device_class"), c.get("unit_of_measurement"), c["state_class"]) for c in found.values()]
    assert kinds == [
        ("power", "W", "measurement"),
        ("energy", "Wh", "total_increasing"),
        ("voltage", "V", "measurement"),
        ("temperature", "°C", "measurement"),
        (None, None, "total_increasing"),
        (None, None, "measurement"),
        ("signal_strength", "dBm", "measurement"),
    ]
    assert found["n_17_rssi"]["entity_category"] == "diagnostic"


def test_every_unit_is_announced_by_the_rules() -> None:
    units: tuple[str, ...] = (
        "W",
        "kW",
        "VA",
        "VAr",
        "kvar",
        "kWh",
        "KWh",
        "mV",
        "A",
        "mA",
        "Hz",
        "°C",
        "F",
        "K",
        "%",
        "dBm",
        "lux",
    )
    units += ("hPa", "mbar", "bar", "W/m2", "m3", "l", "m3/h", "l/min", "m/s", "s", "h", "min", "pulses", "furlong", "")
    names = tuple(f"v{index}" for index in range(len(units)))
    found = announced(make(nodes={}), Layout("all", "", names, units))
    assert len(found) == len(units)
    assert kind_of("%", "humidity").device_class == "humidity"
    assert kind_of("%", "batterySoc").device_class == "battery"
    assert kind_of("%", "efficiency").device_class is None


def test_a_value_keeps_its_identity_when_it_is_renamed() -> None:
    nodes = {"17": EMONTX}
    discovery = make(nodes=nodes)
    before = announced(discovery)
    names = ("Solar", *NAMES[1:])
    discovery._nodes.definitions["17"] = NodeDefinition("17", "shed", rx=Codec(names=names, units=UNITS))  # type: ignore[index]
    renamed = Layout(17, "shed", names, UNITS)
    after = announced(discovery, renamed)
    assert list(after) == list(before)
    assert [c["unique_id"] for c in after.values()] == [c["unique_id"] for c in before.values()]
    assert after["n_17_1"]["device"]["identifiers"] == before["n_17_1"]["device"]["identifiers"]
    assert after["n_17_1"]["state_topic"] == "emon/shed/Solar"
    assert not discovery.notice(Cargo(renamed, (1,) * 6, T), 1.0)
    assert not announced(discovery, Layout(17, "shed", names, UNITS))  # made anew, and still the same


def test_values_that_are_no_more_are_taken_back() -> None:
    discovery = make()
    announced(discovery, rssi=-50)
    fewer = Codec(names=NAMES[:2], units=UNITS[:2])
    discovery._nodes.definitions["17"] = NodeDefinition("17", "emonTx", rx=fewer)  # type: ignore[index]
    messages = discovery.notice(Cargo(Layout(17, "emonTx", NAMES[:2], UNITS[:2]), (1, 2), T), 1.0)
    gone = [topic.split("/")[3] for topic, payload in messages if not payload]
    assert gone == ["n_17_3", "n_17_4", "n_17_5", "n_17_6"]
    assert not discovery.forget_removed()
    del discovery._nodes.definitions["17"]  # type: ignore[attr-defined]
    gone = [topic.split("/")[3] for topic, payload in discovery.forget_removed() if not payload]
    assert gone == ["n_17_1", "n_17_2", "n_17_rssi"]
    assert not discovery.everything()


def test_what_a_former_run_has_left_behind() -> None:
    discovery = make()
    base = "homeassistant/sensor/my_hub/"
    for left in ("n_17_1", "n_17_6", "n_17_rssi", "v_17_P1", "something", "v_nodeA_1"):
        assert not discovery.take_back(f"{base}{left}/config")
    for gone in ("n_17_7", "n_18_1", "n_18_rssi"):
        assert discovery.take_back(f"{base}{gone}/config") == [(f"{base}{gone}/config", "")]
    assert not discovery.take_back("homeassistant/sensor/other_hub/n_18_1/config")


def test_nodes_that_are_not_in_the_configuration_are_known_by_name() -> None:
    discovery = make(nodes={})
    assert list(announced(discovery, Layout("shellyem-1", "", ("emeter0_power",), ("W",)))) == [
        "v_shellyem-1_emeter0_power"
    ]
    # Each message of such a device brings other values: they stand beside each other.
    assert list(announced(discovery, Layout("shellyem-1", "", ("emeter0_voltage",), ("V",)))) == [
        "v_shellyem-1_emeter0_voltage"
    ]
    assert len(discovery.everything()) == 2
    assert not discovery.forget_removed()
    assert not announced(discovery, Layout(99))  # nobody knows what its values are


def test_json_is_announced_with_a_template_that_finds_the_value() -> None:
    layout = Layout("x", "", ('a "quoted" name', "P1"), ("W", "W"))
    found = list(announced(make(Bases(json="emon/"), nodes={}), layout).values())
    assert found[1]["state_topic"] == "emon/x"
    assert found[1]["value_template"] == '{{ value_json.get("P1") }}'
    key = re.fullmatch(r"\{\{ value_json\.get\((.*)\) \}\}", found[0]["value_template"])
    assert key is not None
    ((_, payload),) = Formats(Bases(json="emon/")).messages(Cargo(layout, (7, 8), T))
    assert json.loads(payload)[json.loads(key[1])] == 7


def test_the_topics_announced_are_those_published_on() -> None:
    layout = Layout("a/b#", "", ("power/L1", "x+y"), ("W", "W"))
    found = announced(make(nodes={}), layout)
    published = {topic for topic, _ in Formats(NODEVAR).messages(Cargo(layout, (1, 2), T))}
    assert {config["state_topic"] for config in found.values()} == published


def test_how_long_a_value_holds_good_comes_from_the_node_itself() -> None:
    discovery = make()
    assert "expire_after" not in announced(discovery)["n_17_1"]
    now = 0.0
    said: list[int] = []
    for gap in (10, 10, 10, 10, 40, 10, 10):  # one reading after the other, and one lost on the way
        now += gap
        for topic, payload in discovery.notice(Cargo(LAYOUT, (1,) * 6, T), now):
            said.append(check_by_the_rules(topic, payload)["expire_after"])
    assert set(said) == {30}
    for _ in range(9):
        now += 300
        for topic, payload in discovery.notice(Cargo(LAYOUT, (1,) * 6, T), now):
            said.append(check_by_the_rules(topic, payload)["expire_after"])
    assert list(dict.fromkeys(said)) == [30, 120, 1800]  # it follows a node that has become slower
    assert announced(make(expires_s=77))["n_17_1"]["expire_after"] == 77


async def started(house: House, broker: Mosquitto, **settings: Any) -> EmonHubMqttInterfacer:
    house.nodes.replace({"17": EMONTX}, autoconf=False)
    live = house.add(
        EmonHubMqttInterfacer,
        mqtt_port=broker.port,
        nodevar_format_enable=True,
        nodevar_format_basetopic="emon/",
        discovery=True,
        **settings,
    ).interfacer
    assert isinstance(live, EmonHubMqttInterfacer)
    await until(lambda: live.connection and live.connection.connected)
    return live


CONFIGS = "homeassistant/sensor/emonhub/+/config"


async def test_home_assistant_comes_and_goes(house: House, broker: Mosquitto) -> None:
    live = await started(house, broker)
    house.send(Cargo(LAYOUT, (1,) * 6, T))
    async with Listener(broker.port, CONFIGS, "emonhub/status", "$SYS/none") as ha:
        await ha.until(lambda: len(ha.heard) == 7)  # kept by the broker, or just coming
        assert ha.on("emonhub/status") == ["online"]
        ha.heard.clear()
        await ha.published("homeassistant/status", "offline")
        await ha.published("homeassistant/status", "online")
        await ha.until(lambda: len(ha.heard) == 6)
        ha.heard.clear()
        house.nodes.replace({}, autoconf=False)
        house.send(Cargo(Layout(17), (1,) * 6, T))
        await ha.until(lambda: len(ha.heard) == 6)
        assert all(not heard.payload for heard in ha.heard)
        await live.close()
        await ha.until(lambda: ha.on("emonhub/status") == ["offline"])


async def test_the_will_says_that_the_hub_is_dead(house: House, broker: Mosquitto) -> None:
    live = await started(house, broker)
    async with Listener(broker.port, "emonhub/status") as ha:
        await ha.until(lambda: ha.on("emonhub/status") == ["online"])
        assert live.connection is not None
        live.connection.give_up("as if the hub had been killed")
        await ha.until(lambda: ha.on("emonhub/status") == ["online", "offline", "online"])  # and it is back


async def test_after_a_restart_what_is_no_more_is_taken_back(house: House, broker: Mosquitto) -> None:
    async with Listener(broker.port, CONFIGS) as ha:
        for left in ("n_17_1", "n_17_9", "n_23_1"):
            await ha.published(f"homeassistant/sensor/emonhub/{left}/config", "{}", retain=True)
        await started(house, broker)
        await ha.until(lambda: len(ha.heard) == 5)
        assert {heard.topic.split("/")[3] for heard in ha.heard if not heard.payload} == {"n_17_9", "n_23_1"}


async def test_announced_to_a_broker_that_has_lost_all(house: House, broker: Mosquitto) -> None:
    live = await started(house, broker)
    house.send(Cargo(LAYOUT, (1,) * 6, T))
    await broker.kill()
    await until(lambda: live.trouble)
    await broker.start()
    async with Listener(broker.port, CONFIGS) as ha:
        await ha.until(lambda: len(ha.heard) == 6)


def test_discovery_needs_something_to_discover() -> None:
    with pytest.raises(SettingError, match="nodevar_format_enable"):
        EmonHubMqttInterfacer("MQTT", {"discovery": True})
