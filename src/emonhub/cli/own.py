"""`emonhub interfacers`, `emonhub new`, `emonhub test-interfacer`: your own interfacers."""

from __future__ import annotations

import inspect
import keyword
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from emonhub import plugins
from emonhub.cli import DEFAULT_FILE, EXIT_BAD_FILE, EXIT_FAILED
from emonhub.config.load import load, own_folders
from emonhub.config.model import HubConfig
from emonhub.config.parse import ParseFailed
from emonhub.errors import SettingError

if TYPE_CHECKING:
    import argparse

_TEMPLATES = Path(__file__).parent / "templates"


def dispatch(arguments: argparse.Namespace) -> int:
    """Run one of these commands. Returns the exit status."""
    folders = use_folders(arguments.config or arguments.config_file)
    if arguments.command == "interfacers":
        return list_types()
    if arguments.command == "new":
        folder = arguments.folder or folders[0]
        return new(arguments.name, folder, asynchronous=getattr(arguments, "async"))
    return test(arguments.type, arguments.set or [])


def use_folders(config: Path | None) -> list[Path]:
    """Look for types in the folders that a configuration names, or the usual one, good or bad."""
    path = config or DEFAULT_FILE
    folders = own_folders(HubConfig(), path)
    try:
        folders = own_folders(load(path).hub, path)
    except (ParseFailed, OSError) as error:
        if config is not None:
            print(f"emonhub: {path} can't be used ({error})", file=sys.stderr)
    plugins.look_in(folders)
    return folders


def list_types() -> int:
    """Print every type and where it comes from."""
    names = plugins.type_names()
    widest = max(map(len, names))
    for name in names:
        found = plugins.find(name)
        if found.cls is None and found.problem.endswith("inherit from Interfacer or Reporter of emonhub"):
            continue  # a class beside the interfacers, in a user's file
        line = (inspect.getdoc(found.cls) or "").partition("\n")[0] if found.cls else found.problem
        print(f"{name:<{widest}}  {found.origin or '?'}\n{'':<{widest}}  {line}")
    return 0


def new(name: str, folder: Path, *, asynchronous: bool = False) -> int:
    """Write an interfacer and its test. Returns the exit status."""
    if not name.isidentifier() or keyword.iskeyword(name) or not name[0].isupper() or not name.isascii():
        print(f"emonhub new: {name}: write it like SolarMeter, letters and digits only", file=sys.stderr)
        return EXIT_BAD_FILE
    if name.startswith(("EmonHub", "Emoncms")):
        print("emonhub new: names that begin with EmonHub or Emoncms are those of emonHub itself", file=sys.stderr)
        return EXIT_BAD_FILE
    if plugins.find(name).known:
        print(f"emonhub new: there is a type {name}: `emonhub interfacers` says where", file=sys.stderr)
        return EXIT_FAILED
    module = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
    files = {folder / f"{module}.py": "asynchronous" if asynchronous else "plain", folder / f"test_{module}.py": "test"}
    if there := [path for path in files if path.exists()]:
        print(f"emonhub new: {there[0]} is there already", file=sys.stderr)
        return EXIT_FAILED
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path, template in files.items():
            text = (_TEMPLATES / f"{template}.txt").read_text("utf-8")
            path.write_text(text.replace("MyMeter", name).replace("my_meter", module), "utf-8")
    except OSError as error:
        print(f"emonhub new: {folder} can't be written: {error.strerror}: use sudo, or --folder", file=sys.stderr)
        return EXIT_FAILED
    written, test_file = files
    print(_NEXT.format(name=name, path=written, test=test_file), end="")
    return 0


_NEXT = """\
{path}       the interfacer: change read()
{test}  its test: python3 -m pytest {test}

For emonhub.conf, below [interfacers]:

[[{name}]]
    Type = {name}
    [[[init_settings]]]
        device = /dev/ttyUSB0
    [[[runtimesettings]]]
        pubchannels = ToEmonCMS,

A running hub takes changes of the file within two seconds. emonhub test-interfacer {path} tries it.
"""


def test(wanted: str, given: list[str]) -> int:
    """Try a type, or every type in a file. Returns 0 when nothing failed."""
    import asyncio  # noqa: PLC0415 - only who runs something pays for it

    from emonhub.cli.contract import examine, raw_settings  # noqa: PLC0415

    names = [wanted]
    if wanted.endswith(".py"):
        path = Path(wanted).absolute()
        if not path.is_file():
            print(f"emonhub test-interfacer: there is no {wanted}", file=sys.stderr)
            return EXIT_BAD_FILE
        plugins.look_in([path.parent])
        names = plugins.names_of(path)
    failed = not names
    if not names:
        print(f"{wanted}: no class in it inherits from anything, so none is an interfacer")
    for name in names:
        found = plugins.find(name)
        print(name)
        if found.cls is None:
            print(f"  failed     {found.problem}")
            failed = True
            continue
        try:
            settings = raw_settings(found.cls, dict(_pair(text) for text in given))
        except SettingError as error:
            print(f"emonhub test-interfacer: {error}", file=sys.stderr)
            return EXIT_BAD_FILE
        for result in asyncio.run(examine(found.cls, settings)):
            print(f"  {result.outcome:<9}  {result.check}" + (f": {result.text}" if result.text else ""))
            failed = failed or result.outcome == "failed"
    return EXIT_FAILED if failed else 0


def _pair(text: str) -> tuple[str, str]:
    name, sign, value = text.partition("=")
    if not sign:
        raise SettingError(f"--set {text}: write it as --set NAME=VALUE")
    return name.strip(), value.strip()
