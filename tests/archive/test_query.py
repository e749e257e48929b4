"""Which frames are meant."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from emonhub.archive.query import Query, parse_time
from emonhub.archive.record import Frame
from emonhub.cargo import Cargo, Layout
from emonhub.errors import SettingError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

NOW = 1_790_000_000.0


@pytest.fixture(autouse=True)
def new_york(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A place whose days are not those of UTC, and change in length."""
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("now", NOW),
        ("-2h", NOW - 7200),
        ("2h", NOW - 7200),
        ("-1.5 d", NOW - 129_600),
        ("-90min", NOW - 5400),
        ("-90m", NOW - 5400),
        ("30s", NOW - 30),
        ("-1w", NOW - 604_800),
        ("1669888253", 1_669_888_253.0),
        ("1669888253.25", 1_669_888_253.25),
        ("2026-01-31", 1_769_835_600.0),
        ("2026-01-31T12:00", 1_769_878_800.0),
        ("2026-01-31 12:00:30", 1_769_878_830.0),
        ("2026-01-31T12:00:00Z", 1_769_860_800.0),
        ("2026-01-31T12:00:00.250+01:00", 1_769_857_200.25),
    ],
)
def test_times(text: str, expected: float) -> None:
    assert parse_time(text, NOW) == expected


def test_a_day_as_an_end_is_included() -> None:
    assert parse_time("2026-01-31", NOW, end=True) == parse_time("2026-02-01", NOW)
    day = parse_time("2026-11-01", NOW, end=True) - parse_time("2026-11-01", NOW)
    assert day == 25 * 3600  # the clocks go back
    assert parse_time("2026-01-31T12:00", NOW, end=True) == parse_time("2026-01-31T12:00", NOW)


@pytest.mark.parametrize("text", ["", "noon", "31.1.2026", "2026-13-01", "2026-02-30", "12", "-2x", "9999-12-31x", "-"])
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(SettingError, match="is no time"):
        parse_time(text, NOW)


def frame(number: int, record: str, notes: Mapping[str, Any]) -> Frame:
    return Frame(number, NOW + number, record, delivered=False, form="", notes=notes)


def test_a_node_is_told_by_its_name_at_that_time() -> None:
    """A node that was called otherwise before is found under both names, each where it held."""
    before, after = {"10": {"nodename": "old"}}, {"10": {"nodename": "new"}}

    def read_back(record: str, time: float, notes: Mapping[str, Any]) -> Cargo:
        node = record.partition(",")[0]
        return Cargo(Layout(int(node), notes.get(node, {}).get("nodename", "")), (1,), time)

    frames = [frame(0, "10,1", before), frame(1, "11,1", before), frame(2, "10,1", after), frame(3, "11,1", after)]

    def numbers(node: str) -> list[int]:
        return [found.number for found in Query(node=node, read_back=read_back).among(frames)]

    assert (numbers("old"), numbers("new"), numbers("10"), numbers("11")) == ([0], [2], [0, 2], [1, 3])


def test_without_a_reader_a_node_is_what_the_record_starts_with() -> None:
    frames = [frame(0, '"emonTx",{"P":1}', {}), frame(1, "10,1", {})]
    assert [f.number for f in Query(node="emonTx").among(frames)] == [0]
    assert [f.number for f in Query(node="10").among(frames)] == [1]


def test_from_is_included_and_to_is_not() -> None:
    frames = [frame(i, "10,1", {}) for i in range(5)]
    assert [f.number for f in Query(since=NOW + 1, until=NOW + 3).among(frames)] == [1, 2]
