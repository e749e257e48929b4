"""What `emonhub describe` says of types and settings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from emonhub import Interfacer, Reporter, duration, name_list, setting, size, switch, text
from emonhub.cli import main
from emonhub.cli.describe import default_text, own_settings
from emonhub.interfacers.devices.jee import EmonHubJeeInterfacer
from emonhub.plugins import type_names

if TYPE_CHECKING:
    from emonhub.settings import Setting


def test_all_types_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["describe"]) == 0
    shown = capsys.readouterr().out
    assert [name for name in type_names() if f"{name} " not in shown] == []


def test_one_type_with_its_sections(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["describe", "EmonHubJeeInterfacer"]) == 0
    shown = capsys.readouterr().out
    init, _, runtime = shown.partition("[[[runtimesettings]]]")
    assert "com_baud = 38400" in init
    assert "group = 210" in runtime
    assert "must be a whole number from 0 to 250" in runtime
    assert "nodelistonly = 0" in runtime.partition("Common settings:")[2]


@pytest.mark.parametrize(("section", "key"), [("hub", "state_dir"), ("web", "port"), ("nodes", "nodename")])
def test_sections_of_the_file(section: str, key: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["describe", section]) == 0
    assert f"  {key} =" in capsys.readouterr().out


def test_a_slip_is_put_right(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["describe", "EmonHubJeInterfacer"]) == 2
    assert "did you mean EmonHubJeeInterfacer?" in capsys.readouterr().err


def test_a_type_that_is_gone_says_why(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["describe", "EmonHubBMWInterfacer"]) == 1
    assert "was closed by BMW" in capsys.readouterr().err


def test_own_settings_are_those_that_are_new_or_have_another_default() -> None:
    own = own_settings(EmonHubJeeInterfacer)
    assert {"com_port", "group", "datacode"} <= own.keys()
    assert "pubchannels" not in own
    assert "buffer_mode" not in own_settings(Reporter)
    assert own_settings(Interfacer) == {}


def test_defaults_as_the_file_has_them() -> None:
    given: list[tuple[Setting[Any], str]] = [
        (setting(switch(), True, ""), "1"),
        (setting(name_list(), ("a", "b"), ""), "a, b"),
        (setting(size(), 4 << 30, ""), "4G"),
        (setting(size(), 0, ""), "0"),
        (setting(duration(), float("inf"), ""), "ever"),
        (setting(duration(), 90.0, ""), "90"),
        (setting(text(), "", ""), ""),
    ]
    assert [default_text(declaration) for declaration, _ in given] == [shown for _, shown in given]
