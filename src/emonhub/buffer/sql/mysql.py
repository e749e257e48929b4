"""MariaDB and MySQL."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import pymysql

from emonhub.buffer.sql.database import ANSWER_S, CONNECT_S, Database

if TYPE_CHECKING:
    from collections.abc import Sequence


class MySql(Database):
    """Through PyMySQL."""

    errors: ClassVar[type[Exception]] = pymysql.MySQLError
    types: ClassVar[dict[str, str]] = {
        "time": "DATETIME(3) AS (CASE WHEN time_ms BETWEEN 0 AND 253402300799999"
        " THEN TIMESTAMP'1970-01-01 00:00:00' + INTERVAL time_ms * 1000 MICROSECOND END) VIRTUAL",
        "text": "MEDIUMTEXT",
        "options": "ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin",
    }

    def connect(self) -> Any:
        address = self.address
        return pymysql.connect(
            host=address.host,
            port=address.port,
            unix_socket=address.socket or None,
            user=address.user,
            password=address.password.encode(),  # a text would be taken for Latin-1
            database=address.database,
            charset="utf8mb4",
            connect_timeout=CONNECT_S,
            read_timeout=ANSWER_S,
            write_timeout=ANSWER_S,
            # Reporters that share the table must not wait for the gaps between each other's rows.
            init_command="SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
        )

    def insert(self, cursor: Any, table: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        marks = ", ".join([self.mark] * len(columns))
        # PyMySQL puts as many rows into one statement as fit into one packet of any server.
        cursor.executemany(f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})", rows)  # noqa: S608

    def explain(self, error: Exception) -> str:
        return str(error.args[1]) if len(error.args) > 1 else str(error)
