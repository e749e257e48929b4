"""Where the commands about what is kept find it: the state directory, the reporters, and what is in their folders."""

from __future__ import annotations

import os
import re
import sys
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from emonhub.archive.record import Record
from emonhub.buffer.choose import _sql_url, mode_of
from emonhub.buffer.folder import ReporterFolder, folder_name
from emonhub.buffer.lines import Note, parse
from emonhub.buffer.segments import named
from emonhub.cli import DEFAULT_FILE, EXIT_BAD_FILE, EXIT_FAILED
from emonhub.cli.report import load_or_explain
from emonhub.clock import Clock
from emonhub.errors import EmonHubError, SettingError
from emonhub.hub import build
from emonhub.nodes.table import Nodes
from emonhub.reporter import Reporter
from emonhub.state import candidates, state_dir

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from io import TextIOWrapper
    from pathlib import Path

    from emonhub.cargo import Cargo
    from emonhub.config.model import Configuration, InterfacerConfig

_CODED = re.compile(r"%([0-9a-f]{2})")
_HEADER_READ = 4096


class CommandError(EmonHubError):
    """A command can't do what it was asked for: the text says why, and what to do."""

    def __init__(self, text: str, status: int = EXIT_FAILED) -> None:
        super().__init__(text)
        self.status = status


@dataclass(slots=True)
class Place:
    """What a command works on.

    state     the state directory; None where there is none
    configs   reporters of the configuration, by name
    reporters those of them that can be made
    known     notes of the nodes in the configuration
    """

    state: Path | None
    configuration: Configuration | None = None
    configs: dict[str, InterfacerConfig] = field(default_factory=dict)
    reporters: dict[str, Reporter] = field(default_factory=dict)
    known: list[dict[str, Any]] = field(default_factory=list)

    @property
    def names(self) -> list[str]:
        """Every reporter of the configuration, and those that only have a folder."""
        found = list(self.configs)
        taken = {folder_name(name) for name in found}
        return found + [_owner_of(path) for path in self._folders() if path.name not in taken]

    def folder_path(self, name: str) -> Path | None:
        """The folder of a reporter, if it has one."""
        path = self.state / "buffer" / folder_name(name) if self.state is not None else None
        return path if path is not None and path.is_dir() else None

    def folder(self, name: str) -> ReporterFolder:
        """The same for working in it, made if it is not there. Raises CommandError where there can be none, OSError."""
        self.expect_folder(name)
        assert self.state is not None
        return ReporterFolder(self.state, name)

    def expect_folder(self, name: str) -> None:
        """Raises CommandError for a reporter that can have no folder."""
        self.expect(name)
        reporter = self.reporters.get(name)
        if self.state is None:
            raise CommandError("there is no state directory: set state_dir in [hub], or name one with --state-dir")
        if reporter is not None and mode_of(reporter, self.state) == "memory":
            raise CommandError(
                f"{name} keeps frames in memory only (buffer_mode = memory), where no command can reach them:"
                " set buffer_mode = journal in its [[[init_settings]]]"
            )

    def record(self, name: str) -> Record:
        """What a reporter has. Raises CommandError where there is nothing of the kind."""
        self.expect(name)
        reporter = self.reporters.get(name)
        path = self.folder_path(name)
        if path is None:
            self.expect_folder(name)  # says why there can be none
            raise CommandError(f"{name} has no frames in {self.state}: it has not run yet")
        form = reporter.form if reporter else ""
        if reporter is not None and mode_of(reporter, self.state) == "sql":
            from emonhub.archive.sqlrecord import SqlRecord  # noqa: PLC0415 - only who has a database pays for it

            url = _sql_url(reporter, ReporterFolder(self.state, name)) if self.state is not None else ""
            return SqlRecord(path, name, form, self.known, clock=Clock(), url=url)
        return Record(path, name, form, self.known, clock=Clock())

    def expect(self, name: str) -> None:
        """Raises CommandError for a name that is no reporter's."""
        names = self.names
        if name not in names:
            known = f"known are {', '.join(names)}" if names else "there is none"
            raise CommandError(f"there is no reporter {name}: {known}", EXIT_BAD_FILE)

    def read_back(self, name: str) -> ReadBack:
        """Turns a reporter's records back into cargo, where its class can."""
        return ReadBack(self.reporters.get(name))

    def _folders(self) -> list[Path]:
        if self.state is None or not (self.state / "buffer").is_dir():
            return []
        return sorted(path for path in (self.state / "buffer").iterdir() if path.is_dir())


@dataclass(frozen=True, slots=True)
class ReadBack:
    """A reporter's `read_back`, safe for records of any kind."""

    reporter: Reporter | None

    @property
    def can(self) -> bool:
        """Whether its class reads records back at all."""
        return self.reporter is not None and type(self.reporter).read_back is not Reporter.read_back

    def __call__(self, record: str, time: float, notes: Mapping[str, Any]) -> Cargo | None:
        return self.reporter.read_back(record, time, notes) if self.reporter is not None else None


def open_place(config: Path | None, state: Path | None = None) -> Place:
    """The place that a configuration file (or the usual one, if it is there) and a state directory stand for.

    Raises CommandError.
    """
    if state is not None and not state.is_dir():
        raise CommandError(f"{state} is no directory", EXIT_BAD_FILE)
    configuration = None
    path = config or (DEFAULT_FILE if DEFAULT_FILE.exists() else None)
    if path is not None:
        configuration = load_or_explain(path)
        if configuration is None:
            raise CommandError("", EXIT_BAD_FILE)
    place = Place(state or _state_dir(configuration), configuration)
    if configuration is not None:
        _add_reporters(place, configuration)
    elif place.state is None or not place.names:
        raise CommandError(f"there is no {DEFAULT_FILE}: name the configuration with --config", EXIT_BAD_FILE)
    return place


def _state_dir(configuration: Configuration | None) -> Path | None:
    """As the hub finds it, but that one in which a hub has already been counts, also where only others may write."""
    configured = configuration.hub.state_dir if configuration is not None else ""
    return next((path for path in candidates(configured, os.environ) if (path / "buffer").is_dir()), None) or state_dir(
        configured, os.environ
    )


def likely_state(configured: str) -> Path | None:
    """Where a hub that is started with this setting keeps its state, as far as can be told without making anything."""
    return next((path for path in candidates(configured, os.environ) if _could_be_made(path)), None)


def _could_be_made(path: Path) -> bool:
    there = next(parent for parent in (path.absolute(), *path.absolute().parents) if parent.exists())
    return there.is_dir() and os.access(there, os.W_OK)


def reporters_of(configuration: Configuration) -> dict[str, Reporter]:
    """The reporters of a configuration that can be made."""
    nodes = Nodes(configuration.nodes)
    found = {}
    for name, config in configuration.interfacers.items():
        if config.cls is not None and issubclass(config.cls, Reporter):
            with suppress(SettingError):
                reporter = build(config, nodes=nodes)
                assert isinstance(reporter, Reporter)
                found[name] = reporter
    return found


def _add_reporters(place: Place, configuration: Configuration) -> None:
    for definition in configuration.nodes.values():
        rx = definition.rx
        names, units = (rx.names, rx.units) if rx is not None else ((), ())
        node: int | str = int(definition.id) if definition.id.isdecimal() else definition.id
        place.known.append({"node": node, "nodename": definition.nodename, "names": names, "units": units})
    place.reporters = reporters_of(configuration)
    place.configs = {
        name: config
        for name, config in configuration.interfacers.items()
        if config.cls is not None and issubclass(config.cls, Reporter)
    }


def _owner_of(folder: Path) -> str:
    """The name of a reporter by its folder: as its files say, or else as the folder is called."""
    for path in sorted(folder.iterdir()):
        segment = named(path.name)
        if segment is not None and not segment.packed:
            with path.open("rb") as file:
                line = file.read(_HEADER_READ).partition(b"\n")[0]
            # The check of the line needs the name that is looked for.
            for found in parse(_rechecked(line), 0, 0.0):
                if isinstance(found, Note) and folder_name(str(found.content.get("owner", ""))) == folder.name:
                    return str(found.content["owner"])
    return _CODED.sub(lambda code: chr(int(code[1], 16)), folder.name)


def _rechecked(line: bytes) -> bytes:
    from zlib import crc32  # noqa: PLC0415

    rest = line.partition(b" ")[2]
    return b"%08x %b\n" % (crc32(rest), rest)


@contextmanager
def written(path: Path | None) -> Iterator[TextIOWrapper | Any]:
    """A text file to write to, the standard output for none. It takes its place only once it is whole."""
    if path is None:
        yield sys.stdout
        return
    if not path.parent.is_dir():
        raise CommandError(f"{path} can't be written: there is no directory {path.parent}", EXIT_BAD_FILE)
    if path.exists() and not path.is_file():  # a pipe, /dev/null
        with path.open("w", encoding="utf-8", newline="") as file:
            yield file
        return
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with temporary.open("w", encoding="utf-8", newline="") as file:
            yield file
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def become_owner(folder: Path | None) -> None:
    """As root: become the user whom a folder belongs to, so that the hub can use what is left in it."""
    if folder is None or os.geteuid() != 0:
        return
    found = folder.stat()
    if found.st_uid:
        os.setegid(found.st_gid)
        os.seteuid(found.st_uid)
