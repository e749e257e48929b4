"""The URL of a database.

sqlite:///var/lib/emonhub/frames.sqlite
mysql://user:password@host:3306/database            MariaDB and MySQL
postgresql://user:password@host:5432/database
postgresql://user@localhost/database?socket=/run/postgresql/.s.PGSQL.5432
"""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from emonhub.errors import SettingError

_FORMS = "sqlite:///PATH, mysql://USER:PASSWORD@HOST/DATABASE or postgresql://USER:PASSWORD@HOST/DATABASE"
_SPECIAL = "(characters such as @ : / in a password as %40 %3A %2F)"
_KINDS = {
    "sqlite": "sqlite",
    "mysql": "mysql",
    "mariadb": "mysql",
    "postgresql": "postgresql",
    "postgres": "postgresql",
}
_DRIVERS = {"mysql": ("pymysql", "PyMySQL"), "postgresql": ("pg8000", "pg8000")}
_PORTS = {"mysql": 3306, "postgresql": 5432}


@dataclass(frozen=True, slots=True)
class Address:
    """Where a database is. Its text is for people, and has no secret in it."""

    kind: str
    database: str = ""
    host: str = ""
    port: int = 0
    user: str = ""
    password: str = field(default="", repr=False)
    socket: str = ""

    @classmethod
    def parse(cls, url: str) -> Address:
        """Raises SettingError for a URL that leads nowhere, or whose driver is not installed."""
        try:
            parts = urlsplit(url.strip())
            kind = _KINDS.get(parts.scheme, "")
            port = parts.port or _PORTS.get(kind, 0)
        except ValueError:
            raise SettingError(f"sql_url is no URL of a database: it is written as {_FORMS} {_SPECIAL}") from None
        if not kind:
            raise SettingError(f"sql_url names no database that can be used: it is written as {_FORMS}")
        if kind == "sqlite":
            return cls(kind, _file(parts))
        _check_driver(kind)
        database = unquote(parts.path.strip("/"))
        user = unquote(parts.username or "")
        host = parts.hostname or ""
        missing = [what for what, given in (("user", user), ("host", host), ("database", database)) if not given]
        if missing:
            raise SettingError(
                f"sql_url has no {' and no '.join(missing)}: it is written as"
                f" {parts.scheme}://USER:PASSWORD@HOST/DATABASE {_SPECIAL}"
            )
        return cls(kind, database, host, port, user, unquote(parts.password or ""), _socket(parts))

    def __str__(self) -> str:
        if self.kind == "sqlite":
            return self.database
        return f"database '{self.database}' on {self.socket or f'{self.host}:{self.port}'}"


def _file(parts: SplitResult) -> str:
    path = unquote(parts.path)
    if parts.netloc or not path.strip("/") or path.endswith("/"):
        raise SettingError(
            "sql_url of SQLite is written with three slashes and a file: sqlite:///var/lib/frames.sqlite"
        )
    return str(Path("/") / path.lstrip("/"))


def _socket(parts: SplitResult) -> str:
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    socket = options.pop("socket", "")
    if options:
        raise SettingError(f"sql_url has an option that is not known: {', '.join(options)}; there is only socket=PATH")
    return socket


def _check_driver(kind: str) -> None:
    module, package = _DRIVERS[kind]
    if find_spec(module) is None:
        raise SettingError(f"sql_url needs the Python package {package}: pip install 'emonhub[sql]'")
