"""`emonhub check`: is this configuration good, and where does the data go? Touches no device and no network."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

from emonhub.cli import EXIT_BAD_FILE, EXIT_FAILED
from emonhub.config.load import describe_problem, load
from emonhub.config.model import MASK, Configuration, InterfacerConfig
from emonhub.config.parse import ParseFailed
from emonhub.config.wiring import WiringRow, render, wiring
from emonhub.errors import SettingError
from emonhub.hub import build
from emonhub.settings import declared

if TYPE_CHECKING:
    from pathlib import Path

    from emonhub.config.model import Problem


def main(path: Path, *, strict: bool = False, as_json: bool = False, settings: bool = False) -> int:
    """Check the file and print the answer. Returns 0 when it is good, 1 when it has errors, 2 when it can't be read."""
    try:
        configuration = load(path)
    except ParseFailed as error:
        _print_unreadable(path, list(error.problems), as_json=as_json)
        return EXIT_BAD_FILE
    except OSError as error:
        print(f"emonhub: {path} can't be read: {error.strerror}", file=sys.stderr)
        return EXIT_BAD_FILE
    endpoints, refused = _build_all(configuration)
    rows = wiring(configuration, endpoints)
    bad = bool(configuration.errors or refused or (strict and configuration.warnings))
    if as_json:
        print(json.dumps(_as_json(path, configuration, rows, refused, good=not bad), indent=2, ensure_ascii=False))
    else:
        for problem in configuration.problems:
            print(describe_problem(problem, path))
        for name, reason in refused.items():
            print(f"{path.name}: error: [interfacers] [[{name}]]: {reason}")
        if configuration.problems or refused:
            print()
        print(render(rows))
        if settings:
            _print_settings(configuration)
        print(_verdict(path, configuration, len(refused), strict=strict))
    return EXIT_FAILED if bad else 0


def _build_all(configuration: Configuration) -> tuple[dict[str, str], dict[str, str]]:
    """What each interfacer talks to, and why those that can't be made can't. Making one opens nothing."""
    endpoints = {}
    refused = {}
    for name, config in configuration.interfacers.items():
        if config.usable:
            try:
                endpoints[name] = build(config).endpoint()
            except SettingError as error:
                refused[name] = str(error)
    return endpoints, refused


def _verdict(path: Path, configuration: Configuration, refused: int, *, strict: bool) -> str:
    errors, warnings = len(configuration.errors) + refused, len(configuration.warnings)
    runnable = sum(config.usable for config in configuration.interfacers.values()) - refused
    counts = (
        f"{_count(errors, 'error')}, {_count(warnings, 'warning')}" if errors or warnings else "no errors, no warnings"
    )
    strictly = " (warnings count as errors: --strict)" if strict and warnings else ""
    there = f"{_count(runnable, 'interfacer')} to run, {_count(len(configuration.nodes), 'node')}"
    return f"{path}: {counts}{strictly}; {there}"


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _print_settings(configuration: Configuration) -> None:
    for name, config in configuration.interfacers.items():
        print(f"\n[[{name}]]  {config.type}")
        for key, value in _effective(config).items():
            print(f"    {key} = {value}")
    print()


def _effective(config: InterfacerConfig) -> dict[str, Any]:
    """Every setting in force, defaults included, as text for people; secrets masked."""
    if config.cls is None:
        return {}
    given = config.settings
    shown: dict[str, Any] = {}
    for key, declaration in declared(config.cls).items():
        value = given.get(key, declaration.default)
        if (declaration.secret or key in config.secrets) and value:
            value = MASK
        text = ", ".join(value) if isinstance(value, tuple) else str(int(value) if isinstance(value, bool) else value)
        shown[key] = text + ("" if key in given else "    # default")
    return shown


def _print_unreadable(path: Path, problems: list[Problem], *, as_json: bool) -> None:
    if as_json:
        print(json.dumps({"file": str(path), "good": False, "problems": [_problem(p) for p in problems]}, indent=2))
        return
    for problem in problems:
        print(describe_problem(problem, path))
    print(f"{path}: can't be used")


def _as_json(
    path: Path, configuration: Configuration, rows: list[WiringRow], refused: dict[str, str], *, good: bool
) -> dict[str, Any]:
    return {
        "file": str(path),
        "good": good,
        "problems": [_problem(p) for p in configuration.problems]
        + [
            {
                "severity": "error",
                "line": configuration.interfacers[n].line,
                "where": ["interfacers", n],
                "value": "",
                "message": r,
            }
            for n, r in refused.items()
        ],
        "interfacers": [
            {
                "name": row.name,
                "type": row.type,
                "endpoint": row.endpoint,
                "publishes": list(row.publishes),
                "subscribes": list(row.subscribes),
                "state": row.state,
            }
            for row in rows
        ],
        "nodes": sorted(configuration.nodes),
    }


def _problem(problem: Problem) -> dict[str, Any]:
    return {
        "severity": problem.severity,
        "line": problem.line,
        "where": list(problem.where),
        "value": problem.value,
        "message": problem.message,
    }
