"""The bench still measures: its shape, never its figures."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from bench.__main__ import find_parts, main
from bench.frames import configuration, make_frames, reporter, source
from bench.straight import straight_loop
from bench.table import Table, at_least, at_most

from emonhub.config.load import load

ROOT = Path(__file__).parent.parent.parent


def test_every_part_says_what_it_measures() -> None:
    for name, part in find_parts().items():
        assert (part.__doc__ or "").strip(), name
        assert callable(part.measure), name


def test_a_part_that_is_not_there_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["spede"])
    assert "there is no part spede: choose from speed" in capsys.readouterr().err


def test_a_table_says_what_is_met_and_what_is_missed() -> None:
    table = Table("Things")
    table.add("speed", *at_least(120_000, 100_000, "frames/s"))
    table.add("memory", *at_most(41.26, 40, "MB"))
    table.add("just so", "7")
    assert table.text().splitlines() == [
        "Things",
        "  speed    120,000 frames/s  ≥ 100,000 frames/s  met",
        "  memory            41.3 MB  ≤ 40 MB             MISSED",
        "  just so                 7",
    ]


def test_the_hub_that_is_measured_has_a_good_configuration(tmp_path: Path) -> None:
    file = tmp_path / "emonhub.conf"
    file.write_text(configuration(tmp_path, source(0), reporter("http://127.0.0.1:9", init="buffer_mode = journal")))
    assert load(file).problems == ()


def test_the_straight_loop_takes_every_frame() -> None:
    frames, seconds = straight_loop(make_frames(2500))
    assert frames == 2500
    assert seconds >= 0


@pytest.mark.slow
def test_a_part_runs_as_a_user_runs_it() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "bench", "latency", "--quick"],
        cwd=ROOT, capture_output=True, text=True, timeout=50, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[2].startswith("Latency: from a frame sent into the socket")
    assert any(" ms " in line and "≤ 5 ms" in line for line in lines)
