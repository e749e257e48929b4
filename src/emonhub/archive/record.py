"""A reporter's frames as they lie in its folder, owed and kept: read beside a hub that may be running.

Nothing is changed and nothing locked. The front is read before the names of the journal's files, so that a frame that
moves from one to the other meanwhile is found in at least one of them, and told by its number in both.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from emonhub.buffer.cursor import Cursor
from emonhub.buffer.disk import Disk
from emonhub.buffer.frontfiles import FrontFiles, Left
from emonhub.buffer.lines import Line, Note, parse, seed
from emonhub.buffer.segments import Segment, named, unpack
from emonhub.clock import Clock
from emonhub.state import MEMORY

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

Notes: TypeAlias = "Mapping[str, Mapping[str, Any]]"
"""What frames mean, by node id and by node name: {"node", "nodename", "names", "units"}."""

Part: TypeAlias = Literal["owed", "delivered", "all"]

OF_ANOTHER_COUNT = 1 << 40
"""Numbers in a front from here on were given while the journal could not be opened: they say nothing of its own."""

_TRIES = 5
"""Files of a running hub may be gone between finding and reading them: then it has newer ones."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame.

    record     as its reporter's encoder wrote it, in this `form`
    delivered  it is done with: acknowledged, or else set aside or dropped
    notes      what the values of nodes were called when it was written
    """

    number: int
    time: float
    record: str
    delivered: bool
    form: str
    notes: Notes


@dataclass(slots=True)
class Snapshot:
    """What there is: journal files, oldest first; frames in the front; the number before which all are done."""

    segments: list[Segment]
    front: Left
    cursor: int


@dataclass(slots=True)
class Record:
    """What `owner`, a reporter, has in `folder`.

    form   of frames that don't say theirs
    known  notes for frames that have none with them: as a rule those of the configuration
    """

    folder: Path
    owner: str
    form: str = ""
    known: Iterable[Mapping[str, Any]] = ()
    disk: Disk = field(default_factory=Disk)
    clock: Clock = field(default_factory=Clock)

    def __post_init__(self) -> None:
        self.clock.remember(self.folder.parent.parent / "clocks.json")

    def look(self) -> Snapshot:
        """What is there now. Raises OSError."""
        front = self._front()
        cursor = Cursor(self.disk, self.folder / "cursor").number
        if front.cursor < OF_ANOTHER_COUNT:
            cursor = max(cursor, front.cursor)
        segments = self._segments()
        # What is packed has been delivered, whatever became of the cursor.
        cursor = max([cursor, *(segment.end for segment in segments if segment.packed)])
        return Snapshot(segments, front, cursor)

    def frames(self, part: Part = "all", progress: Progress | None = None) -> Iterator[Frame]:
        """Every frame of this part, in the order in which they were taken over. Holds one file in memory at a time.

        `progress` is kept up to date with what has been read.
        """
        seen = self.look()
        wanted = [segment for segment in seen.segments if _holds(segment, part, seen.cursor)]
        if progress is not None:
            progress.total = sum(segment.size for segment in wanted)
        last: Frame | None = None
        for last in self.in_files(wanted, seen.cursor, progress):
            if part == "all" or last.delivered == (part == "delivered"):
                yield last
        number = max([last.number + 1 if last else 0, *(segment.end for segment in seen.segments)])
        form, notes = (last.form, last.notes) if last else (self.form, by_node(self.known))
        yield from self._front_frames(seen.front, seen.cursor, part, number, form=form, notes=notes)

    def in_files(self, segments: Iterable[Segment], cursor: int, progress: Progress | None = None) -> Iterator[Frame]:
        """The frames of these files of the journal."""
        notes = by_node(self.known)
        form = self.form
        number = 0
        for segment in segments:
            stop = segment.end if segment.sealed else None
            for found in self._lines(segment, number):
                if isinstance(found, Note):
                    form = str(found.content.get("form", form))
                    notes = {**notes, **by_node([found.content])}
                elif stop is None or segment.first + found.number < stop:
                    number = segment.first + found.number + 1
                    yield Frame(number - 1, found.time, found.record, number <= cursor, form, notes)
            if progress is not None:
                progress.done += segment.size

    def _lines(self, segment: Segment, number: int) -> Iterator[Line | Note]:
        """The good lines of a file from frame `number` on, with their times put right."""
        last = number - segment.first - 1
        header: dict[str, Any] = {}
        for found in parse(self.read(segment), seed(self.owner, segment.first), segment.base):
            if isinstance(found, Note):
                header = found.content if "owner" in found.content else header
                yield found
            elif found.number > last:
                last = found.number
                shift = self.clock.correction(header) if found.provisional else None
                if shift:
                    yield Line(found.number, round(found.time + shift, 3), False, found.record, found.offset)
                else:
                    yield found

    def read(self, segment: Segment) -> bytes:
        """A file's text; nothing when it is gone, or packed and damaged."""
        for _ in range(_TRIES):
            try:
                data = self.disk.read(self.folder / segment.name)
                return unpack(data, segment, self.owner) if segment.packed else data
            except FileNotFoundError:
                # Sealed or packed meanwhile, so that it has another name; or delivered, and gone.
                again = [other for other in self._segments() if other.first == segment.first]
                if not again:
                    return b""
                segment = again[-1]
        return b""

    def _segments(self) -> list[Segment]:
        found = []
        for name in self.disk.names(self.folder):
            segment = named(name)
            if segment is not None:
                with contextlib.suppress(FileNotFoundError):
                    segment.size = self.disk.size(self.folder / name)
                    found.append(segment)
        return sorted(found, key=lambda segment: (segment.first, segment.end))

    @property
    def front_folder(self) -> Path:
        """Where the frames are that are not in the journal yet."""
        return front_folder(self.folder)

    def _front(self) -> Left:
        folder = self.front_folder
        for _ in range(_TRIES):
            if not folder.is_dir():
                break
            try:
                return FrontFiles(folder).open()
            except FileNotFoundError:
                continue
        return Left([], 0)

    def _front_frames(
        self, front: Left, cursor: int, part: Part, start: int, *, form: str, notes: Notes
    ) -> Iterator[Frame]:
        for chunk, offset in front.chunks:
            shift = None if offset is None else self.clock.correction({"boot": front.boot, "offset": offset})
            for number, (time, record) in enumerate(zip(chunk.times, chunk.records, strict=True), chunk.first):
                if number < start:
                    continue
                delivered = number < (front.cursor if number >= OF_ANOTHER_COUNT else cursor)
                if part == "all" or delivered == (part == "delivered"):
                    yield Frame(number, round(time + (shift or 0.0), 3), record, delivered, form, notes)
                start = number + 1


@dataclass(slots=True)
class Progress:
    """How much of a record has been read, in bytes of its files."""

    done: int = 0
    total: int = 0


def by_node(notes: Iterable[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """Notes by node id and by node name, as `Reporter.read_back` takes them."""
    found: dict[str, Mapping[str, Any]] = {}
    for note in notes:
        if "node" in note:
            found[str(note["node"])] = note
            if note.get("nodename"):
                found[str(note["nodename"])] = note
    return found


def front_folder(folder: Path, suffix: str = "") -> Path:
    """Where the front of a reporter with this folder is: in memory, under the name of the user that the hub runs as.

    `suffix` tells the front of a database from others.
    """
    try:
        word = (folder / "id").read_text().strip()
        in_memory = MEMORY / f"emonhub-{folder.stat().st_uid}" / (word + suffix)
    except OSError:
        return folder / f"front{suffix}"
    return in_memory if word and in_memory.is_dir() else folder / f"front{suffix}"


def _holds(segment: Segment, part: Part, cursor: int) -> bool:
    """Whether a file may hold frames of this part. What an open one holds is not known before it is read."""
    if part == "owed":
        return not segment.sealed or segment.end > cursor
    return part == "all" or segment.first < cursor
