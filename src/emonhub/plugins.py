"""Finds the class that a `Type =` names, importing only that one.

Types are built in, or stand in a file of the user's own folders, or come with an installed package, whose
`pyproject.toml` says so:

    [project.entry-points."emonhub.interfacers"]
    AcmeMeter = "acme_meter:AcmeMeter"
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

from emonhub.dropin import BrokenFile, File, Library
from emonhub.interfacer import Interfacer
from emonhub.interfacers import BUILT_IN as _BUILT_IN
from emonhub.settings import Setting, declared

if TYPE_CHECKING:
    from collections.abc import Iterable
    from importlib.metadata import EntryPoint
    from pathlib import Path

GROUP = "emonhub.interfacers"
"""The entry points of packages."""

_RESERVED = ("EmonHub", "Emoncms")

_NOT_YET = frozenset(
    {
        "EmonFroniusModbusTcpInterfacer",
        "EmonHubBleInterfacer",
        "EmonHubEconet300Interfacer",
        "EmonHubEconextInterfacer",
        "EmonHubGoodWeInterfacer",
        "EmonHubGraphiteInterfacer",
        "EmonHubInfluxInterfacer",
        "EmonHubMBUSInterfacer",
        "EmonHubMinimalModbusInterfacer",
        "EmonHubModbusRenogyInterfacer",
        "EmonHubRedisInterfacer",
        "EmonHubSDM120Interfacer",
        "EmonHubSDS011Interfacer",
        "EmonHubSMASolarInterfacer",
        "EmonHubSmilicsInterfacer",
        "EmonHubSunampInterfacer",
        "EmonHubTemplateInterfacer",
        "EmonHubTeslaPowerWallInterfacer",
        "EmonHubVEDirectInterfacer",
        "EmonModbusTcpInterfacer",
    }
)

_GONE = {
    "EmonHubBMWInterfacer": "the service it asked was closed by BMW",
    "EmonHubJaguarLandRoverInterfacer": "the service it asked was closed by its maker",
}


_EXTRAS = {"paho": "mqtt", "pymysql": "sql", "pg8000": "sql", "gpiod": "gpio", "spidev": "spi", "rich": "table"}
"""What to install for a library that is missing."""


_library = Library()
_folders: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True)
class Found:
    """What a type name stands for.

    problem  why there is no class, in words for the user; empty when there is one
    warning  what is likely not as it was meant, although there is one
    origin   `built in`, the user's file, or the package and its version
    """

    cls: type[Interfacer] | None
    problem: str = ""
    known: bool = True
    warning: str = ""
    origin: str = ""


def look_in(folders: Iterable[Path]) -> None:
    """From now on, the user's own types are looked for in these folders, by the whole process."""
    global _folders  # noqa: PLW0603 - modules are the process's too
    _folders = tuple(folders)


def built_in_names() -> list[str]:
    """Every type that ships with emonHub."""
    return sorted(_BUILT_IN)


def type_names() -> list[str]:
    """Every type that can be used, as far as that can be told without executing anything."""
    return sorted({*_BUILT_IN, *_own_names(_library.files(_folders)), *_packaged()})


def names_of(path: Path) -> list[str]:
    """The likely interfacers in a user's file, in their order."""
    files = [file for file in _library.files([path.parent]) if file.path == path]
    return [name for file in files for name in file.classes if name in file.heirs or file.problem]


def find(type_name: str) -> Found:
    """The class of a type. What is wrong with it, or is not installed, is its own problem, never the hub's."""
    files = _library.files(_folders)
    own = [(file, file.classes[type_name]) for file in files if type_name in file.classes]
    if type_name in _BUILT_IN:
        return _built_in(type_name, own)
    if type_name in _NOT_YET and not own:
        return Found(None, f"{type_name} is not part of this version yet; the rest of the file is used without it")
    if type_name in _GONE:
        return Found(None, f"{type_name} is not part of emonHub any more: {_GONE[type_name]}")
    packaged = _packaged().get(type_name, [])
    places = [f"{file.path}:{line}" for file, line in own] + [_origin(entry) for entry in packaged]
    if not places:
        broken = "".join(f"; {file.problem}" for file in files if file.problem)
        return Found(None, f"there is no interfacer type {type_name}{broken}", known=False)
    if type_name.startswith(_RESERVED):
        rule = "names that begin with EmonHub or Emoncms are those of emonHub itself: give it another one"
        return Found(None, f"{places[0]}: {type_name}: {rule}", origin=places[0])
    if len(places) > 1:
        return Found(None, f"{type_name} stands in {' and in '.join(places)}: rename one of them")
    return _own(type_name, *own[0]) if own else _installed(type_name, packaged[0])


def _built_in(type_name: str, own: list[tuple[File, int]]) -> Found:
    taken = f"{own[0][0].path}:{own[0][1]} has the name of a built-in type, which is used: rename it" if own else ""
    try:
        return Found(getattr(import_module(_BUILT_IN[type_name]), type_name), warning=taken, origin="built in")
    except ImportError as error:
        extra = _EXTRAS.get((error.name or "").partition(".")[0])
        remedy = f": pip install 'emonhub[{extra}]'" if extra else f" ({error})"
        return Found(None, f"{type_name} needs a library that is not installed{remedy}", origin="built in")


def _own(type_name: str, file: File, line: int) -> Found:
    origin = str(file.path)
    try:
        made = getattr(_library.load(file.path), type_name, None)
    except BrokenFile as error:
        return Found(None, f"{type_name} can't be used: {error}", origin=origin)
    problem = _unfit(made)
    if problem:
        return Found(None, f"{type_name} can't be used: {origin}:{line}: {problem}", origin=origin)
    return Found(made, origin=origin)


def _installed(type_name: str, entry: EntryPoint) -> Found:
    origin = _origin(entry)
    try:
        made = entry.load()
    except (Exception, SystemExit) as error:  # noqa: BLE001 - somebody's package may raise anything
        what = f"{type(error).__name__}: {error}"
        return Found(None, f"{type_name} of the package {origin} can't be used: {what}", origin=origin)
    problem = _unfit(made)
    if problem:
        return Found(None, f"{type_name} of the package {origin} can't be used: {problem}", origin=origin)
    return Found(made, origin=origin)


def _unfit(made: Any) -> str:
    """Why this can't be used as an interfacer; empty when it can."""
    if not isinstance(made, type) or not issubclass(made, Interfacer):
        return "it is no interfacer: it must inherit from Interfacer or Reporter of emonhub"
    for name, setting in declared(made).items():
        if not _is_sound(setting):
            return f"setting {name}: write it as {name} = setting(number(), 10.0, 'what it is for')"
    sections: Any = made.sections
    if not isinstance(sections, frozenset | set | tuple | list):
        return "sections must be a frozenset of names"
    return ""


def _is_sound(setting: Setting[Any]) -> bool:
    kind = setting.kind
    return callable(kind) and isinstance(getattr(kind, "rule", None), str) and isinstance(setting.help, str)


def _own_names(files: list[File]) -> set[str]:
    """The classes of the user's files that are likely interfacers: those that inherit from something."""
    return {
        name for file in files for name in file.heirs if not name.startswith(_RESERVED) and not name.startswith("_")
    }


def _packaged() -> dict[str, list[EntryPoint]]:
    from importlib import metadata  # noqa: PLC0415 - a megabyte, for types that are neither built in nor the user's

    found: dict[str, list[EntryPoint]] = {}
    for entry in metadata.entry_points(group=GROUP):
        found.setdefault(entry.name, []).append(entry)
    return found


def _origin(entry: EntryPoint) -> str:
    return f"{entry.dist.name} {entry.dist.version}" if entry.dist is not None else entry.value
