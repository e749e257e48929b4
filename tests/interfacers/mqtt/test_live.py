"""MQTT live, against a real broker."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest

from emonhub import Cargo, Layout, SettingError
from emonhub.interfacers.core.mqtt.live import EmonHubMqttInterfacer
from emonhub.supervisor import State
from tests.fakes.mosquitto import Listener, Mosquitto
from tests.interfacers.mqtt.conftest import serving, until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.interfacers.mqtt.conftest import House

T = 1669888253.994
NAMED = Layout(17, "emonTx4_17", ("P1", "Vrms"), ("W", "V"))
PLAIN = Layout(10)
ALL = {"nodevar_format_enable": True, "nodevar_format_basetopic": "emon/", "node_JSON_enable": True}


async def connected(house: House, broker: Mosquitto, **settings: Any) -> EmonHubMqttInterfacer:
    runner = house.add(EmonHubMqttInterfacer, mqtt_port=broker.port, **settings)
    live = runner.interfacer
    assert isinstance(live, EmonHubMqttInterfacer)
    await until(lambda: live.connection is not None and live.connection.connected and runner.state is State.RUNNING)
    return live


async def test_every_format_looks_as_users_know_it(house: House, broker: Mosquitto) -> None:
    async with Listener(broker.port, "emon/#", "emonhub/rx/#") as listener:
        await connected(house, broker, **ALL)
        house.send(Cargo(NAMED, (100, 23.400000000000002), T, rssi=-44), Cargo(PLAIN, (1, 2, 3), T))
        await listener.until(lambda: len(listener.heard) == 10)
    assert [(heard.topic, heard.text) for heard in listener.heard] == [
        ("emon/emonTx4_17/P1", "100"),
        ("emon/emonTx4_17/Vrms", "23.400000000000002"),
        ("emon/emonTx4_17/rssi", "-44"),
        ("emonhub/rx/17/values", "100,23.400000000000002,-44"),
        ("emon/emonTx4_17", '{"P1": 100, "Vrms": 23.400000000000002, "time": 1669888253.994, "rssi": -44}'),
        ("emon/10/1", "1"),
        ("emon/10/2", "2"),
        ("emon/10/3", "3"),
        ("emonhub/rx/10/values", "1,2,3"),
        ("emon/10", '{"time": 1669888253.994}'),
    ]
    assert not any(heard.retain for heard in listener.heard)


async def test_units_and_missing_values(house: House, broker: Mosquitto) -> None:
    async with Listener(broker.port, "emon/#", "emonhub/#") as listener:
        await connected(house, broker, **ALL, node_JSON_units=True)
        house.send(Cargo(NAMED, (None, 240.1), T))
        await listener.until(lambda: len(listener.heard) == 3)
    assert listener.on("emon/emonTx4_17/Vrms") == ["240.1"]
    assert listener.on("emonhub/rx/17/values") == [",240.1"]
    assert json.loads(listener.on("emon/emonTx4_17")[0]) == {
        "Vrms": 240.1,
        "time": T,
        "units": {"P1": "W", "Vrms": "V"},
    }


async def test_names_that_can_not_stand_in_a_topic(house: House, broker: Mosquitto) -> None:
    layout = Layout("a/b+c#", "", ("power/L1", "x+y#", "é\x00"))
    async with Listener(broker.port, "#") as listener:
        await connected(house, broker, **ALL)
        house.send(Cargo(layout, (1, 2, 3), T))
        await listener.until(lambda: len(listener.heard) == 5)
    assert [heard.topic for heard in listener.heard] == [
        "emon/a_b_c_/power_L1",
        "emon/a_b_c_/x_y_",
        "emon/a_b_c_/é_",
        "emonhub/rx/a_b_c_/values",
        "emon/a_b_c_",
    ]


@pytest.mark.parametrize(("qos", "retain"), [(0, True), (1, False), (2, True)])
async def test_quality_of_service_and_retain(house: House, broker: Mosquitto, qos: int, retain: bool) -> None:
    async with Listener(broker.port, "emonhub/rx/#") as listener:
        await connected(house, broker, qos=qos, retain=retain)
        house.send(Cargo(PLAIN, (5,), T))
        await listener.until(lambda: listener.heard)
    async with Listener(broker.port, "emonhub/rx/#", "emonhub/other") as late:
        await late.published("emonhub/other", "end")
        await late.until(lambda: late.on("emonhub/other") and len(late.heard) == 1 + retain)
    assert late.on("emonhub/rx/10/values") == (["5"] if retain else [])


@pytest.mark.parametrize("version", ["3.1.1", "5"])
async def test_while_the_broker_is_away_only_the_newest_is_held(house: House, broker: Mosquitto, version: str) -> None:
    live = await connected(house, broker, mqtt_version=version, qos=1, retain=True)
    await broker.kill()
    await until(lambda: live.trouble)
    for value in range(50):
        house.send(Cargo(PLAIN, (value,), T), Cargo(NAMED, (value, 1), T))
        await asyncio.sleep(0)
    await until(lambda: live.dropped["a newer one came"] == 98)
    await broker.start()
    async with Listener(broker.port, "emonhub/rx/#") as listener:
        await listener.until(lambda: listener.on("emonhub/rx/10/values") == ["49"])
        await listener.until(lambda: listener.on("emonhub/rx/17/values") == ["49,1"])
        house.send(Cargo(PLAIN, (99,), T))
        await listener.until(lambda: listener.on("emonhub/rx/10/values") == ["49", "99"])
    assert live.dropped == {"a newer one came": 98}


async def test_what_has_become_stale_is_never_sent(house: House, broker: Mosquitto) -> None:
    live = await connected(house, broker, stale_after=0.05)
    await broker.kill()
    await until(lambda: live.trouble)
    house.send(Cargo(PLAIN, (1,), T))
    await asyncio.sleep(0.06)  # it becomes stale by the passing of time alone
    await broker.start()
    async with Listener(broker.port, "emonhub/rx/#") as listener:
        await until(lambda: not live.trouble)
        house.send(Cargo(PLAIN, (2,), T))
        await listener.until(lambda: listener.heard)
    assert listener.on("emonhub/rx/10/values") == ["2"]
    assert live.dropped == {"stale": 1}


async def test_a_frozen_broker_is_noticed_and_gets_what_is_fresh(house: House, broker: Mosquitto) -> None:
    live = await connected(house, broker, mqtt_keepalive=1, stale_after=0.3)
    async with Listener(broker.port, "emonhub/rx/#") as listener:
        broker.freeze()
        await until(lambda: live.trouble)
        assert "has not answered for 1 s" in live.trouble
        house.send(Cargo(PLAIN, (1,), T))
        await asyncio.sleep(0.35)
        broker.thaw()
        await until(lambda: not live.trouble)
        house.send(Cargo(PLAIN, (2,), T))
        await listener.until(lambda: listener.heard)
        assert listener.on("emonhub/rx/10/values") == ["2"]


async def test_a_broker_that_does_not_keep_up_costs_no_memory(house: House, broker: Mosquitto) -> None:
    live = await connected(house, broker, mqtt_keepalive=60)
    async with Listener(broker.port, "emonhub/rx/#", qos=0) as listener:
        broker.freeze()
        layout = Layout(11)
        sent = 0
        async with asyncio.timeout(20):
            while not live.dropped:
                house.send(Cargo(layout, (sent, *range(1_000_000, 1_002_000)), T))
                sent += 1
                await asyncio.sleep(0)
        assert len(live._held) == 1
        broker.thaw()
        await until(lambda: not live._held)  # its newest goes out as soon as the broker has caught up
        house.send(Cargo(layout, (-1,), T))
        await listener.until(lambda: "-1" in listener.on("emonhub/rx/11/values"))


async def test_wrong_credentials_are_a_state_and_not_a_loop(
    house: House, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    passwords = tmp_path / "passwords"
    passwords.write_text("")
    async with Mosquitto(tmp_path, ["allow_anonymous false", f"password_file {passwords}"]) as strict:
        runner = house.add(EmonHubMqttInterfacer, mqtt_port=strict.port, mqtt_user="emonpi", mqtt_passwd="sesame")
        live = runner.interfacer
        assert isinstance(live, EmonHubMqttInterfacer)
        await until(lambda: "refuses" in live.trouble)
        assert live.connection is not None
        assert live.connection.state.value == "refused"
        assert "user 'emonpi'" in live.trouble
        assert "mqtt_passwd" in live.trouble
        assert "sesame" not in caplog.text
        assert runner.state is State.RUNNING
        assert runner.restarts == 0


async def test_a_broker_that_never_answers(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("emonhub.interfacers.core.mqtt.connection._CONNECT_S", 0.2)
    clients = []

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        clients.append(writer)
        await reader.read()

    async with serving(silent) as port:
        live = house.add(EmonHubMqttInterfacer, mqtt_port=port).interfacer
        assert isinstance(live, EmonHubMqttInterfacer)
        await until(lambda: "does not answer" in live.trouble)
        house.send(Cargo(PLAIN, (1,), T))
        await until(lambda: len(live._held) == 1)
        await until(lambda: len(clients) >= 2)  # and it is tried again
        await house.close()


async def test_interfacers_with_the_same_broker_share_a_connection(house: House, broker: Mosquitto) -> None:
    first = await connected(house, broker)
    second = await connected(house, broker, name="second", node_format_basetopic="other/")
    other = await connected(house, broker, name="third", mqtt_client_id="me")
    assert first.connection is second.connection
    assert other.connection is not first.connection
    async with Listener(broker.port, "#") as listener:
        house.send(Cargo(PLAIN, (1,), T))
        await listener.until(lambda: len(listener.heard) == 3)
        # One goes, the other still hears and sends.
        await first.close()
        listener.heard.clear()
        house.send(Cargo(PLAIN, (2,), T))
        await listener.until(lambda: "2" in listener.on("other/rx/10/values"))
        await listener.published("other/tx/30/values", "1,1850")
        await until(lambda: house.out.cargos)
    assert house.out.cargos[0].values == (1, 1850)


def test_wildcards_in_a_base_topic_are_refused() -> None:
    with pytest.raises(SettingError, match="node_format_basetopic"):
        EmonHubMqttInterfacer("MQTT", {"node_format_basetopic": "emon+/"})
