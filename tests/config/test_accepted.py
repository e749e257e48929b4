"""nodes.conf beside emonhub.conf: nodes that were accepted, below the user's own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from emonhub.config import accepted
from emonhub.config.load import load
from emonhub.nodes.templates import definition_from, templates

if TYPE_CHECKING:
    from pathlib import Path

    from emonhub.config.model import Configuration


@pytest.fixture
def state(tmp_path: Path) -> Path:
    path = tmp_path / "state"
    path.mkdir()
    return path


def loaded(tmp_path: Path, state: Path, nodes: str = "") -> Configuration:
    path = tmp_path / "emonhub.conf"
    path.write_text(f"[hub]\nstate_dir = {state}\n[interfacers]\n[nodes]\n{nodes}")
    return load(path, {})


def test_every_template_comes_back_as_it_was_accepted(tmp_path: Path, state: Path) -> None:
    nodes = {str(n): definition_from(template, n) for n, template in enumerate(templates(), 1)}
    accepted.save(state / "nodes.conf", nodes)
    configuration = loaded(tmp_path, state)
    assert configuration.nodes == nodes
    assert configuration.problems == ()


def test_what_the_user_says_counts_more(tmp_path: Path, state: Path) -> None:
    template = templates()[0]
    accepted.save(state / "nodes.conf", {str(n): definition_from(template, n) for n in (5, 6, 7)})
    nodes = "[[5]]\n    nodename = mine\n[[6]]\n    [[[rx]]]\n        datacodes = nonsense,\n"
    configuration = loaded(tmp_path, state, nodes)
    assert configuration.nodes["5"].nodename == "mine"
    assert "6" not in configuration.nodes
    assert configuration.nodes["7"].nodename == f"{template.name}_7"
    assert configuration.bad_nodes == {"6"}


def test_it_is_watched_also_before_it_is_there(tmp_path: Path, state: Path) -> None:
    assert loaded(tmp_path, state).sources[state / "nodes.conf"] is None
    accepted.save(state / "nodes.conf", {})
    assert loaded(tmp_path, state).sources[state / "nodes.conf"] is not None


def test_damage_costs_only_what_is_damaged(tmp_path: Path, state: Path) -> None:
    accepted.save(state / "nodes.conf", {"5": definition_from(templates()[0], 5)})
    with (state / "nodes.conf").open("a") as file:
        file.write("[[6]]\n    [[[rx]]]\n        datacodes = zz,\n[[7]\n")
    configuration = loaded(tmp_path, state)
    assert list(configuration.nodes) == ["5"]
    assert configuration.errors == []
    assert len(configuration.warnings) == 2
    assert all(problem.message.startswith(f"{state / 'nodes.conf'}, line ") for problem in configuration.warnings)


def test_without_a_state_directory_there_is_none(tmp_path: Path) -> None:
    assert loaded(tmp_path, tmp_path / "not there").nodes == {}
    assert not (tmp_path / "not there").exists()
