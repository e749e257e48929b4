"""The frames of a folder, wherever they lie."""

from __future__ import annotations

import lzma
import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from emonhub.archive.record import Record, by_node
from emonhub.buffer.cursor import Cursor
from emonhub.buffer.disk import Disk
from emonhub.buffer.frontfiles import FrontFiles
from emonhub.buffer.journal import Journal
from emonhub.buffer.store import Chunk
from emonhub.clock import Clock

if TYPE_CHECKING:
    from pathlib import Path

START = 1_790_000_000.0


def frames(first: int, count: int) -> Chunk:
    return Chunk(
        first, [f"10,{i}" for i in range(first, first + count)], [START + i for i in range(first, first + count)]
    )


def journal(folder: Path, **options: float) -> Journal:
    return Journal(Disk(), folder, "org", clock=Clock(is_set=lambda: True), form="f", segment_bytes=2000, **options)  # type: ignore[arg-type]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "state" / "buffer" / "org"
    path.mkdir(parents=True)
    return path


def numbers(record: Record, part: str = "all") -> list[int]:
    return [frame.number for frame in record.frames(part)]  # type: ignore[arg-type]


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    written=st.integers(0, 300),
    delivered=st.integers(0, 320),
    in_front=st.integers(0, 50),
    overlap=st.integers(0, 30),
    keep=st.booleans(),
    closed=st.booleans(),
)
def test_each_frame_is_found_once(
    tmp_path_factory: pytest.TempPathFactory,
    *,
    written: int,
    delivered: int,
    in_front: int,
    overlap: int,
    keep: bool,
    closed: bool,
) -> None:
    """In files open, sealed and packed, and in a front that may have frames too that were spilled already."""
    folder = tmp_path_factory.mktemp("state") / "buffer" / "org"
    folder.mkdir(parents=True)
    end = written + in_front
    delivered = min(delivered, end)
    store = journal(folder, keep_s=float("inf") if keep else 0.0)
    store.open()
    for first in range(0, written, 20):
        store.write(frames(first, min(20, written - first)), 0)
    for _ in range(4):
        store.trim(min(delivered, written))
    if closed:
        store.close()
    front = FrontFiles(folder / "front")
    front.open()
    start = max(0, written - overlap)
    front.begin([(frames(start, end - start), None)] if end > start else [], start, delivered)
    front.close(delete=False)
    record = Record(folder, "org")
    owed = numbers(record, "owed")
    assert owed == list(range(delivered, end))
    done = numbers(record, "delivered")
    assert done == list(range(done[0], delivered) if done else [])
    assert numbers(record) == done + owed
    if keep:
        assert done[:1] == ([0] if delivered else [])
    for frame in record.frames():
        assert (frame.record, frame.time) == (f"10,{frame.number}", START + frame.number)
        assert frame.form == ("f" if frame.number < written else frame.form)


def test_what_values_were_called_goes_with_each_frame(folder: Path) -> None:
    store = journal(folder)
    store.open()
    store.describe("10", {"node": 10, "nodename": "a", "names": ["x"]})
    store.write(frames(0, 2), 0)
    store.describe("10", {"node": 10, "nodename": "b", "names": ["y"]})
    store.write(frames(2, 2), 0)
    known = {"node": 10, "nodename": "configured", "names": ["z"]}
    found = list(Record(folder, "org", known=[known]).frames())
    assert [frame.notes["10"]["names"] for frame in found] == [["x"], ["x"], ["y"], ["y"]]
    assert found[0].notes["a"] is found[0].notes["10"]


def test_notes_without_a_node_are_no_notes() -> None:
    assert by_node([{"owner": "org", "form": "f"}]) == {}


def test_a_damaged_line_costs_one_frame(folder: Path) -> None:
    store = journal(folder)
    store.open()
    store.write(frames(0, 10), 0)
    store.close()
    (path,) = folder.glob("*.log")
    path.write_bytes(path.read_bytes().replace(b"10,4", b"10,5"))
    assert numbers(Record(folder, "org")) == [0, 1, 2, 3, 5, 6, 7, 8, 9]


def test_a_foreign_and_a_broken_file_cost_nothing_else(folder: Path) -> None:
    store = journal(folder)
    store.open()
    store.write(frames(0, 5), 0)
    store.close()
    (folder / "000000000005-000000000009-4-1790000005.log").write_bytes(b"\0" * 500)
    (folder / "000000000009-000000000012-3-1790000009.log.xz").write_bytes(lzma.compress(b"x" * 99)[:-9])
    (folder / "notes.txt").write_text("mine")
    assert numbers(Record(folder, "org")) == [0, 1, 2, 3, 4]


def test_times_before_the_clock_was_set_are_put_right(folder: Path) -> None:
    """By what is known of the clock of that start of the machine."""
    (folder.parent.parent / "clocks.json").write_text('{"boot-1": 1000.0}')
    clock = Clock(wall=lambda: START, since_start=lambda: START - 400.0, boot="boot-1", is_set=lambda: False)
    store = Journal(Disk(), folder, "org", clock=clock)
    store.open()
    store.write(Chunk(0, ["10,1", "10,2"], [500.0, 501.0], [True, False]), 0)
    found = Record(folder, "org", clock=Clock(boot="boot-2", is_set=lambda: True))
    assert [frame.time for frame in found.frames()] == [1100.0, 501.0]


def test_a_file_that_is_renamed_while_it_is_read_is_found_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = journal(folder)
    store.open()
    store.write(frames(0, 10), 0)
    record = Record(folder, "org")
    real = Disk.read

    def read(disk: Disk, path: Path, offset: int = 0, size: int = -1) -> bytes:
        if path.name.endswith("open-1790000000.log"):
            store.close()
        return real(disk, path, offset, size)

    monkeypatch.setattr(Disk, "read", read)
    assert numbers(record) == list(range(10))


def test_a_file_that_is_gone_meanwhile_is_passed_over(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = journal(folder)
    store.open()
    for first in range(0, 400, 20):
        store.write(frames(first, 20), 0)
    store.close()
    files = sorted(folder.glob("*.log"))
    assert len(files) > 2
    record = Record(folder, "org")
    reading = record.frames()
    assert next(reading).number == 0
    os.unlink(files[1])
    gone = range(int(files[1].name[:12]), int(files[1].name[13:25]))
    assert [frame.number for frame in reading] == [n for n in range(1, 400) if n not in gone]


def test_reading_changes_nothing(folder: Path) -> None:
    store = journal(folder, keep_s=1e9)
    store.open()
    store.write(frames(0, 100), 0)
    store.trim(50)
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    record = Record(folder, "org")
    assert len(numbers(record)) == 100
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
    assert Cursor(Disk(), folder / "cursor").number == 50


def test_one_file_at_a_time_is_in_memory(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = journal(folder)
    store.open()
    for first in range(0, 1000, 20):
        store.write(frames(first, 20), 0)
    store.close()
    sizes: list[int] = []
    real = Disk.read
    monkeypatch.setattr(Disk, "read", lambda *a, **k: sizes.append(1) or real(*a, **k))  # type: ignore[func-returns-value]
    reading = Record(folder, "org").frames()
    next(reading)
    files = len(list(folder.glob("*.log")))
    assert files > 8
    assert len(sizes) < files / 2
