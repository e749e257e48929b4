"""The state directory: where the hub keeps what must outlive it."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

SYSTEM = Path("/var/lib/emonhub")
_LONGEST_SOCKET_NAME = 108
"""unix(7): sun_path has so many bytes, with the zero at the end."""

MEMORY = Path("/dev/shm")  # noqa: S108 - a folder of our own in it, which is checked to be ours


def candidates(configured: str, environ: Mapping[str, str]) -> list[Path]:
    """Where state may be kept, the best first: as configured, or as systemd says, or else /var/lib/emonhub or the
    user's own. A configured one that can't be written is not replaced by another.
    """
    if configured:
        return [Path(configured).expanduser()]
    if given := environ.get("STATE_DIRECTORY"):
        return [Path(given.split(":")[0])]
    home = environ.get("XDG_STATE_HOME") or (f"{environ['HOME']}/.local/state" if environ.get("HOME") else "")
    return [SYSTEM, *([Path(home) / "emonhub"] if home else [])]


def state_dir(configured: str, environ: Mapping[str, str]) -> Path | None:
    """Where to keep state: the first of the candidates that can be written to; None where none can."""
    return next(filter(None, map(_usable, candidates(configured, environ))), None)


def socket_path(state: Path | None) -> Path | None:
    """The Unix socket of the hub that keeps its state there; None without one, or where its name would be too long."""
    path = state / "emonhub.sock" if state is not None else None
    return path if path is not None and len(os.fsencode(path)) < _LONGEST_SOCKET_NAME else None


def memory_dir(word: str) -> Path | None:
    """A folder in memory that outlives this process, but no restart of the machine; None where there is none."""
    if _ends_with_us() or not MEMORY.is_dir():
        return None
    ours = MEMORY / f"emonhub-{os.getuid()}"
    try:
        ours.mkdir(mode=0o700, exist_ok=True)
        found = ours.lstat()
        if found.st_uid != os.getuid() or found.st_mode & 0o077 or ours.is_symlink():
            return None
        return _usable(ours / word)
    except OSError:
        return None


def _ends_with_us() -> bool:
    """Whether memory for files goes with this process: as in a container whose main process it is, or a child of it."""
    in_container = Path("/.dockerenv").exists() or Path("/run/.containerenv").exists()
    return in_container and (os.getpid() == 1 or os.getppid() <= 1)


def _usable(folder: Path) -> Path | None:
    try:
        folder.mkdir(mode=0o750, parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except OSError:
        return None
