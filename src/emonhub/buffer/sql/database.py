"""A database as the store uses it: transactions on a connection that is made again whenever it has broken."""

from __future__ import annotations

import struct
from abc import ABC, abstractmethod
from contextlib import suppress
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from emonhub.buffer.sql.address import Address

T = TypeVar("T")

CONNECT_S = 5.0
ANSWER_S = 10.0
"""A commit on a busy memory card takes seconds; a server that says nothing for longer is taken for dead."""

_BROKEN = (OSError, RuntimeError, ValueError, LookupError, AttributeError, TypeError, struct.error)
"""What drivers let out besides their own errors, when a server hangs up in the middle of an answer."""

BUFFER = "emonhub_buffer"
NODES = "emonhub_nodes"

_TABLES = (
    f"""CREATE TABLE IF NOT EXISTS {BUFFER} (
    reporter VARCHAR(190) NOT NULL,
    number BIGINT NOT NULL,
    time_ms BIGINT NOT NULL,
    time {{time}},
    record {{text}} NOT NULL,
    provisional SMALLINT NOT NULL,
    boot VARCHAR(64),
    clock_offset DOUBLE PRECISION,
    form VARCHAR(64) NOT NULL,
    state VARCHAR(9) NOT NULL,
    PRIMARY KEY (reporter, number)
) {{options}}""",
    f"""CREATE TABLE IF NOT EXISTS {NODES} (
    reporter VARCHAR(190) NOT NULL,
    node VARCHAR(190) NOT NULL,
    number BIGINT NOT NULL,
    note {{text}} NOT NULL,
    PRIMARY KEY (reporter, node, number)
) {{options}}""",
)


class Transaction:
    """Statements that happen together or not at all. Parameters are marked by `?`, which nothing else in them is."""

    def __init__(self, database: Database, cursor: Any) -> None:
        self._database = database
        self._cursor = cursor

    def do(self, statement: str, *parameters: Any) -> None:
        """Execute."""
        self._cursor.execute(self._database.written(statement), parameters)

    def ask(self, statement: str, *parameters: Any) -> list[Sequence[Any]]:
        """Execute, and give all the rows."""
        self.do(statement, *parameters)
        return list(self._cursor.fetchall())

    def insert(self, table: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        """Insert rows."""
        self._database.insert(self._cursor, table, columns, rows)


class Database(ABC):
    """One connection to a database, used by one thread.

    connections  how many have been made: what was known of the tables may not hold after a new one
    errors       what the driver raises
    """

    mark: ClassVar[str] = "%s"
    octets: ClassVar[str] = "OCTET_LENGTH(record)"
    errors: ClassVar[type[Exception]]
    types: ClassVar[dict[str, str]]
    """What `time`, `text` and `options` of the tables are. `time` is made from `time_ms`: UTC, for people."""

    def __init__(self, address: Address) -> None:
        self.address = address
        self.connections = 0
        self._connection: Any = None

    def run(self, work: Callable[[Transaction], T]) -> T:
        """What `work` returns, once all that it did is safe. Raises OSError; then none of it has happened, or, when
        the connection broke during the last step, nobody knows. `work` may be called twice.
        """
        used = self._connection is not None
        try:
            return self._attempt(work)
        except OSError as error:
            cause = error.__cause__
            if not (isinstance(cause, Exception) and self._worth_another(cause, used=used)):
                raise
        return self._attempt(work)

    def close(self) -> None:
        """Let go of the connection, whatever its state."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(*self._failures):
                connection.close()

    def written(self, statement: str) -> str:
        """A statement with the driver's own marks for parameters."""
        return statement if self.mark == "?" else statement.replace("?", self.mark)

    # For each kind of database

    @abstractmethod
    def connect(self) -> Any:
        """A new connection by the rules of Python's DB-API."""

    def begin(self, cursor: Any) -> None:  # noqa: B027 - most drivers do it by themselves
        """Start a transaction."""

    def lock_tables(self, cursor: Any) -> None:  # noqa: B027 - most databases do it by themselves
        """Keep others from making the same tables at the same time."""

    @abstractmethod
    def insert(self, cursor: Any, table: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        """Insert rows, many at a time."""

    def explain(self, error: Exception) -> str:
        """What an error says, for people."""
        return str(error)

    def _worth_another(self, error: Exception, *, used: bool) -> bool:
        """Whether to try again at once: a server hangs up on who has been silent for long, and says so at the next
        word. One that gives no answer gives none to the next question either.
        """
        return used and not any(isinstance(cause, TimeoutError) for cause in _causes(error))

    # Within

    @property
    def _failures(self) -> tuple[type[Exception], ...]:
        return (self.errors, *_BROKEN)

    def _attempt(self, work: Callable[[Transaction], T]) -> T:
        done = False
        try:
            if self._connection is None:
                self._open()
            cursor = self._connection.cursor()
            self.begin(cursor)
            result = work(Transaction(self, cursor))
            self._connection.commit()
            done = True
        except self._failures as error:
            raise OSError(f"{self.address}: {self.explain(error)}") from error
        finally:
            if not done:
                self.close()
        return result

    def _open(self) -> None:
        self._connection = self.connect()
        self.connections += 1
        cursor = self._connection.cursor()
        try:  # who may not make tables may have been given them
            for table in (BUFFER, NODES):
                cursor.execute(f"SELECT number FROM {table} WHERE number < 0")  # noqa: S608 - our own names
                cursor.fetchall()
        except self.errors:
            self._connection.rollback()
            self.lock_tables(cursor)
            for statement in _TABLES:
                cursor.execute(statement.format(**self.types))
        self._connection.commit()


def _causes(error: BaseException) -> Iterable[BaseException]:
    found: BaseException | None = error
    while found is not None:
        yield found
        found = found.__cause__ or found.__context__


def database(address: Address) -> Database:
    """The one for this address. A driver is only loaded by who uses it."""
    if address.kind == "mysql":
        from emonhub.buffer.sql.mysql import MySql  # noqa: PLC0415

        return MySql(address)
    if address.kind == "postgresql":
        from emonhub.buffer.sql.postgresql import PostgreSql  # noqa: PLC0415

        return PostgreSql(address)
    from emonhub.buffer.sql.sqlite import Sqlite  # noqa: PLC0415

    return Sqlite(address)
