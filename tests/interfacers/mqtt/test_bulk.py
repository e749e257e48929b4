"""MQTT bulk, against a real broker: every reading once or as an identical duplicate, in order, with its own time."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest

from emonhub import Cargo, Layout, SettingError
from emonhub.interfacers.core.mqtt.bulk import EmonHubMqttReporter
from emonhub.interfacers.core.mqtt.hubform import Unpacker
from emonhub.interfacers.emoncms.mqtt import EmoncmsMqttReporter
from tests.fakes.mosquitto import Listener, Mosquitto
from tests.interfacers.mqtt.conftest import conserved, until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.interfacers.mqtt.conftest import House

T = 1669888253.994
EMONTX = Layout(17, "emonTx4", ("P1", "Vrms"), ("W", "V"))
PLAIN = Layout(10)


def frames(count: int, start: int = 0) -> list[Cargo]:
    """Readings of two nodes by turns, each with a time and values of its own."""
    return [
        Cargo(EMONTX, (n, 240.5), T + n, rssi=-44) if n % 2 else Cargo(PLAIN, (n, 1), T + n)
        for n in range(start, start + count)
    ]


def report(house: House, broker: Mosquitto, cls: type = EmoncmsMqttReporter, **settings: Any) -> EmonHubMqttReporter:
    chosen = {"mqtt_port": broker.port, "max_rate": 0.0, "retry_max": 0.2, **settings}
    reporter = house.add(cls, **chosen).interfacer
    assert isinstance(reporter, EmonHubMqttReporter)
    return reporter


def times(listener: Listener, topic: str) -> list[float]:
    """The times heard on a topic, without the duplicates that a repetition brought, which must be identical."""
    seen: dict[float, str] = {}
    for payload in listener.on(topic):
        time = json.loads(payload)["time"]
        assert seen.setdefault(time, payload) == payload
    return list(seen)


async def all_heard(listener: Listener, count: int) -> None:
    """Wait until `count` different frames have come, and check that each node's are complete and in order."""
    await listener.until(lambda: len({heard.payload for heard in listener.heard}) >= count)
    assert times(listener, "emon/emonTx4") == [round(T + n, 3) for n in range(1, count, 2)]
    assert times(listener, "emon/10") == [round(T + n, 3) for n in range(0, count, 2)]


async def test_the_json_that_emoncms_takes(house: House, broker: Mosquitto) -> None:
    async with Listener(broker.port, "emon/#") as listener:
        reporter = report(house, broker)
        house.send(
            Cargo(EMONTX, (100, None), T, rssi=-44),
            Cargo(PLAIN, (1, 2.5), T),
            Cargo(Layout("é+/n", "", ("time", "Power")), (3, 4), T),
            Cargo(PLAIN, (None,), T),
        )
        await until(lambda: reporter.acknowledged == 3)
        await listener.until(lambda: len(listener.heard) == 3)
        assert [(heard.topic, json.loads(heard.payload)) for heard in listener.heard] == [
            ("emon/emonTx4", {"time": T, "P1": 100, "rssi": -44}),
            ("emon/10", {"time": T, "1": 1, "2": 2.5}),
            ("emon/é__n", {"time": T, "time_": 3, "Power": 4}),
        ]
    assert reporter.dropped == {"can't be encoded": 1}
    assert conserved(reporter)


async def test_a_killed_broker_costs_nothing(house: House, broker: Mosquitto) -> None:
    # With QoS 0 the broker holds nothing back for the listener that it would lose when it is killed.
    async with Listener(broker.port, "emon/#", qos=0, client_id="emoncms") as listener:
        reporter = report(house, broker)
        house.send(*frames(200))
        await until(lambda: reporter.acknowledged >= 100)
        await broker.kill()
        house.send(*frames(100, 200))
        await until(lambda: reporter.trouble)
        assert conserved(reporter)
        await broker.start()
        house.send(*frames(20, 300))
        # The broker knows of no subscriber any more, so the reporter is there before it, and has to wait for it.
        await until(lambda: reporter.acknowledged == 320)
        await all_heard(listener, 320)
    assert conserved(reporter)
    assert not reporter.dropped


@pytest.mark.parametrize("version", ["3.1.1", "5"])
@pytest.mark.parametrize("qos", [1, 2])
async def test_what_a_killed_broker_had_not_confirmed_is_sent_again(
    house: House, tmp_path: Path, qos: int, version: str
) -> None:
    async with (
        Mosquitto(tmp_path, persistence=True) as broker,
        Listener(broker.port, "emon/#", client_id="emoncms") as listener,
    ):
        reporter = report(house, broker, qos=qos, mqtt_version=version)
        house.send(*frames(200))
        await until(lambda: reporter.acknowledged >= 100)
        await broker.kill()
        confirmed = reporter.acknowledged
        await until(lambda: reporter.trouble)
        await broker.start()
        await until(lambda: reporter.acknowledged == 200)
        expected = {round(T + n, 3) for n in range(confirmed, 200)}
        await listener.until(lambda: expected <= {json.loads(heard.payload)["time"] for heard in listener.heard})
    for topic in ("emon/emonTx4", "emon/10"):
        assert times(listener, topic) == sorted(times(listener, topic))
    assert conserved(reporter)


async def test_a_stopped_broker_with_persistence_loses_nothing(house: House, tmp_path: Path) -> None:
    async with Mosquitto(tmp_path, persistence=True) as broker:
        async with Listener(broker.port, "emon/#", client_id="emoncms"):
            pass  # leaves a session behind, in which the broker keeps what comes
        reporter = report(house, broker)
        house.send(*frames(60))
        await until(lambda: reporter.acknowledged >= 20)
        await broker.stop()
        house.send(*frames(40, 60))
        await broker.start()
        await until(lambda: reporter.acknowledged == 100)
        await broker.stop()
        await broker.start()
        async with Listener(broker.port, "emon/#", client_id="emoncms") as listener:
            await all_heard(listener, 100)


async def test_a_frozen_broker_gets_all_when_it_wakes(house: House, broker: Mosquitto) -> None:
    async with Listener(broker.port, "emon/#", client_id="emoncms") as listener:
        reporter = report(house, broker, timeout=0.3)
        house.send(*frames(10))
        await until(lambda: reporter.acknowledged == 10)
        broker.freeze()
        house.send(*frames(50, 10))
        await until(lambda: "no confirmation within 0.3 s" in reporter.trouble)
        broker.thaw()
        await until(lambda: reporter.acknowledged == 60)
        await all_heard(listener, 60)
    assert conserved(reporter)


async def test_started_before_the_broker(house: House, tmp_path: Path) -> None:
    broker = Mosquitto(tmp_path)
    reporter = report(house, broker)
    house.send(*frames(10))
    await until(lambda: "no broker answers" in reporter.trouble)
    async with broker, Listener(broker.port, "emon/#") as listener:
        await all_heard(listener, 10)
        await until(lambda: reporter.acknowledged == 10)


async def test_what_nobody_is_subscribed_to_is_kept(house: House, broker: Mosquitto) -> None:
    reporter = report(house, broker)
    house.send(*frames(4))
    await until(lambda: "nobody is subscribed to emon/10" in reporter.trouble)
    assert reporter.acknowledged == 0
    async with Listener(broker.port, "emon/#") as listener:
        await all_heard(listener, 4)
    await until(lambda: reporter.acknowledged == 4)


async def test_without_that_the_broker_is_enough(house: House, broker: Mosquitto) -> None:
    reporter = report(house, broker, needs_subscriber=False)
    house.send(*frames(4))
    await until(lambda: reporter.acknowledged == 4)


async def test_what_the_access_rules_forbid_is_kept(house: House, tmp_path: Path) -> None:
    rules = tmp_path / "acl"
    rules.write_text("topic read #\ntopic write other/#\n")
    rules.chmod(0o700)
    async with Mosquitto(tmp_path, ["allow_anonymous true", f"acl_file {rules}"]) as broker:
        reporter = report(house, broker)
        house.send(*frames(4))
        await until(lambda: "Not authorized" in reporter.trouble)
        assert reporter.buffer.frames == 4


async def test_a_backlog_is_paced(house: House, broker: Mosquitto) -> None:
    async with Listener(broker.port, "emon/#", qos=0) as listener:
        report(house, broker, max_rate=200.0)
        house.send(*frames(50))
        await all_heard(listener, 50)
        assert listener.heard[-1].at - listener.heard[0].at > 0.12  # 50 messages at 200 a second take twice that


@pytest.mark.parametrize("compress", [True, False])
async def test_from_hub_to_hub_many_readings_go_in_one_message(house: House, broker: Mosquitto, compress: bool) -> None:
    async with Listener(broker.port, "emonhub/bulk") as listener:
        reporter = report(house, broker, EmonHubMqttReporter, compress=compress)
        sent = [*frames(500), Cargo(Layout("x", "y"), (None, 2), T, target=30), Cargo(PLAIN, (1,), T, -50, "z")]
        house.send(*sent)
        await until(lambda: reporter.acknowledged == 502)
        await listener.until(lambda: listener.heard)
        assert len(listener.heard) == 1
        cargos, errors = Unpacker().unpack(listener.heard[0].payload)
    assert not errors
    assert len(listener.heard[0].payload) < (5_000 if compress else 50_000)
    for before, after in zip(sent, cargos, strict=True):
        assert (before.values, round(before.time, 3), before.rssi, before.target) == (
            after.values,
            after.time,
            after.rssi,
            after.target,
        )
        for part in ("node", "nodename", "names", "units"):
            assert getattr(before.layout, part) == getattr(after.layout, part)


async def test_a_broker_that_takes_few_messages_at_once(house: House, tmp_path: Path) -> None:
    """One that takes two hangs up on a client that sends a third before one of them is confirmed."""
    options = ["allow_anonymous true", "max_inflight_messages 2"]
    async with Mosquitto(tmp_path, options) as broker, Listener(broker.port, "emon/#") as listener:
        reporter = report(house, broker)
        house.send(*frames(100))
        await until(lambda: reporter.acknowledged == 100)
        await all_heard(listener, 100)
        assert reporter.connection is not None
        assert reporter.connection.connects == 1


async def test_a_broker_that_takes_only_small_messages(house: House, tmp_path: Path) -> None:
    options = ["allow_anonymous true", "max_packet_size 1500"]
    async with Mosquitto(tmp_path, options) as broker, Listener(broker.port, "emonhub/bulk") as listener:
        reporter = report(house, broker, EmonHubMqttReporter, compress=False)
        house.send(*frames(100))
        await listener.until(lambda: values_of(listener) == list(range(100)))
        await until(lambda: reporter.acknowledged == 100)
        assert reporter.requests == 1
    assert max(len(heard.payload) for heard in listener.heard) <= 1500


def values_of(listener: Listener) -> list[Any]:
    """The first value of each reading in the messages heard."""
    return [c.values[0] for heard in listener.heard for c in Unpacker().unpack(heard.payload)[0]]


async def test_what_was_buffered_in_another_form_still_goes(house: House, broker: Mosquitto) -> None:
    reporter = report(house, broker, EmonHubMqttReporter, form="json", topic="emon/bulk")
    house.send(*frames(2))
    await until(lambda: reporter.trouble)
    reporter.update({**reporter_settings(reporter), "form": "hub"})
    house.send(*frames(2, 2))
    async with Listener(broker.port, "emon/#") as listener:
        await until(lambda: reporter.acknowledged == 4)
        await listener.until(lambda: listener.on_bytes("emon/bulk"))
        assert times(listener, "emon/10") == [T]
        cargos, _ = Unpacker().unpack(listener.on_bytes("emon/bulk")[-1])
        assert [cargo.values[0] for cargo in cargos] == [2, 3]


def reporter_settings(reporter: EmonHubMqttReporter) -> dict[str, Any]:
    names = ("mqtt_port", "max_rate", "retry_max", "topic", "subchannels", "pubchannels")
    return {name: getattr(reporter, name) for name in names}


async def test_a_message_in_flight_is_repeated_as_the_same_bytes(house: House, broker: Mosquitto) -> None:
    reporter = report(house, broker, EmonHubMqttReporter, timeout=0.2)
    async with Listener(broker.port, "emonhub/bulk", client_id="hub") as listener:
        await until(lambda: not reporter.trouble and reporter.connection and reporter.connection.connected)
        broker.freeze()
        house.send(*frames(20))
        await until(lambda: reporter.requests >= 1 and "no confirmation" in reporter.trouble)
        house.send(*frames(20, 20))
        broker.thaw()
        await until(lambda: reporter.acknowledged == 40)
        await listener.until(lambda: len({heard.payload for heard in listener.heard}) == 2)
        first = Unpacker().unpack(listener.heard[0].payload)[0]
        assert [cargo.values[0] for cargo in first] == list(range(20))


async def test_stopping_sends_what_is_owed(house: House, broker: Mosquitto) -> None:
    async with Listener(broker.port, "emon/#") as listener:
        runner = house.add(EmoncmsMqttReporter, mqtt_port=broker.port, max_rate=0.0, interval=3600.0)
        reporter = runner.interfacer
        assert isinstance(reporter, EmonHubMqttReporter)
        await until(lambda: reporter.connection and reporter.connection.connected)
        house.send(*frames(2))
        await until(lambda: reporter.acknowledged == 2)  # the first goes at once, the others wait for the interval
        house.send(*frames(8, 2))
        await runner.stop(5.0)
        assert reporter.acknowledged == 10
        await all_heard(listener, 10)


def test_settings_that_can_not_work() -> None:
    with pytest.raises(SettingError, match="basetopic"):
        EmoncmsMqttReporter("x", {"basetopic": "emon/#"})


async def test_one_slow_message_does_not_hold_the_loop(house: House, broker: Mosquitto) -> None:
    """Reading goes on while a message of megabytes is on its way to a broker that does not take it."""
    report(house, broker, EmonHubMqttReporter, compress=False, batchsize=100_000, timeout=5.0)
    broker.freeze()
    house.send(*frames(50_000))
    turns = 0
    async with asyncio.timeout(2):
        while turns < 100:
            await asyncio.sleep(0.001)
            turns += 1
    broker.thaw()
