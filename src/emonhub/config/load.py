"""emonhub.conf, read and checked whole."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emonhub import plugins
from emonhub.config import accepted
from emonhub.config.channels import check_channels
from emonhub.config.findings import Findings
from emonhub.config.interfacers import check_interfacers
from emonhub.config.model import Configuration, HubConfig, Problem, WebConfig
from emonhub.config.nodes import check_nodes
from emonhub.config.parse import BIGGEST_FILE, parse
from emonhub.config.watch import Look, look
from emonhub.dropin import names_in
from emonhub.settings import choice, declared, integer, number, setting, switch, text
from emonhub.state import candidates

if TYPE_CHECKING:
    from collections.abc import Mapping

_TOP = ("hub", "web", "interfacers", "nodes")


class HubSettings:
    """The keys of `[hub]`."""

    loglevel = setting(choice("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"), "INFO", "least level that is logged")
    autoconf = setting(switch(), False, "1 = accept unknown nodes that one template fits beyond doubt")
    stale_after = setting(
        number(0), 4.0, "a node is stale after so many of its own intervals without a frame; 0 = never"
    )
    log_backup_count = setting(integer(0, 1000), 1, "old log files kept beside --logfile")
    log_max_bytes = setting(integer(0), 5_120_000, "size at which --logfile is rotated; 0 = never", unit="bytes")
    use_syslog = setting(switch(), False, "1 = log to the system log as well")
    clock_wait = setting(
        number(0),
        300.0,
        "on boards without a clock: how long after their start nothing is sent until it is set",
        unit="s",
    )
    state_dir = setting(text(), "", "where the hub keeps what must outlive it; empty = found automatically")
    interfacers_dir = setting(
        text(), "", "folder of your own interfacers; empty = `interfacers` beside this file, and in the state directory"
    )


class WebSettings:
    """The keys of `[web]`."""

    bind = setting(text(), "127.0.0.1", "address that the page is served on; beyond this machine it needs a password")
    port = setting(integer(0, 65535), 8080, "port of the page; 0 = no page")
    password = setting(text(), "", "password of the page", secret=True)
    token = setting(text(), "", "token with which programs use the API", secret=True)


def load(path: Path, environ: Mapping[str, str] = os.environ) -> Configuration:
    """Read and check the file. Raises ParseFailed or OSError when it can't be used at all."""
    looked = look(path)
    with path.open("rb") as file:
        data = file.read(BIGGEST_FILE + 1)
    found = check(data, path, environ)
    return replace(found, sources={path: looked, **found.sources})


def check(data: bytes, path: Path, environ: Mapping[str, str] = os.environ) -> Configuration:
    """What the file would say if it had this content. Raises ParseFailed when it could not be used at all."""
    parsed = parse(data)
    findings = Findings(parsed, path.parent, environ, list(parsed.problems))
    _check_top(findings)
    hub = HubConfig(**_check_keys(findings, "hub", HubSettings))
    web = WebConfig(**_check_keys(findings, "web", WebSettings, references=True))
    folders = own_folders(hub, path, environ)
    own = looks_of(folders)
    if hub.interfacers_dir and not folders[0].is_dir():
        findings.error(("hub", "interfacers_dir"), "there is no such folder: make it", value=hub.interfacers_dir)
    plugins.look_in(folders)
    on, off = check_interfacers(findings)
    nodes, bad_nodes = check_nodes(findings)
    check_channels(findings, on, off)
    findings.problems.sort(key=lambda problem: problem.line)
    sources = own | {file: look(file) for file in findings.files}
    beside = accepted.find(hub.state_dir, environ)
    if beside is not None:
        sources[beside] = look(beside)
        more, problems = accepted.load(beside)
        nodes = {node: more[node] for node in more if node not in bad_nodes} | nodes
        findings.problems += problems
    return Configuration(path, hub, on, nodes, tuple(findings.problems), frozenset(bad_nodes), sources, web)


def own_folders(hub: HubConfig, path: Path, environ: Mapping[str, str] = os.environ) -> list[Path]:
    """Where the user's own interfacers are looked for; not all of these folders need be there."""
    if hub.interfacers_dir:
        return [path.parent / Path(hub.interfacers_dir).expanduser()]
    found = [path.parent, *candidates(hub.state_dir, environ)[:1]]
    return list(dict.fromkeys(folder / "interfacers" for folder in found))


def looks_of(folders: list[Path]) -> dict[Path, Look | None]:
    """What the folders and the interfacer files in them look like: for noticing any change."""
    return {path: look(path) for folder in folders for path in (folder, *names_in(folder))}


def describe_problem(problem: Problem, path: Path) -> str:
    """A problem in one line, with file and line in front, where editors look for them."""
    line = f":{problem.line}" if problem.line else ""
    what = _describe_where(problem)
    value = f" = {problem.value}" if problem.value and what else ""
    return f"{path.name}{line}: {problem.severity}: {what}{value}{': ' if what else ''}{problem.message}"


def _describe_where(problem: Problem) -> str:
    parts = []
    for depth, name in enumerate(problem.where, 1):
        is_key = depth == len(problem.where) and not problem.section
        parts.append(name if is_key else "[" * depth + name + "]" * depth)
    return " ".join(parts)


def _check_top(findings: Findings) -> None:
    for name, value in findings.parsed.values.items():
        if name == "reporters" and isinstance(value, dict):
            findings.warn((name,), "has no effect any more: reporters stand in [interfacers]", section=True)
        elif name in {"nodes", "web"} and not isinstance(value, dict):
            findings.warn((name,), f"is no section: write [{name}]")
        elif name not in _TOP and name != "DEFAULT":
            findings.unknown((name,), _TOP, section=isinstance(value, dict))


def _check_keys(findings: Findings, section: str, declaring: type, *, references: bool = False) -> dict[str, Any]:
    """The checked values of a section of plain keys, of those keys that stand in it and are good."""
    settings = declared(declaring)
    values: dict[str, Any] = {}
    for key, raw in findings.section((section,)).items():
        where = (section, key)
        if isinstance(raw, dict) or key not in settings:
            findings.unknown(where, settings, section=isinstance(raw, dict))
            continue
        checked = findings.check(where, raw, settings[key], references=references)
        if checked.problem is None:
            values[key] = checked.value
    return values
