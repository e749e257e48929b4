"""`emonhub backlog make`."""

from __future__ import annotations

import time
from itertools import pairwise

import pytest

from emonhub.buffer.folder import ReporterFolder
from tests.cli.kept import START, Kept, cargos

DAY_S = 86400.0


def test_made_frames_are_owed(kept: Kept) -> None:
    out = kept.good("backlog", "make", "--days", "0.1", "--nodes", "3", "--interval", "20", "--until", START, "org")
    assert out.startswith("1296 frames made in ")
    assert out.endswith(", owed\n")
    frames = list(kept.place.record("org").frames("owed"))
    assert len(frames) == 1296
    assert frames[0].time == pytest.approx(START - 8640)
    assert START - 20 <= frames[-1].time < START
    assert all(a.time <= b.time for a, b in pairwise(frames))
    assert len({frame.record for frame in frames}) > 1200
    shown = kept.good("buffer", "peek", "org", "-n", "1")
    assert "201 backlog1  MSG=1, Vrms=" in shown
    assert " V, P1=" in shown


def test_made_frames_come_after_those_that_are_owed(kept: Kept) -> None:
    kept.owe(cargos(5))
    kept.good("backlog", "make", "--days", "0.01", "org")
    records = kept.records("owed")
    assert records[:5] == kept.records("owed")[:5]
    assert records[0][1] == "10,0,240.5,-40"
    assert len(records) == 5 + 4 * 87


def test_made_frames_are_kept(kept: Kept) -> None:
    kept.configure(org="        keep = ever")
    assert kept.good("backlog", "make", "--days", "0.1", "--kept", "org").endswith(", delivered and kept\n")
    assert (len(kept.records("delivered")), len(kept.records("owed"))) == (3456, 0)


def test_kept_frames_need_a_record_and_nothing_owed(kept: Kept) -> None:
    assert "set keep = 90 d" in kept.bad(1, "backlog", "make", "--days", "1", "--kept", "org")
    kept.configure(org="        keep = ever")
    kept.owe(cargos(5))
    assert "org owes 5 frames" in kept.bad(1, "backlog", "make", "--days", "1", "--kept", "org")
    assert len(kept.records("owed")) == 5


def test_a_day_of_the_simulated_house(kept: Kept) -> None:
    kept.good("backlog", "make", "--days", "0.02", "--house", "--until", START, "org")
    records = kept.records()
    assert len(records) == pytest.approx(0.02 * 36_352, rel=0.05)
    assert {record.partition(",")[0] for _, record in records} == {"205", "215", "217", "223"}
    assert START - 0.02 * DAY_S <= records[0][0] < records[-1][0] < START
    assert " 223 emonth2_223  temperature=" in kept.good("buffer", "peek", "org", "-n", "40")


def test_a_running_hub_is_left_alone(kept: Kept) -> None:
    folder = ReporterFolder(kept.path / "state", "org")
    folder.own()
    try:
        assert "stop it first" in kept.bad(1, "backlog", "make", "--days", "1", "org")
    finally:
        folder.disown()
    assert kept.records() == []


def test_what_the_settings_drop_is_said(kept: Kept) -> None:
    kept.configure(org="        max_bytes = 100k")
    out = kept.good("backlog", "make", "--days", "0.2", "org")
    assert "dropped, as the settings of org say: " in out
    assert "(buffer full)" in out


@pytest.mark.parametrize("options", [("--days", "0"), ("--days", "x"), ("--days", "1", "--nodes", "0"), ()])
def test_options_that_make_no_sense(kept: Kept, options: tuple[str, ...]) -> None:
    assert "--" in kept.bad(2, "backlog", "make", *options, "org")


@pytest.mark.slow
def test_a_large_one_is_soon_made(kept: Kept) -> None:
    """A tenth of 691,200 frames, with its share of half a minute as a generous bound on any machine."""
    began = time.process_time()
    kept.good("backlog", "make", "--days", "2", "org")
    assert len(kept.records()) == 69_120
    assert time.process_time() - began < 30
