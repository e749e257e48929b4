"""PostgreSQL."""

from __future__ import annotations

import json
import os
import socket
from typing import TYPE_CHECKING, Any, ClassVar

from pg8000 import dbapi

from emonhub.buffer.sql.database import ANSWER_S, CONNECT_S, Database

if TYPE_CHECKING:
    from collections.abc import Sequence

    from emonhub.buffer.sql.address import Address

_ROWS = 2000
"""In one statement: each costs a round trip, and all of one are held as text at once."""

_LOCK = 0x656D6F6E  # any number, as long as all hubs use the same one
_TYPES = {
    "number": "bigint",
    "time_ms": "bigint",
    "provisional": "smallint",
    "clock_offset": "double precision",
}


class PostgreSql(Database):
    """Through pg8000."""

    errors: ClassVar[type[Exception]] = dbapi.Error
    types: ClassVar[dict[str, str]] = {
        "time": "TIMESTAMP(3) GENERATED ALWAYS AS (CASE WHEN time_ms BETWEEN 0 AND 253402300799999"
        " THEN TIMESTAMP '1970-01-01' + time_ms * INTERVAL '1 millisecond' END) STORED",
        "text": "TEXT",
        "options": "",
    }

    def __init__(self, address: Address) -> None:
        super().__init__(address)
        self._plug: socket.socket | None = None

    def connect(self) -> Any:
        address = self.address
        # A socket of our own making: pg8000 does not let go of one by which a server has not let us in, or hung up.
        self._plug = _plug(address.socket, address.host, address.port)
        self._plug.settimeout(ANSWER_S)
        return dbapi.connect(
            address.user,
            host=address.host,
            password=address.password or None,
            database=address.database,
            sock=self._plug,
            ssl_context=False if address.socket else None,
            application_name="emonhub",
            startup_params={"synchronous_commit": "on", "client_min_messages": "warning"},
        )

    def close(self) -> None:
        super().close()
        plug, self._plug = self._plug, None
        if plug is not None and plug.fileno() >= 0:
            os.close(plug.detach())

    def lock_tables(self, cursor: Any) -> None:
        cursor.execute(f"SELECT pg_advisory_xact_lock({_LOCK})")

    def insert(self, cursor: Any, table: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        names = ", ".join(columns)
        typed = ", ".join(f"{column} {_TYPES.get(column, 'text')}" for column in columns)
        rows_of = f"json_to_recordset(CAST({self.mark} AS json)) AS rows_of ({typed})"
        statement = f"INSERT INTO {table} ({names}) SELECT {names} FROM {rows_of}"  # noqa: S608 - our own names
        for start in range(0, len(rows), _ROWS):
            objects = [dict(zip(columns, row, strict=True)) for row in rows[start : start + _ROWS]]
            cursor.execute(statement, (json.dumps(objects, ensure_ascii=False),))

    def explain(self, error: Exception) -> str:
        told = error.args[0] if error.args else ""
        if isinstance(told, dict):
            return str(told.get("M", told))
        cause = error.__cause__
        return f"{told or error}: {cause}" if isinstance(cause, OSError) else str(error)


def _plug(path: str, host: str, port: int) -> socket.socket:
    if not path:
        plug = socket.create_connection((host, port), CONNECT_S)
        plug.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        return plug
    plug = socket.socket(socket.AF_UNIX)
    try:
        plug.settimeout(CONNECT_S)
        plug.connect(path)
    except BaseException:
        plug.close()
        raise
    return plug
