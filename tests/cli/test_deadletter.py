"""`emonhub deadletter`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from emonhub.buffer.folder import ReporterFolder
from tests.cli.kept import START, Kept

if TYPE_CHECKING:
    from emonhub.buffer.deadletters import DeadLetters


@pytest.fixture
def letters(kept: Kept) -> DeadLetters:
    found = ReporterFolder(kept.path / "state", "org").dead_letters
    for number in range(1, 4):
        found.add(START + number, f"10,{number}", f"reason {number}", START + 100)
    return found


@pytest.mark.usefixtures("letters")
def test_list(kept: Kept) -> None:
    lines = kept.good("deadletter", "list", "org").splitlines()
    assert len(lines) == 3
    assert lines[0].split()[0] == "1"
    assert lines[0].endswith("reason 1")
    found = json.loads(kept.good("deadletter", "list", "org", "--json"))
    assert [(letter["id"], letter["record"]) for letter in found] == [(1, "10,1"), (2, "10,2"), (3, "10,3")]


def test_list_of_none(kept: Kept) -> None:
    assert kept.good("deadletter", "list", "org") == "org has no dead letters\n"


@pytest.mark.usefixtures("letters")
def test_show(kept: Kept) -> None:
    out = kept.good("deadletter", "show", "org", "2")
    assert "answer     reason 2" in out
    assert "record     10,2" in out
    assert out.count("letter ") == 1
    assert kept.good("deadletter", "show", "org", "--all").count("letter ") == 3


def test_retry_puts_them_into_the_inbox(kept: Kept, letters: DeadLetters) -> None:
    out = kept.good("deadletter", "retry", "org", "1", "3")
    assert out == "2 letters of org to be sent once a hub runs; what is refused again comes back as a new letter\n"
    assert [letter.id for letter in letters.all()] == [2]
    folder = ReporterFolder(kept.path / "state", "org")
    (path,) = folder.waiting()
    assert folder.read(path) == ([START + 1, START + 3], ["10,1", "10,3"])


def test_drop(kept: Kept, letters: DeadLetters) -> None:
    assert kept.good("deadletter", "drop", "org", "2") == "1 letter of org dropped\n"
    assert [letter.id for letter in letters.all()] == [1, 3]
    kept.good("deadletter", "drop", "org", "--all")
    assert letters.all() == []


@pytest.mark.parametrize("action", ["show", "retry", "drop"])
def test_what_is_meant_must_be_said(kept: Kept, letters: DeadLetters, action: str) -> None:
    assert "by their numbers, or write --all" in kept.bad(2, "deadletter", action, "org")
    assert "by their numbers, or write --all" in kept.bad(2, "deadletter", action, "org", "1", "--all")
    assert "org has no letter 7, 9" in kept.bad(2, "deadletter", action, "org", "1", "7", "9")
    assert len(letters.all()) == 3
