"""The command lines of your own interfacers: `interfacers`, `new`, `test-interfacer`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

COMMANDS = ("interfacers", "new", "test-interfacer")


def add_parsers(commands: Any) -> None:
    """Add these commands to those of `emonhub`."""
    types = commands.add_parser(
        "interfacers",
        help="list all types of interfacers, and where they come from",
        description="List every type: built in, of a file of yours, or of an installed package.",
    )
    fresh = commands.add_parser(
        "new",
        help="write an interfacer of your own to start from",
        description="Write an interfacer and its test into your folder, and say what to put into emonhub.conf.",
    )
    fresh.add_argument("name", metavar="NAME", help="the new type, such as SolarMeter")
    fresh.add_argument("--async", action="store_true", help="with an async read, not one that may block")
    fresh.add_argument("--folder", type=Path, metavar="DIR", help="write there")
    trial = commands.add_parser(
        "test-interfacer",
        help="try an interfacer against what the hub counts on",
        description="Check that an interfacer opens nothing early, stops soon, survives errors, and so on. It is run.",
    )
    trial.add_argument("type", metavar="TYPE|FILE", help="a type, or a file with one or several")
    trial.add_argument("--set", action="append", metavar="NAME=VALUE", help="a setting; may be given several times")
    for parser in (types, fresh, trial):
        parser.add_argument("--config", type=Path, metavar="FILE", help="configuration, if it is not the usual one")
