"""The file system as the buffers use it: few operations, which a test can count, fail, and lose in a power cut."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from pathlib import Path


class Appending(Protocol):
    """A file that is open for appending."""

    def write(self, data: bytes) -> None:
        """Append all of `data`. Raises OSError; then any part of it may be in the file."""

    def sync(self) -> None:
        """Return once all that was written has reached the disk. Raises OSError, and must not be tried again then."""

    def close(self) -> None:
        """Let go of the file."""


class Disk:
    """The real one. All methods raise OSError."""

    def append_to(self, path: Path) -> Appending:
        """Open a file for appending; made if it is not there."""
        return _Appending(path)

    def read(self, path: Path, offset: int = 0, size: int = -1) -> bytes:
        """Up to `size` bytes from `offset` on; all that follow when it is -1."""
        with path.open("rb", buffering=0) as file:
            if offset:
                file.seek(offset)
            return file.read() if size < 0 else file.read(size) or b""

    def put(self, path: Path, offset: int, data: bytes) -> None:
        """Write over a part of a file, made if it is not there, and return once that is on the disk."""
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.pwrite(descriptor, data, offset)
            os.fdatasync(descriptor)
        finally:
            os.close(descriptor)

    def names(self, folder: Path) -> list[str]:
        """The names of all files of a folder."""
        return os.listdir(folder)

    def size(self, path: Path) -> int:
        """Bytes of a file."""
        return path.stat().st_size

    def make_folder(self, folder: Path) -> None:
        """Make a folder and those above it, if they are not there, and return once their names are on the disk."""
        missing = [path for path in (folder, *folder.parents) if not path.exists()]
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for path in missing:
            self.sync_folder(path.parent)

    def rename(self, old: Path, new: Path) -> None:
        """Give a file another name, in place of any that had it."""
        os.replace(old, new)

    def remove(self, path: Path) -> None:
        """Delete a file; it may be gone already."""
        path.unlink(missing_ok=True)

    def sync_folder(self, folder: Path) -> None:
        """Return once the names in a folder are on the disk as they are now."""
        descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def free(self, folder: Path) -> int:
        """Bytes that are free for us where `folder` is."""
        found = os.statvfs(folder)
        return found.f_bavail * found.f_frsize


class _Appending:
    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(self._descriptor, view) :]

    def sync(self) -> None:
        os.fdatasync(self._descriptor)

    def close(self) -> None:
        os.close(self._descriptor)
