"""emonhub.conf replaced: whole or not at all, with the last versions kept."""

from __future__ import annotations

import errno
import os
import stat
from typing import TYPE_CHECKING, Any

import pytest

from emonhub.config.save import CantSave, Changed, Saver, decode, encode, version_of

if TYPE_CHECKING:
    from pathlib import Path

OLD, NEW = b"[hub]\nold = 1\n", b"[hub]\nnew = 1\n"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    found = tmp_path / "etc" / "emonhub.conf"
    found.parent.mkdir()
    found.write_bytes(OLD)
    return found


@pytest.fixture
def saver(path: Path, tmp_path: Path) -> Saver:
    return Saver(path, tmp_path / "versions")


def test_the_new_takes_the_place_of_the_old(saver: Saver, path: Path) -> None:
    path.chmod(0o640)
    before = path.stat().st_ino
    assert saver.save(NEW, version_of(OLD), 1000.5) == version_of(NEW)
    assert path.read_bytes() == NEW
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert path.stat().st_ino != before
    assert [entry.name for entry in path.parent.iterdir()] == ["emonhub.conf"]


def test_the_owner_stays(saver: Saver, path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give files away")
    os.chown(path, 12345, 23456)
    saver.save(NEW, version_of(OLD), 0)
    assert (path.stat().st_uid, path.stat().st_gid) == (12345, 23456)


def test_somebody_elses_change_is_not_overwritten(saver: Saver, path: Path) -> None:
    path.write_bytes(b"theirs")
    with pytest.raises(Changed) as raised:
        saver.save(NEW, version_of(OLD), 0)
    assert raised.value.version == version_of(b"theirs")
    assert path.read_bytes() == b"theirs"
    assert saver.versions() == []


def test_five_versions_are_kept(saver: Saver, tmp_path: Path) -> None:
    data = OLD
    for number in range(8):
        new = b"%d" % number
        saver.save(new, version_of(data), 1000)
        data = new
    kept = saver.versions()
    assert [saver.version(version.id) for version in kept] == [b"6", b"5", b"4", b"3", b"2"]
    assert [version.size for version in kept] == [1] * 5
    assert [version.time for version in kept] == sorted({version.time for version in kept}, reverse=True)
    assert {stat.S_IMODE(entry.stat().st_mode) for entry in (tmp_path / "versions").iterdir()} == {0o600}


def test_what_is_the_same_makes_no_version(saver: Saver) -> None:
    saver.save(OLD, version_of(OLD), 0)
    assert saver.versions() == []


@pytest.mark.parametrize(
    "id_", ["", "..", "../etc/emonhub", "1", "1-0000000", "1-0000000g", "/etc/passwd", "1-00000000\0"]
)
def test_no_other_file_is_a_version(saver: Saver, id_: str) -> None:
    assert saver.version(id_) is None


@pytest.mark.parametrize("failing", ["write", "fsync", "replace"])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
def test_a_failing_disk_leaves_the_old(path: Path, monkeypatch: pytest.MonkeyPatch, failing: str, number: int) -> None:
    saver = Saver(path, None)

    def fail(*_: Any, **__: Any) -> None:
        raise OSError(number, os.strerror(number))

    if failing == "write":
        monkeypatch.setattr(os, "fdopen", fail)
    elif failing == "fsync":
        monkeypatch.setattr(os, "fsync", fail)
    else:
        monkeypatch.setattr(type(path), "replace", fail)
    with pytest.raises(CantSave, match=os.strerror(number)):
        saver.save(NEW, version_of(OLD), 0)
    monkeypatch.undo()
    assert path.read_bytes() == OLD
    assert [entry.name for entry in path.parent.iterdir()] == ["emonhub.conf"]


@pytest.mark.parametrize("number", [errno.EACCES, errno.EBUSY, errno.EROFS])
def test_where_it_cant_be_replaced_it_is_overwritten(
    saver: Saver, path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """In a folder of root's, or mounted by itself into a container."""
    replace = type(path).replace

    def fail(self: Path, target: Path) -> Path:
        if target == path:
            raise OSError(number, os.strerror(number))
        return replace(self, target)

    monkeypatch.setattr(type(path), "replace", fail)
    before = path.stat().st_ino
    saver.save(NEW, version_of(OLD), 0)
    assert path.read_bytes() == NEW
    assert path.stat().st_ino == before
    (kept,) = saver.versions()
    assert saver.version(kept.id) == OLD


def test_a_link_is_said_to_be_one(path: Path, tmp_path: Path) -> None:
    link = tmp_path / "link.conf"
    link.symlink_to(path)
    saver = Saver(link, None)
    assert f"is a link to {path}" in saver.why_not()
    with pytest.raises(CantSave, match="is a link"):
        saver.save(NEW, version_of(OLD), 0)
    assert path.read_bytes() == OLD


def test_a_file_that_may_not_be_written_is_said_to_be_one(
    saver: Saver, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert f"may not write {path}" in saver.why_not()
    with pytest.raises(CantSave, match="may not write"):
        saver.save(NEW, version_of(OLD), 0)


@pytest.mark.parametrize(
    "data",
    [
        "[hub]\né\n".encode(),
        "[hub]\né\n".encode("utf-8-sig"),
        "[hub]\né\n".encode("utf-16"),
        "[hub]\né\n".encode("latin-1"),
        b"[hub]\r\nx\r\n",
        b"",
    ],
)
def test_a_text_that_comes_back_is_the_same_to_the_byte(data: bytes) -> None:
    text, _ = decode(data)
    assert encode(text, data) == data
    assert encode(text.replace("\r\n", "\n"), data) == data


def test_characters_that_the_old_encoding_has_not_are_written_all_the_same() -> None:
    assert encode("é ☀", "é".encode("latin-1")).decode() == "é ☀"
    with pytest.raises(CantSave):
        encode("\ud800", b"")
