"""What `emonhub check` says of each reporter's buffer: true to the settings, whatever they are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from emonhub.buffer import promise as subject
from emonhub.buffer.promise import promise, promised
from emonhub.interfacers.emoncms.http import EmoncmsHttpReporter
from emonhub.nodes.definition import Codec, NodeDefinition
from emonhub.nodes.table import Nodes

if TYPE_CHECKING:
    from pathlib import Path

NODES = Nodes(
    {
        str(node): NodeDefinition(str(node), f"node{node}", Codec(names=("a", "b", "c"), datacodes=("h", "h", "h")))
        for node in (10, 11)
    }
)
DAY_S = 86400.0


def reporter(**settings: Any) -> EmoncmsHttpReporter:
    return EmoncmsHttpReporter("org", {"url": "http://emoncms", **settings}, nodes=NODES)


@pytest.fixture(autouse=True)
def memory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A machine with memory that outlives a process, and a disk with 100 GB free."""
    monkeypatch.setattr(subject, "memory_dir", lambda _word: tmp_path / "shm")
    monkeypatch.setattr(subject, "_free", lambda _state: 1e11)
    return tmp_path / "shm"


def test_a_journal_in_words(tmp_path: Path) -> None:
    assert promise(reporter(max_bytes=1_000_000), tmp_path) == [
        f"journal: frames wait in {tmp_path}/buffer/org, the newest in files in {tmp_path}/shm",
        "hub killed: nothing is lost",
        "power cut: lost is what was read in the last 60 s and not delivered",
        "target down: nothing is lost for about 28 hours (max_bytes = 1.0 MB); then the oldest go, counted",
        "written to the disk in a day: nothing while the target takes frames, about 6.7 MB while not",
        "assumed: 2 nodes, a frame each every 10 s, 49 bytes a frame",
    ]


def test_memory_promises_nothing_beyond_the_process(tmp_path: Path) -> None:
    lines = promise(reporter(buffer_mode="memory"), tmp_path)
    assert lines[0] == "memory: frames wait in the hub's memory only"
    assert lines[1].startswith("hub killed, or power cut: all that waits is lost")
    assert not any(line.startswith("written to the disk") for line in lines)


def test_no_state_directory_is_said_where_one_was_wanted() -> None:
    assert "as there is no state directory that can be written" in promise(reporter(), None)[0]
    assert "state directory" not in promise(reporter(buffer_mode="memory"), None)[0]


@pytest.mark.parametrize(
    ("settings", "killed_s", "power_cut_s"),
    [
        ({}, 0, 60),
        ({"sync_interval_s": 5.0}, 0, 5),
        ({"sync_interval_s": 0.0}, 0, 0),
        ({"buffer_mode": "hybrid"}, 60, 60),
        ({"buffer_mode": "hybrid", "interval": 300.0}, 300, 300),
        ({"buffer_mode": "hybrid", "interval": 3600.0, "hybrid_age_s": 900.0}, 900, 900),
        ({"buffer_mode": "sql"}, 0, 60),
        ({"buffer_mode": "memory"}, None, None),
    ],
)
def test_the_window_of_loss(
    settings: dict[str, Any], killed_s: float | None, power_cut_s: float | None, tmp_path: Path
) -> None:
    found = promised(reporter(**settings), tmp_path)
    assert (found.killed_s, found.power_cut_s) == (killed_s, power_cut_s)


def test_an_outage_ends_with_what_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    roomy = promised(reporter(max_bytes=100_000_000), tmp_path)
    assert roomy.outage_s == pytest.approx(100_000_000 / roomy.frame_bytes / 0.2)
    aged = promised(reporter(max_bytes=100_000_000, max_age=7 * DAY_S), tmp_path)
    assert (aged.outage_s, aged.limit) == (7 * DAY_S, "max_age")
    monkeypatch.setattr(subject, "_free", lambda _state: 65e6 + 5.1e6)
    full = promised(reporter(min_free=65_000_000), tmp_path)
    assert full.outage_s == pytest.approx(5.1e6 / full.frame_bytes / 0.2)
    assert "free on the disk" in full.limit


def test_a_full_buffer_that_is_thinned(tmp_path: Path) -> None:
    assert any("then every second frame goes" in line for line in promise(reporter(when_full="thin"), tmp_path))


def test_what_a_healthy_target_costs_the_disk(tmp_path: Path) -> None:
    """A frame that is acknowledged before it is due for the disk never gets there."""

    def healthy(**settings: Any) -> float:
        return promised(reporter(**settings), tmp_path).healthy_a_day

    payload = 2 * 8640 * promised(reporter(), tmp_path).frame_bytes
    assert healthy() == 0
    assert healthy(buffer_mode="hybrid", interval=120.0) == 0
    assert healthy(interval=120.0) > payload  # each frame waits for longer than sync_interval_s
    assert payload < healthy(keep=90 * DAY_S) < 2 * payload
    assert healthy(sync_interval_s=0.0) > 2 * 8640 * 4096
    assert healthy(buffer_mode="sql", interval=120.0) > healthy(interval=120.0)


def test_where_no_memory_outlives_the_process_the_front_costs_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subject, "memory_dir", lambda _word: None)
    found = promised(reporter(), tmp_path)
    assert found.where.endswith(f"the newest in files in {tmp_path}/buffer/org/front")
    assert found.healthy_a_day > 2 * 8640 * found.frame_bytes


def test_an_outage_writes_no_more_than_frames_and_a_page_a_sync(tmp_path: Path) -> None:
    found = promised(reporter(sync_interval_s=10.0), tmp_path)
    assert found.outage_a_day == 2 * 8640 * found.frame_bytes + 8640 * 4096


def test_the_size_of_a_frame_is_that_of_the_reporters_own_form(tmp_path: Path) -> None:
    plain, named = promised(reporter(), tmp_path), promised(reporter(sendnames=True), tmp_path)
    assert plain.frame_bytes < named.frame_bytes


def test_without_nodes_it_says_that_it_assumes_some(tmp_path: Path) -> None:
    lines = promise(EmoncmsHttpReporter("org", {"url": "http://emoncms"}), tmp_path)
    assert lines[-1].startswith("assumed: none configured: 4 nodes, a frame each every 10 s")


def test_an_encoder_that_fails_spoils_nothing(tmp_path: Path) -> None:
    class Odd(EmoncmsHttpReporter):
        def encoder(self, layout: object) -> Any:
            raise RuntimeError("not today")

    assert promised(Odd("odd", {"url": "http://x"}, nodes=NODES), tmp_path).frame_bytes > 20


def test_a_secret_stays_one(tmp_path: Path) -> None:
    lines = promise(reporter(buffer_mode="sql", sql_url="mysql://me:planted@host/db"), tmp_path)
    assert "planted" not in " ".join(lines)
