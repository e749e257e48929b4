"""Rules for devices that many people have, as their makers' and projects' documents describe their topics.

What a family's devices publish under its default topics is taken in; a device with other topics needs a rule of its
own. Where each rule comes from stands beside its recorded messages, in tests/interfacers/mqtt/families.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from emonhub.interfacers.core.mqtt.rules import Rule

if TYPE_CHECKING:
    from collections.abc import Mapping

_SHELLY1_UNITS = {
    "power": "W",
    "reactive_power": "var",
    "voltage": "V",
    "current": "A",
    "total": "Wh",
    "total_returned": "Wh",
    "temperature": "C",
    "humidity": "%",
}

_SHELLY2_UNITS = {
    "apower": "W",
    "act_power": "W",
    "aprt_power": "VA",
    "voltage": "V",
    "current": "A",
    "freq": "Hz",
    "total": "Wh",
    "tC": "C",
    "rh": "%",
    "energy": "Wh",
    "total_act": "Wh",
    "total_act_ret": "Wh",
}

_SHELLY2_SKIP = frozenset({"id", "by_minute", "minute_ts", "tF", "errors", "ts", "source", "counts"})

_TASMOTA_UNITS = {
    "Power": "W",
    "ApparentPower": "VA",
    "ReactivePower": "var",
    "Voltage": "V",
    "Current": "A",
    "Total": "kWh",
    "Today": "kWh",
    "Yesterday": "kWh",
    "Temperature": "C",
    "Humidity": "%",
    "Pressure": "hPa",
}

_ZIGBEE_UNITS = {
    "power": "W",
    "voltage": "V",
    "current": "A",
    "energy": "kWh",
    "temperature": "C",
    "humidity": "%",
    "pressure": "hPa",
    "battery": "%",
    "illuminance": "lx",
}

_OPENDTU_UNITS = {
    "power": "W",
    "powerdc": "W",
    "reactivepower": "var",
    "voltage": "V",
    "current": "A",
    "frequency": "Hz",
    "temperature": "C",
    "yieldday": "Wh",
    "yieldtotal": "kWh",
    "efficiency": "%",
    "powerfactor": "%",
}

_AHOY_UNITS = {
    "U_AC": "V",
    "I_AC": "A",
    "P_AC": "W",
    "Q_AC": "var",
    "F_AC": "Hz",
    "U_DC": "V",
    "I_DC": "A",
    "P_DC": "W",
    "Temp": "C",
    "YieldDay": "Wh",
    "YieldTotal": "kWh",
    "Efficiency": "%",
}

FAMILIES: Mapping[str, tuple[Rule, ...]] = {
    # Shelly, first generation: a topic for each value.
    "shelly1": (
        Rule("shellies/{node}/emeter/{channel:digits}/{name}", name="emeter{channel}_{name}", units=_SHELLY1_UNITS),
        Rule("shellies/{node}/relay/{channel:digits}/power", name="relay{channel}_power", units=_SHELLY1_UNITS),
        Rule("shellies/{node}/relay/{channel:digits}/energy", name="relay{channel}_energy"),  # in Wmin
        Rule("shellies/{node}/relay/{channel:digits}", name="relay{channel}"),
        Rule("shellies/{node}/sensor/{name}", units=_SHELLY1_UNITS),
        Rule("shellies/{node}/temperature", name="temperature", units=_SHELLY1_UNITS),
    ),
    # Shelly, later generations: the changes of all components, and each component's whole state where switched on.
    "shelly2": (
        Rule(
            "{node}/events/rpc",
            name="",
            root="params",
            time="params.ts",
            skip=_SHELLY2_SKIP | {"events"},
            units=_SHELLY2_UNITS,
        ),
        Rule("{node}/status/{component}", name="{component}", skip=_SHELLY2_SKIP, units=_SHELLY2_UNITS),
    ),
    "tasmota": (
        Rule("tele/{node}/SENSOR", name="", skip=frozenset({"TotalStartTime"}), units=_TASMOTA_UNITS),
        Rule("tele/{node}/STATE", name="", skip=frozenset({"SSId", "BSSId", "Hostname", "IPAddress"})),
    ),
    "zigbee2mqtt": (
        Rule(
            "zigbee2mqtt/{node}",
            name="",
            skip=frozenset({"update", "update_available", "last_seen", "color", "action"}),
            units=_ZIGBEE_UNITS,
        ),
    ),
    "esphome": (
        Rule("{node}/sensor/{name}/state"),
        Rule("{node}/binary_sensor/{name}/state"),
        Rule("{node}/switch/{name}/state"),
    ),
    "opendtu": (Rule("solar/{node:digits}/{channel:digits}/{name}", name="ch{channel}_{name}", units=_OPENDTU_UNITS),),
    "ahoydtu": (Rule("inverter/{node}/ch{channel:digits}/{name}", name="ch{channel}_{name}", units=_AHOY_UNITS),),
    # Victron GX: something has to ask for the values by a message on R/<portal id>/keepalive.
    "venus": (
        Rule("N/{portal}/{service}/{instance:digits}/{name...}", node="{service}{instance}", values=("value:",)),
    ),
    "homie": (
        Rule("homie/5/{node}/{group}/{name}", name="{group}_{name}"),
        Rule("homie/{node}/{group}/{name}", name="{group}_{name}"),
    ),
    "emonesp": (
        Rule("emon/{node}/{name}"),
        Rule("emon/{node}", name="", time="time", skip=frozenset({"time"})),
    ),
    # rtl_433 with `-F mqtt`: the node is who sent the radio message, not who received it.
    "rtl_433": (
        Rule(
            "rtl_433/{host}/events",
            node="{model}-{id}",
            name="",
            skip=frozenset({"time", "model", "id", "mic", "mod", "freq", "snr", "noise", "rssi", "channel"}),
            units={"temperature_C": "C", "humidity": "%", "power_W": "W", "energy_kWh": "kWh"},
        ),
    ),
    "evcc": (
        Rule("evcc/loadpoints/{loadpoint:digits}/{name...}", node="loadpoint{loadpoint}"),
        Rule("evcc/site/{name...}", node="evcc"),
    ),
}
