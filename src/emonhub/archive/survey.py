"""What a reporter's folder holds, in numbers: for people, beside a hub that may be running."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from emonhub.archive.sqlrecord import SqlRecord
from emonhub.buffer.deadletters import DeadLetters

if TYPE_CHECKING:
    from pathlib import Path

    from emonhub.archive.record import Record, Snapshot
    from emonhub.buffer.segments import Segment


@dataclass(slots=True)
class Amount:
    """Some frames: how many, the bytes of the files that they fill, and when the first and the last was read."""

    frames: int = 0
    bytes: int = 0
    first_time: float | None = None
    last_time: float | None = None


@dataclass(slots=True)
class Survey:
    """What there is.

    hub         process that runs the hub here; 0 for none; None where the system does not tell
    sender      the same for who is about to send to this target: that hub, or a replay
    in_front    of the owed frames, those in the front: not in the journal yet
    inbox       files that wait to be taken in
    """

    folder: str
    hub: int | None
    sender: int | None
    paused: bool
    owed: Amount
    kept: Amount
    in_front: int
    inbox: int
    dead_letters: int
    quarantined: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """For machines."""
        return asdict(self)


def survey(record: Record) -> Survey:
    """Look at a reporter's folder. Raises OSError."""
    folder = record.folder
    if isinstance(record, SqlRecord):
        owed, kept, in_front = _amounts_in_database(record)
    else:
        seen = record.look()
        owed, kept = _amounts(record, seen)
        in_front = len(_owed_in_front(seen))
    return Survey(
        os.fspath(folder),
        holder(folder / "hub.lock"),
        holder(folder / "sending.lock"),
        (folder / "paused").exists(),
        owed,
        kept,
        in_front,
        len(list((folder / "inbox").glob("*.txt"))),
        len(DeadLetters(folder / "deadletters.jsonl").all()) if (folder / "deadletters.jsonl").exists() else 0,
        sorted(path.name for path in (folder / "quarantine").glob("*")),
    )


def holder(lock: Path) -> int | None:
    """The process that holds a lock on a file, 0 for none, None where the system does not tell.

    Asked of the system, and not tried out: a lock that is tried out is not free for the hub that starts meanwhile.
    """
    try:
        number = lock.stat().st_ino
    except FileNotFoundError:
        return 0
    try:
        with open("/proc/locks", encoding="ascii") as file:
            lines = file.read().splitlines()
    except OSError:
        return None
    for line in lines:
        words = line.split()
        if "FLOCK" in words and len(words) > 5 and words[5].rpartition(":")[2] == str(number):
            return int(words[4])
    return 0


def _amounts(record: Record, seen: Snapshot) -> tuple[Amount, Amount]:
    """What is owed and what is kept. Files are counted by their names but for the one in which the cursor stands."""
    owed, kept = Amount(), Amount()
    front_bytes = sum(path.stat().st_size for path in record.front_folder.glob("front-*.log"))
    for segment in seen.segments:
        if segment.sealed and segment.end <= seen.cursor:
            _add(kept, segment, segment.count, segment.size)
        elif segment.sealed and segment.first >= seen.cursor:
            _add(owed, segment, segment.count, segment.size)
        else:
            delivered, waiting = _counted(record, segment, seen.cursor)
            share = segment.size * delivered // (delivered + waiting or 1)
            if delivered:
                _add(kept, segment, delivered, share)
            if waiting:
                _add(owed, segment, waiting, segment.size - share)
    front = _owed_in_front(seen)
    if front:
        owed.frames += len(front)
        owed.bytes += front_bytes
        owed.first_time = min(front) if owed.first_time is None else owed.first_time
    owed.first_time = next((frame.time for frame in record.frames("owed")), owed.first_time)
    owed.last_time = front[-1] if front else _last(record, seen, "owed") if owed.frames else None
    kept.last_time = _last(record, seen, "delivered") if kept.frames else None
    return owed, kept


def _amounts_in_database(record: SqlRecord) -> tuple[Amount, Amount, int]:
    front, sums = record.sums()
    owed, kept = (Amount(*found) for found in sums)
    for time in front:
        owed.frames += 1
        owed.first_time = time if owed.first_time is None else owed.first_time
        owed.last_time = time
    owed.bytes += sum(path.stat().st_size for path in record.front_folder.glob("front-*.log")) if front else 0
    return owed, kept, len(front)


def _add(amount: Amount, segment: Segment, frames: int, size: int) -> None:
    amount.frames += frames
    amount.bytes += size
    if amount.first_time is None:
        amount.first_time = float(segment.base)


def _counted(record: Record, segment: Segment, cursor: int) -> tuple[int, int]:
    delivered = waiting = 0
    for frame in record.in_files([segment], cursor):
        if frame.delivered:
            delivered += 1
        else:
            waiting += 1
    return delivered, waiting


def _last(record: Record, seen: Snapshot, part: str) -> float | None:
    """When the last frame in the files was read, of those that are owed or delivered."""
    for segment in reversed(seen.segments):
        last = None
        for frame in record.in_files([segment], seen.cursor):
            if frame.delivered == (part == "delivered"):
                last = frame.time
        if last is not None:
            return last
    return None


def _owed_in_front(seen: Snapshot) -> list[float]:
    """When the frames that are owed, and in no file of the journal yet, were read."""
    times: list[float] = []
    number = max([seen.cursor, *(segment.end for segment in seen.segments)])
    for chunk, _ in seen.front.chunks:
        skip = max(0, number - chunk.first)
        times += chunk.times[skip:]
        number = max(number, chunk.end)
    return times
