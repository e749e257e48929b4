"""MQTT: the generic base, live topics, confirmed bulk, and taking in what others publish.

From the wire upwards, `broker` says which broker, as whom and how safely; `transport` opens the socket; `session` is
one connection from beginning to end; `connection` is one that is kept, and shared by those who want the same; `base` is
what every interfacer that speaks MQTT is made from. On it stand `live` (with `formats`, `control` and `discovery`),
`bulk` (with `hubform`), and `subscriber` (with `rules` and `families`).
"""

from emonhub.interfacers.core.mqtt.base import MqttInterfacer
from emonhub.interfacers.core.mqtt.messages import Message, Receipt, Subscription

__all__ = ["Message", "MqttInterfacer", "Receipt", "Subscription"]
