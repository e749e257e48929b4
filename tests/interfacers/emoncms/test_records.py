"""Frames as they are written for emoncms, read back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emonhub import Cargo, Layout
from emonhub.interfacers.emoncms.http import EmoncmsHttpReporter

TIME = 1_700_000_000.25

NAMES = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=8)
VALUES = st.one_of(st.none(), st.integers(-(1 << 40), 1 << 40), st.floats(allow_nan=False, allow_infinity=False))


def notes(layout: Layout) -> dict[str, dict[str, object]]:
    """As the journal keeps them: after a round through JSON."""
    note: dict[str, object] = {
        "node": layout.node,
        "nodename": layout.nodename,
        "names": list(layout.names),
        "units": list(layout.units),
    }
    return {str(layout.node): note, layout.nodename: note}


@given(
    node=st.integers(0, 500),
    nodename=NAMES,
    values=st.lists(VALUES, min_size=1, max_size=9).filter(lambda values: any(v is not None for v in values)),
    data=st.data(),
    rssi=st.integers(-120, 0),
    sendnames=st.booleans(),
)
def test_what_is_read_back_is_what_was_written(
    *, node: int, nodename: str, values: list[int | float | None], data: st.DataObject, rssi: int, sendnames: bool
) -> None:
    names = data.draw(st.lists(NAMES, min_size=len(values), max_size=len(values)))
    layout = Layout(node, nodename, tuple(names), ("W",) * len(values))
    reporter = EmoncmsHttpReporter("x", {"url": "http://x", "sendnames": sendnames})
    record = reporter.encoder(layout)(Cargo(layout, tuple(values), TIME, rssi))
    found = reporter.read_back(record, TIME, notes(layout))
    assert found is not None
    assert (found.layout.node, found.layout.nodename, found.layout.units) == (node, nodename, layout.units)
    assert found.time == TIME
    assert reporter.encoder(found.layout)(found) == record
    if len(set(names)) == len(names):
        assert (found.values, found.rssi, found.layout.names) == (tuple(values), rssi, tuple(names))


@pytest.mark.parametrize(
    ("record", "node", "values", "names"),
    [
        ("17,3,240,-44", 17, (3, 240, -44), ()),  # nothing tells that the last one is the rssi
        ('17,{"1":3,"3":240.5}', 17, (3, None, 240.5), ()),
        ('"emonTx",{"P1":3,"Vrms":240}', "emonTx", (3, 240), ("P1", "Vrms")),
    ],
)
def test_a_record_without_notes_keeps_its_values(
    record: str, node: object, values: tuple[float | None, ...], names: tuple[str, ...]
) -> None:
    found = EmoncmsHttpReporter("x", {"url": "http://x"}).read_back(record, TIME, {})
    assert found is not None
    assert (found.layout.node, found.values, found.layout.names, found.rssi) == (node, values, names, 0)


@pytest.mark.parametrize(
    "record",
    [
        *("", "17", "17,", "17,x", "17,NaN", "17,null", "17,true", "true,1", "17,{},3", "17,[1]", "[17],1"),
        *("[" * 10_000, '17,{"a":"b"}', '17,{"a":{"b":1}}', '17,{"1":1},2', '17,{"99999999999":1,"x":[]}'),
    ],
)
def test_what_is_no_record_is_none(record: str) -> None:
    assert EmoncmsHttpReporter("x", {"url": "http://x"}).read_back(record, TIME, {}) is None


def test_a_name_that_was_taken_out_of_finds_its_note() -> None:
    layout = Layout(17, "heat/pump", ("P (W)",), ("W",))
    reporter = EmoncmsHttpReporter("x", {"url": "http://x", "sendnames": True})
    record = reporter.encoder(layout)(Cargo(layout, (5,), TIME))
    assert record == '"heatpump",{"P W":5}'
    found = reporter.read_back(record, TIME, notes(layout))
    assert found is not None
    assert (found.layout.node, found.layout.nodename, found.layout.names) == (17, "heat/pump", ("P (W)",))


def test_frames_of_one_node_share_their_layout() -> None:
    reporter = EmoncmsHttpReporter("x", {"url": "http://x"})
    first, second = (reporter.read_back(f"17,{value}", TIME, {}) for value in (1, 2))
    assert first is not None
    assert second is not None
    assert first.layout is second.layout
