"""The store in a database: SQLite from Python's own library; MariaDB, MySQL and PostgreSQL by their URL.

It speaks to them through PyMySQL and pg8000: both pure Python, so they install on any board, and our few statements
need no library above them.
"""

from emonhub.buffer.sql.address import Address
from emonhub.buffer.sql.store import SqlStore

__all__ = ["Address", "SqlStore"]
