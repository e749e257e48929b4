"""Thinning: of every sender's frames in a journal file, each second one goes, so that a long outage stays a graph."""

from __future__ import annotations

from typing import TYPE_CHECKING

from emonhub.buffer.lines import frame_lines, note_line, seed

if TYPE_CHECKING:
    from emonhub.buffer.segments import Contents


def thinned(contents: Contents, owner: str) -> tuple[bytes, int]:
    """A file with half of the frames, the last one among them, and how many those are.

    A sender is told by its record up to the first comma: a frame in each of the forms that are delivered starts so.
    """
    lines = list(contents.lines(0))
    start = seed(owner, contents.segment.first)
    base = contents.segment.base
    turn: dict[str, bool] = {}
    kept = []
    for line in lines:
        sender = line.record.partition(",")[0]
        turn[sender] = keep = not turn.get(sender, False)
        if keep or line is lines[-1]:
            kept.append(line)
    parts = [note_line(start, note) for note in contents.notes]
    for line in kept:
        parts += frame_lines(start, line.number, base, [line.record], [line.time], [line.provisional])
    return b"".join(parts), len(kept)
