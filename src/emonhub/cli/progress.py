"""How far a command has come, on the standard error: one line that changes in a terminal, a line now and then else."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_TERMINAL_S = 0.2
_ELSEWHERE_S = 10.0


class Progress:
    """Shows `line` now and then. Nothing is shown of what is over before the first time comes."""

    def __init__(self, line: Callable[[], str]) -> None:
        self._line = line
        self._terminal = sys.stderr.isatty()
        self._every = _TERMINAL_S if self._terminal else _ELSEWHERE_S
        self._next = time.monotonic() + self._every
        self._shown = 0
        self._steps = 0

    def step(self) -> None:
        """Something was done: cheap enough to be called for every frame."""
        self._steps += 1
        if not self._steps & 255:
            self.look()

    def look(self) -> None:
        """Show it if it is time."""
        now = time.monotonic()
        if now >= self._next:
            self._next = now + self._every
            text = self._line()
            if self._terminal:
                sys.stderr.write(f"\r{text}{' ' * (self._shown - len(text))}")
                self._shown = len(text)
            else:
                sys.stderr.write(f"{text}\n")
            sys.stderr.flush()

    def clear(self) -> None:
        """Make place for other output."""
        if self._shown:
            sys.stderr.write(f"\r{' ' * self._shown}\r")
            sys.stderr.flush()
            self._shown = 0


def share(done: float, total: float) -> str:
    """A part of a whole, for people."""
    return f"{min(100.0, 100.0 * done / total):.0f} %" if total else "100 %"


def amount(count: float) -> str:
    """Bytes, for people."""
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"


def length(seconds: float) -> str:
    """A length of time, for people: two units at most."""
    seconds = round(seconds)
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60} min" + (f" {seconds % 60} s" if seconds % 60 and seconds < 600 else "")
    if seconds < 2 * 86400:
        return f"{seconds // 3600} h" + (f" {seconds % 3600 // 60} min" if seconds % 3600 >= 60 else "")
    return f"{seconds // 86400} days"


def count(number: int, what: str, many: str = "") -> str:
    """A number of things: `1 frame`, `2 frames`."""
    return f"{number} {what if number == 1 else many or what + 's'}"
