"""docs/buffer.md shows what its commands really print."""

from __future__ import annotations

import argparse
import re
from typing import TYPE_CHECKING

import pytest

from emonhub.cli import keeping
from tests.cli.buffer_docs import PAGE, Stage, performed

if TYPE_CHECKING:
    from pathlib import Path

TEXT = PAGE.read_text("utf-8")


def shape(text: str) -> str:
    """Without what differs from time to time: numbers, lengths of time, sizes, zones; and blanks."""
    text = re.sub(r"[+-]\d\d:\d\d\b", " Z", text)
    text = re.sub(r"-?\d+(?:\.\d+)?", "N", text)
    text = re.sub(r"N (?:s|min|h|days?|years?|hours?)\b(?: N (?:s|min))?", "TIME", text)
    text = re.sub(r"N (?:B|kB|MB|GB|bytes)\b", "SIZE", text)
    text = re.sub(r"\b(frame|node|request|file|letter)s\b", r"\1", text)
    text = re.sub(r" \(N a second\)", "", text)
    return re.sub(r" +", " ", text).rstrip()


def test_every_command_prints_what_the_page_says(tmp_path: Path) -> None:
    with Stage(tmp_path) as stage:
        found = performed(TEXT, stage)
    assert len(found) >= 15
    for command, said, printed in found:
        lines, expected = shape(printed).splitlines(), shape(said).splitlines()
        if command.startswith("head"):  # a row as it is, whatever node and values
            lines, expected = lines[:1], expected[:1]
        assert lines == expected, f"{command}: write the page anew with python -m tests.cli.buffer_docs"


def actions() -> list[str]:
    commands = argparse.ArgumentParser().add_subparsers()
    keeping.add_parsers(commands)
    found = []
    for name, parser in commands.choices.items():
        below = [a for a in parser._actions if isinstance(a, argparse._SubParsersAction)]
        found += [f"{name} {action}" for group in below for action in group.choices] or [name]
    return found


@pytest.mark.parametrize("action", actions())
def test_every_command_is_on_the_page(action: str) -> None:
    assert f"$ emonhub {action} " in TEXT or f"$ emonhub {action}\n" in TEXT


@pytest.mark.parametrize("action", actions())
def test_every_command_has_help_with_an_example(action: str, capsys: pytest.CaptureFixture[str]) -> None:
    from emonhub.cli import main  # noqa: PLC0415

    with pytest.raises(SystemExit) as ended:
        main([*action.split(), "--help"])
    assert ended.value.code == 0
    out = capsys.readouterr().out
    (example,) = re.findall(r"^  (emonhub .*)$", out, flags=re.MULTILINE)
    assert example.startswith(f"emonhub {action}")


@pytest.mark.parametrize("option", re.findall(r"`(--[a-z-]+)", TEXT))
def test_options_on_the_page_are_there(option: str) -> None:
    commands = argparse.ArgumentParser().add_subparsers()
    keeping.add_parsers(commands)
    known = {"--help"}
    for parser in commands.choices.values():
        below = [a for a in parser._actions if isinstance(a, argparse._SubParsersAction)]
        for each in [parser, *(p for group in below for p in group.choices.values())]:
            known |= set(each._option_string_actions)
    assert option in known


def test_the_promise_is_five_lines() -> None:
    promise = TEXT.partition("## The promise\n\n")[2].partition("\n\n")[0].splitlines()
    assert len(promise) == 5
    assert all(line.startswith("- ") for line in promise)
