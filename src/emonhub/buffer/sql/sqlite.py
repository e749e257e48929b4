"""SQLite, from Python's own library."""

from __future__ import annotations

import logging
import sqlite3
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from emonhub.buffer.sql.database import ANSWER_S, Database

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from emonhub.buffer.sql.address import Address
    from emonhub.buffer.sql.database import T, Transaction

log = logging.getLogger("emonhub.buffer")

_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_LOG_BYTES = 4 << 20
"""The write-ahead log is cut back to this after it has grown in a backlog."""


class Sqlite(Database):
    """A file. One that is damaged is set aside in the folder `quarantine` beside it, and another one started."""

    mark: ClassVar[str] = "?"
    octets: ClassVar[str] = "LENGTH(CAST(record AS BLOB))"
    errors: ClassVar[type[Exception]] = sqlite3.Error
    types: ClassVar[dict[str, str]] = {
        "time": "TEXT AS (strftime('%Y-%m-%d %H:%M:%f', time_ms / 1000.0, 'unixepoch')) VIRTUAL",
        "text": "TEXT",
        "options": "WITHOUT ROWID",
    }

    def __init__(self, address: Address) -> None:
        super().__init__(address)
        self._path = Path(address.database)
        self._file: tuple[int, int] | None = None

    def run(self, work: Callable[[Transaction], T]) -> T:
        if self._connection is not None and self._identity() != self._file:
            self.close()  # somebody has taken the file away: what is written to it now would be gone with it
        return super().run(work)

    def connect(self) -> Any:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        connection = sqlite3.connect(self._path, timeout=ANSWER_S, isolation_level=None, check_same_thread=False)
        try:
            connection.text_factory = lambda data: data.decode("utf-8", "replace")
            connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute(f"PRAGMA journal_size_limit = {_LOG_BYTES}")
        except BaseException:
            connection.close()
            raise
        self._file = self._identity()
        return connection

    def close(self) -> None:
        if self._connection is not None:
            with suppress(sqlite3.Error):
                # Cursors that are still referred to keep a closed connection alive, and its lock with it.
                self._connection.rollback()
        super().close()
        self._file = None

    def begin(self, cursor: Any) -> None:
        cursor.execute("BEGIN IMMEDIATE")  # two that read first and then want to write would block each other

    def insert(self, cursor: Any, table: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        marks = ", ".join([self.mark] * len(columns))
        cursor.executemany(f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})", rows)  # noqa: S608

    def _identity(self) -> tuple[int, int] | None:
        try:
            found = self._path.stat()
        except OSError:
            return None
        return found.st_dev, found.st_ino

    def _worth_another(self, error: Exception, *, used: bool) -> bool:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code in _DAMAGED:
            self._set_aside(error)
            return True
        return used and code != sqlite3.SQLITE_BUSY

    def _set_aside(self, error: Exception) -> None:
        quarantine = self._path.parent / "quarantine"
        try:
            quarantine.mkdir(mode=0o700, exist_ok=True)
            for end in ("-shm", "-wal", ""):  # the file itself last: without it, the others mean nothing
                part = Path(f"{self._path}{end}")
                (quarantine / part.name).unlink(missing_ok=True)  # that of an earlier one
                if part.exists():
                    part.rename(quarantine / part.name)
        except OSError as trouble:
            log.error("%s is damaged (%s), and can't be moved to %s: %s", self._path, error, quarantine, trouble)
        else:
            log.error("%s was damaged (%s): moved to %s, a new one is started", self._path, error, quarantine)
