from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from emonhub.config.watch import Watcher, look

if TYPE_CHECKING:
    from pathlib import Path


class Clock:
    """Wall time that stands still. Files are written at `now` as it is set."""

    def __init__(self) -> None:
        self.now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now

    def write(self, path: Path, text: str, *, age: float = 100.0) -> None:
        path.write_text(text)
        self.date(path, age)

    def date(self, path: Path, age: float = 100.0) -> None:
        time = int((self.now - age) * 1e9)
        os.utime(path, ns=(time, time))


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def conf(tmp_path: Path, clock: Clock) -> Path:
    path = tmp_path / "emonhub.conf"
    clock.write(path, "old", age=1000)
    return path


def test_a_file_left_alone_has_not_changed(conf: Path, clock: Clock) -> None:
    watcher = Watcher(conf, clock=clock)
    assert not watcher.changed()
    clock.now += 3600
    assert not watcher.changed()


def test_each_change_is_told_once(conf: Path, clock: Clock) -> None:
    watcher = Watcher(conf, clock=clock)
    for text in ("new", "newer"):
        clock.write(conf, text)
        assert watcher.changed()
        assert not watcher.changed()


def test_a_file_put_in_its_place_is_a_change(conf: Path, clock: Clock) -> None:
    watcher = Watcher(conf, clock=clock)
    other = conf.with_name("emonhub.conf.new")
    other.write_text("new")
    os.utime(other, ns=(conf.stat().st_atime_ns, conf.stat().st_mtime_ns))
    other.replace(conf)
    assert watcher.changed()


def test_a_change_while_an_editor_renames_is_not_lost(conf: Path, clock: Clock) -> None:
    watcher = Watcher(conf, clock=clock)
    conf.rename(conf.with_name("emonhub.conf~"))
    assert not watcher.changed(), "gone for a moment is not a change yet"
    clock.write(conf, "new")
    assert watcher.changed()
    assert not watcher.changed()


def test_a_file_moved_away_and_back_has_not_changed(conf: Path, clock: Clock) -> None:
    watcher = Watcher(conf, clock=clock)
    away = conf.rename(conf.with_name("away"))
    assert not watcher.changed()
    away.rename(conf)
    assert not watcher.changed()


def test_a_file_that_stays_away_is_told_once_and_its_return_too(conf: Path, clock: Clock) -> None:
    watcher = Watcher(conf, clock=clock)
    conf.unlink()
    assert [watcher.changed() for _ in range(6)].count(True) == 1
    clock.write(conf, "old", age=1000)
    assert watcher.changed()


def test_a_file_being_written_is_given_a_moment(conf: Path, clock: Clock) -> None:
    watcher = Watcher(conf, clock=clock)
    clock.write(conf, "half", age=0.1)
    assert not watcher.changed()
    clock.now += 1
    assert watcher.changed(), "a second later it is read"


def test_a_file_written_without_end_is_read_all_the_same(conf: Path, clock: Clock) -> None:
    watcher = Watcher(conf, clock=clock)
    told = []
    for second in range(12):
        clock.now += 1
        clock.write(conf, "x" * second, age=0)
        told.append(watcher.changed())
    assert 2 <= told.count(True) <= 4


def test_a_change_within_one_step_of_the_clock_is_found_by_its_content(conf: Path, clock: Clock) -> None:
    clock.write(conf, "one", age=1)
    watcher = Watcher(conf, clock=clock)
    clock.write(conf, "two", age=1)
    assert watcher.changed()
    assert not watcher.changed()


def test_a_clock_that_jumps_makes_no_change(conf: Path, clock: Clock) -> None:
    watcher = Watcher(conf, clock=clock)
    for now in (0.0, 4e9, 1.7e9):
        clock.now = now
        assert not watcher.changed()


def test_a_change_between_reading_and_watching_is_found(conf: Path, clock: Clock) -> None:
    read_then = {conf: look(conf, clock.now)}
    clock.write(conf, "new")
    watcher = Watcher(conf, clock=clock)
    watcher.expect(read_then)
    assert watcher.changed()


def test_files_of_secrets_are_watched_too(conf: Path, clock: Clock) -> None:
    secret, missing = conf.with_name("key"), conf.with_name("missing")
    clock.write(secret, "old")
    watcher = Watcher(conf, clock=clock)
    watcher.expect({conf: look(conf), secret: look(secret), missing: look(missing)})
    assert not watcher.changed()
    clock.write(secret, "newer")
    assert watcher.changed()
    clock.write(missing, "there")
    assert watcher.changed()
    watcher.expect({conf: look(conf)})
    clock.write(secret, "newest")
    assert not watcher.changed(), "no longer asked for"


def test_looking_at_a_pipe_does_not_empty_it(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    found = look(pipe)  # would wait for ever if it read
    assert found is not None
    assert found.content is None
