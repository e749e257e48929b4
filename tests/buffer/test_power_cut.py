"""The power is cut at every single operation of the disk, and what was not synced is gone, or not, or in part."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from emonhub.buffer.journal import Journal
from emonhub.buffer.segments import load
from emonhub.buffer.store import Chunk
from emonhub.clock import Clock
from tests.faults.buffers import FOLDER, START
from tests.faults.disk import PowerCut, SimulatedDisk

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass
class Story:
    """What a buffer asked of the journal, and what the journal had promised when the power went."""

    options: dict[str, Any] = field(default_factory=dict)
    disk: SimulatedDisk = field(default_factory=SimulatedDisk)
    time: float = START
    end: int = 0
    safe: int = 0  # all before it had been written when a write returned
    cursor: int = 0  # what the journal was told last, whether or not it has returned
    confirmed: int = 0  # the same, when it has
    gone: int = 0  # all before it may be gone: dropped, and told

    def __post_init__(self) -> None:
        self.clock = Clock(lambda: self.time, lambda: self.time - START, "boot", lambda: True)
        self.journal = self.made()

    def made(self) -> Journal:
        options = {"segment_bytes": 400, **self.options}
        return Journal(self.disk, FOLDER, "house", clock=self.clock, form="test", **options)

    def open(self) -> None:
        self.journal = self.made()
        opened = self.journal.open()
        self.end = max(self.end, opened.end)

    def write(self, count: int) -> None:
        first = self.end
        self.end += count
        self.time += count
        chunk = Chunk(first, [record(n) for n in range(first, self.end)], [START + n for n in range(first, self.end)])
        self._told(self.journal.write(chunk, self.cursor))
        self.safe = self.end

    def acknowledge(self, end: int) -> None:
        self.cursor = max(self.cursor, min(end, self.end))
        self._told(self.journal.trim(self.cursor))
        self.confirmed = self.cursor

    def _told(self, all_lost: Any) -> None:
        for lost in all_lost:
            self.gone = max(self.gone, lost.end)

    def close(self) -> None:
        self.journal.close()

    def judge(self, disk: SimulatedDisk, told: str) -> None:
        """What the next start finds on this disk is a state that the journal may be in."""
        self.disk = disk
        journal = self.made()
        opened = journal.open()
        assert not opened.frames or self.confirmed <= opened.first, f"{told}: the cursor is lost"
        assert not opened.frames or opened.first <= max(self.cursor, self.gone) or self.options, f"{told}: ahead"
        for segment in journal._files.segments:
            assert len(load(disk, FOLDER, segment, "house").numbers) == segment.count, f"{told}: {segment.name}"
        found: dict[int, tuple[str, float]] = {}
        number = opened.first
        assert not opened.lost
        while (chunk := journal.read(number, 5)).records or chunk.lost:
            assert not chunk.lost, f"{told}: {chunk.lost}"
            for n, text, time in zip(range(chunk.first, chunk.end), chunk.records, chunk.times, strict=True):
                assert n >= number, f"{told}: not in order"
                found[n] = (text, time)
            number = chunk.end
        for n, (text, time) in found.items():
            assert (text, time) == (record(n), START + n), f"{told}: a false frame {n}"
            assert n < self.end, f"{told}: nobody wrote {n}"
        assert opened.frames == len(found)
        if "max_bytes" not in self.options:
            missing = set(range(self.cursor, self.safe)) - set(found)
            assert not missing, f"{told}: {sorted(missing)} were on the disk, and are gone"
        # And life goes on:
        end = max(opened.end, number)
        journal.write(Chunk(end, ["new"], [self.time]), opened.first)
        assert journal.read(end, 5).records == ["new"], told


def record(number: int) -> str:
    return f"17,{number},ü{number * 7919 % 1000}"


def plain(story: Story) -> None:
    story.open()
    for count in (3, 1, 12, 9, 1):
        story.write(count)
    story.acknowledge(14)
    story.write(8)
    story.acknowledge(30)
    story.close()
    story.open()
    story.write(5)
    story.acknowledge(36)
    story.write(20)
    story.acknowledge(1000)
    story.write(2)
    story.close()
    story.open()
    story.acknowledge(60)


def record_kept(story: Story) -> None:
    story.open()
    for _ in range(4):
        story.write(11)
        story.acknowledge(story.end - 3)
    story.acknowledge(story.end)
    story.close()
    story.open()
    for _ in range(3):
        story.write(4)
        story.acknowledge(story.end - 1)


def overfull(story: Story) -> None:
    story.open()
    for _ in range(9):
        story.write(60)
        story.acknowledge(story.cursor + 10)
    story.close()
    story.open()
    story.write(30)


SCRIPTS: list[tuple[Callable[[Story], None], dict[str, Any]]] = [
    (plain, {}),
    (record_kept, {"keep_s": 1000.0, "keep_bytes": 900}),
    (overfull, {"max_bytes": 9000, "segment_bytes": 1 << 20}),
    (overfull, {"max_bytes": 9000, "segment_bytes": 1 << 20, "thin": True}),
]


def told(script: Callable[[Story], None], options: dict[str, Any], cut_at: int) -> Story:
    story = Story(dict(options))
    story.disk.cut_at = cut_at
    try:
        script(story)
    except PowerCut:
        assert story.disk.off
    return story


def operations(script: Callable[[Story], None], options: dict[str, Any]) -> int:
    return told(script, options, 0).disk.operations


def check(script: Callable[[Story], None], options: dict[str, Any], chances: int) -> int:
    count = 0
    for cut_at in range(1, operations(script, options) + 1):
        story = told(script, options, cut_at)
        assert story.disk.off
        disk = story.disk
        for seed in range(-2, chances):
            chance = random.Random(1000 * cut_at + seed) if seed >= 0 else None
            left = disk.after_power_cut(chance, keep=seed == -2)
            story.judge(left, f"{script.__name__} {options}, cut at operation {cut_at}, chance {seed}")
            count += 1
    return count


@pytest.mark.parametrize(("script", "options"), SCRIPTS)
def test_any_moment_leaves_a_legal_state(script: Callable[[Story], None], options: dict[str, Any]) -> None:
    assert check(script, options, 4) > 200


@pytest.mark.full
@pytest.mark.timeout(3600)
@pytest.mark.parametrize(("script", "options"), SCRIPTS)
def test_any_moment_leaves_a_legal_state_by_many_chances(
    script: Callable[[Story], None], options: dict[str, Any]
) -> None:
    check(script, options, 300)


def test_the_simulated_disk_forgets_what_was_not_synced() -> None:
    """Or else the tests above would prove nothing."""
    disk = SimulatedDisk()
    disk.make_folder(FOLDER)
    file = disk.append_to(FOLDER / "a")
    file.write(b"one")
    assert not disk.after_power_cut().files
    assert disk.after_power_cut(keep=True).read(FOLDER / "a") == b"one"
    file.sync()
    assert not disk.after_power_cut().files  # its name is not there yet
    disk.sync_folder(FOLDER)
    file.write(b"two")
    assert disk.after_power_cut().read(FOLDER / "a") == b"one"
    disk.rename(FOLDER / "a", FOLDER / "b")
    assert list(disk.after_power_cut().files) == [FOLDER / "a"]
    disk.sync_folder(FOLDER)
    disk.remove(FOLDER / "b")
    assert list(disk.after_power_cut().files) == [FOLDER / "b"]
