"""The user's own interfacers: Python files in a folder, each loaded when something in it is asked for.

Nothing is executed to find out which classes a file has. A file may use another one of the same folder, as
`from other import Base` or `from .other import Base`, in any order; an installed package of that name comes first.
Every file is a module of its own in a package that stands for the folder, so it meets no other module by its name.
"""

from __future__ import annotations

import ast
import importlib.util
import io
import logging
import re
import sys
import threading
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zlib import crc32

from emonhub.errors import EmonHubError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import ModuleType

log = logging.getLogger("emonhub.own")

_BIGGEST = 1 << 20
"""Bytes. What is longer is no interfacer, and not worth reading."""

_PATIENCE_S = 5.0
"""A file that takes longer to import waits for something: it would hold up the whole hub."""

_CLASS = re.compile(r"^class[ \t]+(\w+)", re.MULTILINE)
_LONGEST_SAID = 300


class BrokenFile(EmonHubError):
    """A user's file can't be used; the text says where and why."""


@dataclass(slots=True)
class File:
    """What a file says of itself without being executed.

    classes  line of each class at its top level
    heirs    those of them that inherit from something
    problem  why it can't be executed at all, with the file and the line in front; empty when it can
    uses     other files of the folder that it imports
    """

    path: Path
    data: bytes = b""
    tree: ast.Module | None = None
    classes: dict[str, int] = field(default_factory=dict)
    heirs: set[str] = field(default_factory=set)
    problem: str = ""
    uses: set[Path] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class _Loaded:
    """A file that has been executed; `contents` are the files that went into it, by path."""

    contents: dict[Path, bytes]
    module: ModuleType | None
    problem: str = ""


def names_in(folder: Path) -> list[Path]:
    """The interfacer files of a folder, by name."""
    try:
        return sorted(path for path in folder.iterdir() if path.suffix == ".py" and path.is_file())
    except OSError:
        return []


class Library:
    """The files of some folders, and what has been loaded of them."""

    def __init__(self) -> None:
        self._loaded: dict[Path, _Loaded] = {}
        self._finder = _Finder()
        self._lock = threading.RLock()

    def files(self, folders: Sequence[Path]) -> list[File]:
        """Every file as it is now; executes nothing."""
        return [_read(path) for folder in folders for path in names_in(folder)]

    def load(self, path: Path) -> ModuleType:
        """The module of a file: the same one until it or a file that it uses has another content.

        Raises BrokenFile.
        """
        with self._lock:
            contents = _contents(path)
            for file in contents:
                known = self._loaded.get(file)
                if known is not None and known.contents != _contents(file):
                    del self._loaded[file]
            loaded = self._loaded.get(path) or self._execute(path, contents)
            if loaded.module is None:
                raise BrokenFile(loaded.problem)
            return loaded.module

    def _execute(self, path: Path, contents: dict[Path, bytes]) -> _Loaded:
        package = self._finder.add(path.parent)
        for file in contents:
            if file not in self._loaded:
                sys.modules.pop(f"{package}.{file.stem}", None)
        importlib.invalidate_caches()
        done = _Import(f"{package}.{path.stem}")
        # The standard output belongs to the command that runs, and to who reads it.
        with redirect_stdout(io.StringIO()) as printed:
            done.start()
            done.join(_PATIENCE_S)
        if printed.getvalue().strip():
            log.warning("%s prints when it is imported: %s", path, printed.getvalue().strip()[:_LONGEST_SAID])
        problem = _say(done, path)
        loaded = _Loaded(contents, None if problem else done.module, problem)
        if loaded.module is not None:
            for file in contents:
                module = sys.modules.get(f"{package}.{file.stem}")
                self._loaded.setdefault(file, _Loaded(_contents(file), module))
        elif done.is_alive():  # once is enough
            self._loaded[path] = loaded
        return loaded


class _Import(threading.Thread):
    """Imports in a thread of its own: what hangs there can be left behind, what ends there ends that thread only."""

    def __init__(self, name: str) -> None:
        super().__init__(name=f"import {name}", daemon=True)
        self._module = name
        self.module: ModuleType | None = None
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            self.module = importlib.import_module(self._module)
        except BaseException as error:  # noqa: BLE001 - somebody's file may raise anything, SystemExit too
            self.error = error


class _Finder(MetaPathFinder):
    """Finds the files of folders as modules of their packages, for `import`."""

    def __init__(self) -> None:
        self._folders: dict[str, Path] = {}

    def add(self, folder: Path) -> str:
        """The package of a folder."""
        if self not in sys.meta_path:
            sys.meta_path.append(self)
        package = f"emonhub_own_{crc32(str(folder.resolve()).encode()):08x}"
        self._folders[package] = folder
        return package

    def find_spec(self, name: str, _path: object = None, _target: object = None) -> ModuleSpec | None:
        """The folder's package, or a file in it."""
        if name in self._folders:
            return ModuleSpec(name, None, is_package=True)
        head, _, stem = name.rpartition(".")
        path = self._folders[head] / f"{stem}.py" if head in self._folders else None
        if path is None or not path.is_file():
            return None
        return importlib.util.spec_from_file_location(name, path, loader=_Loader(path))


class _Loader(Loader):
    """Executes a file. No compiled copy of it is kept: the folder is the user's."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def exec_module(self, module: ModuleType) -> None:
        """Fill the module."""
        file = _read(self._path)
        if file.tree is None:
            raise BrokenFile(file.problem)
        exec(compile(_Siblings(self._path).visit(file.tree), str(self._path), "exec"), vars(module))  # noqa: S102

    def get_source(self, _name: str) -> str:
        """For tracebacks, which show the line."""
        return self._path.read_text("utf-8", "replace")


class _Siblings(ast.NodeTransformer):
    """Makes `import other` mean the file beside this one, where there is one and no installed package of that name."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.AST:
        if node.level == 0 and node.module and _sibling(self._path, node.module) is not None:
            node.level = 1
        return node

    def visit_Import(self, node: ast.Import) -> Any:
        found: list[ast.stmt] = []
        for alias in node.names:
            if _sibling(self._path, alias.name) is not None:
                new: ast.stmt = ast.ImportFrom(None, [alias], 1)
            else:
                new = ast.Import([alias])
            found.append(ast.copy_location(new, node))
        return found


def _sibling(path: Path, module: str) -> Path | None:
    """The file beside `path` that `import module` means; None where it means something installed, or nothing."""
    other = path.with_name(f"{module}.py")
    if "." in module or other == path or not other.is_file():
        return None
    try:
        installed = module in sys.modules or importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):
        installed = False
    return None if installed else other


def _read(path: Path) -> File:
    file = File(path)
    try:
        with path.open("rb") as stream:
            file.data = stream.read(_BIGGEST + 1)
        if len(file.data) > _BIGGEST:
            file.problem = f"{path} is longer than 1 MB: it is no interfacer"
            return file
        tree = ast.parse(file.data, str(path))
    except OSError as error:
        file.problem = f"{path} can't be read: {error.strerror}"
    except SyntaxError as error:
        shown = (error.text or "").strip()[:80]
        file.problem = f"{path}:{error.lineno or 1}: {error.msg}" + (f": {shown}" if shown else "")
    except (ValueError, RecursionError, MemoryError) as error:
        file.problem = f"{path}:1: it is no Python file: {error}"
    else:
        file.tree = tree
        found = [node for node in _top_level(tree.body) if isinstance(node, ast.ClassDef)]
        file.classes = {node.name: node.lineno for node in found}
        file.heirs = {node.name for node in found if node.bases}
        file.uses = set(_used(tree, path))
        return file
    text = file.data.decode("utf-8", "replace")
    file.classes = {match[1]: text.count("\n", 0, match.start()) + 1 for match in _CLASS.finditer(text)}
    return file


def _top_level(body: Sequence[ast.stmt]) -> Iterator[ast.stmt]:
    """The statements that are executed on import, also within `if` and `try`."""
    for statement in body:
        yield statement
        for name in ("body", "orelse", "finalbody"):
            if isinstance(statement, ast.If | ast.Try | ast.With):
                yield from _top_level(getattr(statement, name, []))
        for handler in getattr(statement, "handlers", []):
            yield from _top_level(handler.body)


def _used(tree: ast.Module, path: Path) -> Iterator[Path]:
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names = [node.module or ""]
        elif isinstance(node, ast.ImportFrom) and node.level == 1:
            relative = [node.module] if node.module else [alias.name for alias in node.names]
            yield from (other for name in relative if (other := path.with_name(f"{name}.py")).is_file())
        yield from filter(None, (_sibling(path, name) for name in names))


def _contents(path: Path) -> dict[Path, bytes]:
    """What a file and all files that it uses hold."""
    found: dict[Path, bytes] = {}
    left = [path]
    while left:
        file = _read(left.pop())
        if file.path not in found:
            found[file.path] = file.data
            left += file.uses
    return found


def _say(done: _Import, path: Path) -> str:
    """What went wrong, with the file and the line; empty when nothing did."""
    if done.is_alive():
        return f"{path}: its import takes longer than {_PATIENCE_S:g} s: what waits belongs into open() or read()"
    error = done.error
    if error is None:
        return ""
    if isinstance(error, BrokenFile):
        return str(error)
    what = " ".join(f"{type(error).__name__}: {error}".split())[:_LONGEST_SAID]
    if isinstance(error, SystemExit):
        what = f"it calls sys.exit({error.code!r})"
    elif isinstance(error, ModuleNotFoundError):
        what += ": install it for the Python that runs the hub"
    where, line = path, 0
    trace = error.__traceback__
    while trace is not None:
        file = Path(trace.tb_frame.f_code.co_filename)
        if file.parent == path.parent:
            where, line = file, trace.tb_lineno
        trace = trace.tb_next
    return f"{where}{f':{line}' if line else ''}: {what}"
