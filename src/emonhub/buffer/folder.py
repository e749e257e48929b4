"""A reporter's folder in the state directory: what outlives the hub, and what people and tools lay in it.

<state>/buffer/<reporter>/
    *.log, *.log.xz     the journal (see `segments`)
    cursor              all before this number are done
    id                  by which the files of the front are told from those of another state directory
    paused              while it is there, nothing is sent
    inbox/              frames to be taken in, a file of lines `<Unix seconds> <record>`
    deadletters.jsonl   what the target refused for good
    hub.lock            held by the hub that writes here
    sending.lock        held by who sends to this target: that hub's reporter, or a replay
    quarantine/         damaged files
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import secrets
from contextlib import contextmanager
from math import isfinite
from time import time_ns
from typing import TYPE_CHECKING

from emonhub.buffer.deadletters import DeadLetters
from emonhub.buffer.disk import Disk

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_UNSAFE = re.compile(r"[^\w.\-]")


class ReporterFolder:
    """One reporter's. Making one makes the folder. Raises OSError."""

    def __init__(self, state: Path, reporter: str) -> None:
        self.path = state / "buffer" / folder_name(reporter)
        Disk().make_folder(self.path)
        self.dead_letters = DeadLetters(self.path / "deadletters.jsonl")
        self._paused = self.path / "paused"
        self._inbox = self.path / "inbox"
        self.taken_in: set[Path] = set()
        self._lock = -1
        self._owned = -1
        self._was_paused = self.paused

    @property
    def id(self) -> str:
        """A word that belongs to this folder alone."""
        path = self.path / "id"
        try:
            if found := path.read_text().strip():
                return found
        except FileNotFoundError:
            pass
        path.write_text(secrets.token_hex(8))
        return path.read_text().strip()

    @property
    def paused(self) -> bool:
        """Whether somebody has paused sending; survives restarts."""
        return self._paused.exists()

    @paused.setter
    def paused(self, paused: bool) -> None:
        if paused:
            self._paused.touch()
        else:
            self._paused.unlink(missing_ok=True)

    @property
    def is_paused(self) -> bool:
        """The same as it was when last looked at: asked often, and free of charge."""
        return self._was_paused

    def look(self) -> bool:
        """See whether it is paused. Returns whether that has changed."""
        try:
            paused = self.paused
        except OSError:
            return False  # a disk that fails has not been paused by anybody
        changed, self._was_paused = paused != self._was_paused, paused
        return changed

    @property
    def ahead(self) -> int:
        """The last frame that the target may have got before an older one; -1 when there is none."""
        try:
            return int((self.path / "ahead").read_text())
        except (OSError, ValueError):
            return -1

    @ahead.setter
    def ahead(self, number: int) -> None:
        try:
            (self.path / "ahead").write_text(str(number))
        except OSError:
            return  # a full disk, and a crash right now, and a broken connection after it: then one frame may be lost

    def known_good(self, target: str) -> tuple[float, str] | None:
        """Time and record of a frame that this target has taken once; None when none is known."""
        try:
            found = json.loads((self.path / "known-good.json").read_text("utf-8"))
            return (float(found["time"]), str(found["record"])) if found["target"] == target else None
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def keep_good(self, target: str, time: float, record: str) -> None:
        """Remember a frame that a target has taken."""
        text = json.dumps({"target": target, "time": time, "record": record}, ensure_ascii=False)
        try:
            (self.path / "known-good.json").write_text(text, "utf-8")
        except OSError:
            return  # only needed where a target refuses each frame, and the process has just been started

    def lay_in(self, frames: list[tuple[float, str]]) -> None:
        """Leave frames (time, record) for the reporter to take in, after those left before; all of them or none."""
        self._inbox.mkdir(mode=0o700, exist_ok=True)
        temporary = self._inbox / f".{time_ns():020d}-{secrets.token_hex(4)}"
        with temporary.open("w", encoding="utf-8") as file:
            file.writelines(f"{time:.3f} {record}\n" for time, record in frames)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(self._inbox / f"{temporary.name[1:]}.txt")

    def waiting(self) -> list[Path]:
        """Files that were laid in, and are not in `taken_in`: those may still be there if they can't be deleted."""
        try:
            return [path for path in sorted(self._inbox.glob("*.txt")) if path not in self.taken_in]
        except OSError:
            return []

    @staticmethod
    def read(path: Path) -> tuple[list[float], list[str]]:
        """Times and records of a file that was laid in; lines that make no sense are left out."""
        times, records = [], []
        for line in path.read_bytes().decode("utf-8", "replace").split("\n"):
            time, _, record = line.rstrip("\r").partition(" ")
            try:
                when = float(time)
            except ValueError:
                continue
            if isfinite(when) and record:
                times.append(when)
                records.append(record)
        return times, records

    def own(self) -> bool:
        """Become the one hub that writes here, for as long as the process lives. Returns whether that was free."""
        if self._owned < 0:
            self._owned = self._try_lock("hub.lock")
        return self._owned >= 0

    def disown(self) -> None:
        """Let another hub write here."""
        if self._owned >= 0:
            os.close(self._owned)
            self._owned = -1

    def lock(self) -> bool:
        """Become the one who sends to this target. Returns whether that was free."""
        if self._lock < 0:
            self._lock = self._try_lock("sending.lock")
        return self._lock >= 0

    def _try_lock(self, name: str) -> int:
        """A descriptor that holds a lock, or -1 when another process holds it."""
        descriptor = os.open(self.path / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return -1
        return descriptor

    def unlock(self) -> None:
        """Let others send."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    @contextmanager
    def sending(self) -> Iterator[bool]:
        """Hold the lock for a while; gives whether it was free."""
        got = self.lock()
        try:
            yield got
        finally:
            self.unlock()


def folder_name(reporter: str) -> str:
    """The name of a reporter's folder: its own, where that can be a file's name."""
    safe = _UNSAFE.sub(lambda found: f"%{ord(found[0]):02x}", reporter)
    return safe if safe not in {"", ".", ".."} else f"%{safe}"
