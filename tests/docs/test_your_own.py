"""The road to an interfacer of your own: what its pages show is run."""

from __future__ import annotations

import asyncio
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from emonhub import plugins
from emonhub.cli.contract import examine
from emonhub.config.load import load
from emonhub.interfacers.core.exec import EmonHubExecInterfacer
from emonhub.interfacers.core.socket import EmonHubSocketInterfacer
from tests.docs.test_docs import BLOCK
from tests.interfacers.harness import QuickWorld, running, until

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGES = Path(__file__).parent.parent.parent / "docs" / "your-own"


def blocks(page: str, language: str) -> list[str]:
    return [text for _, found, text in BLOCK.findall((PAGES / page).read_text("utf-8")) if found == language]


@pytest.fixture(autouse=True)
def _folders_as_they_were() -> Iterator[None]:
    yield
    plugins.look_in(())


async def run(*command: str) -> None:
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr


async def test_any_language() -> None:
    socket = EmonHubSocketInterfacer("Socket", {"port_nb": 0, "pubchannels": ("out",)}, world=QuickWorld())
    async with running(socket) as hub:
        (code,) = blocks("1-any-language.md", "python")
        await run(sys.executable, "-c", code.replace("50011", str(socket.port)))
        await hub.has((10, 97, 240.5))
        (line,) = blocks("1-any-language.md", "sh")
        said = shlex.split(line.partition("|")[0])[1]
        assert socket.parse([said.encode()], 0.0)[0].values == (97, 240.5)


async def test_any_program(tmp_path: Path) -> None:
    (code,) = blocks("2-any-program.md", "python")
    (tmp_path / "meter.py").write_text(code)
    settings = {**load_block("2-any-program.md", tmp_path), "directory": str(tmp_path)}
    settings["command"] = settings["command"].replace("python3", sys.executable)
    async with running(EmonHubExecInterfacer("Meter", settings | {"pubchannels": ("out",)})) as hub:
        await until(lambda: hub.heard)
        assert hub.frames[0] == ("kitchen", 97, 240.5)


def load_block(page: str, folder: Path) -> dict[str, Any]:
    """The settings of the page's configuration, which has one interfacer, and no problem but an open channel."""
    (block,) = blocks(page, "ini")
    (folder / "emonhub.conf").write_text(block + "[nodes]\n")
    found = load(folder / "emonhub.conf")
    assert found.errors == []
    (config,) = found.interfacers.values()
    return config.settings


@pytest.mark.slow
async def test_a_file(tmp_path: Path) -> None:
    folder = tmp_path / "interfacers"
    folder.mkdir()
    solar, loud = blocks("3-a-file.md", "python")
    (folder / "solar_meter.py").write_text(solar)
    (folder / "loud.py").write_text(loud)
    assert load_block("3-a-file.md", tmp_path)["period"] == 5
    cls = plugins.find("SolarMeter").cls
    assert cls is not None
    results = await examine(cls, {"period": 0.1})
    assert {result.outcome for result in results} == {"good"}, results
    louder = plugins.find("LoudSerial").cls
    assert louder is not None
    parse = getattr(louder("Loud", {"com_port": "x"}), "parse")  # noqa: B009 - the class is the user's own
    assert parse([b"10 1 2"], 0.0)[0].values == (10, 20)


def test_a_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As an installer would lay it out."""
    project = tomllib.loads(blocks("4-a-package.md", "toml")[0])
    (group,) = project["project"]["entry-points"]
    assert group == plugins.GROUP
    ((name, place),) = project["project"]["entry-points"][group].items()
    about = tmp_path / "emonhub_solar_meter-1.0.dist-info"
    about.mkdir()
    about_text = (
        f"Metadata-Version: 2.1\nName: {project['project']['name']}\nVersion: {project['project']['version']}\n"
    )
    (about / "METADATA").write_text(about_text)
    (about / "entry_points.txt").write_text(f"[{group}]\n{name} = {place}\n")
    (tmp_path / project["tool"]["hatch"]["build"]["targets"]["wheel"]["include"][0]).write_text(
        blocks("3-a-file.md", "python")[0]
    )
    monkeypatch.syspath_prepend(tmp_path)
    try:
        found = plugins.find("SolarMeter")
        assert found.problem == ""
        assert found.origin == "emonhub-solar-meter 1.0"
    finally:
        sys.modules.pop("solar_meter", None)
