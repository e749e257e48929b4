"""Who may import whom: the rooms stand on each other, and never the other way round."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

import emonhub

SRC = Path(emonhub.__file__).parent

# From the ground up. A room imports from floors below its own, and from itself. A new room needs its place here.
FLOORS: list[set[str]] = [
    {"errors", "cargo", "clock", "state"},
    {"settings", "channel", "blocking", "outcome", "pacing", "search"},
    {"nodes", "buffer"},
    {"world"},
    {"delivery"},
    {"interfacer"},
    {"reporter"},
    {"emonhub"},  # what is exported, for interfacers
    {"legacy", "interfacers", "dropin"},
    {"demo", "plugins"},
    {"config"},
    {"logs", "supervisor", "keeper", "systemd", "archive", "autoconf", "presence", "observers"},
    {"hub"},
    {"web"},
    {"cli"},
    {"__main__"},
]

# Interfacers see what is exported and nothing else, so that a user's own can do whatever a built-in one can.
FOR_INTERFACERS = {"emonhub", "interfacers"}


class Import(NamedTuple):
    by: str
    line: int
    of: str
    typing_only: bool


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(SRC.parent).with_suffix("").parts).removesuffix(".__init__")


MODULES = {module_name(path): path for path in sorted(SRC.rglob("*.py"))}
TREES = {module: ast.parse(path.read_text("utf-8")) for module, path in MODULES.items()}


def room(module: str) -> str:
    return module.split(".")[1] if "." in module else module


def imports() -> list[Import]:
    found = []
    for module, path in MODULES.items():
        tree = TREES[module]
        guarded = {
            id(node)
            for block in ast.walk(tree)
            if isinstance(block, ast.If) and isinstance(block.test, ast.Name) and block.test.id == "TYPE_CHECKING"
            for node in ast.walk(block)
        }
        for node in ast.walk(tree):
            names: list[str] = []
            if isinstance(node, ast.ImportFrom):
                assert not node.level, f"{path}:{node.lineno}: write the whole name of the module"
                base = node.module or ""
                names = [f"{base}.{a.name}" if f"{base}.{a.name}" in MODULES else base for a in node.names]
            elif isinstance(node, ast.Import):
                names = [a.name for a in node.names]
            for name in names:
                if name.partition(".")[0] == "emonhub":
                    assert isinstance(node, ast.stmt)
                    found.append(Import(module, node.lineno, name, id(node) in guarded))
    return found


IMPORTS = imports()


def floor(module: str) -> int:
    places = [number for number, rooms in enumerate(FLOORS) if room(module) in rooms]
    assert places, f"{module} stands in a new room: give it a floor in {Path(__file__).name}"
    return places[0]


def test_something_is_imported() -> None:
    assert len(IMPORTS) > 50


def test_rooms_stand_on_those_below() -> None:
    """But for types, which cost nothing when it runs."""
    upwards = [
        f"{i.by}:{i.line} imports {i.of}"
        for i in IMPORTS
        if not i.typing_only and room(i.by) != room(i.of) and floor(i.by) <= floor(i.of)
    ]
    assert upwards == []


def test_interfacers_see_only_what_is_exported() -> None:
    beyond = [
        f"{i.by}:{i.line} imports {i.of}"
        for i in IMPORTS
        if room(i.by) == "interfacers" and room(i.of) not in FOR_INTERFACERS
    ]
    assert beyond == []


def test_cargo_knows_nothing_of_ours() -> None:
    assert [i for i in IMPORTS if room(i.by) == "cargo"] == []


def test_the_page_is_never_imported_by_the_hub() -> None:
    assert [i for i in IMPORTS if room(i.of) == "web" and room(i.by) not in {"web", "cli"}] == []


def test_what_is_exported_is_there() -> None:
    assert sorted(emonhub.__all__, key=str.lower) == sorted(set(emonhub.__all__), key=str.lower)
    assert [name for name in emonhub.__all__ if not hasattr(emonhub, name)] == []


def loaded_by(program: str) -> set[str]:
    code = f"{program}\nimport sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30)
    return set(done.stdout.splitlines()[-1].split())


HEAVY = {"aiohttp", "rich", "aiomqtt", "paho", "sqlite3", "jinja2", "pytest"}

SERIAL_ONLY = """
from pathlib import Path
from emonhub.cli import run
from emonhub.config.load import load
from emonhub.hub import build
path = Path("emonhub.conf")
import tempfile
with tempfile.TemporaryDirectory() as folder:
    path = Path(folder) / "emonhub.conf"
    path.write_text('''
[hub]
[interfacers]
[[USB0]]
    Type = EmonHubSerialInterfacer
    [[[init_settings]]]
        com_port = /dev/ttyUSB0
    [[[runtimesettings]]]
        pubchannels = ToEmonCMS,
[nodes]
''')
    found = load(path)
    build(found.interfacers["USB0"])
"""


@pytest.mark.parametrize("program", ["import emonhub", "import emonhub.cli", SERIAL_ONLY])
def test_heavy_libraries_are_loaded_by_who_needs_them(program: str) -> None:
    assert loaded_by(program) & HEAVY == set()


def test_an_async_function_does_not_sleep_or_read_in_its_loop() -> None:
    """No blocking sleep anywhere in the package: it would stop every interfacer."""
    found = [
        f"{module}:{node.lineno}"
        for module, tree in TREES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "time.sleep"
    ]
    assert found == []
