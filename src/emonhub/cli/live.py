"""The command lines of what asks a running hub: `status`, `tap`, `top`, `nodes`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import argparse

COMMANDS = ("status", "tap", "top", "nodes")


def add_parsers(commands: Any) -> None:
    """Add these commands to those of `emonhub`."""
    status = commands.add_parser(
        "status",
        help="is all well with the running hub?",
        description="Show the running hub: whether all is well, and a line for each interfacer."
        " The exit status is 0 when it is, 1 when it is not, 2 when no hub answers.",
    )
    tap = commands.add_parser(
        "tap",
        help="show frames as they pass through the running hub",
        description="Show frames as they pass through the running hub, and those that can't be used. Ctrl-C ends it.",
    )
    tap.add_argument("--node", metavar="NODE", default="", help="of one node, by its id or its name")
    tap.add_argument("--interfacer", metavar="NAME", default="", help="of one interfacer")
    top = commands.add_parser(
        "top",
        help="show nodes and interfacers of the running hub, all the time",
        description="Show the nodes and interfacers of the running hub in a table that follows. Ctrl-C ends it.",
    )
    for parser in (status, tap):
        parser.add_argument("--json", action="store_true", help="print JSON")
    for parser in (status, tap, top):
        parser.add_argument("--config", type=Path, metavar="FILE", help="its configuration, if it is not the usual one")
        parser.add_argument("--state-dir", type=Path, metavar="DIR", help="its state directory, if not as configured")
    _add_nodes_parser(commands)


def _add_nodes_parser(commands: Any) -> None:
    parser = commands.add_parser(
        "nodes",
        help="unknown nodes: see, accept, forget",
        description="Show the nodes that the hub hears and does not know, and those that were accepted;"
        " accept one, so that it is decoded by a template from now on, or forget it.",
    )
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    actions.add_parser("list", help="nodes that are heard and not known, and those that were accepted")
    propose = actions.add_parser("propose", help="the templates that may be a node's, with the values that they give")
    accept = actions.add_parser("accept", help="decode a node by a template from now on")
    forget = actions.add_parser("forget", help="take an accepted node out; it is not accepted by itself again")
    propose.add_argument("node", type=int, nargs="?", metavar="NODE", help="its id; all of them without it")
    accept.add_argument("node", type=int, metavar="NODE", help="its id")
    accept.add_argument("template", nargs="?", metavar="TEMPLATE", help="not needed where only one is proposed")
    forget.add_argument("node", type=int, metavar="NODE", help="its id")
    for one in actions.choices.values():
        one.add_argument("--config", type=Path, metavar="FILE", help="the hub's configuration, if not the usual one")
        one.add_argument("--state-dir", type=Path, metavar="DIR", help="its state directory, if not as configured")


def dispatch(arguments: argparse.Namespace) -> int:
    """Run one of these commands. Returns the exit status."""
    import asyncio  # noqa: PLC0415

    from emonhub.cli import EXIT_BAD_FILE  # noqa: PLC0415
    from emonhub.cli.client import NoHub  # noqa: PLC0415

    if arguments.command == "nodes":
        from emonhub.cli import nodes  # noqa: PLC0415

        return nodes.main(arguments)
    try:
        return asyncio.run(_command(arguments))
    except NoHub as error:
        print(f"emonhub: {error}", file=sys.stderr)
        return EXIT_BAD_FILE
    except KeyboardInterrupt:
        return 0


async def _command(arguments: argparse.Namespace) -> int:
    # Each command's module is imported when it is called.
    from emonhub.cli.client import socket_of  # noqa: PLC0415

    path = socket_of(arguments.config or arguments.config_file, arguments.state_dir)
    if arguments.command == "status":
        from emonhub.cli import status  # noqa: PLC0415

        return await status.main(path, as_json=arguments.json)
    if arguments.command == "tap":
        from emonhub.cli import tap  # noqa: PLC0415

        return await tap.main(path, node=arguments.node, interfacer=arguments.interfacer, as_json=arguments.json)
    from emonhub.cli import top  # noqa: PLC0415

    return await top.main(path)
