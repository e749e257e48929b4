"""What goes to and fro: messages, subscriptions, receipts."""

from __future__ import annotations

from dataclasses import dataclass


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
