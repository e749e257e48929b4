"""How much of a batch emoncms has processed, told by its inputs.

emoncms works through the frames of a batch in order, and gives each input the time of the frame that it processed
last. So what it has processed is the first part of the batch, and ends with the newest frame that an input shows.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from emonhub import Batch

Key: TypeAlias = tuple[str, str]
"""A node and the name of an input, as emoncms writes them."""

_AS_NEAR = 1e-6
"""Relative difference between a value that was sent and the same value read back."""


@dataclass(frozen=True, slots=True)
class Input:
    """The last frame that an input was given: its time, Unix seconds, and the value."""

    time: int
    value: float | None


@dataclass(frozen=True, slots=True)
class Frame:
    """A frame as emoncms takes it: whole seconds, and a value for each input."""

    time: int
    values: Mapping[Key, float]


def inputs_from(answer: str) -> dict[Key, Input] | None:
    """The inputs in an answer of `/input/get.json`; None when it is no such answer. Inputs without a time are left out.

    PHP writes an array where the keys happen to be 0, 1, 2… or where there are none.
    """
    try:
        nodes = _mapping(json.loads(answer))
        return {
            (node, name): Input(int(found["time"]), _number(found["value"]))
            for node, inputs in nodes.items()
            for name, found in _mapping(inputs).items()
            if found["time"] is not None
        }
    except (ValueError, KeyError, TypeError):
        return None


def frames_of(batch: Batch) -> list[Frame] | None:
    """The frames of a batch, from the records that were written for it; None when one is nothing of the kind."""
    frames = []
    try:
        for time, record in zip(batch.times, batch.records, strict=True):
            node, *values = json.loads(f"[{record}]")
            named = values[0] if isinstance(values[0], dict) else {str(i): v for i, v in enumerate(values, 1)}
            frames.append(Frame(int(time), {(str(node), name): float(value) for name, value in named.items()}))
    except (ValueError, TypeError, IndexError):
        return None
    return frames


def processed(frames: Sequence[Frame], inputs: Mapping[Key, Input]) -> int | None:
    """How many of the first frames were processed; None when that can't be told.

    It can't be told when an input shows a time or a value that no frame has (another sender writes it too), when an
    input's times don't rise from frame to frame, or when inputs contradict each other.
    """
    times = _times_by_input(frames)
    if times is None:
        return None
    for key, own in times.items():
        shown = inputs.get(key)
        if shown is not None and shown.time >= own[0] and shown.time not in own:
            return None
    told = [_told(frame, inputs) for frame in frames]
    if None in told:
        return None
    count = told.index(False) if False in told else len(told)
    return None if True in told[count:] else count


def _told(frame: Frame, inputs: Mapping[Key, Input]) -> bool | None:
    """Whether one frame was processed, by all of its inputs; None when they don't say."""
    answers = set()
    for key, value in frame.values.items():
        shown = inputs.get(key)
        if shown is None or shown.time < frame.time:
            answers.add(False)
        elif shown.time > frame.time:
            answers.add(True)
        elif not _same(shown.value, value):
            return None
        else:
            answers.add(True)
    return answers.pop() if len(answers) == 1 else None


def _times_by_input(frames: Iterable[Frame]) -> dict[Key, list[int]] | None:
    """The times of each input's frames; None when they don't rise."""
    times: dict[Key, list[int]] = {}
    for frame in frames:
        for key in frame.values:
            own = times.setdefault(key, [])
            if own and own[-1] >= frame.time:
                return None
            own.append(frame.time)
    return times


def _mapping(found: Any) -> dict[str, Any]:
    if isinstance(found, list):
        return {str(i): item for i, item in enumerate(found)}
    if isinstance(found, dict):
        return found
    raise TypeError(f"{type(found).__name__} is neither an object nor an array")


def _number(value: Any) -> float | None:
    return None if value is None else float(value)


def _same(shown: float | None, sent: float) -> bool:
    return shown is not None and math.isclose(shown, sent, rel_tol=_AS_NEAR, abs_tol=1e-9)
