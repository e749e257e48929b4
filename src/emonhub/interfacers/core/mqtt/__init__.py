"""MQTT: the generic base, live topics, confirmed bulk, and taking in what others publish.

broker      which broker, as whom, and how safely
transport   opening the socket
session     one connection from beginning to end
connection  a connection that is kept, shared by those who want the same one
base        what every interfacer that speaks MQTT is made from
"""

from emonhub.interfacers.core.mqtt.base import MqttInterfacer
from emonhub.interfacers.core.mqtt.session import Message, Receipt, Subscription

__all__ = ["Message", "MqttInterfacer", "Receipt", "Subscription"]
