"""MQTT, live: each reading as it comes, now or never; and control messages in."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from emonhub import Cargo, Layout, SettingError, integer, number, setting, switch, text
from emonhub.interfacers.core.mqtt.base import MqttInterfacer
from emonhub.interfacers.core.mqtt.control import Control
from emonhub.interfacers.core.mqtt.discovery import Discovery
from emonhub.interfacers.core.mqtt.formats import Bases, Formats
from emonhub.interfacers.core.mqtt.messages import Message, Subscription
from emonhub.interfacers.core.mqtt.topics import covers

if TYPE_CHECKING:
    from collections.abc import Mapping

    from emonhub.interfacers.core.mqtt.broker import Broker

_MAX_HELD = 1000
"""Layouts whose newest reading is held while the broker is away."""


class EmonHubMqttInterfacer(MqttInterfacer):
    """Publishes readings live, in the formats that are switched on, and takes control messages for nodes.

    While the broker is away the newest reading of each node is held, and sent on its return if it is fresh enough;
    nothing else is. `dropped` counts what was not sent, by reason.

    Control messages come on `<node_format_basetopic>tx/<node>/values`, as numbers with commas between, and by name on
    `<node_format_basetopic>command/<node>`; they go on its pubchannels.
    """

    nodevar_format_enable = setting(switch(), False, "1 = a topic for each value")
    nodevar_format_basetopic = setting(text(), "nodes/", "what these topics start with, mostly emon/")
    node_format_enable = setting(switch(), True, "1 = a topic for each node, with all its values as a list")
    node_format_basetopic = setting(text(), "emonhub/", "what these topics and those of control messages start with")
    node_JSON_enable = setting(switch(), False, "1 = a topic for each node, with a JSON object")  # noqa: N815
    node_JSON_basetopic = setting(text(), "emon/", "what these topics start with")  # noqa: N815
    node_JSON_units = setting(switch(), False, "1 = with the units of the values")  # noqa: N815
    qos = setting(integer(0, 2), 0, "quality of service that messages are published with")
    retain = setting(switch(), False, "1 = the broker keeps the last value of each topic for those who come later")
    stale_after = setting(number(0), 10.0, "age up to which a reading is still sent when the broker is back", unit="s")
    status_topic = setting(
        text(), "", "topic that says `online`, or `offline` by the last will; empty = none without discovery", init=True
    )
    discovery = setting(switch(), False, "1 = let Home Assistant find all values by itself", init=True)
    discovery_prefix = setting(text(), "homeassistant", "Home Assistant's discovery prefix", init=True)
    discovery_id = setting(text(), "emonhub", "name of this hub there; each hub on a broker needs its own", init=True)
    discovery_expire = setting(
        integer(0), 0, "how long values hold good there; 0 = told from each node's own interval", unit="s"
    )
    ttl = setting(number(0.1), 60.0, "age from which a command is not carried out any more", unit="s")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.dropped: Counter[str] = Counter()
        self._held: dict[Layout, tuple[Cargo, float]] = {}
        self._nodes_version = -1
        super().__init__(*args, **kwargs)
        self._set_up()

    def check(self) -> None:
        super().check()
        for name in ("nodevar_format_basetopic", "node_format_basetopic", "node_JSON_basetopic"):
            if set(getattr(self, name)) & set("+#"):
                raise SettingError(f"{name} can't have + or # in it: they are wildcards")
        if self.discovery and not (self.nodevar_format_enable or self.node_JSON_enable):
            raise SettingError("discovery needs nodevar_format_enable = 1 or node_JSON_enable = 1")

    def make_broker(self) -> Broker:
        return replace(super().make_broker(), status_topic=self._status_topic)

    @property
    def _status_topic(self) -> str:
        return self.status_topic or (f"{self.discovery_id}/status" if self.discovery else "")

    @property
    def subscriptions(self) -> Mapping[str, Subscription]:
        wanted = {name: Subscription() for name in self._control.filters} if self.pubchannels else {}
        if self._discovery is not None:
            wanted[self._discovery.birth_topic] = Subscription()
            wanted[self._discovery.own_filter] = Subscription(qos=1, retained=True)
        return wanted

    def settings_changed(self, changed: set[str]) -> None:
        self._set_up()
        if self.connection is not None:
            self.connection.resubscribe(self)

    def _set_up(self) -> None:
        bases = Bases(
            self.nodevar_format_basetopic if self.nodevar_format_enable else None,
            self.node_format_basetopic if self.node_format_enable else None,
            self.node_JSON_basetopic if self.node_JSON_enable else None,
            self.node_JSON_units,
        )
        self._formats = Formats(bases)
        self._control = Control(self.node_format_basetopic, self.nodes, self.ttl)
        self._discovery = None
        if self.discovery:
            self._discovery = Discovery(
                self.discovery_prefix,
                self.discovery_id,
                self._status_topic,
                bases,
                self.nodes,
                expires_s=self.discovery_expire,
            )

    # Out

    async def send(self, cargos: list[Cargo]) -> None:
        if self._discovery is not None:
            self._describe(self._discovery, cargos)
        for cargo in cargos:
            if not self._send_one(cargo):
                self._hold(cargo)

    def _describe(self, discovery: Discovery, cargos: list[Cargo]) -> None:
        """Tell Home Assistant what has changed. What does not go through is said when the broker is back."""
        if self._nodes_version != self.nodes.version:
            self._nodes_version = self.nodes.version
            self._put_kept(discovery.forget_removed())
        now = self.world.monotonic()
        for cargo in cargos:
            if news := discovery.notice(cargo, now):
                self._put_kept(news)

    def _put_kept(self, messages: list[tuple[str, str]]) -> None:
        for topic, payload in messages:
            self.put(topic, payload, 1, retain=True)

    def _send_one(self, cargo: Cargo) -> bool:
        qos, retain = self.qos, self.retain
        return all(self.put(topic, payload, qos, retain=retain) for topic, payload in self._formats.messages(cargo))

    def _hold(self, cargo: Cargo) -> None:
        if self._held.pop(cargo.layout, None) is not None:
            self.dropped["a newer one came"] += 1
        elif len(self._held) >= _MAX_HELD:
            del self._held[next(iter(self._held))]
            self.dropped["too many nodes"] += 1
        self._held[cargo.layout] = (cargo, self.world.monotonic())

    def on_ready(self) -> None:
        super().on_ready()
        if self._discovery is not None:
            self._put_kept(self._discovery.everything())
        held, self._held = self._held, {}
        now = self.world.monotonic()
        for cargo, since in held.values():
            if now - since > self.stale_after:
                self.dropped["stale"] += 1
            elif not self._send_one(cargo):
                self._held[cargo.layout] = (cargo, since)

    # In

    def on_message(self, message: Message) -> None:
        if self.refuse_overlong(message):
            return
        if self._discovery is not None and self._take_of_home_assistant(self._discovery, message):
            return
        outcome = self._control.take(message, self.world.time())
        if outcome.error is not None:
            self.discard(outcome.error, message.payload)
        if outcome.cargo is not None:
            self.publish([outcome.cargo])
        if outcome.result:
            self.put(outcome.result_topic, outcome.result)

    def _take_of_home_assistant(self, discovery: Discovery, message: Message) -> bool:
        """Whether a message was about discovery."""
        if message.topic == discovery.birth_topic:
            if message.payload == b"online":
                self._put_kept(discovery.everything())
            return True
        if covers(discovery.own_filter, message.topic):
            if message.retain and message.payload:
                self._put_kept(discovery.take_back(message.topic))
            return True
        return False
