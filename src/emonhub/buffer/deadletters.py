"""Dead letters: frames that a target refuses for good, with what it said. In a file that a person can read.

A line each, a JSON object:

    {"id": 1, "time": 1669888253.0, "record": "17,1e999", "reason": "...", "buried": 1669888300.0}

    time     when the frame was read, Unix seconds      buried   when it was set aside
    record   the frame in the form that was sent         reason   what the target answered
"""

from __future__ import annotations

import fcntl
import json
import os
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MAX_BYTES = 1 << 20
"""The file takes no more: the oldest letters go. Ten thousand of them are enough to see what is wrong."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A frame that the target refuses for good, though it takes others."""

    id: int
    time: float
    record: str
    reason: str
    buried: float


class DeadLetters:
    """The letters in a file, which several processes may use at once; in memory without one. Raises OSError."""

    def __init__(self, path: Path | None = None, max_bytes: int = MAX_BYTES) -> None:
        self._path = path
        self._max_bytes = max_bytes
        self._kept: list[DeadLetter] = []

    def add(self, time: float, record: str, reason: str, now: float) -> DeadLetter:
        """Set a frame aside."""
        with self._locked():
            letters = self._read()
            letter = DeadLetter(letters[-1].id + 1 if letters else 1, time, record, reason, now)
            self._write([*letters, letter])
        return letter

    def all(self) -> list[DeadLetter]:
        """Every letter, oldest first."""
        with self._locked():
            return self._read()

    def take(self, ids: set[int] | None = None) -> list[DeadLetter]:
        """Take these out, or all of them. Returns those that there were."""
        with self._locked():
            letters = self._read()
            taken = [letter for letter in letters if ids is None or letter.id in ids]
            self._write([letter for letter in letters if letter not in taken])
        return taken

    @contextmanager
    def _locked(self) -> Iterator[None]:
        if self._path is None:
            yield
            return
        with self._path.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _read(self) -> list[DeadLetter]:
        if self._path is None:
            return list(self._kept)
        try:
            text = self._path.read_text("utf-8", "replace")
        except FileNotFoundError:
            return []
        return [letter for line in text.split("\n") if (letter := _parse(line)) is not None]

    def _write(self, letters: list[DeadLetter]) -> None:
        lines = [json.dumps(asdict(letter), ensure_ascii=False) for letter in letters]
        size = sum(map(len, lines))
        while lines and size > self._max_bytes:
            size -= len(lines.pop(0))
        if self._path is None:
            self._kept = letters[-len(lines) :] if lines else []
            return
        temporary = self._path.with_suffix(".new")
        with temporary.open("w", encoding="utf-8") as file:
            file.writelines(f"{line}\n" for line in lines)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(self._path)


def _parse(line: str) -> DeadLetter | None:
    try:
        found = json.loads(line)
        return DeadLetter(
            int(found["id"]),
            float(found["time"]),
            str(found["record"]),
            str(found["reason"]),
            float(found["buried"]),
        )
    except (ValueError, KeyError, TypeError):
        return None
