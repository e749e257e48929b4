"""What goes to and fro between a connection and its users: messages, subscriptions, receipts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Message:
    """What a subscription brought."""

    topic: str
    payload: bytes
    qos: int
    retain: bool


@dataclass(frozen=True, slots=True)
class Subscription:
    """How a topic filter is subscribed to: at most QoS 1; `retained` = send also what the broker keeps."""

    qos: int = 0
    retained: bool = False


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of a message that was to be confirmed.

    taken       the broker has it
    subscribed  somebody is subscribed to it, as far as the broker says
    lost        the connection ended first: nobody knows
    """

    taken: bool
    subscribed: bool = True
    lost: bool = False
    reason: str = ""


class User(Protocol):
    """Who uses a connection. None of these calls may wait."""

    @property
    def subscriptions(self) -> Mapping[str, Subscription]:
        """The topic filters that it wants to hear, and how."""
        ...

    def on_ready(self) -> None:
        """Messages go through now: it is connected, or the broker keeps up again."""

    def on_trouble(self, reason: str) -> None:
        """It is not connected, and why; called again when the reason is another one."""

    def on_message(self, message: Message) -> None:
        """Take this. Confirmed to the broker once it returns."""

    def on_failure(self, error: Exception) -> None:
        """What `on_message` raised."""

    def on_refused_filter(self, name: str) -> None:
        """The broker does not let us hear this."""
