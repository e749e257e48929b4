"""Taking in what others publish, through a real broker."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from emonhub import Cargo, Layout, SettingError
from emonhub.config.load import load
from emonhub.hub import build
from emonhub.interfacers.core.mqtt.bulk import EmonHubMqttReporter
from emonhub.interfacers.core.mqtt.live import EmonHubMqttInterfacer
from emonhub.interfacers.core.mqtt.subscriber import EmonHubMqttSubscriberInterfacer
from emonhub.nodes.definition import NodeDefinition
from tests.fakes.mosquitto import Listener, Mosquitto
from tests.interfacers.mqtt.conftest import House, conserved, until

if TYPE_CHECKING:
    from pathlib import Path

T = 1669888253.994
TOPICS = {"pump": {"topic": "garden/{node}/{name}", "words": "idle:0, boost:2", "units": "power:W"}}


async def subscribe(house: House, broker: Mosquitto, **settings: Any) -> EmonHubMqttSubscriberInterfacer:
    """A subscriber that is connected and heard."""
    runner = house.add(EmonHubMqttSubscriberInterfacer, name="in", mqtt_port=broker.port, **settings)
    itf = runner.interfacer
    assert isinstance(itf, EmonHubMqttSubscriberInterfacer)
    await until(lambda: itf.connection and itf.connection.connected)
    return itf


def taken(house: House) -> list[tuple[Any, tuple[str, ...], tuple[Any, ...]]]:
    return [(cargo.layout.label, cargo.layout.names, cargo.values) for cargo in house.out.cargos]


async def test_families_and_topics_of_ones_own(house: House, broker: Mosquitto) -> None:
    house.nodes.replace({"SonoffPOW": NodeDefinition("SonoffPOW", "washing")}, autoconf=False)
    itf = await subscribe(house, broker, families=("tasmota", "shelly1"), topics=TOPICS)
    async with Listener(broker.port) as device:
        await device.published("tele/SonoffPOW/SENSOR", '{"Time":"x","ENERGY":{"Power":9,"Voltage":231}}')
        await device.published("shellies/shellyem-1/emeter/0/power", "61.3")
        await device.published("garden/pump/mode", "Boost")
        await device.published("garden/pump/power", "12")
        await device.published("shellies/shellyem-1/emeter/0/words", "hello")
        await device.published("other/pump/power", "12")
        await device.published("garden/pump/end", "1")
        await until(lambda: len(house.out.cargos) == 5)
    assert taken(house) == [
        ("washing", ("ENERGY_Power", "ENERGY_Voltage"), (9, 231)),
        ("shellyem-1", ("emeter0_power",), (61.3,)),
        ("pump", ("mode",), (2,)),
        ("pump", ("power",), (12,)),
        ("pump", ("end",), (1,)),
    ]
    assert house.out.cargos[3].layout.units == ("W",)
    assert itf.passed_over == 1
    assert not itf.bad


@pytest.mark.parametrize("version", ["3.1.1", "5"])
async def test_what_the_broker_kept_is_not_taken_for_new(house: House, broker: Mosquitto, version: str) -> None:
    pond = {"topic": "pond/{node}/{name}", "retained": "1"}
    async with Listener(broker.port) as device:
        await device.published("garden/pump/power", "1", retain=True)
        await device.published("pond/level/now", "2", retain=True)
        await subscribe(house, broker, mqtt_version=version, topics={**TOPICS, "pond": pond})
        await until(lambda: house.out.cargos)
        await device.published("garden/pump/power", "3", retain=True)  # new, and kept for those who come later
        await until(lambda: len(house.out.cargos) == 2)
    assert taken(house) == [("level", ("now",), (2,)), ("pump", ("power",), (3,))]


@pytest.mark.parametrize("version", ["3.1.1", "5"])
async def test_a_subscriber_with_a_session_misses_nothing(house: House, tmp_path: Path, version: str) -> None:
    session = {"mqtt_session": 3600, "mqtt_client_id": "hub", "mqtt_version": version, "topics": TOPICS}
    async with Mosquitto(tmp_path, persistence=True) as broker:
        async with Listener(broker.port) as device:
            itf = await subscribe(house, broker, **session)
            await device.published("garden/pump/power", "0")
            await until(lambda: house.out.cargos)
            await itf.close()
            for value in range(1, 20):
                await device.published("garden/pump/power", str(value))
        await broker.stop()
        await broker.start()
        house.out.cargos.clear()
        again = House()
        await subscribe(again, broker, **session)
        await until(lambda: len(again.out.cargos) == 19)
        assert [cargo.values for cargo in again.out.cargos] == [(value,) for value in range(1, 20)]
        await again.close()


async def test_a_message_is_confirmed_only_once_it_has_been_taken(house: House, broker: Mosquitto) -> None:
    session = {"mqtt_session": 3600, "mqtt_client_id": "hub", "topics": TOPICS}
    itf = await subscribe(house, broker, **session)
    failing = True

    class Careless:
        def accept(self, cargos: list[Cargo]) -> None:
            if failing:
                raise RuntimeError("no")

    house.channels.subscribe("careless", ("fromMQTT",), Careless())
    async with Listener(broker.port) as device:
        await device.published("garden/pump/power", "7")
        runner = house.runners["in"]
        await until(lambda: runner.restarts == 1)
        house.out.cargos.clear()
        failing = False
        await until(lambda: house.out.cargos)  # the broker had it still, and sent it again
    assert house.out.cargos[0].values == (7,)
    assert itf.connection is not None


async def test_from_hub_to_hub(house: House, broker: Mosquitto) -> None:
    """Two hubs: all frames come over, complete, in order, once, though the broker dies and messages are repeated."""
    there = House()
    itf = await subscribe(house, broker, bulk_topic="emonhub/bulk")
    reporter = there.add(
        EmonHubMqttReporter, name="out", mqtt_port=broker.port, timeout=0.3, retry_max=0.2, batchsize=10, max_rate=0.0
    ).interfacer
    assert isinstance(reporter, EmonHubMqttReporter)
    layout = Layout(17, "emonTx", ("P1", "Vrms"), ("W", "V"))
    for n in range(100):
        there.send(Cargo(layout, (n, 240.5), round(T + n, 3), rssi=-50))
    await until(lambda: reporter.acknowledged >= 50)
    broker.freeze()
    for n in range(100, 120):
        there.send(Cargo(layout, (n, 240.5), round(T + n, 3), rssi=-50))
    await until(lambda: "no confirmation" in reporter.trouble)
    broker.thaw()
    await until(lambda: reporter.acknowledged == 120 and len(house.out.cargos) >= 120)
    await there.close()
    cargos = house.out.cargos
    assert [(c.values, c.time, c.rssi, c.layout.label) for c in cargos] == [
        ((n, 240.5), round(T + n, 3), -50, "emonTx") for n in range(120)
    ]
    assert len({id(cargo.layout) for cargo in cargos}) == 1
    assert set(itf.bad) <= {"duplicate message"}
    assert conserved(reporter)


async def test_a_repeated_message_is_known_again(house: House, broker: Mosquitto) -> None:
    itf = await subscribe(house, broker, bulk_topic="emonhub/bulk")
    message = json.dumps({"emonhub": 1, "frames": [[T, 10, "", [], [], [1]]]})
    async with Listener(broker.port) as other:
        await other.published("emonhub/bulk", message)
        await other.published("emonhub/bulk", message)
        await other.published("emonhub/bulk", message.replace("[1]]", "[2]]"))
        await other.published("emonhub/bulk", "rubbish")
        await until(lambda: itf.bad["bad message"])
    assert [cargo.values for cargo in house.out.cargos] == [(1,), (2,)]
    assert itf.bad == {"duplicate message": 1, "bad message": 1}


async def test_bad_input_costs_nothing_but_itself(house: House, broker: Mosquitto) -> None:
    itf = await subscribe(house, broker, topics=TOPICS)
    async with Listener(broker.port) as device:
        await device.published("garden/pump/power", b"\xff\xfe")
        await device.published("garden/pump/power", "{broken")
        await device.published("garden/pump/power", b"x" * (5 << 20))
        await device.published("garden/pump/power", "")
        await device.published("garden/p$/power", "5")
        await until(lambda: house.out.cargos)
    assert itf.bad == {"no number": 2, "bad JSON": 1, "too long": 1}
    assert taken(house) == [("p$", ("power",), (5,))]


async def test_a_hub_does_not_hear_itself(house: House, broker: Mosquitto) -> None:
    """On a shared connection of MQTT 5, what the hub publishes does not come back to it as if it were a device's."""
    itf = await subscribe(house, broker, topics={"own": {"topic": "emonhub/rx/{node}/{name}"}})
    live = house.add(EmonHubMqttInterfacer, name="out", mqtt_port=broker.port).interfacer
    assert isinstance(live, EmonHubMqttInterfacer)
    await until(lambda: live.connection is itf.connection)
    async with Listener(broker.port, "emonhub/rx/#") as listener:
        house.send(Cargo(Layout(10), (1,), T))
        await listener.until(lambda: listener.heard)
        await listener.published("emonhub/rx/11/values", "5")
        await until(lambda: house.out.cargos)
    assert [cargo.layout.node for cargo in house.out.cargos] == [11]


async def test_topics_change_while_it_runs(house: House, broker: Mosquitto) -> None:
    itf = await subscribe(house, broker, topics=TOPICS)
    settings = {"pubchannels": ("fromMQTT",), "mqtt_port": broker.port}
    itf.update({**settings, "families": ("esphome",)})
    with pytest.raises(SettingError):
        itf.update({**settings, "families": ("nobody",), "topics": TOPICS})  # what is in force stays
    async with Listener(broker.port) as device:
        await device.published("garden/pump/power", "1")
        await device.published("attic/sensor/heat/state", "21.5")
        await until(lambda: house.out.cargos)
    assert taken(house) == [("attic", ("heat",), (21.5,))]


CONFIG = """
[hub]
[interfacers]
[[devices]]
    Type = EmonHubMqttSubscriberInterfacer
    [[[init_settings]]]
        mqtt_port = 1884
    [[[runtimesettings]]]
        pubchannels = ToEmonCMS,
        families = tasmota, shelly2
        [[[[topics]]]]
            [[[[[boiler]]]]]
                topic = heating/{node}/state
                values = power:Power:W, temps.flow:Flow:C
                words = heating:2, idle:1
                skip = debug
[nodes]
"""


def test_its_sections_in_a_configuration(tmp_path: Path) -> None:
    path = tmp_path / "emonhub.conf"
    path.write_text(CONFIG)
    configuration = load(path)
    assert [problem.message for problem in configuration.problems] == [
        "writes to channel ToEmonCMS, which nobody reads"
    ]
    itf = build(configuration.interfacers["devices"])
    assert isinstance(itf, EmonHubMqttSubscriberInterfacer)
    assert set(itf.subscriptions) == {
        "heating/+/state",
        "tele/+/SENSOR",
        "tele/+/STATE",
        "+/events/rpc",
        "+/status/+",
    }


@pytest.mark.parametrize(
    ("settings", "what"),
    [
        ({"families": ("shelly",)}, "there is no shelly; known are shelly1"),
        ({"topics": {"x": {}}}, "needs a `topic`"),
        ({"topics": {"x": "y"}}, "needs a `topic`"),
        ({"topics": {"x": {"topic": "a/#"}}}, "write {x} for"),
        ({"topics": {"x": {"topic": "a", "colour": "b"}}}, "colour is no setting"),
        ({"topics": {"x": {"topic": "a", "words": "on"}}}, "write pairs"),
        ({"topics": {"x": {"topic": "a", "words": "on:hot"}}}, "'hot' is none"),
        ({"mqtt_session": 60}, "mqtt_client_id"),
    ],
)
def test_settings_that_can_not_work(settings: dict[str, Any], what: str) -> None:
    with pytest.raises(SettingError, match=what.replace("{", r"\{")):
        EmonHubMqttSubscriberInterfacer("in", settings)


async def test_only_nodes_that_are_listed(house: House, broker: Mosquitto) -> None:
    house.nodes.replace({"pump": NodeDefinition("pump")}, autoconf=False)
    itf = await subscribe(house, broker, topics=TOPICS, nodelistonly=True)
    async with Listener(broker.port) as device:
        await device.published("garden/other/power", "1")
        await device.published("garden/pump/power", "2")
        await until(lambda: house.out.cargos)
    assert taken(house) == [("pump", ("power",), (2,))]
    assert itf.bad == {"unknown node": 1}
