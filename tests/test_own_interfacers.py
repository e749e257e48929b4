"""The user's own interfacers: files that are dropped into a folder, good ones and broken ones, in a running hub."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import textwrap
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from emonhub import plugins
from emonhub.cli import check
from emonhub.config.load import describe_problem, load
from emonhub.hub import Hub
from emonhub.interfacers.core.socket import EmonHubSocketInterfacer
from emonhub.supervisor import State

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from pathlib import Path

    from emonhub.config.model import Configuration

GOOD = """
from emonhub import Cargo, Interfacer, Layout, number, setting

class Mine(Interfacer):
    '''Counts.'''
    step = setting(number(), 1.0, "what is added", init=True)
    word = "first"

    def read(self):
        return None
"""


@pytest.fixture(autouse=True)
def _folders_as_they_were() -> Iterator[None]:
    yield
    plugins.look_in(())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    own = tmp_path / "interfacers"
    own.mkdir()
    plugins.look_in([own])
    return own


def write(path: Path, text: str) -> None:
    path.write_text(textwrap.dedent(text))


def conf(tmp_path: Path, *types: str, hub: str = "") -> Path:
    path = tmp_path / "emonhub.conf"
    parts = [f"[hub]\nautoconf = 0\n{hub}\n[interfacers]\n"]
    for name in types:
        port = "port_nb = 0\n" if name == "EmonHubSocketInterfacer" else ""
        init = f"[[[init_settings]]]\n{port}"
        parts.append(f"[[{name}]]\nType = {name}\n{init}[[[runtimesettings]]]\npubchannels = out,\n")
    path.write_text("".join(parts) + "[nodes]\n")
    return path


def said(found: Configuration) -> str:
    return "\n".join(describe_problem(problem, found.path) for problem in found.errors)


@asynccontextmanager
async def running(path: Path) -> AsyncIterator[Hub]:
    hub = Hub(path, load(path))
    task = asyncio.create_task(hub.run())
    await hub.started.wait()
    try:
        yield hub
    finally:
        hub.stop()
        await task


async def until(condition: Callable[[], Any]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.01)


def runs(hub: Hub, name: str) -> bool:
    return name in hub.runners and hub.runners[name].state is State.RUNNING


BROKEN = {
    "syntax": ("class Mine(Interfacer:\n    pass\n", "mine.py:1: ", "Mine"),
    "syntax further down": (GOOD + "\n\ndef f(:\n", "mine.py:13: ", "Mine"),
    "indentation": ("class Mine:\n  def a(self): pass\n def b(self): pass\n", "mine.py:3: ", "Mine"),
    "missing library": ("import nosuchlibrary\nclass Mine: pass\n", "mine.py:1: ModuleNotFoundError", "install it"),
    "missing name": ("from emonhub import Nothing\nclass Mine: pass\n", "mine.py:1: ImportError", "Nothing"),
    "raises": ("class Mine: pass\n1 / 0\n", "mine.py:2: ZeroDivisionError", "division by zero"),
    "raises within": ("def f():\n    raise ValueError('x')\nclass Mine: pass\nf()\n", "mine.py:2: ValueError: x", ""),
    "exits": ("import sys\nclass Mine: pass\nsys.exit('bye')\n", "mine.py:3: it calls sys.exit('bye')", ""),
    "is interrupted": ("class Mine: pass\nraise KeyboardInterrupt\n", "mine.py:2: KeyboardInterrupt", ""),
    "no interfacer": ("\nclass Mine:\n    pass\n", "mine.py:2: it is no interfacer", "inherit"),
    "gone again": (GOOD + "\ndel Mine\n", "mine.py:4: it is no interfacer", ""),
    "bad setting": (GOOD.replace("number(), 1.0", "float, 1.0"), "mine.py:4: setting step", "setting("),
    "bad sections": (GOOD + "    sections = 5\n", "mine.py:4: sections", ""),
    "binary": ("class Mine: pass\n\0\0", "mine.py:1: ", "null bytes"),
    "reserved": (GOOD.replace("Mine", "EmonHubMine"), "mine.py:4: EmonHubMine", "another one"),
    "uses a broken one": ("from other import x\nclass Mine: pass\n", "other.py:1: ", ""),
}


@pytest.mark.parametrize("kind", BROKEN)
async def test_a_broken_file_costs_nobody_else(
    kind: str, tmp_path: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text, place, more = BROKEN[kind]
    (folder / "mine.py").write_text(text)
    (folder / "other.py").write_text("x = = 1\n")
    (folder / "good.py").write_text(GOOD.replace("Mine", "Good"))
    type_name = "EmonHubMine" if kind == "reserved" else "Mine"
    path = conf(tmp_path, type_name, "Good", "EmonHubSocketInterfacer")
    async with running(path) as hub:
        await until(lambda: runs(hub, "Good") and runs(hub, "EmonHubSocketInterfacer"))
        assert type_name not in hub.runners
        text = hub.refused[type_name].reason
        assert place in text
        assert more in text
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("member", "said"),
    [
        ("def check(self):\n        raise OSError('no bus')", "OSError: no bus"),
        ("def __init__(self, *a, **k):\n        raise SystemExit('bye')", "SystemExit: bye"),
        ("def __init__(self):\n        pass", "TypeError"),
        ("def endpoint(self):\n        return 1 / 0", "ZeroDivisionError"),
        ("reads = property(lambda self: {}[1])", "KeyError"),
    ],
)
async def test_one_that_cannot_be_made_costs_nobody_else(
    member: str, said: str, tmp_path: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "mine.py").write_text(f"{GOOD}\n    {member}\n")
    (folder / "good.py").write_text(GOOD.replace("Mine", "Good"))
    path = conf(tmp_path, "Mine", "Good")
    async with running(path) as hub:
        await until(lambda: runs(hub, "Good"))
        assert said in hub.refused["Mine"].reason
    assert check.main(path) == 1
    assert said in capsys.readouterr().out


async def test_a_kind_of_setting_that_fails_costs_nobody_else(tmp_path: Path, folder: Path) -> None:
    own_kind = "class Odd:\n    rule = 'odd'\n    def __call__(self, raw):\n        return {}[raw][0]\n"
    (folder / "mine.py").write_text(own_kind + GOOD.replace("number(), 1.0", "Odd(), 1.0"))
    path = conf(tmp_path, "Mine")
    path.write_text(path.read_text().replace("[[[init_settings]]]\n", "[[[init_settings]]]\nstep = 2\n"))
    assert "must be odd" in said(load(path))


def test_what_a_file_prints_does_not_get_between(
    folder: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    (folder / "mine.py").write_text(GOOD + "print('hello')\n")
    assert plugins.find("Mine").cls is not None
    assert capsys.readouterr().out == ""
    assert "mine.py prints when it is imported: hello" in caplog.text


def test_an_import_that_waits_does_not_hold_up_the_hub(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("emonhub.dropin._PATIENCE_S", 0.05)
    (folder / "mine.py").write_text(GOOD + "import time\ntime.sleep(3)\n")
    assert "mine.py: its import takes longer than" in plugins.find("Mine").problem


def test_nothing_is_executed_needlessly(tmp_path: Path, folder: Path) -> None:
    (folder / "mine.py").write_text(GOOD)
    (folder / "trap.py").write_text("raise SystemExit\nclass Trap: pass\n")
    assert plugins.find("Mine").cls is not None
    assert plugins.find("EmonHubSocketInterfacer").cls is EmonHubSocketInterfacer
    assert plugins.type_names()
    assert load(conf(tmp_path, "Mine")).errors == []
    assert list(folder.glob("__pycache__")) == []


@pytest.mark.parametrize("statement", ["from zbase import Base", "from .zbase import Base"])
def test_a_built_in_one_and_another_file_can_be_inherited_from(folder: Path, statement: str) -> None:
    write(folder / "a.py", f"{statement}\nclass Mine(Base):\n    '''Mine.'''\n")
    write(
        folder / "zbase.py",
        """
        from emonhub.interfacers import EmonHubSocketInterfacer

        class Base(EmonHubSocketInterfacer):
            'Base.'
        """,
    )
    mine, base = plugins.find("Mine").cls, plugins.find("Base").cls
    assert mine is not None
    assert base is not None
    assert issubclass(mine, base)
    assert issubclass(base, EmonHubSocketInterfacer)


def test_a_file_meets_no_module_by_its_name(folder: Path) -> None:
    """Also one that is called as a module of Python, or of emonHub."""
    for name in ("socket", "json", "emonhub"):
        (folder / f"{name}.py").write_text("import json, socket\n" + GOOD.replace("Mine", f"Of{name}"))
        before = sys.modules[name]
        assert plugins.find(f"Of{name}").problem == ""
        assert sys.modules[name] is before


def test_a_name_that_stands_twice_is_an_error(folder: Path) -> None:
    (folder / "a.py").write_text(GOOD)
    (folder / "b.py").write_text(GOOD)
    assert plugins.find("Mine").cls is None
    assert plugins.find("Mine").problem == f"Mine stands in {folder}/a.py:4 and in {folder}/b.py:4: rename one of them"


def test_a_built_in_name_stays_what_it_is(tmp_path: Path, folder: Path) -> None:
    (folder / "mine.py").write_text(GOOD.replace("Mine", "EmonHubSocketInterfacer"))
    found = load(conf(tmp_path, "EmonHubSocketInterfacer"))
    assert found.interfacers["EmonHubSocketInterfacer"].cls is EmonHubSocketInterfacer
    assert any("mine.py:4 has the name of a built-in type" in problem.message for problem in found.warnings)


def test_an_unknown_type_tells_of_files_that_could_have_had_it(folder: Path) -> None:
    (folder / "bad.py").write_text("Mine = = 5\n")
    problem = plugins.find("Mine").problem
    assert "there is no interfacer type Mine" in problem
    assert "bad.py:1: " in problem


def test_the_folder_can_be_named(tmp_path: Path, state_directory: Path) -> None:
    for where in (tmp_path / "elsewhere", state_directory / "interfacers"):
        where.mkdir()
        (where / "mine.py").write_text(GOOD)
    assert load(conf(tmp_path, "Mine")).interfacers["Mine"].usable  # in the state directory
    assert load(conf(tmp_path, "Mine", hub="interfacers_dir = elsewhere")).interfacers["Mine"].usable
    assert "no such folder" in said(load(conf(tmp_path, "Mine", hub="interfacers_dir = nowhere")))


async def test_a_changed_file_restarts_its_own_interfacers(tmp_path: Path, folder: Path) -> None:
    (folder / "mine.py").write_text("from base import *\n" + GOOD)
    (folder / "base.py").write_text("number_of = 1\n")
    (folder / "good.py").write_text(GOOD.replace("Mine", "Good"))
    async with running(conf(tmp_path, "Mine", "Good")) as hub:
        await until(lambda: runs(hub, "Mine") and runs(hub, "Good"))
        good, mine = hub.runners["Good"], hub.runners["Mine"]

        # A mistake: what runs goes on.
        (folder / "mine.py").write_text("from base import *\n" + GOOD + "!")
        await until(lambda: "Mine" in hub.refused)
        assert "mine.py:" in hub.refused["Mine"].reason
        assert hub.runners["Mine"] is mine
        assert runs(hub, "Mine")

        (folder / "mine.py").write_text("from base import *\n" + GOOD.replace("first", "other"))
        await until(lambda: hub.runners["Mine"] is not mine and runs(hub, "Mine"))
        assert getattr(hub.runners["Mine"].interfacer, "word", "") == "other"
        assert hub.refused == {}

        mine = hub.runners["Mine"]
        (folder / "base.py").write_text("number_of = 2\n")  # what it uses
        await until(lambda: hub.runners["Mine"] is not mine and runs(hub, "Mine"))
        assert hub.runners["Good"] is good


async def test_a_new_file_is_noticed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with running(conf(tmp_path, "Mine")) as hub:
        assert "there is no interfacer type Mine" in hub.refused["Mine"].reason
        (tmp_path / "interfacers").mkdir()
        (tmp_path / "interfacers" / "mine.py").write_text(GOOD)
        await until(lambda: runs(hub, "Mine"))


def test_a_file_that_was_only_touched_restarts_nothing(folder: Path) -> None:
    (folder / "mine.py").write_text(GOOD)
    before = plugins.find("Mine").cls
    os.utime(folder / "mine.py", (1, 1))
    assert plugins.find("Mine").cls is before


def package(site: Path, code: str, entry: str = "AcmeMeter = acme_meter:AcmeMeter", name: str = "acme") -> None:
    about = site / f"{name}-1.2.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.2\n")
    (about / "entry_points.txt").write_text(f"[emonhub.interfacers]\n{entry}\n")
    (site / "acme_meter.py").write_text(code)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    path = tmp_path / "site"
    monkeypatch.syspath_prepend(path)
    yield path
    sys.modules.pop("acme_meter", None)


def test_an_installed_package_is_found(site: Path) -> None:
    package(site, GOOD.replace("Mine", "AcmeMeter"))
    found = plugins.find("AcmeMeter")
    assert found.problem == ""
    assert found.cls is not None
    assert found.origin == "acme 1.2"
    assert "AcmeMeter" in plugins.type_names()


@pytest.mark.parametrize(
    ("code", "entry", "problem"),
    [
        ("1 / 0", "AcmeMeter = acme_meter:AcmeMeter", "acme 1.2 can't be used: ZeroDivisionError"),
        ("raise SystemExit(3)", "AcmeMeter = acme_meter:AcmeMeter", "acme 1.2 can't be used: SystemExit"),
        ("AcmeMeter = 5", "AcmeMeter = acme_meter:AcmeMeter", "acme 1.2 can't be used: it is no interfacer"),
        (GOOD, "EmonHubAcme = acme_meter:Mine", "give it another one"),
    ],
)
def test_a_broken_package_is_its_type_s_own_problem(site: Path, code: str, entry: str, problem: str) -> None:
    package(site, code, entry)
    found = plugins.find(entry.partition(" ")[0])
    assert found.cls is None
    assert problem in found.problem


def test_a_file_and_a_package_of_the_same_name(site: Path, folder: Path) -> None:
    package(site, GOOD.replace("Mine", "AcmeMeter"))
    (folder / "acme.py").write_text(GOOD.replace("Mine", "AcmeMeter"))
    assert f"stands in {folder}/acme.py:4 and in acme 1.2" in plugins.find("AcmeMeter").problem
