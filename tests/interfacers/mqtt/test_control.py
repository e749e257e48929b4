"""Control messages for nodes: from a topic to the bytes on the radio, or to a reason why not."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest

from emonhub import encode
from emonhub.interfacers.core.mqtt.control import Control, Outcome
from emonhub.interfacers.core.mqtt.live import EmonHubMqttInterfacer
from emonhub.interfacers.core.mqtt.messages import Message
from emonhub.nodes.datacodes import Scale
from emonhub.nodes.definition import Codec, NodeDefinition
from emonhub.nodes.table import Nodes
from tests.fakes.mosquitto import Listener
from tests.interfacers.mqtt.conftest import until

if TYPE_CHECKING:
    from tests.fakes.mosquitto import Mosquitto
    from tests.interfacers.mqtt.conftest import House

NOW = 1_700_000_000.0
RELAY = NodeDefinition(
    "30", "relay", tx=Codec(names=("relay", "setpoint"), datacodes=("b", "h"), scales=(Scale(), Scale.parse("0.1")))
)
NODES = Nodes({"30": RELAY, "31": NodeDefinition("31", "silent")})
GOOD = {"values": {"setpoint": 18.5, "relay": True}}


def take(topic: str, payload: Any, *, retain: bool = False, control: Control | None = None) -> Outcome:
    data = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    return (control or Control("emonhub/", NODES, 60)).take(Message(topic, data, 0, retain), NOW)


def answer(outcome: Outcome) -> Any:
    return json.loads(outcome.result)


@pytest.mark.parametrize("name", ["30", "relay"])
def test_a_command_by_name_becomes_the_frame_of_its_node(name: str) -> None:
    outcome = take(f"emonhub/command/{name}", {**GOOD, "id": "a7"})
    assert outcome.cargo is not None
    assert (outcome.cargo.layout.node, outcome.cargo.values) == (30, (1, 18.5))
    assert encode(outcome.cargo.values, RELAY.tx) == bytes([1, 185, 0])
    assert outcome.result_topic == f"emonhub/result/{name}"
    assert answer(outcome) == {"result": "sent", "id": "a7"}


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        ({"values": {"relay": 200, "setpoint": 1}}, "relay = 200 does not fit datacode b"),
        ({"values": {"relay": 1, "setpoint": 4000}}, "setpoint = 4000 does not fit"),
        ({"values": {"relay": 1}}, "no setpoint: node 30 takes relay, setpoint"),
        ({"values": {"relay": 1, "setpoint": 1, "boost": 1}}, "unknown boost"),
        ({"values": {"relay": "on", "setpoint": 1}}, "relay is no number: on"),
        ({"values": {"relay": None, "setpoint": 1}}, "relay is no number"),
        ({"values": [1, 2]}, 'no "values" object'),
        ({}, 'no "values" object'),
        ([1], "not a JSON object"),
        (b"{relay: 1}", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"\xff", "not JSON"),
        ({**GOOD, "id": {}}, "id must be"),
        ({**GOOD, "time": "yesterday"}, "time is no number"),
        (b'{"values": {"relay": NaN, "setpoint": 1}}', "relay is no number"),
        (b'{"values": {"relay": 1e999, "setpoint": 1}}', "relay is no number"),
    ],
)
def test_what_can_not_be_carried_out_is_refused_with_the_reason(payload: Any, reason: str) -> None:
    outcome = take("emonhub/command/30", payload)
    assert outcome.cargo is None
    assert outcome.error is not None
    assert answer(outcome)["result"] == "refused"
    assert reason in answer(outcome)["reason"]


@pytest.mark.parametrize(
    ("name", "reason"),
    [("31", "has no names in a [[[tx]]]"), ("32", "has no names"), ("attic", "no node 'attic'"), ("30/x", "no node")],
)
def test_nodes_that_can_not_be_told(name: str, reason: str) -> None:
    assert reason in answer(take(f"emonhub/command/{name}", GOOD))["reason"]


@pytest.mark.parametrize(
    ("more", "result"),
    [
        ({"time": NOW - 59}, "sent"),
        ({"time": NOW - 61}, "expired"),
        ({"time": NOW - 61, "ttl": 100}, "sent"),
        ({"time": NOW - 6, "ttl": 5}, "expired"),
        ({"time": NOW + 5, "ttl": 1}, "sent"),
    ],
)
def test_a_command_that_comes_too_late_is_not_carried_out(more: dict[str, Any], result: str) -> None:
    outcome = take("emonhub/command/30", {**GOOD, **more})
    assert answer(outcome)["result"] == result
    assert (outcome.cargo is None) is (result == "expired")


def test_what_the_broker_kept_may_be_of_any_age() -> None:
    assert answer(take("emonhub/command/30", GOOD, retain=True))["result"] == "expired"
    outcome = take("emonhub/tx/30/values", b"1,185", retain=True)
    assert outcome.cargo is None
    assert outcome.error is not None


def test_the_same_id_is_answered_and_not_sent_again() -> None:
    control = Control("emonhub/", NODES, 60)
    first = take("emonhub/command/30", {**GOOD, "id": 1}, control=control)
    second = take("emonhub/command/30", {**GOOD, "id": 1}, control=control)
    other = take("emonhub/command/relay", {**GOOD, "id": 1}, control=control)
    assert second.cargo is None
    assert second.result == first.result
    assert other.cargo is not None


def test_numbers_for_a_node_as_ever() -> None:
    outcome = take("emonhub/tx/30/values", b" 1, 18.5 ")
    assert outcome.cargo is not None
    assert (outcome.cargo.layout.node, outcome.cargo.values, outcome.cargo.time) == (30, (1, 18.5), NOW)
    unlisted = take("emonhub/tx/12/values", b"1,1850")
    assert unlisted.cargo is not None
    assert encode(unlisted.cargo.values, NODES.tx(12)) == bytes([1, 0, 58, 7])


@pytest.mark.parametrize(
    ("topic", "payload"),
    [
        ("emonhub/tx/30", b"1"),
        ("emonhub/tx/30/values/more", b"1"),
        ("emonhub/tx/attic/values", b"1"),
        ("emonhub/tx//values", b"1"),
        ("emonhub/tx/30/values", b""),
        ("emonhub/tx/30/values", b"1,,2"),
        ("emonhub/tx/30/values", b"1,on"),
        ("emonhub/tx/30/values", b"1,nan"),
        ("emonhub/tx/30/values", b"\xff\xfe"),
    ],
)
def test_numbers_that_make_no_sense_are_counted(topic: str, payload: bytes) -> None:
    outcome = take(topic, payload)
    assert outcome.cargo is None
    assert outcome.error is not None


def test_other_topics_are_none_of_its_business() -> None:
    assert take("emonhub/rx/30/values", b"1") == Outcome()


async def test_two_ways_through_a_broker(house: House, broker: Mosquitto) -> None:
    house.nodes.replace(NODES.definitions, autoconf=False)
    live = house.add(EmonHubMqttInterfacer, mqtt_port=broker.port).interfacer
    assert isinstance(live, EmonHubMqttInterfacer)
    await until(lambda: live.connection and live.connection.connected)
    async with Listener(broker.port, "emonhub/result/#") as listener:
        await listener.published("emonhub/command/relay", json.dumps({**GOOD, "id": "a"}))
        await listener.until(lambda: listener.heard)
        await listener.published("emonhub/command/relay", "{")
        await listener.until(lambda: len(listener.heard) == 2)
        await listener.published("emonhub/tx/30/values", "0,1")
        await until(lambda: len(house.out.cargos) == 2)
    assert [json.loads(heard.payload)["result"] for heard in listener.heard] == ["sent", "refused"]
    assert [cargo.values for cargo in house.out.cargos] == [(1, 18.5), (0, 1)]
    assert live.bad == {"bad JSON": 1}


async def test_without_a_channel_nothing_is_listened_to(house: House, broker: Mosquitto) -> None:
    live = house.add(EmonHubMqttInterfacer, mqtt_port=broker.port, pubchannels=()).interfacer
    assert isinstance(live, EmonHubMqttInterfacer)
    await until(lambda: live.connection and live.connection.connected)
    async with Listener(broker.port, "emonhub/#") as listener:
        await listener.published("emonhub/command/30", "{")
        await listener.until(lambda: listener.heard)
        assert not live.bad
        live.update({"pubchannels": ("fromMQTT",), "mqtt_port": broker.port})
        async with asyncio.timeout(20):
            while not live.bad:  # and from a change of its settings on, it hears
                await listener.published("emonhub/command/30", "{")
