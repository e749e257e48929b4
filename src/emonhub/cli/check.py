"""`emonhub check`: is this configuration good, and where does the data go? Touches no device and no network."""

from __future__ import annotations

import io
import json
import sys
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from emonhub.buffer.promise import promised
from emonhub.cli import EXIT_BAD_FILE, EXIT_FAILED
from emonhub.cli.place import likely_state, reporters_of
from emonhub.config.load import describe_problem, load
from emonhub.config.model import MASK, Problem
from emonhub.config.parse import ParseFailed
from emonhub.config.secrets import conceal, secret_texts
from emonhub.config.wiring import WiringRow, render, wiring
from emonhub.errors import SettingError
from emonhub.hub import build
from emonhub.settings import declared

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from emonhub.buffer.promise import Promise
    from emonhub.config.model import Configuration, InterfacerConfig
    from emonhub.nodes.definition import NodeDefinition


def main(path: Path, *, strict: bool = False, as_json: bool = False, settings: bool = False) -> int:
    """Check the file and print the answer. Returns 0 when it is good, 1 when it has errors, 2 when it can't be read."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # the picture has arrows, and a terminal may have none
    try:
        configuration = load(path)
    except ParseFailed as error:
        _print_unreadable(path, list(error.problems), as_json=as_json)
        return EXIT_BAD_FILE
    except OSError as error:
        reason = f"the file can't be read: {error.strerror or error}"
        if as_json:
            _print_unreadable(path, [Problem("error", 0, (), "", reason)], as_json=True)
        else:
            print(f"emonhub: {path}: {reason}", file=sys.stderr)
        return EXIT_BAD_FILE
    endpoints, refused = _build_all(configuration)
    problems = tuple(sorted([*configuration.problems, *refused], key=lambda problem: problem.line))
    rows = wiring(configuration, endpoints)
    promises = _promises(configuration)
    bad = any(strict or problem.severity == "error" for problem in problems)
    if as_json:
        found = _as_json(path, configuration, rows, problems, good=not bad)
        found["promises"] = {name: promise.as_json() for name, promise in promises.items()}
        print(json.dumps(found, indent=2, ensure_ascii=False))
        return EXIT_FAILED if bad else 0
    for problem in problems:
        print(describe_problem(problem, path))
    if problems:
        print()
    print(render(rows))
    print()
    _print_promises(promises)
    if settings:
        _print_settings(configuration)
    print(_verdict(path, configuration, problems, len(endpoints), strict=strict))
    return EXIT_FAILED if bad else 0


def _build_all(configuration: Configuration) -> tuple[dict[str, str], list[Problem]]:
    """What each interfacer talks to, and why those that can't be made can't. Making one opens nothing."""
    endpoints = {}
    refused = []
    for name, config in configuration.interfacers.items():
        if config.usable:
            try:
                endpoints[name] = build(config).endpoint()
            except SettingError as error:
                reason = conceal(str(error), secret_texts(config.settings, config.secrets))
                refused.append(Problem("error", config.line, ("interfacers", name), "", reason, section=True))
    return endpoints, refused


def _promises(configuration: Configuration) -> dict[str, Promise]:
    """What each reporter's buffer promises, by the settings in force."""
    state = likely_state(configuration.hub.state_dir)
    return {name: promised(reporter, state) for name, reporter in reporters_of(configuration).items()}


def _print_promises(promises: dict[str, Promise]) -> None:
    for name, promise in promises.items():
        print(f"[[{name}]] owes delivery\n    " + "\n    ".join(promise.lines()))
    if promises:
        print()


def _verdict(path: Path, configuration: Configuration, problems: Sequence[Problem], ready: int, *, strict: bool) -> str:
    errors = sum(problem.severity == "error" for problem in problems)
    warnings = len(problems) - errors
    counts = f"{_count(errors, 'error')}, {_count(warnings, 'warning')}" if problems else "no errors, no warnings"
    strictly = " (warnings count as errors: --strict)" if strict and warnings else ""
    there = f"{_count(ready, 'interfacer')} to run, {_count(len(configuration.nodes), 'node')}"
    return f"{path}: {counts}{strictly}; {there}"


def _count(number: int, what: str, many: str = "") -> str:
    return f"{number} {what if number == 1 else many or what + 's'}"


def _print_settings(configuration: Configuration) -> None:
    print("[hub]")
    for field in fields(configuration.hub):
        print(f"    {field.name} = {_text(getattr(configuration.hub, field.name))}")
    print("\n[interfacers]")
    for config in configuration.interfacers.values():
        _print_interfacer(config)
    print("\n[nodes]")
    for definition in configuration.nodes.values():
        _print_node(definition)
    print()


def _print_interfacer(config: InterfacerConfig) -> None:
    """Every setting in force as emonhub.conf has it, defaults as comments, secrets masked."""
    print(f"[[{config.name}]]\n    Type = {config.type}")
    if config.cls is None:
        return
    declarations = declared(config.cls)
    for section, given in (("init_settings", config.init), ("runtimesettings", config.runtime)):
        print(f"    [[[{section}]]]")
        for key, declaration in declarations.items():
            if declaration.section != section:
                continue
            value = given.get(key, declaration.default)
            text = MASK if key in config.secrets and value else conceal(_text(value))
            if key in given:
                print(f"        {key} = {text}")
            elif key in config.defaulted:
                print(f"        # {key} = {text}    (default: the value in the file is bad)")
            else:
                print(f"        # {key} = {text}".rstrip())
        for key in given.keys() - declarations.keys():
            print(f"        [[[[{key}]]]]    # {_count(len(given[key]), 'entry', 'entries')}")


def _print_node(definition: NodeDefinition) -> None:
    print(f"[[{definition.id}]]" + (f"\n    nodename = {definition.nodename}" if definition.nodename else ""))
    for direction, codec in (("rx", definition.rx), ("tx", definition.tx)):
        if codec is None:
            continue
        print(f"    [[[{direction}]]]")
        for field in fields(codec):
            value = getattr(codec, field.name)
            if value:
                print(f"        {field.name} = {_text(value)}")


def _text(value: Any) -> str:
    """A value as emonhub.conf has it."""
    if isinstance(value, tuple):
        return ", ".join(map(str, value)) + ("," if len(value) == 1 else "")
    if isinstance(value, float):
        return repr(value).removesuffix(".0")
    return str(int(value) if isinstance(value, bool) else value)


def _print_unreadable(path: Path, problems: list[Problem], *, as_json: bool) -> None:
    if as_json:
        print(json.dumps({"file": str(path), "good": False, "problems": [_problem(p) for p in problems]}, indent=2))
        return
    for problem in problems:
        print(describe_problem(problem, path))
    print(f"{path}: can't be used")


def _as_json(
    path: Path, configuration: Configuration, rows: list[WiringRow], problems: Sequence[Problem], *, good: bool
) -> dict[str, Any]:
    return {
        "file": str(path),
        "good": good,
        "problems": [_problem(problem) for problem in problems],
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
