"""`emonhub nodes`: nodes that are heard and not known, and those that were accepted.

Asks the running hub what it hears; where none answers, it takes what the hub left in its state directory. What is
accepted is written there, and a running hub takes it up within two seconds.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from typing import TYPE_CHECKING, Any

from emonhub.autoconf import LISTING
from emonhub.cli import DEFAULT_FILE, EXIT_BAD_FILE, EXIT_FAILED, client
from emonhub.cli.client import clean, shown
from emonhub.config import accepted
from emonhub.errors import EmonHubError
from emonhub.nodes.templates import definition_from, named_template, templates
from emonhub.state import socket_path

if TYPE_CHECKING:
    import argparse
    from pathlib import Path


class _Refused(EmonHubError):
    """What is asked for can't be done, and why."""


def main(arguments: argparse.Namespace) -> int:
    """Run one of the actions. Returns the exit status."""
    configured = client.configured(arguments.config or arguments.config_file or DEFAULT_FILE)
    given = arguments.state_dir
    path = given / accepted.NAME if given is not None else accepted.find(configured, os.environ)
    if path is None:
        print("emonhub: there is no state directory of a hub: name it with --state-dir, or use sudo", file=sys.stderr)
        return EXIT_BAD_FILE
    try:
        print(*_act(path, arguments), sep="\n")
    except _Refused as error:
        print(f"emonhub: {error}", file=sys.stderr)
        return EXIT_FAILED
    except PermissionError:
        print(f"emonhub: {path.parent} is the hub's own: use sudo", file=sys.stderr)
        return EXIT_BAD_FILE
    except OSError as error:
        print(f"emonhub: {path}: {error.strerror}", file=sys.stderr)
        return EXIT_BAD_FILE
    return 0


def _act(path: Path, arguments: argparse.Namespace) -> list[str]:
    if arguments.action == "forget":
        return _forget(path, arguments.node)
    heard = _heard(path)
    if arguments.action == "accept":
        return _accept(path, heard, arguments.node, arguments.template)
    if arguments.action == "propose":
        return _proposals(heard, arguments.node)
    return _list(path, heard)


def _heard(path: Path) -> list[dict[str, Any]]:
    """What the hub hears and does not know, as its API has it."""
    known = accepted.load(path)[0]
    return [one for one in _said(path) if str(one["node"]) not in known]


def _said(path: Path) -> list[dict[str, Any]]:
    try:
        where = socket_path(path.parent)
        if where is not None and where.exists():
            found: list[dict[str, Any]] = asyncio.run(client.get(where, "unknown"))
            return found
    except client.NoHub:
        pass
    try:
        left: list[dict[str, Any]] = json.loads((path.parent / LISTING).read_text("utf-8"))
    except (FileNotFoundError, ValueError):
        return []
    return left


def _list(path: Path, heard: list[dict[str, Any]]) -> list[str]:
    known, _ = accepted.load(path)
    lines = [f"Accepted, in {path}:", *(f"  {id_:>4}  {clean(node.nodename)}" for id_, node in known.items())]
    lines = lines if known else [f"No nodes are accepted in {path}."]
    if not heard:
        return [*lines, "No unknown nodes have been heard."]
    return [*lines, "Heard and not known:", *(_line(one) for one in heard)]


def _line(one: dict[str, Any]) -> str:
    rssi = f", {one['rssi']} dBm" if one["rssi"] else ""
    what = f"{one['node']:>4}  {one['size']} bytes, {one['frames']} frames{rssi}"
    likely = _proposed(one)
    if likely:
        more = f"perhaps {' or '.join(likely)}"
    elif one["candidates"]:
        more = f"{one['candidates'][0]['template']}? {one['candidates'][0]['why']}"
    else:
        more = "no template has frames of this length"
    return f"  {what}  by {clean(one['source'])}: {more}"


def _proposed(one: dict[str, Any]) -> list[str]:
    return [each["template"] for each in one["candidates"] if each["plausible"] and each["fits_node_id"]]


def _proposals(heard: list[dict[str, Any]], node: int | None) -> list[str]:
    wanted = [one for one in heard if node is None or one["node"] == node]
    if not wanted:
        raise _Refused("no unknown nodes have been heard" if node is None else _not_heard(node))
    lines = []
    for one in wanted:
        lines.append(_line(one))
        for each in one["candidates"]:
            values = (f"{value['name']}={shown(value['value'])} {value['unit']}".rstrip() for value in each["values"])
            lines += [f"        {each['template']}: {each['why']}", f"            {', '.join(values)}"]
    return lines


def _accept(path: Path, heard: list[dict[str, Any]], node: int, name: str | None) -> list[str]:
    of_node = [one for one in heard if one["node"] == node]
    if name is None:
        likely = sorted({each for one in of_node for each in _proposed(one)})
        if len(likely) != 1:
            why = f"it may be {' or '.join(likely)}" if likely else "none is proposed"
            raise _Refused(f"{why if of_node else _not_heard(node)}: name the template (emonhub nodes propose {node})")
        (name,) = likely
    template = named_template(name)
    if template is None:
        known = ", ".join(each.name for each in templates())
        raise _Refused(f"there is no template {name!r}: there are {known}")
    sizes = {one["size"] for one in of_node}
    if sizes and template.rx.size not in sizes:
        raise _Refused(f"node {node} sends {', '.join(map(str, sizes))} bytes, and {name} has {template.rx.size}")
    definition = definition_from(template, node)
    accepted.accept(path, definition)
    return [f"Node {node} is {definition.nodename} from now on, in {path}."]


def _forget(path: Path, node: int) -> list[str]:
    if accepted.forget(path, str(node)):
        return [f"Node {node} is forgotten, and not accepted by itself again."]
    return [f"Node {node} was not accepted, and will not be by itself."]


def _not_heard(node: int) -> str:
    return f"node {node} has not been heard, or is known already"
