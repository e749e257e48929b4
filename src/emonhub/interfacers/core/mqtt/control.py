"""Control messages: from topics to frames for nodes.

    emonhub/tx/30/values      1,1850
    emonhub/command/30        {"values": {"relay": 1, "setpoint": 18.5}, "id": "a7", "time": 1700000000, "ttl": 30}
    emonhub/result/30         {"result": "sent", "id": "a7"}

A command names every value of the node's `[[[tx]]]` section, and is checked against it. It may carry

    id    a text or number that comes back in the result; the same one again is answered and not sent again
    time  when it was given, Unix seconds
    ttl   how many seconds it holds good from then on

and its result is `sent` (handed on to those who hear the channel), `refused` or `expired`, the last two with a reason.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from emonhub import Cargo, FrameError, Layout, NodeId, encode
from emonhub.interfacers.core.mqtt.topics import level

if TYPE_CHECKING:
    from collections.abc import Mapping

    from emonhub.interfacers.core.mqtt.messages import Message

_MAX_IDS = 1000
"""Commands whose result is remembered by id."""

_MAX_SHOWN = 200
"""Characters of a reason that go into a result."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a control message leads to: cargo to pass on, an error to count, a result to publish; any may be absent."""

    cargo: Cargo | None = None
    error: FrameError | None = None
    result_topic: str = ""
    result: str = ""


class Nodes(Protocol):
    """What is needed of the hub's nodes."""

    @property
    def definitions(self) -> Mapping[str, Any]:
        """The nodes of `[nodes]` by id as text."""
        ...

    def tx(self, node: NodeId) -> Any:
        """How frames for a node are encoded, or None."""
        ...


class Expired(FrameError):
    """A command that comes too late."""


class Control:
    """Reads control messages. `ttl_s` is for commands that say when they were given, not how long they hold good."""

    def __init__(self, base: str, nodes: Nodes, ttl_s: float) -> None:
        self._tx = f"{base}tx/"
        self._command = f"{base}command/"
        self._result = f"{base}result/"
        self._nodes = nodes
        self._ttl_s = ttl_s
        self._results: dict[str, str] = {}

    @property
    def filters(self) -> tuple[str, str]:
        """What is to be subscribed to."""
        return f"{self._tx}#", f"{self._command}#"

    def take(self, message: Message, now: float) -> Outcome:
        """What a message leads to; `now` in Unix seconds. Topics that are not ours lead to nothing."""
        if message.topic.startswith(self._command):
            return self._take_command(message, now)
        if message.topic.startswith(self._tx):
            try:
                return Outcome(cargo=self._tx_cargo(message, now))
            except FrameError as error:
                return Outcome(error=error)
        return Outcome()

    def _tx_cargo(self, message: Message, now: float) -> Cargo:
        if message.retain:
            raise FrameError("retained", f"{message.topic}: kept by the broker, so nobody knows how old it is")
        node, _, rest = message.topic[len(self._tx) :].partition("/")
        if rest != "values":
            raise FrameError("bad topic", f"{message.topic} is not {self._tx}<node>/values")
        values = tuple(_number(part, f"{part!r}") for part in message.payload.decode("utf-8", "replace").split(","))
        return Cargo(self._layout(node), values, now)

    def _take_command(self, message: Message, now: float) -> Outcome:
        name = message.topic[len(self._command) :]
        answer: dict[str, Any] = {}
        cargo = error = None
        try:
            command = _parse(message)
            if "id" in command:
                answer["id"] = command["id"]
                if known := self._results.get(f"{name} {command['id']}"):
                    return Outcome(result_topic=self._result + level(name), result=known)
            cargo = self._command_cargo(name, command, message, now)
            answer["result"] = "sent"
        except FrameError as refusal:
            error = refusal
            answer["result"] = "expired" if isinstance(refusal, Expired) else "refused"
            answer["reason"] = str(refusal)[:_MAX_SHOWN]
        result = json.dumps(answer, ensure_ascii=False)
        if "id" in answer:
            if len(self._results) >= _MAX_IDS:
                del self._results[next(iter(self._results))]
            self._results[f"{name} {answer['id']}"] = result
        return Outcome(cargo, error, self._result + level(name), result)

    def _command_cargo(self, name: str, command: dict[str, Any], message: Message, now: float) -> Cargo:
        if message.retain:
            raise Expired("expired", "kept by the broker, so nobody knows how old it is: publish it without retain")
        _check_age(command, self._ttl_s, now)
        layout = self._layout(name)
        if not layout.names:
            raise FrameError("no names", f"node {name} has no names in a [[[tx]]] section of [nodes]")
        given = command.get("values")
        if not isinstance(given, dict):
            raise FrameError("bad command", 'it has no "values" object')
        missing = [key for key in layout.names if key not in given]
        unknown = [str(key)[:40] for key in given if key not in layout.names]
        if missing or unknown:
            what = [f"no {', '.join(missing)}"] * bool(missing) + [f"unknown {', '.join(unknown)}"] * bool(unknown)
            raise FrameError("bad command", f"{'; '.join(what)}: node {name} takes {', '.join(layout.names)}")
        values = tuple(_number(given[key], key) for key in layout.names)
        encode(values, self._nodes.tx(layout.node))  # as the sender will do: says now what would not fit
        return Cargo(layout, values, now)

    def _layout(self, name: str) -> Layout:
        """The node that a topic names, by id or by nodename."""
        for id_, definition in self._nodes.definitions.items():
            if name == id_ or (definition.nodename and name == level(definition.nodename)):
                tx = definition.tx
                return Layout(_node_id(id_), definition.nodename, tx.names if tx else (), tx.units if tx else ())
        if name.isdecimal() and name.isascii() and len(name) < 10:
            return Layout(int(name))
        raise FrameError("unknown node", f"there is no node {name[:80]!r}: a number, or a name from [nodes]")


def _node_id(text: str) -> NodeId:
    return int(text) if text.isdecimal() and text.isascii() and len(text) < 10 else text


def _parse(message: Message) -> dict[str, Any]:
    try:
        command = json.loads(message.payload)
    except (ValueError, RecursionError):
        raise FrameError("bad JSON", f"{message.topic}: it is not JSON") from None
    if not isinstance(command, dict):
        raise FrameError("bad command", f"{message.topic}: it is not a JSON object")
    if not isinstance(command.get("id", ""), str | int):
        raise FrameError("bad command", "id must be a text or a whole number")
    return command


def _check_age(command: dict[str, Any], ttl_s: float, now: float) -> None:
    if "time" not in command:
        return
    given = _number(command["time"], "time")
    holds = _number(command.get("ttl", ttl_s), "ttl")
    if now > given + holds:
        raise Expired("expired", f"{now - given:.0f} s old, and good for {holds:g} s")


def _number(value: object, what: str) -> int | float:
    """A finite number from JSON or from a text; true and false are 1 and 0."""
    try:
        if isinstance(value, str):
            text = value.strip()
            value = int(text) if text.lstrip("+-").isdigit() and len(text) < 20 else float(text)
        if isinstance(value, int | float) and value - value == 0:
            return +value
    except (ValueError, OverflowError):
        pass
    raise FrameError("non-numeric", f"{what} is no number: {str(value)[:40]}")
