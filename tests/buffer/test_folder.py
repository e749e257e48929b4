"""A reporter's folder: what people lay in it, and who may use it."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from emonhub.buffer.folder import ReporterFolder, folder_name

if TYPE_CHECKING:
    from pathlib import Path

HOLD = """
import sys
from pathlib import Path
from emonhub.buffer.folder import ReporterFolder
folder = ReporterFolder(Path(sys.argv[1]), "emoncms")
print(folder.own(), folder.lock(), flush=True)
sys.stdin.read()
"""


@pytest.fixture
def folder(tmp_path: Path) -> ReporterFolder:
    return ReporterFolder(tmp_path, "emoncms")


def test_frames_laid_in_are_read_as_they_were(folder: ReporterFolder) -> None:
    frames = [(1.25, "17,231.5,ü"), (2.0, "23,\r1 2"), (1e9, "x y  z")]
    folder.lay_in(frames)
    [path] = folder.waiting()
    times, records = folder.read(path)
    assert list(zip(times, records, strict=True)) == frames
    folder.taken_in.add(path)  # and could not be deleted
    assert folder.waiting() == []


def test_what_makes_no_sense_is_left_out(folder: ReporterFolder) -> None:
    folder.lay_in([])
    [path] = folder.waiting()
    path.write_bytes(b"nan 17,1\ninf 17,1\n\nsoon 17,1\n5.5 17,2\r\n6.0\n\xff\xfe\n7.0 \xff17")
    assert folder.read(path) == ([5.5, 7.0], ["17,2", "\ufffd17"])


def test_half_written_files_are_not_seen(folder: ReporterFolder) -> None:
    folder.lay_in([(1.0, "17,1")])
    [path] = folder.waiting()
    (path.parent / ".half").write_text("1.0 17")
    assert folder.waiting() == [path]


def test_a_pause_survives_and_is_seen(folder: ReporterFolder, tmp_path: Path) -> None:
    assert not folder.is_paused
    ReporterFolder(tmp_path, "emoncms").paused = True
    assert [folder.look(), folder.is_paused, folder.look()] == [True, True, False]
    assert ReporterFolder(tmp_path, "emoncms").is_paused
    folder.paused = False
    changed = folder.look()
    assert (changed, folder.is_paused) == (True, False)


def test_one_hub_and_one_sender_at_a_time(folder: ReporterFolder, tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, tmp_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "True True\n"
        assert not folder.own()
        assert not folder.lock()
        with folder.sending() as free:
            assert not free
        other.kill()  # what it held is free then
    assert folder.own()
    assert folder.lock()
    with ReporterFolder(tmp_path, "emoncms").sending() as free:
        assert not free
    folder.unlock()
    with ReporterFolder(tmp_path, "emoncms").sending() as free:
        assert free
    folder.disown()
    assert ReporterFolder(tmp_path, "emoncms").own()


def test_its_id_stays(folder: ReporterFolder, tmp_path: Path) -> None:
    assert folder.id == ReporterFolder(tmp_path, "emoncms").id != ReporterFolder(tmp_path, "other").id


@pytest.mark.parametrize("name", ["emoncms", "a/b", "..", "", "a b:c", "ü", "%2f", ".", "x" * 100])
def test_any_name_makes_a_folder_of_its_own(name: str, tmp_path: Path) -> None:
    folder = ReporterFolder(tmp_path, name)
    assert folder.path.parent == tmp_path / "buffer"
    assert folder.path.is_dir()


def test_no_two_names_share_a_folder() -> None:
    names = ["a/b", "a%2fb", "a b", "a%20b", "", "%", ".", "%.", "..", "a_b", "A/B"]
    assert len({folder_name(name) for name in names}) == len(names)
