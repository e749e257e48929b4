"""A disk in memory that forgets what was not synced when its power is cut, and fails when it is told to.

    disk = SimulatedDisk()
    disk.cut_at = 17                    # the 17th operation is interrupted: PowerCut, and nothing works from then on
    disk.fail("write", errno.ENOSPC)    # until disk.heal()
    disk = disk.after_power_cut(random) # what the next start finds

Writes are kept apart from what has been synced, and so are names (made, renamed, deleted) until their folder is
synced. After a cut any subset of what was pending has happened, in any order; the last write perhaps in part.
"""

from __future__ import annotations

import errno
import os
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from emonhub.buffer.disk import Disk

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random


class PowerCut(BaseException):
    """The power is gone: nothing that the program does from here on has any effect."""


@dataclass(eq=False)
class _File:
    durable: bytes = b""
    data: bytearray = field(default_factory=bytearray)
    pending: list[tuple[int, bytes]] = field(default_factory=list)
    spoilt: bool = False  # a sync has failed


@dataclass(frozen=True)
class _Change:
    """Of names: `old` is taken away, `new` is made."""

    folder: Path
    old: Path | None
    new: Path | None
    file: _File | None
    is_folder: bool = False


class SimulatedDisk(Disk):
    def __init__(self) -> None:
        self.files: dict[Path, _File] = {}
        self.folders: set[Path] = {Path("/")}
        self.operations = 0
        self.cut_at = 0
        self.off = False
        self.calls: Counter[str] = Counter()
        self.written = 0
        self.sins: list[str] = []
        self.bad_blocks: set[tuple[Path, int]] = set()  # (file, byte that can't be read)
        self.free_bytes = 1 << 40
        self._durable: dict[Path, _File] = {}
        self._durable_folders = {Path("/")}
        self._changes: list[_Change] = []
        self._failing: dict[str, tuple[int, Callable[[Path], bool]]] = {}

    # Failing

    def fail(self, call: str, error: int, when: Callable[[Path], bool] = lambda _path: True) -> None:
        """Have every call of this kind (read, write, sync, sync_folder, create, rename, remove, mkdir, put) fail."""
        self._failing[call] = (error, when)

    def heal(self) -> None:
        self._failing.clear()

    def after_power_cut(self, random: Random | None = None, *, keep: bool = False) -> SimulatedDisk:
        """The disk as the next start finds it: with none of what was pending, or all of it, or by chance."""
        found = SimulatedDisk()

        def happens() -> bool:
            return keep if random is None else random.random() < 0.5

        folders = set(self._durable_folders)
        names = dict(self._durable)
        for change in self._changes:
            if happens():
                if change.is_folder and change.new is not None:
                    folders.add(change.new)
                    continue
                if change.old is not None:
                    names.pop(change.old, None)
                if change.new is not None and change.file is not None:
                    names[change.new] = change.file
        found.folders = {f for f in folders if all(above in folders for above in f.parents)}
        files = {}
        for name, file in names.items():
            if name.parent in found.folders:
                if id(file) not in files:
                    data = _as_left(file, happens, random)
                    files[id(file)] = _File(bytes(data), data)
                found.files[name] = files[id(file)]
        found._durable = dict(found.files)
        found._durable_folders = set(found.folders)
        return found

    def as_it_is(self) -> SimulatedDisk:
        """The disk after the program alone was killed."""
        self.off = False
        self.cut_at = 0
        return self

    # The disk

    def append_to(self, path: Path) -> _Appending:
        self._do("create", path)
        if path.parent not in self.folders:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
        if path not in self.files:
            self._change(_Change(path.parent, None, path, _File()))
        return _Appending(self, path, self.files[path])

    def read(self, path: Path, offset: int = 0, size: int = -1) -> bytes:
        self._do("read", path, changes=False)
        data = bytes(self._file(path).data)
        end = len(data) if size < 0 else offset + size
        if any(path == bad and offset <= place < end for bad, place in self.bad_blocks):
            raise OSError(errno.EIO, os.strerror(errno.EIO), str(path))
        return data[offset:end]

    def put(self, path: Path, offset: int, data: bytes) -> None:
        if path not in self.files:
            self._do("create", path)
            self._change(_Change(path.parent, None, path, _File()))
        file = self.files[path]
        self._do("put", path, lambda: self.write(file, offset, data[: len(data) // 2]))
        self.write(file, offset, data)
        self.sync(path, file)

    def names(self, folder: Path) -> list[str]:
        self._do("names", folder, changes=False)
        found = {path.name for path in self.files if path.parent == folder}
        return sorted(found | {path.name for path in self.folders if path.parent == folder and path != folder})

    def size(self, path: Path) -> int:
        self._do("size", path, changes=False)
        return len(self._file(path).data)

    def make_folder(self, folder: Path) -> None:
        for path in [*reversed(folder.parents), folder]:
            if path not in self.folders:
                self._do("mkdir", path)
                self._change(_Change(path.parent, None, path, None, is_folder=True))
                self.sync_folder(path.parent)

    def rename(self, old: Path, new: Path) -> None:
        self._do("rename", old)
        self._change(_Change(old.parent, old, new, self._file(old)))

    def remove(self, path: Path) -> None:
        self._do("remove", path)
        if path in self.files:
            self._change(_Change(path.parent, path, None, None))

    def sync_folder(self, folder: Path) -> None:
        self._do("sync_folder", folder)
        for change in self._changes:
            if change.folder == folder:
                if change.is_folder and change.new is not None:
                    self._durable_folders.add(change.new)
                    continue
                if change.old is not None:
                    self._durable.pop(change.old, None)
                if change.new is not None and change.file is not None:
                    self._durable[change.new] = change.file
        self._changes = [change for change in self._changes if change.folder != folder]

    def free(self, folder: Path) -> int:
        self._do("free", folder, changes=False)
        return self.free_bytes - sum(len(file.data) for file in self.files.values())

    # Within

    def write(self, file: _File, offset: int, data: bytes) -> None:
        self.written += len(data)
        file.data.extend(b"\0" * (offset - len(file.data)))
        file.data[offset : offset + len(data)] = data
        file.pending.append((offset, bytes(data)))

    def sync(self, path: Path, file: _File) -> None:
        if file.spoilt:
            self.sins.append(f"{path} is synced again after a sync of it has failed")
        try:
            self._do("sync", path)
        except OSError:
            file.spoilt = True
            file.pending.clear()  # the kernel forgets that it still has to write these
            raise
        file.durable = _applied(file.durable, file.pending)
        file.pending.clear()

    def _do(self, call: str, path: Path, half: Callable[[], object] = lambda: None, *, changes: bool = True) -> None:
        if self.off:
            raise PowerCut
        self.calls[call] += 1
        if changes:
            self.operations += 1
            if self.operations == self.cut_at:
                half()
                self.off = True
                raise PowerCut
        if call in self._failing:
            error, when = self._failing[call]
            if when(path):
                half()
                raise OSError(error, os.strerror(error), str(path))

    def _change(self, change: _Change) -> None:
        self._changes.append(change)
        if change.is_folder and change.new is not None:
            self.folders.add(change.new)
            return
        if change.old is not None:
            self.files.pop(change.old, None)
        if change.new is not None and change.file is not None:
            self.files[change.new] = change.file

    def _file(self, path: Path) -> _File:
        try:
            return self.files[path]
        except KeyError:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path)) from None


class _Appending:
    def __init__(self, disk: SimulatedDisk, path: Path, file: _File) -> None:
        self._disk = disk
        self._path = path
        self._file = file

    def write(self, data: bytes) -> None:
        end = len(self._file.data)
        self._disk._do("write", self._path, lambda: self._disk.write(self._file, end, data[: len(data) * 2 // 3]))
        self._disk.write(self._file, end, data)

    def sync(self) -> None:
        self._disk.sync(self._path, self._file)

    def close(self) -> None:
        return


def _applied(data: bytes, writes: list[tuple[int, bytes]]) -> bytes:
    result = bytearray(data)
    for offset, written in writes:
        result.extend(b"\0" * (offset - len(result)))
        result[offset : offset + len(written)] = written
    return bytes(result)


def _as_left(file: _File, happens: Callable[[], bool], random: Random | None) -> bytearray:
    """A file's data after the cut: of each pending write nothing, all, or a part; holes are zeros."""
    writes = []
    for offset, written in file.pending:
        if happens():
            part = written
            if random is not None and random.random() < 0.5:
                part = written[: random.randrange(len(written) + 1)]
            writes.append((offset, part))
    return bytearray(_applied(file.durable, writes))
