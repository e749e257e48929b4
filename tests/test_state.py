"""Where the hub keeps what must outlive it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from emonhub import state


def test_as_configured_or_nowhere(tmp_path: Path) -> None:
    assert state.state_dir(str(tmp_path / "mine"), {"STATE_DIRECTORY": "/elsewhere"}) == tmp_path / "mine"
    (tmp_path / "file").write_text("")
    assert state.state_dir(str(tmp_path / "file"), {"STATE_DIRECTORY": str(tmp_path)}) is None


def test_as_systemd_says(tmp_path: Path) -> None:
    assert state.state_dir("", {"STATE_DIRECTORY": f"{tmp_path}/a:{tmp_path}/b"}) == tmp_path / "a"


def test_the_users_own_where_the_systems_cant_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(state, "SYSTEM", tmp_path / "file" / "emonhub")
    assert state.state_dir("", {"HOME": str(tmp_path)}) == tmp_path / ".local/state/emonhub"
    assert state.state_dir("", {}) is None


def test_memory_is_ours_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state, "MEMORY", tmp_path)
    folder = state.memory_dir("word")
    assert folder == tmp_path / f"emonhub-{os.getuid()}" / "word"
    assert folder.parent.stat().st_mode & 0o777 == 0o700
    folder.parent.chmod(0o755)  # somebody else may have made it to read along
    assert state.memory_dir("word") is None


@pytest.mark.parametrize(
    ("in_container", "parent", "outlives"), [(True, 1, False), (True, 0, False), (True, 70, True), (False, 1, True)]
)
def test_memory_that_goes_with_a_container_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, in_container: bool, parent: int, outlives: bool
) -> None:
    """The main process of a container takes the container's memory with it; a shell's child in one does not."""
    there = Path.exists
    monkeypatch.setattr(state, "MEMORY", tmp_path)
    monkeypatch.setattr(Path, "exists", lambda path: in_container if path.name == ".dockerenv" else there(path))
    monkeypatch.setattr(os, "getppid", lambda: parent)
    assert (state.memory_dir("word") is not None) is outlives


def test_a_sockets_name_may_be_too_long(tmp_path: Path) -> None:
    assert state.socket_path(tmp_path) == tmp_path / "emonhub.sock"
    assert state.socket_path(tmp_path / ("x" * 108)) is None
    assert state.socket_path(None) is None
