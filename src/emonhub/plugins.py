"""Finds the class that a `Type =` names, importing only that one."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from emonhub.interfacer import Interfacer

_BUILT_IN = {
    "EmonHubSerialInterfacer": "emonhub.interfacers.core.serial",
    "EmonHubSocketInterfacer": "emonhub.interfacers.core.socket",
    "EmonHubJeeInterfacer": "emonhub.interfacers.devices.jee",
    "EmonHubOEMInterfacer": "emonhub.interfacers.devices.oem",
    "EmonHubDigitalInputInterfacer": "emonhub.interfacers.devices.digital",
    "EmonHubPulseCounterInterfacer": "emonhub.interfacers.devices.pulse",
    "EmonHubPacketGenInterfacer": "emonhub.interfacers.devices.packetgen",
    "EmonHubDS18B20Interfacer": "emonhub.interfacers.devices.ds18b20",
    "EmonHubRF69Interfacer": "emonhub.interfacers.devices.rf69",
    "EmonHubRFM69LPLInterfacer": "emonhub.interfacers.devices.rfm69lpl",
    "EmonHubTx3eInterfacer": "emonhub.interfacers.devices.tx3e",
    "EmonHubEmoncmsHTTPInterfacer": "emonhub.interfacers.emoncms.http",
    "EmonHubEmoncmsReporter": "emonhub.interfacers.emoncms.http",
    "EmoncmsHttpReporter": "emonhub.interfacers.emoncms.http",
    "EmonHubMqttInterfacer": "emonhub.interfacers.core.mqtt.live",
    "EmonHubMqttReporter": "emonhub.interfacers.core.mqtt.bulk",
    "EmonHubMqttSubscriberInterfacer": "emonhub.interfacers.core.mqtt.subscriber",
    "EmoncmsMqttReporter": "emonhub.interfacers.emoncms.mqtt",
    "EmonHubSimulatorInterfacer": "emonhub.demo.simulator",
}

_NOT_YET = frozenset(
    {
        "EmonFroniusModbusTcpInterfacer",
        "EmonHubBleInterfacer",
        "EmonHubEconet300Interfacer",
        "EmonHubEconextInterfacer",
        "EmonHubGoodWeInterfacer",
        "EmonHubGraphiteInterfacer",
        "EmonHubInfluxInterfacer",
        "EmonHubMBUSInterfacer",
        "EmonHubMinimalModbusInterfacer",
        "EmonHubModbusRenogyInterfacer",
        "EmonHubRedisInterfacer",
        "EmonHubSDM120Interfacer",
        "EmonHubSDS011Interfacer",
        "EmonHubSMASolarInterfacer",
        "EmonHubSmilicsInterfacer",
        "EmonHubSunampInterfacer",
        "EmonHubTemplateInterfacer",
        "EmonHubTeslaPowerWallInterfacer",
        "EmonHubVEDirectInterfacer",
        "EmonModbusTcpInterfacer",
    }
)

_GONE = {
    "EmonHubBMWInterfacer": "the service it asked was closed by BMW",
    "EmonHubJaguarLandRoverInterfacer": "the service it asked was closed by its maker",
}


_EXTRAS = {"paho": "mqtt", "pymysql": "sql", "pg8000": "sql", "gpiod": "gpio", "spidev": "spi", "rich": "table"}
"""What to install for a library that is missing."""


@dataclass(frozen=True, slots=True)
class Found:
    """What a type name stands for. `problem` says why there is no class, in words for the user; empty when there is."""

    cls: type[Interfacer] | None
    problem: str = ""
    known: bool = True


def type_names() -> list[str]:
    """Every type that can be used, for did-you-mean."""
    return sorted(_BUILT_IN)


def find(type_name: str) -> Found:
    """The class of a type. What it needs and is not installed is its own problem, never the hub's."""
    if type_name in _NOT_YET:
        return Found(None, f"{type_name} is not part of this version yet; the rest of the file is used without it")
    if type_name in _GONE:
        return Found(None, f"{type_name} is not part of emonHub any more: {_GONE[type_name]}")
    module_name = _BUILT_IN.get(type_name)
    if module_name is None:
        return Found(None, f"there is no interfacer type {type_name}", known=False)
    try:
        return Found(getattr(import_module(module_name), type_name))
    except ImportError as error:
        extra = _EXTRAS.get((error.name or "").partition(".")[0])
        remedy = f": pip install 'emonhub[{extra}]'" if extra else f" ({error})"
        return Found(None, f"{type_name} needs a library that is not installed{remedy}")
