"""Dead letters: on disk, capped, readable, and safe in the hands of several processes."""

from __future__ import annotations

import json
import multiprocessing
from typing import TYPE_CHECKING

import pytest

from emonhub.buffer.deadletters import DeadLetters

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(params=["file", "memory"])
def letters(request: pytest.FixtureRequest, tmp_path: Path) -> DeadLetters:
    return DeadLetters(tmp_path / "deadletters.jsonl" if request.param == "file" else None, max_bytes=4000)


def test_are_numbered_and_told_in_order(letters: DeadLetters) -> None:
    assert letters.all() == []
    first = letters.add(5.0, "17,1e999", "no number", 9.0)
    letters.add(6.0, 'ü"\\', "no", 10.0)
    assert letters.all()[0] == first
    assert [(letter.id, letter.record) for letter in letters.all()] == [(1, "17,1e999"), (2, 'ü"\\')]


def test_are_taken_out_one_by_one_or_all_at_once(letters: DeadLetters) -> None:
    for n in range(5):
        letters.add(n, f"17,{n}", "no", 9.0)
    assert [letter.record for letter in letters.take({2, 4, 99})] == ["17,1", "17,3"]
    assert [letter.id for letter in letters.all()] == [1, 3, 5]
    assert len(letters.take()) == 3
    assert letters.all() == []


def test_the_oldest_make_room(letters: DeadLetters) -> None:
    for n in range(500):
        letters.add(n, f"17,{n}", "no", 9.0)
        assert letters.all()[-1].record == f"17,{n}"
    kept = [letter.id for letter in letters.all()]
    assert 20 < len(kept) < 60
    assert kept == list(range(501 - len(kept), 501))


def test_the_file_is_capped_in_bytes_and_survives(tmp_path: Path) -> None:
    path = tmp_path / "deadletters.jsonl"
    for n in range(300):
        DeadLetters(path, 4000).add(n, f"17,{n},üü", "nein", 9.0)
        assert path.stat().st_size <= 4000
    lines = path.read_text().splitlines()
    assert json.loads(lines[-1]) == {"id": 300, "time": 299, "record": "17,299,üü", "reason": "nein", "buried": 9.0}


def test_damaged_lines_cost_themselves_alone(tmp_path: Path) -> None:
    path = tmp_path / "deadletters.jsonl"
    letters = DeadLetters(path)
    for n in range(4):
        letters.add(n, f"17,{n}", "no", 9.0)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0] + b"\xff\x00rubbish\n[]\n" + lines[2] + lines[3][:20])  # the last is torn off
    letters.add(9.0, "17,9", "no", 9.0)
    assert [letter.record for letter in letters.all()] == ["17,0", "17,2", "17,9"]
    assert len({letter.id for letter in letters.all()}) == 3


def _add_many(path: Path, name: str) -> None:
    letters = DeadLetters(path)
    for n in range(50):
        letters.add(n, f"{name},{n}", "no", 9.0)


def test_several_processes_lose_nothing_of_each_other(tmp_path: Path) -> None:
    path = tmp_path / "deadletters.jsonl"
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_add_many, args=(path, name)) for name in "abc"]
    for process in processes:
        process.start()
    taken = []
    while any(process.is_alive() for process in processes):
        taken += DeadLetters(path).take()
    for process in processes:
        process.join()
        assert process.exitcode == 0
    taken += DeadLetters(path).take()
    assert sorted(letter.record for letter in taken) == sorted(f"{name},{n}" for name in "abc" for n in range(50))


def test_a_disk_that_is_full_is_told(tmp_path: Path) -> None:
    letters = DeadLetters(tmp_path / "gone" / "deadletters.jsonl")
    with pytest.raises(OSError, match="No such file"):
        letters.add(1.0, "17,1", "no", 9.0)
