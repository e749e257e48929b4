"""`emonhub buffer export` and `import`: out into a spreadsheet and back."""

from __future__ import annotations

import csv
import io
import lzma
from typing import TYPE_CHECKING

import pytest

from emonhub.buffer.folder import ReporterFolder
from emonhub.cargo import Cargo, Layout
from tests.cli.kept import START, Kept, cargos

if TYPE_CHECKING:
    from pathlib import Path


def table(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def inbox(kept: Kept, name: str = "org") -> list[tuple[float, str]]:
    """What was laid in, in the order in which the hub takes it."""
    folder = ReporterFolder(kept.path / "state", name)
    found: list[tuple[float, str]] = []
    for path in folder.waiting():
        found += zip(*folder.read(path), strict=True)
    return found


def written(kept: Kept, text: str, name: str = "in.csv") -> Path:
    path = kept.path / name
    path.write_text(text)
    return path


# export


def test_export_has_a_row_for_each_frame(kept: Kept) -> None:
    kept.configure(org="        keep = ever")
    kept.owe(cargos(4), delivered=1)
    rows = table(kept.good("buffer", "export", "org"))
    assert [row["state"] for row in rows] == ["delivered", "owed", "owed", "owed"]
    first = rows[0]
    assert float(first["unix"]) == START + 0.25
    assert first["time"].startswith("2026-09-2")
    assert [first[key] for key in ("node", "nodename", "rssi", "name1", "value1", "unit1", "name2", "value2")] == (
        ["10", "emonTx", "-40", "P1", "0", "W", "Vrms", "240.5"]
    )
    assert [row["value1"] for row in table(kept.good("buffer", "export", "org", "--owed"))] == ["1", "2", "3"]
    assert [row["value1"] for row in table(kept.good("buffer", "export", "org", "--delivered"))] == ["0"]


def test_export_of_some_time_and_some_node(kept: Kept) -> None:
    kept.owe(cargos(100))
    rows = table(kept.good("buffer", "export", "org", "--from", START + 50, "--to", START + 100, "--node", "emonTx"))
    assert [row["value1"] for row in rows] == ["10", "12", "14", "16", "18"]
    assert len(table(kept.good("buffer", "export", "org", "--node", "11"))) == 50


def test_export_to_a_file_takes_its_place_at_the_end(kept: Kept) -> None:
    kept.owe(cargos(3))
    target = kept.path / "out.csv"
    assert kept.good("buffer", "export", "org", "-o", target) == f"3 frames written to {target}\n"
    assert len(table(target.read_text())) == 3
    assert [path.name for path in kept.path.iterdir() if path.name.startswith(".")] == []
    assert "no directory" in kept.bad(2, "buffer", "export", "org", "-o", kept.path / "no" / "x.csv")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--from", "yesterday"), "'yesterday' is no time"),
        (("--from", "2026-01-02", "--to", "2026-01-01"), "not before"),
    ],
)
def test_export_of_times_that_make_no_sense(kept: Kept, options: tuple[str, ...], said: str) -> None:
    kept.owe(cargos(1))
    assert said in kept.bad(2, "buffer", "export", "org", *options)


# there and back


def test_what_is_exported_is_imported_unchanged(kept: Kept) -> None:
    layout = Layout(12, "", ())
    odd = [
        Cargo(layout, (1, None, 2.5), START),
        Cargo(Layout(13, "gaps", ("a", "b"), ("W", "")), (None, 3), START, -50),
        Cargo(Layout(13, "gaps", ("a", "b"), ("W", "")), (1e22, -0.001), START + 0.001, 0),
        Cargo(Layout(14, 'na;me, "x"', ("é", "b c"), ()), (1, 2), START),
    ]
    kept.owe([*cargos(20), *odd])
    target = kept.path / "out.csv"
    kept.good("buffer", "export", "org", "-o", target)
    before = kept.records()
    out = kept.good("buffer", "import", "org", target)
    assert "24 good frames" in out
    assert "taken in once a hub runs" in out
    assert inbox(kept) == before


def test_an_import_is_written_in_the_other_reporters_form(kept: Kept) -> None:
    kept.owe(cargos(2))
    target = kept.path / "out.csv"
    kept.good("buffer", "export", "org", "-o", target)
    kept.good("buffer", "import", "local", target)
    assert inbox(kept, "local")[0] == (START + 0.25, '"emonTx",{"P1":0,"Vrms":240.5,"rssi":-40}')


def test_many_frames_stay_in_order(kept: Kept) -> None:
    rows = "".join(f"{START + i},10,{i}\n" for i in range(12_000))
    kept.good("buffer", "import", "org", written(kept, "unix,node,value1\n" + rows))
    assert [record for _, record in inbox(kept)] == [f"10,{i}" for i in range(12_000)]


def test_a_frame_that_cannot_be_read_back_keeps_its_record(kept: Kept) -> None:
    """Such as one that was written for another target, before the type of the reporter was changed."""
    text = kept.conf.read_text()
    kept.conf.write_text(text.replace("EmonHubEmoncmsHTTPInterfacer", "EmonHubMqttReporter"))
    kept.owe(cargos(1))
    kept.conf.write_text(text)
    record = kept.records()[0][1]
    (row,) = table(kept.good("buffer", "export", "org"))
    assert (row["record"], row["value1"]) == (record, "")
    target = kept.path / "out.csv"
    kept.good("buffer", "export", "org", "-o", target)
    assert f"line 2: org writes no such record: {record}" in kept.bad(2, "buffer", "import", "org", target)


# from a spreadsheet


@pytest.mark.parametrize(
    "text",
    [
        "\ufeffunix;node;value1;value2\n1790000000,25;10;1;2,5\n",
        "unix\tnode\tvalue1\tvalue2\n1790000000,25\t10\t1\t2,5\n",
        "node,value2,value1,unix\r\n10,2.5,1,1790000000.25\r\n\r\n,,,\r\n",
        '"Unix","Node","Value1","Value2","my own"\n"1790000000.25","10","1","2.5","x"\n',
        "time,node,value1,value2\n2026-09-21T14:13:20.250+00:00,10,1,2.5\n",
        "time,unix,node,value1,value2\n2026-09-21T15:13:20.250+00:00,1790000000.25,10,1,2.5\n",  # of another zone
        "time,unix,node,value1,value2\n2026-09-21T14:13:20.250+00:00,1790000000,10,1,2.5\n",
        "unix,node,name1,value1,name2,value2,name3,value3\n1790000000.25,10,,1,,2.5,,\n",
    ],
)
def test_what_spreadsheets_make_of_a_file(kept: Kept, text: str) -> None:
    kept.good("buffer", "import", "org", written(kept, text))
    assert inbox(kept) == [(1_790_000_000.25, "10,1,2.5")]


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("x,,10,1", "line 3: unix = x is no number"),
        ("12,,10,1", "line 3: unix = 12 is no time in Unix seconds"),
        (",yesterday,10,1", "line 3: time = yesterday is no time"),
        (",,10,1", "line 3: time and unix are both empty"),
        ("1790000000,2026-09-22T14:20:20+00:00,10,1", "line 3: time and unix say different times"),
        ("1.79E+09,2026-09-21T14:18:20+00:00,10,1", "line 3: time and unix say different times"),
        ("1790000000,,,1", "line 3: node is empty"),
        ("1790000000,,10,", "line 3: there is no value"),
        ("1790000000,,10,on", "line 3: value1 = on is no number"),
        ("1790000000,,10,inf", "line 3: value1 = inf is no number"),
    ],
)
def test_a_row_that_cannot_be_used_stops_it_all(kept: Kept, row: str, said: str) -> None:
    path = written(kept, f"unix,time,node,value1\n1790000000,,10,1\n{row}\n1790000001,,10,1\n")
    err = kept.bad(2, "buffer", "import", "org", path)
    assert f"{path}: {said}" in err
    assert "nothing is taken in: 1 line can't be used" in err
    assert not kept.folder().exists()


def test_many_bad_rows_are_counted(kept: Kept) -> None:
    path = written(kept, "unix,node,value1\n" + "x,10,1\n" * 50)
    err = kept.bad(2, "buffer", "import", "org", path)
    assert "and 40 more like these" in err
    assert "50 lines can't be used" in err


@pytest.mark.parametrize("text", ["", "\n", "hello\n", "a,b,c\n1,2,3\n", "\x00\x01\x02" * 50, '"unclosed'])
def test_what_is_no_such_file(kept: Kept, text: str) -> None:
    err = kept.bad(2, "buffer", "import", "org", written(kept, text))
    assert "it must name the columns" in err


def test_a_file_that_is_not_there(kept: Kept) -> None:
    assert kept.bad(1, "buffer", "import", "org", "none.csv") == "emonhub: none.csv: No such file or directory\n"


def test_a_dry_run_makes_nothing(kept: Kept) -> None:
    path = written(kept, "unix,node,value1\n1790000000,10,1\n")
    assert "1 good frame," in kept.good("buffer", "import", "org", path, "--dry-run")
    assert not kept.folder().exists()


# lines of a journal


def edited(kept: Kept) -> Path:
    """A journal file taken out, with a value of the second frame changed by hand."""
    kept.owe(cargos(5))
    (path,) = kept.folder().glob("*.log")
    copy = kept.path / path.name
    copy.write_text(path.read_text().replace("11,1,241.5,-41", "11,99,241.5,-41"))
    return copy


def test_a_line_edited_by_hand_is_taken_in(kept: Kept) -> None:
    path = edited(kept)
    before = kept.records()
    out = kept.good("buffer", "import", "org", path, "--edited")
    assert f"{path}: 1 line edited by hand\n" in out
    assert inbox(kept) == [(before[1][0], "11,99,241.5,-41")]


def test_a_journal_file_is_taken_in_whole(kept: Kept) -> None:
    path = edited(kept)
    kept.good("buffer", "import", "org", path)
    assert inbox(kept) == [(t, r.replace("11,1,241.5", "11,99,241.5")) for t, r in kept.records()]


def test_a_packed_journal_file(kept: Kept) -> None:
    path = edited(kept)
    packed = path.with_name(f"{path.name}.xz")
    packed.write_bytes(lzma.compress(path.read_bytes()))
    kept.good("buffer", "import", "org", packed)
    assert len(inbox(kept)) == 5
    packed.write_bytes(packed.read_bytes()[:-9])
    assert "can't be unpacked" in kept.bad(2, "buffer", "import", "org", packed)


def test_lines_cut_out_of_a_journal_need_their_base(kept: Kept) -> None:
    path = edited(kept)
    lines = [line for line in path.read_text().splitlines() if " 11," in line]
    cut = written(kept, "\n".join(lines), "cut.txt")
    assert "add --base" in kept.bad(2, "buffer", "import", "org", cut)
    kept.good("buffer", "import", "org", cut, "--base", int(START))
    assert [time for time, _ in inbox(kept)] == [START + 5.25, START + 15.25]


def test_lines_of_an_inbox(kept: Kept) -> None:
    kept.good("buffer", "import", "org", written(kept, "1790000000.25 10,1,2\n1790000001 11,3\n"))
    assert inbox(kept) == [(1790000000.25, "10,1,2"), (1790000001.0, "11,3")]


@pytest.mark.parametrize("line", ["rubbish", "0badc0de 7 nothing", "0badc0de 7 12.5", "0badc0de 7 12.5 10,x"])
def test_a_journal_line_that_cannot_be_used(kept: Kept, line: str) -> None:
    path = edited(kept)
    path.write_text(path.read_text() + line + "\n")
    err = kept.bad(2, "buffer", "import", "org", path)
    number = len(path.read_text().splitlines())
    assert f"line {number}: " in err
