"""`emonhub new`, `emonhub interfacers`, `emonhub test-interfacer`, and `emonhub describe` for your own types."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from emonhub import plugins
from emonhub.cli import main

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(autouse=True)
def _folders_as_they_were() -> Iterator[None]:
    yield
    plugins.look_in(())


@pytest.fixture
def conf(tmp_path: Path) -> Path:
    path = tmp_path / "emonhub.conf"
    path.write_text("[hub]\n[interfacers]\n[nodes]\n")
    return path


@pytest.mark.slow
@pytest.mark.parametrize("options", [[], ["--async"]])
def test_what_is_written_works(
    options: list[str], tmp_path: Path, conf: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["new", "SolarMeter", *options, "--config", str(conf)]) == 0
    said = capsys.readouterr().out
    file = tmp_path / "interfacers" / "solar_meter.py"
    assert str(file) in said

    block = said[said.index("[[") : said.index("A running hub")]
    conf.write_text(f"[hub]\n[interfacers]\n{block}[nodes]\n")
    assert main(["check", str(conf)]) == 0

    command = [sys.executable, "test_solar_meter.py"]
    done = subprocess.run(command, cwd=file.parent, capture_output=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr

    capsys.readouterr()
    assert main(["test-interfacer", str(file)]) == 0
    tried = capsys.readouterr().out
    assert "failed" not in tried
    assert "not tried" not in tried

    assert main(["interfacers", "--config", str(conf)]) == 0
    listed = capsys.readouterr().out
    assert f"SolarMeter                       {file}" in listed
    assert "EmonHubSocketInterfacer          built in" in listed

    assert main(["--config-file", str(conf), "describe", "SolarMeter"]) == 0
    assert "period = 10" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("solar", "write it like SolarMeter"),
        ("Solar-Meter", "write it like SolarMeter"),
        ("../Solar", "write it like SolarMeter"),
        ("EmonHubSolar", "those of emonHub itself"),
        ("EmoncmsSolar", "those of emonHub itself"),
    ],
)
def test_names_that_cannot_be(name: str, said: str, conf: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["new", name, "--config", str(conf)]) != 0
    assert said in capsys.readouterr().err
    assert not (conf.parent / "interfacers").exists()


def test_nothing_is_written_over(conf: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["new", "Solar", "--config", str(conf)]) == 0
    file = conf.parent / "interfacers" / "solar.py"
    file.write_text("# mine\n")
    assert main(["new", "Solar", "--config", str(conf)]) == 1
    assert "is there already" in capsys.readouterr().err
    assert file.read_text() == "# mine\n"


def test_a_broken_file_is_said_to_be(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "mine.py"
    file.write_text("class Mine(Interfacer):\n    pass\n")
    assert main(["test-interfacer", str(file)]) == 1
    assert "mine.py:1: NameError" in capsys.readouterr().out
    assert main(["test-interfacer", str(tmp_path / "nowhere.py")]) == 2


def test_a_setting_that_is_needed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["test-interfacer", "EmonHubSerialInterfacer"]) == 0
    assert "com_port must be set" in capsys.readouterr().out
    assert main(["test-interfacer", "EmonHubSerialInterfacer", "--set", "com_prot=x"]) == 2
