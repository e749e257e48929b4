"""Topics: names made fit to stand in them, and filters matched against them."""

from __future__ import annotations

import re

_UNFIT = re.compile(r"[+#/\x00-\x1f\x7f\ud800-\udfff]")
"""What a level of a topic can't hold: wildcards, the separator, controls, halves of characters."""


def level(name: str) -> str:
    """`name` as one level of a topic: what can't stand there becomes `_`."""
    return _UNFIT.sub("_", name)


def sound(text: str) -> str:
    """A text from outside, made fit for every encoding: JSON can carry halves of characters, which are none."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def covers(topic_filter: str, topic: str) -> bool:
    """Whether a subscription to `topic_filter` brings messages on `topic` (MQTT 5.0, section 4.7)."""
    wanted, have = topic_filter.split("/"), topic.split("/")
    if topic.startswith("$") and wanted[0] in {"+", "#"}:
        return False
    for index, part in enumerate(wanted):
        if part == "#":
            return True
        if index >= len(have) or part not in {"+", have[index]}:
            return False
    return len(wanted) == len(have)
