"""What a part of the bench found, printed as a table: the thing, the figure, and the goal beside it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Row:
    """One figure. `met` is None where there is no goal, or where it holds for another machine than this one."""

    what: str
    value: str
    goal: str = ""
    met: bool | None = None


@dataclass(slots=True)
class Table:
    """What one part measured. `notes` say how, under the table."""

    title: str
    rows: list[Row] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, what: str, value: str, goal: str = "", met: bool | None = None) -> None:
        """Add a row."""
        self.rows.append(Row(what, value, goal, met))

    def note(self, text: str) -> None:
        """Add a sentence that is printed under the table."""
        self.notes.append(text)

    def text(self) -> str:
        """The table as it is printed."""
        what = max(map(len, (row.what for row in self.rows)), default=0)
        value = max(map(len, (row.value for row in self.rows)), default=0)
        goal = max(map(len, (row.goal for row in self.rows)), default=0)
        lines = [self.title]
        for row in self.rows:
            sign = {None: "", True: "met", False: "MISSED"}[row.met]
            lines.append(f"  {row.what:<{what}}  {row.value:>{value}}  {row.goal:<{goal}}  {sign}".rstrip())
        lines += [f"  {note}" for note in self.notes]
        return "\n".join(lines)


def at_most(value: float, limit: float, unit: str, digits: int = 1) -> tuple[str, str, bool]:
    """The value, the goal and whether it is met, for a figure that should be small."""
    return f"{value:,.{digits}f} {unit}", f"≤ {_plain(limit)} {unit}", value <= limit


def at_least(value: float, limit: float, unit: str, digits: int = 0) -> tuple[str, str, bool]:
    """The same for a figure that should be large."""
    return f"{value:,.{digits}f} {unit}", f"≥ {_plain(limit)} {unit}", value >= limit


def _plain(number: float) -> str:
    return re.sub(r"\.0+$", "", f"{number:,.1f}")
