"""Real MariaDB and PostgreSQL servers on free ports, that a test may stop, kill, freeze and restart.

A server is started once for all tests, and emptied for each of them. All of it blocks: a test that runs a loop calls it
in a thread. They do not wait for the disk: what they have committed survives their being killed in any case.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import sqlite3
import subprocess
import tempfile
import time
from abc import ABC, abstractmethod
from contextlib import closing, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pymysql
import pytest
from pg8000 import dbapi

STARTS_WITHIN_S = 40.0
_ANSWERS_WITHIN_S = 10.0
NAME = "energy"
PASSWORD = "s3cr3t@/:%€"
"""With everything in it that a URL must write otherwise."""


def free_port() -> int:
    """A port that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Server(ABC):
    """One server, with a folder of its own; run by the user that the package has made for it, where we are root."""

    kind = ""
    account = ""
    package = ""

    def __init__(self) -> None:
        self.port = free_port()
        self.folder = Path(tempfile.mkdtemp(prefix=f"emonhub-{self.kind}-"))
        self._data = self.folder / "data"
        self._owner: dict[str, Any] = {}
        if os.geteuid() == 0:
            entry = pwd.getpwnam(self.account)
            os.chown(self.folder, entry.pw_uid, entry.pw_gid)
            self._owner = {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
        self._process: subprocess.Popen[bytes] | None = None
        try:
            self._make()
            self.start()
            self._let_in()
            self._create(NAME)
        except BaseException:
            self.close()
            raise

    def start(self) -> None:
        """Start it, and wait until it answers."""
        with (self.folder / "output").open("ab") as output:
            self._process = subprocess.Popen(
                self._command(), cwd=self.folder, stdout=output, stderr=output, **self._owner
            )
        deadline = time.monotonic() + STARTS_WITHIN_S
        while True:
            try:
                return self.admin("SELECT 1")
            except Exception as error:
                if time.monotonic() > deadline or self._process.poll() is not None:
                    raise RuntimeError((self.folder / "output").read_text()) from error
            time.sleep(0.02)

    def stop(self) -> None:
        """Stop it as systemd does."""
        self._signal(self._stop_signal)
        self._wait()

    def kill(self) -> None:
        """kill -9, all of it at once."""
        self._signal(signal.SIGKILL, children=True)
        self._wait()

    def freeze(self) -> None:
        """It goes on holding its connections, and takes new ones, and answers nothing any more."""
        self._signal(signal.SIGSTOP, children=True)

    def thaw(self) -> None:
        """It goes on where it was."""
        self._signal(signal.SIGCONT, children=True)

    @property
    def running(self) -> bool:
        return self._process is not None

    def close(self) -> None:
        if self._process is not None:
            self.thaw()
            self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def database(self) -> Place:
        """Its database, empty; the server is running."""
        if not self.running:
            self.start()
        place = Place(self.url(NAME), self, NAME)
        for table in ("emonhub_buffer", "emonhub_nodes"):
            place.query(f"DROP TABLE IF EXISTS {table}")
        return place

    def url(self, name: str, user: str = "hub", password: str = PASSWORD) -> str:
        return f"{self.kind}://{user}:{quote(password, safe='')}@127.0.0.1:{self.port}/{name}"

    # For each kind

    _stop_signal = signal.SIGTERM

    @abstractmethod
    def _make(self) -> None:
        """Make its files."""

    @abstractmethod
    def _command(self) -> list[str]:
        """What starts it."""

    @abstractmethod
    def _let_in(self) -> None:
        """Make the user `hub`."""

    @abstractmethod
    def _create(self, name: str) -> None:
        """Make an empty database."""

    @abstractmethod
    def connect(self, name: str, user: str = "hub") -> Any:
        """A connection for looking."""

    @abstractmethod
    def admin(self, *statements: str) -> None:
        """Do something as the one who may do everything."""

    def _run(self, *command: str) -> None:
        done = subprocess.run(command, cwd=self.folder, capture_output=True, text=True, check=False, **self._owner)
        if done.returncode:
            raise RuntimeError(f"{command[0]} ended with {done.returncode}: {done.stdout[-2000:]}{done.stderr[-2000:]}")

    def _signal(self, number: signal.Signals, *, children: bool = False) -> None:
        assert self._process is not None
        pids = [self._process.pid]
        if children:
            with suppress(FileNotFoundError):
                pids += map(int, Path(f"/proc/{pids[0]}/task/{pids[0]}/children").read_text().split())
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    def _wait(self) -> None:
        assert self._process is not None
        self._process.wait(STARTS_WITHIN_S)
        self._process = None


class Place:
    """A database of a server, or a SQLite file."""

    def __init__(self, url: str, server: Server | None = None, name: str = "") -> None:
        self.url = url
        self.server = server
        self.name = name

    def query(self, statement: str) -> list[tuple[Any, ...]]:
        """What a person sees who looks into it with a tool of their own."""
        with closing(self._connect()) as connection:
            cursor = connection.cursor()
            cursor.execute(statement)
            rows = [tuple(row) for row in cursor.fetchall()] if cursor.description else []
            connection.commit()
            return rows

    def _connect(self) -> Any:
        if self.server is not None:
            return self.server.connect(self.name)
        return sqlite3.connect(self.url.removeprefix("sqlite://"))


class MariaDb(Server):
    kind = "mysql"
    account = "mysql"
    package = "mariadb-server"

    def _make(self) -> None:
        try:
            self._install()
        except RuntimeError:  # seen once on a busy machine: its bootstrap server gives up when it is too slow
            shutil.rmtree(self._data, ignore_errors=True)
            self._install()

    def _install(self) -> None:
        self._run(
            "mariadb-install-db", "--no-defaults", f"--datadir={self._data}", "--skip-test-db",
            "--auth-root-authentication-method=normal", "--skip-name-resolve",
        )  # fmt: skip

    def _command(self) -> list[str]:
        return [
            shutil.which("mariadbd", path=_path()) or "mariadbd", "--no-defaults", f"--datadir={self._data}",
            f"--socket={self.folder}/socket", f"--port={self.port}", "--bind-address=127.0.0.1",
            f"--pid-file={self.folder}/pid", "--skip-name-resolve", "--innodb-buffer-pool-size=16M",
            "--max-connections=30", "--innodb-flush-log-at-trx-commit=2",
        ]  # fmt: skip

    def _let_in(self) -> None:
        self.admin(f"CREATE USER hub IDENTIFIED BY '{PASSWORD}'", f"GRANT ALL ON {NAME}.* TO hub")

    def _create(self, name: str) -> None:
        self.admin(f"CREATE DATABASE {name}")

    def connect(self, name: str, user: str = "hub") -> Any:
        return pymysql.connect(
            host="127.0.0.1", port=self.port, user=user, password=PASSWORD.encode() if user == "hub" else b"",
            database=name or None, charset="utf8mb4", connect_timeout=_ANSWERS_WITHIN_S, read_timeout=_ANSWERS_WITHIN_S,
        )  # fmt: skip

    def admin(self, *statements: str) -> None:
        with closing(self.connect("", "root")) as connection:
            for statement in statements:
                connection.cursor().execute(statement)


class Postgres(Server):
    kind = "postgresql"
    account = "postgres"
    package = "postgresql"
    _stop_signal = signal.SIGINT  # a fast shutdown, which does not wait for clients to leave

    def _make(self) -> None:
        self._run(
            _postgres("initdb"), "-D", str(self._data), "-U", "postgres", "--auth-local=trust",
            "--auth-host=scram-sha-256", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync",
        )  # fmt: skip

    def _command(self) -> list[str]:
        return [
            _postgres("postgres"), "-D", str(self._data), "-p", str(self.port), "-k", str(self.folder),
            "-c", "listen_addresses=127.0.0.1", "-c", "shared_buffers=16MB", "-c", "max_connections=30",
            "-c", "fsync=off",
        ]  # fmt: skip

    def _let_in(self) -> None:
        self.admin(f"CREATE USER hub PASSWORD '{PASSWORD}'")

    def _create(self, name: str) -> None:
        self.admin(f"CREATE DATABASE {name} OWNER hub")

    def connect(self, name: str, user: str = "hub") -> Any:
        plug = socket.socket(socket.AF_UNIX)
        try:
            plug.settimeout(_ANSWERS_WITHIN_S)
            plug.connect(f"{self.folder}/.s.PGSQL.{self.port}")
            return dbapi.connect(user, database=name or "postgres", sock=plug, ssl_context=False)
        except BaseException:
            plug.close()
            raise

    def admin(self, *statements: str) -> None:
        with closing(self.connect("", "postgres")) as connection:
            connection.autocommit = True
            for statement in statements:
                connection.cursor().execute(statement)


def _path() -> str:
    return os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin"


def _postgres(program: str) -> str:
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{program}"), key=lambda path: int(path.parts[-3]))
    return str(found[-1]) if found else shutil.which(program) or ""


def start(kind: str) -> Server:
    """A server of this kind; skips the test where the package is not installed."""
    if kind == "mysql":
        if not shutil.which("mariadb-install-db") or not shutil.which("mariadbd", path=_path()):
            pytest.skip("MariaDB is not installed (Debian: mariadb-server)")
        return MariaDb()
    if not _postgres("initdb"):
        pytest.skip("PostgreSQL is not installed (Debian: postgresql)")
    return Postgres()
