"""MQTT, in: what other devices and other hubs publish."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from emonhub import Cargo, FrameError, Layout, NodeId, SettingError, integer, name_list, setting, text
from emonhub.interfacers.core.mqtt.base import MqttInterfacer
from emonhub.interfacers.core.mqtt.families import FAMILIES
from emonhub.interfacers.core.mqtt.hubform import Unpacker
from emonhub.interfacers.core.mqtt.messages import Message, Subscription
from emonhub.interfacers.core.mqtt.rules import Rule
from emonhub.interfacers.core.mqtt.topics import covers

if TYPE_CHECKING:
    from collections.abc import Mapping

    from emonhub.interfacers.core.mqtt.broker import Broker
    from emonhub.interfacers.core.mqtt.rules import Reading

_MAX_LAYOUTS = 4096
_MAX_TOPICS = 4096
"""Topics whose rule is remembered."""

_MAX_DIGESTS = 1000
"""Messages from other hubs that are known again."""

_KEYS = frozenset({"topic", "node", "name", "values", "root", "skip", "time", "words", "units", "retained"})


class EmonHubMqttSubscriberInterfacer(MqttInterfacer):
    """Takes in what devices publish: those of the families named, and on topics of its own section `topics`.

    A message is confirmed to the broker once those who hear its channels have taken it. What the broker had kept
    (retained) is as old as it may be, and is passed over, unless its topic's section says `retained = 1`.
    """

    sections = frozenset({"topics"})

    families = setting(name_list(), (), "whose devices to take in: " + ", ".join(FAMILIES))
    bulk_topic = setting(text(), "", "topic on which another hub's EmonHubMqttReporter sends; empty = none")
    qos = setting(integer(0, 1), 1, "quality of service to subscribe with: 1 = nothing is lost on the way")
    mqtt_session = setting(
        integer(0),
        0,
        "how long the broker keeps messages for us while we are away; needs a client id of our own; 0 = not at all",
        init=True,
        unit="s",
    )

    def __init__(self, name: str, settings: Mapping[str, Any] | None = None, **kwargs: Any) -> None:
        self._topics: Mapping[str, Any] = (settings or {}).get("topics", {})
        self.passed_over = 0
        self._layouts: dict[tuple[str, tuple[str, ...]], Layout] = {}
        self._digests: dict[bytes, None] = {}
        self._unpacker = Unpacker()
        super().__init__(name, settings, **kwargs)

    def check(self) -> None:
        super().check()
        if self.mqtt_session and not self.mqtt_client_id:
            raise SettingError("mqtt_session needs an mqtt_client_id, by which the broker knows us again")
        self._rules = self._make_rules()
        self._known: dict[str, tuple[Rule, bool, dict[str, str]] | None] = {}

    def update(self, settings: Mapping[str, Any]) -> set[str]:
        before, self._topics = self._topics, settings.get("topics", {})
        try:
            changed = super().update(settings)
        except SettingError:
            self._topics = before
            self.check()
            raise
        if before != self._topics:
            changed.add("topics")
            self.settings_changed({"topics"})
        return changed

    def settings_changed(self, changed: set[str]) -> None:
        if self.connection is not None:
            self.connection.resubscribe(self)

    def make_broker(self) -> Broker:
        broker = super().make_broker()
        if not self.mqtt_session:
            return broker
        return replace(broker, session_s=self.mqtt_session, owner=self.name)

    @property
    def subscriptions(self) -> Mapping[str, Subscription]:
        wanted = {rule.filter: Subscription(self.qos, retained) for rule, retained in self._rules}
        if self.bulk_topic:
            wanted[self.bulk_topic] = Subscription(self.qos)
        return wanted

    def on_message(self, message: Message) -> None:
        if self.refuse_overlong(message):
            return
        try:
            if self.bulk_topic and covers(self.bulk_topic, message.topic):
                self._take_bulk(message)
            else:
                self._take(message)
        except FrameError as error:
            self.discard(error, message.payload)

    # From devices

    def _take(self, message: Message) -> None:
        topic = message.topic
        if topic not in self._known:
            if len(self._known) >= _MAX_TOPICS:
                self._known.clear()
            self._known[topic] = self._find_rule(topic)
        found = self._known[topic]
        if found is None:
            return
        rule, retained, captured = found
        reading = None if message.retain and not retained else rule.read(captured, message.payload)
        if reading is None:
            self.passed_over += 1
            return
        layout = self._layout(reading)
        self.publish([Cargo(layout, reading.values, reading.time or self.world.time())])

    def _find_rule(self, topic: str) -> tuple[Rule, bool, dict[str, str]] | None:
        for rule, retained in self._rules:
            captured = rule.captures(topic)
            if captured is not None:
                return rule, retained, captured
        return None

    def _layout(self, reading: Reading) -> Layout:
        definition = self.nodes.definitions.get(reading.node)
        if definition is None and self.nodelistonly:
            raise FrameError("unknown node", f"node {reading.node} is not in [nodes], and nodelistonly is set")
        nodename = definition.nodename if definition else ""
        key = (f"{reading.node}\n{nodename}", reading.names)
        layout = self._layouts.get(key)
        if layout is None:
            if len(self._layouts) >= _MAX_LAYOUTS:
                self._layouts.clear()
            node: NodeId = int(reading.node) if reading.node.isdecimal() and len(reading.node) < 10 else reading.node
            layout = self._layouts[key] = Layout(node, nodename, reading.names, reading.units)
        return layout

    # From other hubs

    def _take_bulk(self, message: Message) -> None:
        digest = hashlib.blake2b(message.payload, digest_size=16).digest()
        if digest in self._digests:
            self.bad["duplicate message"] += 1
            return
        cargos, errors = self._unpacker.unpack(message.payload)
        for error in errors:
            self.discard(error)
        self.publish(cargos)
        if len(self._digests) >= _MAX_DIGESTS:
            del self._digests[next(iter(self._digests))]
        self._digests[digest] = None  # only now: what raised on the way has not been taken

    # Settings

    def _make_rules(self) -> list[tuple[Rule, bool]]:
        """The rules in force, and whether each wants what the broker has kept; one's own go before the families'."""
        rules = [self._own_rule(name, section) for name, section in self._topics.items()]
        for family in self.families:
            if family not in FAMILIES:
                raise SettingError(f"families: there is no {family}; known are {', '.join(FAMILIES)}")
            rules += [(rule, False) for rule in FAMILIES[family]]
        return rules

    @staticmethod
    def _own_rule(name: str, section: Any) -> tuple[Rule, bool]:
        """What a section of `topics` says."""
        if not isinstance(section, dict) or not section.get("topic"):
            raise SettingError(f"topics: [[[[[{name}]]]]] needs a `topic`")
        if unknown := section.keys() - _KEYS:
            raise SettingError(
                f"topics: {name}: {', '.join(sorted(unknown))} is no setting; known are {', '.join(sorted(_KEYS))}"
            )
        rule = Rule(
            _text(section["topic"]),
            node=_text(section.get("node", "{node}")),
            name=_text(section.get("name", "{name}" if "{name" in _text(section["topic"]) else "")),
            values=_list(section.get("values", ())),
            root=_text(section.get("root", "")),
            skip=frozenset(_list(section.get("skip", ()))),
            time=_text(section.get("time", "")),
            words={word.lower(): _value(name, value) for word, value in _pairs(name, section.get("words", ()))},
            units=dict(_pairs(name, section.get("units", ()))),
            strict=True,
        )
        return rule, _text(section.get("retained", "0")).lower() in {"1", "true", "yes", "on"}


def _text(raw: Any) -> str:
    return raw.strip() if isinstance(raw, str) else ",".join(raw)


def _list(raw: Any) -> tuple[str, ...]:
    parts = raw.split(",") if isinstance(raw, str) else raw
    return tuple(part.strip() for part in parts if part.strip())


def _pairs(name: str, raw: Any) -> list[tuple[str, str]]:
    pairs = [part.partition(":")[::2] for part in _list(raw)]
    if any(not value for _, value in pairs):
        raise SettingError(f"topics: {name}: write pairs such as `idle:0, heating:1`")
    return [(key.strip(), value.strip()) for key, value in pairs]


def _value(name: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise SettingError(f"topics: {name}: words are given as numbers, and {text!r} is none") from None
    return int(value) if value.is_integer() else value
