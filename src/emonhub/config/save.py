"""Writes emonhub.conf, so that at any moment the whole old or the whole new file is there; keeps the last versions.

<state>/versions/<Unix time>-<check>.conf       the file as it was before each save, the five newest
"""

from __future__ import annotations

import codecs
import contextlib
import errno
import os
import re
import stat
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING

from emonhub.errors import EmonHubError

if TYPE_CHECKING:
    from pathlib import Path

KEPT = 5
_ID = re.compile(r"\d{1,12}-[0-9a-f]{8}")


_ANOTHER_WAY = frozenset({errno.EACCES, errno.EPERM, errno.EROFS, errno.EBUSY, errno.EXDEV})
"""A folder that may not be written to, a file of somebody else's, one that is mounted by itself: it is overwritten."""


class CantSave(EmonHubError):
    """The file can't be written: the text says why, and what to do."""


class Changed(EmonHubError):
    """The file is not the one any more that was to be replaced."""

    def __init__(self, version: str) -> None:
        super().__init__("the file has been changed meanwhile: look at it again before saving")
        self.version = version


@dataclass(frozen=True, slots=True)
class Version:
    """A file that was replaced: at what time (Unix seconds), and its bytes."""

    id: str
    time: int
    size: int


def version_of(data: bytes) -> str:
    """Tells a content of the file from any other."""
    return sha256(data).hexdigest()[:32]


def decode(data: bytes) -> tuple[str, str]:
    """The text of a file and the encoding that it is in, as reading a configuration takes it."""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return data.decode("utf-16", "replace"), "utf-16"
    try:
        return data.decode("utf-8-sig"), "utf-8-sig" if data.startswith(codecs.BOM_UTF8) else "utf-8"
    except UnicodeDecodeError:
        return data.decode("latin-1"), "latin-1"


def encode(text: str, old: bytes) -> bytes:
    """A text as it is written in place of `old`: in the same encoding, with the same line ends.

    Browsers know but one kind of line end. Raises CantSave for what is no text.
    """
    known, encoding = decode(old)
    if "\r\n" in known and "\r" not in text:
        text = text.replace("\n", "\r\n")
    for name in (encoding, "utf-8"):
        try:
            return text.encode(name)
        except UnicodeEncodeError:
            continue
    raise CantSave("there are characters that are none: take them out")


class Saver:
    """Saves one file. Everything in it may wait for a disk."""

    def __init__(self, path: Path, versions: Path | None) -> None:
        self.path = path
        self._versions = versions

    def read(self) -> bytes:
        """What is in the file. Raises OSError."""
        return self.path.read_bytes()

    def why_not(self) -> str:
        """Why the file can't be written; empty when it can."""
        try:
            found = self.path.lstat()
        except OSError as error:
            return f"{self.path} can't be looked at: {error.strerror}"
        if stat.S_ISLNK(found.st_mode):
            target = os.fspath(self.path.readlink())
            return f"{self.path} is a link to {target}: start the hub with that file itself to change it from here"
        if not stat.S_ISREG(found.st_mode):
            return f"{self.path} is no ordinary file"
        if not os.access(self.path, os.W_OK):
            return (
                f"the hub's user may not write {self.path}: give it the right to (chown or chmod), or edit it as root"
            )
        return ""

    def save(self, data: bytes, version: str, now: float) -> str:
        """Replace the content that has this version. Returns the version of the new one. Raises CantSave, Changed."""
        if why := self.why_not():
            raise CantSave(why)
        try:
            old = self.read()
            if version_of(old) != version:
                raise Changed(version_of(old))
            if data != old:
                self._keep(old, now)
                self._write(data, old)
        except OSError as error:
            raise CantSave(f"{self.path} can't be written: {error.strerror or error}") from error
        return version_of(data)

    def versions(self) -> list[Version]:
        """What was replaced, newest first."""
        found = []
        for path in self._versions.glob("*.conf") if self._versions is not None else ():
            if _ID.fullmatch(path.stem):
                with contextlib.suppress(FileNotFoundError):
                    found.append(Version(path.stem, int(path.stem.partition("-")[0]), path.stat().st_size))
        return sorted(found, key=lambda version: (version.time, version.id), reverse=True)

    def version(self, id_: str) -> bytes | None:
        """The content of one of them; None where there is no such."""
        if self._versions is None or not _ID.fullmatch(id_):
            return None
        try:
            return (self._versions / f"{id_}.conf").read_bytes()
        except FileNotFoundError:
            return None

    def _keep(self, old: bytes, now: float) -> None:
        if self._versions is None:
            return
        self._versions.mkdir(mode=0o700, parents=True, exist_ok=True)
        newest = max((version.time for version in self.versions()), default=0)
        name = f"{max(int(now), newest + 1)}-{version_of(old)[:8]}.conf"
        write(self._versions / name, old, 0o600)
        for version in self.versions()[KEPT:]:
            (self._versions / f"{version.id}.conf").unlink(missing_ok=True)

    def _write(self, data: bytes, old: bytes) -> None:
        found = self.path.stat()
        try:
            write(self.path, data, stat.S_IMODE(found.st_mode), (found.st_uid, found.st_gid))
        except OSError as error:
            if error.errno not in _ANOTHER_WAY:
                raise
            try:
                _write_in_place(self.path, data)
            except OSError:
                with contextlib.suppress(OSError):
                    _write_in_place(self.path, old)
                raise


def write(path: Path, data: bytes, mode: int, owner: tuple[int, int] | None = None) -> None:
    """Put a file in the place of another one in one step. Raises OSError; nothing has changed then."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            if owner is not None and owner != (os.geteuid(), os.getegid()):
                os.fchown(file.fileno(), *owner)
            os.fchmod(file.fileno(), mode)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def _write_in_place(path: Path, data: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.truncate()
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    with contextlib.suppress(OSError):  # not every file system can
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
