"""The interfacers that ship with emonHub. All of them can be inherited from:

    from emonhub.interfacers import EmonHubSerialInterfacer

imports that one, and what it needs, and no other.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

BUILT_IN = {
    "EmonHubSerialInterfacer": "emonhub.interfacers.core.serial",
    "EmonHubSocketInterfacer": "emonhub.interfacers.core.socket",
    "EmonHubExecInterfacer": "emonhub.interfacers.core.exec",
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
"""Every type, and the module that it stands in."""


def __getattr__(name: str) -> Any:
    if name not in BUILT_IN:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(BUILT_IN[name]), name)
