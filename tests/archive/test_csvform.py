"""Frames as CSV, and back."""

from __future__ import annotations

import io

from hypothesis import given
from hypothesis import strategies as st

from emonhub.archive import csvform
from emonhub.archive.csvform import Row, RowError, Rows
from emonhub.archive.record import Frame
from emonhub.cargo import Cargo, Layout

TEXT = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc", "Zs", "Zl", "Zp", "Cf"]), max_size=6)
VALUES = st.lists(
    st.one_of(st.none(), st.integers(-(1 << 60), 1 << 60), st.floats(allow_nan=False, allow_infinity=False)),
    min_size=1,
    max_size=6,
)


@st.composite
def cargos(draw: st.DrawFn) -> Cargo:
    values = draw(VALUES.filter(lambda values: any(v is not None for v in values)))
    named = draw(st.booleans())
    names = tuple(draw(st.lists(TEXT.filter(bool), min_size=len(values), max_size=len(values)))) if named else ()
    units = tuple(draw(st.lists(TEXT, min_size=len(values), max_size=len(values)))) if named else ()
    if not named:
        while values[-1] is None:  # nothing tells that there is one more
            values.pop()
    layout = Layout(draw(st.integers(0, 999)), draw(TEXT), names, units if any(units) else ())
    time = draw(st.integers(100_000_001_000, 4_000_000_000_000)) / 1000
    return Cargo(layout, tuple(values), time, draw(st.integers(-120, 0)))


def meaning(cargo: Cargo) -> tuple[object, ...]:
    layout = cargo.layout
    return (cargo.time, layout.node, layout.nodename, layout.names, layout.units, cargo.values, cargo.rssi)


@given(st.lists(cargos(), max_size=8))
def test_there_and_back(made: list[Cargo]) -> None:
    frames = [Frame(i, cargo.time, f"{i},", delivered=False, form="", notes={}) for i, cargo in enumerate(made)]
    file = io.StringIO(newline="")
    count = csvform.write(lambda: frames, lambda record, _time, _notes: made[int(record[:-1])], file, lambda: None)
    assert count == len(made)
    file.seek(0)
    errors: list[RowError] = []
    found = list(Rows(file, errors.append))
    assert errors == []
    assert [meaning(row.cargo) for row in found if row.cargo] == [meaning(cargo) for cargo in made]


@given(st.text(max_size=200))
def test_no_file_brings_it_down(text: str) -> None:
    """Whatever is in it: rows, or errors that name their lines."""
    for head in ("", "unix,node,value1\n"):
        errors: list[RowError] = []
        try:
            rows = list(Rows(io.StringIO(head + text, newline=""), errors.append))
        except RowError as error:
            errors.append(error)
            rows = []
        assert all(isinstance(row, Row) for row in rows)
        assert all(str(error).startswith("line ") for error in errors)


def test_a_row_is_as_wide_as_the_header() -> None:
    made = [Cargo(Layout(1), (1,), 1.8e9), Cargo(Layout(2), (1, 2, 3), 1.8e9)]
    frames = [Frame(i, 1.8e9, f"{i},", delivered=False, form="", notes={}) for i in range(2)]
    file = io.StringIO()
    csvform.write(lambda: frames, lambda record, _t, _n: made[int(record[:-1])], file, lambda: None)
    lines = file.getvalue().splitlines()
    assert lines[0] == "time,unix,node,nodename,rssi,state,record,name1,value1,name2,value2,name3,value3"
    assert {line.count(",") for line in lines} == {12}
