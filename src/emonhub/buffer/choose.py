"""Which buffer a reporter gets, by its settings and by what the machine has; and the promise that comes with it."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING
from urllib.parse import quote
from zlib import crc32

from emonhub.buffer.folder import ReporterFolder
from emonhub.buffer.frontfiles import FrontFiles
from emonhub.buffer.journal import Journal
from emonhub.buffer.memory import MemoryBuffer
from emonhub.buffer.spilling import Policy
from emonhub.buffer.stored import StoredBuffer
from emonhub.buffer.thread import StorageThread
from emonhub.state import memory_dir

if TYPE_CHECKING:
    from pathlib import Path

    from emonhub.buffer.base import Buffer
    from emonhub.reporter import Reporter
    from emonhub.world import World

log = logging.getLogger("emonhub.buffer")

_DISK_BYTES = 1 << 30
_MEMORY_BYTES = 32 << 20

# What makes a buffer another one: when one of these changes, frames move into a new buffer.
_MAKE = ("buffer_mode", "sync_interval_s", "hybrid_age_s", "max_bytes", "max_age", "min_free", "when_full", "keep",
         "keep_bytes", "sql_url")  # fmt: skip


def traits(reporter: Reporter) -> tuple[object, ...]:
    """What a reporter's settings say of its buffer."""
    return (reporter.form, *(getattr(reporter, name) for name in _MAKE))


async def open_buffer(reporter: Reporter, state: Path | None, world: World) -> tuple[Buffer, ReporterFolder | None]:
    """The buffer, with what a former run has left in it, and the folder that goes with it."""
    mode = mode_of(reporter, state)
    if mode == "memory":
        if reporter.buffer_mode not in {"memory", "auto"}:
            log.error(
                "'%s' keeps frames in memory only: there is no state directory that can be written", reporter.name
            )
        return MemoryBuffer(reporter.max_bytes or _MEMORY_BYTES), None
    assert state is not None
    try:
        folder = ReporterFolder(state, reporter.name)
        if not folder.own():
            log.error(
                "'%s' keeps frames in memory only: another emonHub uses %s; stop it, or give this one a state_dir of"
                " its own in [hub]",
                reporter.name,
                folder.path,
            )
            return MemoryBuffer(reporter.max_bytes or _MEMORY_BYTES), None
    except OSError as error:
        log.error("'%s' keeps frames in memory only: %s", reporter.name, error)
        return MemoryBuffer(reporter.max_bytes or _MEMORY_BYTES), None
    buffer = _sql(reporter, folder, world) if mode == "sql" else _journal(reporter, folder, mode, world)
    await buffer.open()
    return buffer, folder


def mode_of(reporter: Reporter, state: Path | None) -> str:
    """The mode that a reporter's buffer really has."""
    if reporter.buffer_mode == "memory" or state is None:
        return "memory"
    return "journal" if reporter.buffer_mode == "auto" else reporter.buffer_mode


def _journal(reporter: Reporter, folder: ReporterFolder, mode: str, world: World) -> StoredBuffer:
    store = Journal(
        world.disk,
        folder.path,
        reporter.name,
        clock=world.clock,
        form=reporter.form,
        max_bytes=reporter.max_bytes or _DISK_BYTES,
        max_age_s=reporter.max_age,
        keep_s=reporter.keep,
        keep_bytes=reporter.keep_bytes,
        min_free=reporter.min_free,
        thin=reporter.when_full == "thin",
    )
    front = _front(reporter, folder)
    return StoredBuffer(store, _policy(reporter, mode), world=world, front=front, name=reporter.name)


def _sql(reporter: Reporter, folder: ReporterFolder, world: World) -> StoredBuffer:
    from emonhub.buffer.sql import SqlStore  # noqa: PLC0415 - only who has a database pays for it

    url = _sql_url(reporter, folder)
    store = SqlStore(
        url,
        reporter.name,
        clock=world.clock,
        form=reporter.form,
        max_bytes=reporter.max_bytes or _DISK_BYTES,
        max_age_s=reporter.max_age,
        keep_s=reporter.keep,
    )
    thread = StorageThread(f"{reporter.name} sql")
    # What the front says of numbers holds for this database only.
    front = _front(reporter, folder, f"-{crc32(url.encode()):08x}")
    return StoredBuffer(store, _policy(reporter, "sql"), world=world, thread=thread, front=front, name=reporter.name)


def _sql_url(reporter: Reporter, folder: ReporterFolder) -> str:
    return reporter.sql_url or f"sqlite://{quote(str(folder.path.absolute()))}/buffer.sqlite"


def _front(reporter: Reporter, folder: ReporterFolder, suffix: str = "") -> FrontFiles | None:
    try:
        on_disk = folder.path / f"front{suffix}"
        if any(on_disk.glob("front-*.log")):  # left there by a hub that had no such memory
            return FrontFiles(on_disk)
        return FrontFiles(memory_dir(folder.id + suffix) or on_disk)
    except OSError as error:
        log.warning("'%s': frames are not safe from a crash until they are on disk: %s", reporter.name, error)
        return None


def _policy(reporter: Reporter, mode: str) -> Policy:
    sync_s = reporter.sync_interval_s
    hybrid = mode == "hybrid"
    return Policy(sync_s, reporter.hybrid_age_s if hybrid else sync_s, keep=bool(reporter.keep), front=not hybrid)


async def replace_buffer(
    old: Buffer, folder: ReporterFolder | None, reporter: Reporter, state: Path | None, world: World
) -> tuple[Buffer, ReporterFolder | None]:
    """The buffer that a reporter's settings ask for now, with all that is owed in the one it had."""
    if isinstance(old, StoredBuffer) and folder is not None and _same_store(old, reporter, folder, state):
        folder.disown()
        await old.close()  # its frames are in its store now, for the new one to find
        new, new_folder = await open_buffer(reporter, state, world)
        if not (mode_of(reporter, state) in {"journal", "sql"} and old.has_front):
            _take_over_unsafe(old, new)
        return new, new_folder
    if folder is not None:
        folder.disown()
    new, new_folder = await open_buffer(reporter, state, world)
    while batch := await old.fetch(1000):
        new.append(batch.records, batch.times, sum(map(len, batch.records)))
        old.remove(batch.end)
    await old.close()
    if isinstance(old, StoredBuffer):
        left = old.frames - _take_over_unsafe(old, new)
        if left > 0:
            log.error(
                "'%s': %d frames stay where they were, which can't be read now: %s", reporter.name, left, old.trouble
            )
    return new, new_folder


def _same_store(old: StoredBuffer, reporter: Reporter, folder: ReporterFolder, state: Path | None) -> bool:
    """Whether the new buffer will find what the old one has in its store."""
    mode = mode_of(reporter, state)
    if isinstance(old.store, Journal):
        return mode in {"journal", "hybrid"}
    return mode == "sql" and getattr(old.store, "url", None) == _sql_url(reporter, folder)


def _take_over_unsafe(old: StoredBuffer, new: Buffer) -> int:
    """Take over what a closed buffer could not put into its store. Returns how many frames that are."""
    if old.durable:
        return 0
    rest = old.unsafe()
    new.append(rest.records, rest.times, sum(map(len, rest.records)))
    old.rescued()
    return len(rest.records)


def leave(buffer: Buffer, folder: ReporterFolder | None) -> bool:
    """Have a closed buffer's frames outlive the machine's restart, also those that its store did not take. Returns
    whether they do.
    """
    if buffer.durable:
        return True
    if folder is None or not isinstance(buffer, StoredBuffer):
        return False
    rest = buffer.unsafe()
    try:
        folder.lay_in(list(zip(rest.times, rest.records, strict=True)))
    except OSError:
        return buffer.has_front
    buffer.rescued()
    return True
