"""MQTT messages per CPU-second, live and confirmed, against a bare loop around the client library."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import statistics
import subprocess
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.processes import CORES, MEASURED, OTHERS, free_port
from bench.table import Table, at_least
from emonhub import Cargo, Layout

if TYPE_CHECKING:
    from collections.abc import Iterator

ORDER = 60

_GOAL_PERCENT = 50
_PIECE = 100
"""Readings that are handed over at once."""

_IN_FLIGHT = 20
"""Messages that are unconfirmed at once in the bare loop: as many as the library sends by itself."""

NAMES = ("power1", "power2", "power3", "power4", "vrms", "temperature")
LAYOUTS = [Layout(node, f"node{node}", NAMES) for node in (7, 8, 9, 10)]


def measure(*, quick: bool) -> Table:
    """Rounds of both ways and both loops, one after the other; medians."""
    table = Table("MQTT: messages per CPU-second (JSON, 6 values, mosquitto on this machine)")
    binary = shutil.which("mosquitto", path=os.environ.get("PATH", "") + ":/usr/sbin")
    if binary is None:
        table.note("mosquitto is not installed: not measured.")
        return table
    count, rounds = (2_000, 1) if quick else (20_000, 3)
    cargos = make_cargos(count)
    payloads = [(f"emon/{c.layout.nodename}", _object(c)) for c in cargos]
    speeds: dict[str, list[float]] = {}
    os.sched_setaffinity(0, MEASURED)
    try:
        with broker(binary) as port:
            for _ in range(rounds):
                for name, seconds in (
                    ("bare, QoS 0", bare_live(port, payloads)),
                    ("live", asyncio.run(live(port, cargos))),
                    ("bare, QoS 1", bare_confirmed(port, payloads)),
                    ("bulk", asyncio.run(bulk(port, cargos, "json"))),
                    ("hub to hub", asyncio.run(bulk(port, cargos, "hub"))),
                ):
                    speeds.setdefault(name, []).append(count / seconds)
    finally:
        os.sched_setaffinity(0, set(CORES))
    median = {name: statistics.median(found) for name, found in speeds.items()}
    table.add("client library alone, QoS 0, texts ready made", f"{median['bare, QoS 0']:,.0f}")
    table.add("EmonHubMqttInterfacer, written and sent", f"{median['live']:,.0f}")
    table.add("    of the library's speed", *_share(speeds, "live", "bare, QoS 0"))
    table.add("client library alone, QoS 1, texts ready made", f"{median['bare, QoS 1']:,.0f}")
    table.add("EmoncmsMqttReporter, written, buffered, sent, confirmed", f"{median['bulk']:,.0f}")
    table.add("    of the library's speed", *_share(speeds, "bulk", "bare, QoS 1"))
    table.add("EmonHubMqttReporter, many readings a message: readings", f"{median['hub to hub']:,.0f}")
    table.note(f"{rounds} rounds of {count:,} messages, medians. The broker is a process of its own.")
    return table


def _share(speeds: dict[str, list[float]], ours: str, bare: str) -> tuple[str, str, bool]:
    share = statistics.median(a / b for a, b in zip(speeds[ours], speeds[bare], strict=True))
    return at_least(100 * share, _GOAL_PERCENT, "%")


def make_cargos(count: int) -> list[Cargo]:
    """Readings of four nodes by turns."""
    return [
        Cargo(LAYOUTS[n % 4], (400 + n % 97, 0, 12, -3, 239.5 + n % 7, 19.25), round(1.7e9 + n * 0.25, 3))
        for n in range(count)
    ]


def _object(cargo: Cargo) -> str:
    return json.dumps({**dict(zip(NAMES, cargo.values, strict=True)), "time": cargo.time})


@contextmanager
def broker(binary: str) -> Iterator[int]:
    """A mosquitto of its own; its port."""
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="emonhub-bench-") as folder:
        config = Path(folder) / "mosquitto.conf"
        config.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\nmax_queued_messages 0\nuser root\n")
        process = subprocess.Popen([binary, "-c", str(config)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.sched_setaffinity(process.pid, OTHERS)
        try:
            yield port
        finally:
            process.kill()
            process.wait()


def bare_live(port: int, payloads: list[tuple[str, str]]) -> float:
    """CPU seconds of the library for these messages, now or never."""
    client = _client(port)
    started = time.process_time()
    for index, (topic, payload) in enumerate(payloads):
        client.publish(topic, payload, 0)
        if index % _PIECE == 0:
            client.loop(0)
    while client.want_write():
        client.loop(0.1)
    used = time.process_time() - started
    client.disconnect()
    return used


def bare_confirmed(port: int, payloads: list[tuple[str, str]]) -> float:
    """CPU seconds of the library for these messages, each confirmed."""
    client = _client(port)
    confirmed = 0

    def on_publish(*_: Any) -> None:
        nonlocal confirmed
        confirmed += 1

    client.on_publish = on_publish
    started = time.process_time()
    for index, (topic, payload) in enumerate(payloads):
        client.publish(topic, payload, 1)
        while index - confirmed >= _IN_FLIGHT:
            client.loop(1.0)
    while confirmed < len(payloads):
        client.loop(1.0)
    used = time.process_time() - started
    client.disconnect()
    return used


def _client(port: int) -> Any:
    from paho.mqtt.client import Client  # noqa: PLC0415
    from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion  # noqa: PLC0415

    client = Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)
    client.connect("127.0.0.1", port)
    while not client.is_connected():
        client.loop(1.0)
    return client


async def live(port: int, cargos: list[Cargo]) -> float:
    """CPU seconds of the live interfacer."""
    from emonhub.interfacers.core.mqtt.live import EmonHubMqttInterfacer  # noqa: PLC0415

    itf = EmonHubMqttInterfacer("live", {"mqtt_port": port, "node_format_enable": False, "node_JSON_enable": True})
    await itf.open()
    assert itf.connection is not None
    await itf.connection.tried.wait()
    assert itf.connection.connected
    started = time.process_time()
    for start in range(0, len(cargos), _PIECE):
        await itf.send(cargos[start : start + _PIECE])
        await asyncio.sleep(0)
    await itf.close()  # behind all that was to be sent
    used = time.process_time() - started
    assert not itf.dropped, itf.dropped
    return used


async def bulk(port: int, cargos: list[Cargo], form: str) -> float:
    """CPU seconds of the reporter, from taking readings over until all are confirmed."""
    from emonhub.interfacers.core.mqtt.bulk import EmonHubMqttReporter  # noqa: PLC0415

    itf = EmonHubMqttReporter(
        "bulk", {"mqtt_port": port, "form": form, "max_rate": 0.0, "needs_subscriber": False, "batchsize": 1000}
    )
    await itf.open()
    assert itf.connection is not None
    await itf.connection.tried.wait()
    delivering = asyncio.create_task(itf.run_delivery())
    started = time.process_time()
    for start in range(0, len(cargos), _PIECE):
        itf.accept(cargos[start : start + _PIECE])
        await asyncio.sleep(0)
    itf.stop_delivery()
    await delivering
    used = time.process_time() - started
    assert itf.acknowledged == len(cargos), itf.trouble
    await itf.close()
    return used
