"""What a broker's refusals mean, in words for the user."""

from __future__ import annotations

from typing import TYPE_CHECKING

from emonhub import Unavailable

if TYPE_CHECKING:
    from emonhub.interfacers.core.mqtt.broker import Broker

_REFUSALS = {
    "Bad user name or password": "user name or password are wrong: see mqtt_user and mqtt_passwd",
    "Not authorized": "it is not allowed: see mqtt_user and mqtt_passwd, and the broker's own rules",
    "Client identifier not valid": "its client id is not valid: see mqtt_client_id",
    "Banned": "it is banned",
}


class Refused(Unavailable):
    """The broker answers, and does not want us. Only a change on one of the two sides helps."""


class WrongVersion(Unavailable):
    """The broker does not know this version of MQTT."""


def refusal(name: str, broker: Broker) -> Unavailable:
    """The error that a refused connection is; `name` is the reason as MQTT 5.0 calls it (section 3.2.2.2)."""
    if name == "Unsupported protocol version":
        return WrongVersion("the broker does not know this version of MQTT")
    if name in _REFUSALS:
        who = f"user {broker.user!r}" if broker.user else "a client without user name"
        return Refused(f"the broker refuses {who}: {_REFUSALS[name]}")
    return Unavailable(f"the broker refuses the connection: {name}")


def end(name: str, broker: Broker, *, said_by_broker: bool) -> str:
    """Why a connection ended."""
    if said_by_broker:
        if name == "Session taken over":
            return f"another client has come with our client id {broker.client_id!r}"
        return f"the broker ended the connection: {name}"
    if name == "Keep alive timeout":
        return f"the broker has not answered for {broker.keepalive_s} s"
    return "the connection was lost"


def silence(broker: Broker) -> str:
    """Why a broker may have closed a connection without a word."""
    hint = "does it want TLS (mqtt_tls_enabled)?"
    if broker.tls is not None:
        hint = "is it a port for MQTT?" if broker.tls.certfile else "does it want a certificate (mqtt_tls_certfile)?"
    return f"the broker closed the connection without an answer: {hint}"
