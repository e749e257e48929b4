"""Thinning: of every sender's frames in a journal file, each second one goes, so that a long outage stays a graph."""

from __future__ import annotations

from typing import TYPE_CHECKING

from emonhub.buffer.lines import frame_lines, note_line, seed

if TYPE_CHECKING:
    from emonhub.buffer.segments import Contents


_AT_A_TIME = 1000


def thinned(contents: Contents, owner: str) -> tuple[bytes, int]:
    """A file with half of the frames, and how many those are.

    A sender is told by its record up to the first comma: a frame in each of the forms that are delivered starts so.
    """
    first, base = contents.segment.first, contents.segment.base
    start = seed(owner, first)
    parts = [note_line(start, note) for note in contents.notes]
    notes = len(parts)
    turn: dict[str, bool] = {}
    number = first
    while (chunk := contents.chunk(number, _AT_A_TIME)).records:
        uncertain = chunk.provisional or [False] * len(chunk.records)
        for number, record, time, provisional in zip(
            range(chunk.first, chunk.end), chunk.records, chunk.times, uncertain, strict=True
        ):
            sender = record.partition(",")[0]
            turn[sender] = keep = not turn.get(sender, False)
            if keep:
                parts += frame_lines(start, number - first, base, [record], [time], [provisional])
        number = chunk.end
    return b"".join(parts), len(parts) - notes
