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

_TAIL_BYTES = 1 << 16


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
            last = self._last()
            letter = DeadLetter(last.id + 1 if last else 1, time, record, reason, now)
            self._append(letter)
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

    def _last(self) -> DeadLetter | None:
        if self._path is None:
            return self._kept[-1] if self._kept else None
        try:
            with self._path.open("rb") as file:
                file.seek(max(0, file.seek(0, os.SEEK_END) - _TAIL_BYTES))
                lines = file.read().decode("utf-8", "replace").split("\n")
        except FileNotFoundError:
            return None
        found = (letter for line in reversed(lines) if (letter := _parse(line)) is not None)
        return next(found, None) or next(reversed(self._read()), None)

    def _append(self, letter: DeadLetter) -> None:
        if self._path is None:
            self._write([*self._kept, letter])
            return
        line = _line(letter)
        with self._path.open("ab+") as file:
            size = file.tell()
            if size + len(line) <= self._max_bytes:
                if size:
                    file.seek(size - 1)
                    if file.read(1) != b"\n":  # a line that was torn off
                        file.write(b"\n")
                file.write(line)
                file.flush()
                os.fsync(file.fileno())
                return
        self._write([*self._read(), letter])

    def _write(self, letters: list[DeadLetter]) -> None:
        """Write all of them, or, when those are too many, the newest three quarters of what may be."""
        lines = [_line(letter) for letter in letters]
        size = sum(map(len, lines))
        if size > self._max_bytes:
            while lines and size > self._max_bytes * 3 // 4:
                size -= len(lines.pop(0))
        if self._path is None:
            self._kept = letters[len(letters) - len(lines) :]
            return
        temporary = self._path.with_suffix(".new")
        with temporary.open("wb") as file:
            file.writelines(lines)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(self._path)


def _line(letter: DeadLetter) -> bytes:
    return json.dumps(asdict(letter), ensure_ascii=False).encode("utf-8", "replace") + b"\n"


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
