"""Which class a `Type =` stands for."""

from __future__ import annotations

import sys

import pytest

from emonhub import Interfacer, plugins
from emonhub.interfacers import BUILT_IN
from emonhub.settings import declared


@pytest.mark.parametrize("name", plugins.type_names())
def test_every_type_can_be_used(name: str) -> None:
    found = plugins.find(name)
    assert found.problem == ""
    assert found.known
    assert found.cls is not None
    assert issubclass(found.cls, Interfacer)
    assert found.cls.__name__ == name  # people find the class by the name in their file
    assert found.cls.__doc__


@pytest.mark.parametrize("name", plugins.type_names())
def test_every_setting_says_what_it_is(name: str) -> None:
    cls = plugins.find(name).cls
    assert cls is not None
    assert [key for key, setting in declared(cls).items() if not setting.help] == []


def test_unknown_later_and_gone() -> None:
    assert plugins.find("EmonHubNoSuchInterfacer") == plugins.Found(
        None, "there is no interfacer type EmonHubNoSuchInterfacer", known=False
    )
    gone = plugins.find("EmonHubBMWInterfacer")
    assert gone.cls is None
    assert gone.known
    assert "closed by BMW" in gone.problem
    for name in plugins._NOT_YET:
        assert name not in BUILT_IN
        assert "not part of this version yet" in plugins.find(name).problem


def test_a_missing_library_is_that_interfacer_s_own_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    module = BUILT_IN["EmonHubSocketInterfacer"]
    monkeypatch.setitem(sys.modules, module, None)  # importing it raises ImportError
    found = plugins.find("EmonHubSocketInterfacer")
    assert found.cls is None
    assert "needs a library that is not installed" in found.problem


def test_looking_for_one_type_imports_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    module = BUILT_IN["EmonHubEmoncmsHTTPInterfacer"]
    monkeypatch.delitem(sys.modules, module, raising=False)
    plugins.find("EmonHubSerialInterfacer")
    assert module not in sys.modules
