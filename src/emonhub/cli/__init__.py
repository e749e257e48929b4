"""The command line: `emonhub COMMAND`, one file each, and the options that emonHub has always had."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from emonhub import __version__
from emonhub.cli import keeping, live, owncommands

if TYPE_CHECKING:
    from collections.abc import Sequence

DEFAULT_FILE = Path("/etc/emonhub/emonhub.conf")

EXIT_FAILED = 1
EXIT_BAD_FILE = 2


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command. Returns the exit status: 0 good, 1 failed, 2 a file or an option that can't be used."""
    parser = _parser()
    arguments = parser.parse_args(keeping.joined(sys.argv[1:] if argv is None else argv))
    try:
        return _dispatch(parser, arguments)
    except BrokenPipeError:
        # The reader of our output has gone (`emonhub check | head`).
        sys.stderr.close()
        return 0


def _dispatch(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> int:
    # Each command's module is imported when it is called: `check` answers at once because of it.
    if arguments.version:
        print(f"emonHub v{__version__}")
        return 0
    command = arguments.command
    if command == "check" or arguments.show_settings:
        from emonhub.cli import check  # noqa: PLC0415

        path = arguments.file if command == "check" else None
        return check.main(
            path or arguments.config_file or DEFAULT_FILE,
            strict=command == "check" and arguments.strict,
            as_json=command == "check" and arguments.json,
            settings=arguments.show_settings or (command == "check" and arguments.settings),
        )
    if command == "decode":
        from emonhub.cli import decode  # noqa: PLC0415

        return decode.main(arguments.frame, arguments.config_file or arguments.config)
    if command == "describe":
        from emonhub.cli import describe, own  # noqa: PLC0415

        own.use_folders(arguments.config_file)
        return describe.main(arguments.type, markdown=arguments.markdown)
    if command == "demo":
        from emonhub.cli import demo  # noqa: PLC0415

        return demo.main(seconds=arguments.seconds, speed=arguments.speed)
    if command in keeping.COMMANDS:
        return keeping.dispatch(arguments)
    if command in live.COMMANDS:
        return live.dispatch(arguments)
    if command in owncommands.COMMANDS:
        from emonhub.cli import own  # noqa: PLC0415

        return own.dispatch(arguments)
    path = arguments.config_file
    if command == "run":
        path = arguments.file or path
    elif path is None and arguments.logfile is None:
        parser.print_help()
        return EXIT_BAD_FILE
    from emonhub.cli import run  # noqa: PLC0415

    return run.main(path or DEFAULT_FILE, arguments.logfile)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="emonhub",
        description="The hub of an energy monitor: reads devices, decodes, routes, buffers, delivers.",
        epilog="emonhub --config-file PATH [--logfile PATH] runs the hub as it always has.",
    )
    parser.add_argument("--config-file", type=Path, metavar="PATH", help=f"configuration (default {DEFAULT_FILE})")
    parser.add_argument("--logfile", metavar="PATH", help="log to this file, with rotation, not to the standard error")
    parser.add_argument("--show-settings", action="store_true", help="print the settings, secrets masked, and exit")
    parser.add_argument("--version", action="store_true", help="print the version and exit")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")

    run = commands.add_parser(
        "run", help="run the hub", description="Run the hub until it is told to stop (SIGTERM, Ctrl-C)."
    )
    run.add_argument("file", nargs="?", type=Path, metavar="FILE", help=f"configuration (default {DEFAULT_FILE})")
    run.add_argument("--logfile", metavar="PATH", default=argparse.SUPPRESS, help="log to this file, with rotation")

    check = commands.add_parser(
        "check",
        help="check a configuration without using it",
        description="Check a configuration and show where data comes from and goes to. Touches no device, no network.",
    )
    check.add_argument("file", nargs="?", type=Path, metavar="FILE", help=f"configuration (default {DEFAULT_FILE})")
    check.add_argument("--strict", action="store_true", help="warnings count as errors")
    check.add_argument("--json", action="store_true", help="print JSON")
    check.add_argument("--settings", action="store_true", help="print every setting in force, secrets masked")

    decode = commands.add_parser(
        "decode",
        help="decode a frame by hand",
        description="Show what a frame says, by the configuration and by every template that fits.",
    )
    decode.add_argument(
        "frame", nargs="+", metavar="FRAME", help='the line that the radio board printed: "OK 10 97 0 (-47)"'
    )
    decode.add_argument(
        "--config", type=Path, metavar="FILE", help=f"configuration (default {DEFAULT_FILE}, if it is there)"
    )

    describe = commands.add_parser(
        "describe",
        help="show types of interfacers and their settings",
        description="Show every type of interfacer, or the settings of one, or of the sections hub, web, nodes, rx.",
    )
    describe.add_argument("type", nargs="?", metavar="TYPE", help="a type such as EmonHubJeeInterfacer, or a section")
    describe.add_argument("--markdown", action="store_true", help="print the settings reference of the documentation")

    demo = commands.add_parser(
        "demo",
        help="run a simulated house",
        description="Run a hub on a simulated house: a radio board on a pseudo-terminal, four nodes, a small emoncms.",
    )
    demo.add_argument("--seconds", type=float, metavar="N", help="stop after N seconds")
    demo.add_argument(
        "--speed",
        type=float,
        default=60.0,
        metavar="X",
        help="seconds of the house in one of ours (default 60)",
    )
    owncommands.add_parsers(commands)
    live.add_parsers(commands)
    keeping.add_parsers(commands)
    return parser
