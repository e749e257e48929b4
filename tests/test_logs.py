"""What gets into the log, and what does not."""

from __future__ import annotations

import logging
import logging.handlers
import re
import socket
import threading
from typing import TYPE_CHECKING

import pytest

from emonhub import logs
from emonhub.config.model import HubConfig

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

log = logging.getLogger("emonhub.interfacer.RFM2Pi")


@pytest.fixture(autouse=True)
def _left_as_found() -> Iterator[None]:
    root, hook = logging.getLogger(), threading.excepthook
    level, ours = root.level, logging.getLogger("emonhub").level
    yield
    for handler in logs._fans():
        root.removeHandler(handler)
        handler.close()
    root.setLevel(level)
    logging.getLogger("emonhub").setLevel(ours)
    logging.captureWarnings(capture=False)
    threading.excepthook = hook
    logs.hide(())


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A log file that all is logged to."""
    path = tmp_path / "emonhub.log"
    logs.set_up(HubConfig(loglevel="DEBUG"), str(path))
    return path


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(file: Path) -> Clock:
    clock = Clock()
    logs._fans()[0].repeats._clock = clock
    return clock


def lines(file: Path) -> list[str]:
    return [line[24:] for line in file.read_text().splitlines()]


def test_the_shape_that_users_know(file: Path) -> None:
    log.warning("hello %s", "world")
    logging.getLogger("emonhub.hub").info("about the hub")
    first, second = file.read_text().splitlines()
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} WARNING  RFM2Pi     hello world", first)
    assert second[24:] == "INFO     MainThread about the hub"


@pytest.mark.parametrize("mark", ["\n", "\r", "\x1b[2J", "\x00", "\x85", "\u2028", "\u202e", "\x9b"])
def test_a_device_can_not_write_log_lines(file: Path, mark: str) -> None:
    forged = f"x{mark}2026-01-01 00:00:00,000 ERROR    MainThread all is lost"
    log.warning("Discarded frame: %s", forged)
    log.error("%s", forged, extra={"repeats": "other"})
    text = file.read_text()
    assert mark not in text.rstrip("\n").replace("\n20", "20", 1)
    assert len(text.split("\n")) == 3
    assert mark.encode("unicode_escape").decode() in text


def test_a_traceback_looks_like_no_entry(file: Path) -> None:
    try:
        raise ValueError("x\n2026-01-01 00:00:00,000 ERROR    MainThread all is lost")
    except ValueError:
        log.exception("It failed")
    first, *others = file.read_text().splitlines()
    assert first.endswith("It failed")
    assert others
    assert all(line.startswith("  ") for line in others)


def test_undecodable_text_is_logged_all_the_same(file: Path) -> None:
    # Straight to our handler: what collects the tests' own logs can't take it.
    logs._fans()[0].handle(log.makeRecord(log.name, logging.WARNING, "", 0, "name %s", ("\udc80",), None))
    assert "udc80" in file.read_text()


def test_repeats_are_collapsed_and_counted(file: Path, clock: Clock) -> None:
    for i in range(42):
        clock.now += 1
        log.warning("Discarded frame, %s: %d bytes", "length", i, extra={"repeats": "length"})
    log.warning("Discarded frame, %s: %d bytes", "checksum", 1, extra={"repeats": "checksum"})
    clock.now += 60
    log.warning("Discarded frame, %s: %d bytes", "length", 99, extra={"repeats": "length"})
    assert lines(file) == [
        "WARNING  RFM2Pi     Discarded frame, length: 0 bytes",
        "WARNING  RFM2Pi     Discarded frame, checksum: 1 bytes",
        "WARNING  RFM2Pi     Discarded frame, length: 99 bytes (+41 like it in 101 s)",
    ]


def test_the_number_is_told_when_a_flood_is_over(file: Path, clock: Clock) -> None:
    for i in range(5):
        log.warning("bad %d", i)
    logs.tell_repeats()
    assert lines(file) == ["WARNING  RFM2Pi     bad 0"]  # it may still be going on
    clock.now += 60
    logs.tell_repeats()
    logs.tell_repeats()
    assert lines(file)[1:] == ["WARNING  RFM2Pi     bad 4 (+3 like it in 60 s)"]


def test_at_the_end_all_that_was_left_out_is_told(file: Path, clock: Clock) -> None:
    log.warning("bad")
    log.warning("bad")
    log.error("worse")
    logs.tell_repeats(all_of_them=True)
    assert lines(file) == ["WARNING  RFM2Pi     bad", "ERROR    RFM2Pi     worse", "WARNING  RFM2Pi     bad"]


def test_what_comes_and_goes_may_be_said_a_few_times(file: Path, clock: Clock) -> None:
    for _ in range(20):
        log.info("Running", extra={"repeats": "running", "often": 5})
    assert len(lines(file)) == 5
    for _ in range(20):
        log.info("Plain")
    assert len(lines(file)) == 25


def test_rubbish_does_not_fill_the_memory(file: Path) -> None:
    for i in range(2000):
        log.warning("bad %d", i, extra={"repeats": i})
    assert len(logs._fans()[0].repeats._seen) <= 501


def test_two_interfacers_do_not_collapse_into_one(file: Path) -> None:
    log.warning("bad")
    logging.getLogger("emonhub.interfacer.USB0").warning("bad")
    assert len(lines(file)) == 2


def test_secrets_are_masked_wherever_they_turn_up(file: Path) -> None:
    key = "0123456789abcdef0123456789abcdef"
    logs.hide([key, "pa$$(word", "x", ""])
    try:
        raise ValueError(f"http://u:pa$$(word@host/?apikey={key}")
    except ValueError:
        log.exception("asking %s x", key)
    text = file.read_text()
    assert key not in text
    assert "pa$$" not in text
    assert "asking ******** x" in text


def test_warnings_of_libraries_and_dead_threads_go_to_the_log(file: Path) -> None:
    logging.getLogger("asyncio").error("Task exception was never retrieved")
    logging.getLogger("some.library").info("chatter")

    def die() -> None:
        raise ValueError("boom")

    thread = threading.Thread(target=die, name="USB0 read")
    thread.start()
    thread.join()
    text = file.read_text()
    assert "Task exception was never retrieved" in text
    assert "chatter" not in text
    assert "A thread has died: USB0 read" in text
    assert "ValueError: boom" in text


def test_level_and_rotation_follow_the_configuration(file: Path) -> None:
    logs.apply(HubConfig(loglevel="ERROR", log_max_bytes=2000, log_backup_count=2))
    log.warning("not this")
    assert lines(file) == []
    for i in range(100):
        log.error("a line of some length, number %d", i, extra={"repeats": i})
    assert sorted(path.name for path in file.parent.iterdir()) == ["emonhub.log", "emonhub.log.1", "emonhub.log.2"]


def test_a_log_file_that_somebody_moves_away_is_begun_anew(file: Path) -> None:
    log.warning("one")
    file.rename(file.with_suffix(".1"))
    log.error("two")
    file.unlink()
    log.critical("three")
    assert lines(file.with_suffix(".1")) == ["WARNING  RFM2Pi     one"]
    assert lines(file) == ["CRITICAL RFM2Pi     three"]


def test_a_full_disk_costs_lines_only(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    logs.set_up(HubConfig(), "/dev/full")
    log.warning("one")
    log.error("two")
    assert "Logging error" not in capsys.readouterr().err


def test_debug_of_one_interfacer_is_for_the_asking(file: Path) -> None:
    logs.apply(HubConfig(loglevel="WARNING"))
    one = logging.getLogger("emonhub.interfacer.USB0")
    one.setLevel("DEBUG")
    try:
        one.debug("NEW FRAME")
        log.debug("not this")
    finally:
        one.setLevel(logging.NOTSET)
    assert lines(file) == ["DEBUG    USB0       NEW FRAME"]


def test_a_file_that_can_not_be_written_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        logs.set_up(HubConfig(), str(tmp_path / "missing" / "emonhub.log"))


def test_syslog_gets_the_same_lines_with_repeats_collapsed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    address = str(tmp_path / "log")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(address)
        server.setblocking(False)
        real = logging.handlers.SysLogHandler
        monkeypatch.setattr(logging.handlers, "SysLogHandler", lambda _path: real(address))
        logs.set_up(HubConfig(use_syslog=True), str(tmp_path / "emonhub.log"))
        for _ in range(3):
            log.warning("bad")
        assert re.search(rb"emonHub\[\d+\]: WARNING RFM2Pi bad", server.recv(1000))
        with pytest.raises(BlockingIOError):
            server.recv(1000)
