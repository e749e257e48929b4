"""Nodes that were accepted from what is heard: in <state>/nodes.conf, below the [nodes] of emonhub.conf.

The hub writes this file; where emonhub.conf says something of a node, that counts and nothing else.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from emonhub.config.findings import Findings
from emonhub.config.model import Problem
from emonhub.config.nodes import check_nodes
from emonhub.config.parse import BIGGEST_FILE, Parsed
from emonhub.config.save import write
from emonhub.config.syntax import read
from emonhub.state import candidates

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from emonhub.nodes.definition import NodeDefinition

NAME = "nodes.conf"

_HEAD = """\
# Nodes that were accepted from what is heard. The hub writes this file.
# To change a node, copy its section into the [nodes] of emonhub.conf: what stands there counts.

[nodes]
"""


def find(configured: str, environ: Mapping[str, str]) -> Path | None:
    """Where that file is, or would be; None where there is no state directory. Makes nothing."""
    folders = [folder for folder in candidates(configured, environ) if folder.is_dir()]
    for folder in folders:
        if (folder / NAME).is_file() or os.access(folder, os.W_OK):
            return folder / NAME
    return None


def load(path: Path) -> tuple[dict[str, NodeDefinition], list[Problem]]:
    """The nodes in that file; what is wrong with it costs those nodes only."""
    try:
        with path.open("rb") as file:
            data = file.read(BIGGEST_FILE)
    except FileNotFoundError:
        return {}, []
    except OSError as error:
        return {}, [_problem(path, 0, f"can't be read: {error.strerror}")]
    tree = read(data.decode("utf-8", "replace"))
    findings = Findings(Parsed(tree.values, tree.lines), path.parent, {})
    nodes, _ = check_nodes(findings)
    found = [(problem.line, problem.message) for problem in tree.problems]
    found += [(problem.line, problem.message) for problem in findings.problems]
    return nodes, [_problem(path, line, message) for line, message in found]


def _problem(path: Path, line: int, message: str) -> Problem:
    return Problem("warning", 0, (), "", f"{path}{f', line {line}' if line else ''}: {message}")


def forgotten(path: Path) -> set[str]:
    """Ids of nodes that are not to be accepted by themselves, for somebody has forgotten them on purpose."""
    try:
        section = read(path.read_text("utf-8", "replace")).values.get("forgotten")
    except OSError:
        return set()
    ids = section.get("nodes", ()) if isinstance(section, dict) else ()
    return {ids} if isinstance(ids, str) else set(ids)


def accept(path: Path, *nodes: NodeDefinition) -> None:
    """Add nodes. Raises OSError."""
    known, _ = load(path)
    new = {node.id: node for node in nodes}
    save(path, known | new, forgotten(path) - new.keys())


def forget(path: Path, node: str) -> bool:
    """Take a node out, never to be accepted by itself again. Returns whether it was in. Raises OSError."""
    known, _ = load(path)
    there = known.pop(node, None) is not None
    before = forgotten(path)
    if there or node not in before:
        save(path, known, before | {node})
    return there


def save(path: Path, nodes: Mapping[str, NodeDefinition], forgotten: Iterable[str] = ()) -> None:
    """Replace the file. Raises OSError."""
    ids = "".join(f"{node}, " for node in sorted(forgotten))
    tail = f"[forgotten]\nnodes = {ids}\n" if ids else ""
    write(path, (_HEAD + "".join(map(_section, nodes.values())) + tail).encode(), 0o644)


def _section(node: NodeDefinition) -> str:
    lines = [f"[[{node.id}]]", f"    nodename = {node.nodename}", "    [[[rx]]]"]
    rx = node.rx
    if rx is not None:
        lines += [
            f"        names = {', '.join(rx.names)},",
            f"        datacodes = {', '.join(rx.datacodes)},",
            f"        scales = {', '.join(map(str, rx.scales))},",
            f"        units = {', '.join(rx.units)},",
            f"        whitening = {int(rx.whitening)}",
        ]
    return "\n".join(lines) + "\n\n"
