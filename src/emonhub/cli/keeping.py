"""The command lines of what concerns kept frames: `buffer`, `deadletter`, `replay`, `backlog`."""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

COMMANDS = ("buffer", "deadletter", "replay", "backlog")

_TIME_OPTIONS = {"--from", "--to", "--until"}
_AGO = re.compile(r"-\d[\d.]*[a-z]+")

_TIMES = "TIME: 2026-01-31 (that whole day), 2026-01-31T12:00 (local), -2h, -90d, Unix seconds, now"


def joined(argv: Sequence[str]) -> list[str]:
    """The same arguments, with `--from -2h` as `--from=-2h`: an option's value that looks like an option."""
    found: list[str] = []
    for argument in argv:
        if found and found[-1] in _TIME_OPTIONS and _AGO.fullmatch(argument):
            found[-1] += f"={argument}"
        else:
            found.append(argument)
    return found


def add_parsers(commands: Any) -> None:
    """Add these commands to those of `emonhub`."""
    _add_buffer(commands)
    _add_deadletter(commands)
    _add_replay(commands)
    _add_backlog(commands)


def dispatch(arguments: argparse.Namespace) -> int:
    """Run one of these commands. Returns the exit status."""
    from emonhub.cli.place import CommandError, open_place  # noqa: PLC0415

    try:
        files = [name for name in getattr(arguments, "names", None) or [] if Path(name).is_file()]
        if files and arguments.config is None and arguments.takes_file:
            arguments.config = Path(files[0])
            arguments.names.remove(files[0])
        place = open_place(arguments.config or arguments.config_file, arguments.state_dir)
        return _command(arguments)(place, arguments)
    except CommandError as error:
        if str(error):
            print(f"emonhub: {error}", file=sys.stderr)
        return error.status
    except PermissionError as error:
        print(
            f"emonhub: {error.filename}: no permission: use sudo, or be the user that the hub runs as", file=sys.stderr
        )
        return 1
    except BrokenPipeError:
        raise
    except OSError as error:
        print(f"emonhub: {error.filename or ''}: {error.strerror or error}", file=sys.stderr)
        return 1


def _command(arguments: argparse.Namespace) -> Callable[[Any, argparse.Namespace], int]:
    # Each command's module is imported when it is called.
    if arguments.command == "buffer":
        from emonhub.cli import buffer  # noqa: PLC0415

        return buffer.main
    if arguments.command == "deadletter":
        from emonhub.cli import deadletter  # noqa: PLC0415

        return deadletter.main
    if arguments.command == "replay":
        from emonhub.cli import replay  # noqa: PLC0415

        return replay.main
    from emonhub.cli import backlog  # noqa: PLC0415

    return backlog.main


def _parser(commands: Any, name: str, help_: str, description: str, example: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        help=help_,
        description=description,
        epilog=f"example:\n  {example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--config", type=Path, metavar="FILE", help="configuration, if it is not the usual one")
    parser.add_argument("--state-dir", type=Path, metavar="DIR", help="state directory, if not as configured")
    parser.set_defaults(takes_file=False)
    return parser


def _group(commands: Any, name: str, help_: str) -> Any:
    parser = commands.add_parser(name, help=help_, description=f"{help_[0].upper()}{help_[1:]}.")
    return parser.add_subparsers(dest="action", metavar="ACTION", required=True)


def _add_range(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--from", dest="since", metavar="TIME", help=f"frames read from then on. {_TIMES}")
    parser.add_argument("--to", dest="until", metavar="TIME", help="frames read before then")
    parser.add_argument("--node", metavar="NODE", default="", help="frames of one node, by its id or its name")


def _add_part(parser: argparse.ArgumentParser, default: str) -> None:
    part = parser.add_mutually_exclusive_group()
    for name, help_ in (
        ("owed", "frames that are not delivered yet"),
        ("delivered", "frames that are, and are kept for the record"),
        ("all", "both"),
    ):
        shown = f"{help_} (default)" if name == default else help_
        part.add_argument(f"--{name}", dest="part", action="store_const", const=name, help=shown)
    parser.set_defaults(part=default)


def _add_buffer(commands: Any) -> None:
    actions = _group(commands, "buffer", "look into, export, import and pause what reporters owe and keep")
    _add_looking(actions)
    _add_moving(actions)
    _add_seeing_to(actions)


def _add_looking(actions: Any) -> None:
    status = _parser(
        actions,
        "status",
        "what each reporter owes and keeps",
        "Show what each reporter owes and keeps, whether a hub is running or not.",
        "emonhub buffer status emoncmsorg",
    )
    status.add_argument("names", nargs="*", metavar="REPORTER", help="only these (and a configuration file, if wanted)")
    status.add_argument("--json", action="store_true", help="print JSON")
    status.set_defaults(takes_file=True)
    peek = _parser(
        actions,
        "peek",
        "show some frames",
        "Show the frames that are sent next, or the newest.",
        "emonhub buffer peek emoncmsorg -n 3 --last",
    )
    peek.add_argument("name", metavar="REPORTER")
    peek.add_argument("-n", dest="count", type=_positive, default=10, metavar="N", help="how many (default 10)")
    peek.add_argument("--last", action="store_true", help="the newest, not the oldest")
    _add_part(peek, "owed")


def _add_moving(actions: Any) -> None:
    export = _parser(
        actions,
        "export",
        "write frames as CSV",
        "Write frames as CSV that a spreadsheet opens, one row a frame.",
        "emonhub buffer export emoncmsorg --from -7d --node emonTx4 -o week.csv",
    )
    export.add_argument("name", metavar="REPORTER")
    _add_range(export)
    _add_part(export, "all")
    export.add_argument("-o", dest="output", type=Path, metavar="FILE", help="write to FILE, not to the output")
    import_ = _parser(
        actions,
        "import",
        "take frames in",
        "Have a reporter take in frames: CSV as export writes it, or lines of a journal, edited by hand or not."
        " The whole file is checked first. Nothing is taken in if anything is wrong with it.",
        "emonhub buffer import emoncmsorg week.csv",
    )
    import_.add_argument("name", metavar="REPORTER")
    import_.add_argument("file", type=Path, metavar="FILE")
    import_.add_argument("--edited", action="store_true", help="of a journal file, only the lines that were edited")
    import_.add_argument("--base", type=float, metavar="TIME", help="of journal lines, the time that they count from")
    import_.add_argument("--dry-run", action="store_true", help="only check the file")


def _add_seeing_to(actions: Any) -> None:
    for name, help_ in (
        ("pause", "send nothing until it is resumed, also after a restart; frames are kept meanwhile"),
        ("resume", "send again"),
    ):
        parser = _parser(actions, name, help_, f"{help_[0].upper()}{help_[1:]}.", f"emonhub buffer {name} emoncmsorg")
        parser.add_argument("names", nargs="+", metavar="REPORTER")
    check = _parser(
        actions,
        "check",
        "verify every file",
        "Verify every file, and say what is damaged and what that costs. Exit status 1 when anything is.",
        "emonhub buffer check",
    )
    check.add_argument("names", nargs="*", metavar="REPORTER", help="only these (and a configuration file, if wanted)")
    check.set_defaults(takes_file=True)


def _add_deadletter(commands: Any) -> None:
    actions = _group(commands, "deadletter", "see to frames that a target refuses for good")
    for name, help_ in (
        ("list", "list them, with what the target said"),
        ("show", "show everything about some"),
        ("retry", "send some again"),
        ("drop", "delete some"),
    ):
        example = f"emonhub deadletter {name} emoncmsorg" + ("" if name == "list" else " 3 4")
        parser = _parser(actions, name, help_, f"{help_[0].upper()}{help_[1:]}.", example)
        parser.add_argument("name", metavar="REPORTER")
        if name == "list":
            parser.add_argument("--json", action="store_true", help="print JSON")
            continue
        parser.add_argument("ids", nargs="*", type=int, metavar="ID", help="as `list` shows them")
        parser.add_argument("--all", action="store_true", help="all of them")


def _add_replay(commands: Any) -> None:
    parser = _parser(
        commands,
        "replay",
        "send recorded frames again",
        "Send frames of a reporter's record again, to the same target or to another reporter's, in its own form."
        " Frames keep their times. Meanwhile a running hub sends nothing to that target.",
        "emonhub replay --of emoncmsorg --into local --from 2026-01-01 --to 2026-01-31 --dry-run",
    )
    parser.add_argument("--of", required=True, metavar="REPORTER", help="whose record it is (see its setting `keep`)")
    parser.add_argument("--into", metavar="REPORTER", help="whose target they are sent to (default: the same)")
    _add_range(parser)
    parser.add_argument("--owed", action="store_true", help="frames too that are not delivered yet, and stay owed")
    parser.add_argument("--anew", action="store_true", help="write frames anew, also where their form is the target's")
    parser.add_argument("--batchsize", type=_positive, metavar="N", help="frames in one request at most")
    parser.add_argument("--interval", type=_seconds, metavar="S", help="seconds from one request to the next")
    parser.add_argument("--dry-run", action="store_true", help="only say what would be sent")


def _add_backlog(commands: Any) -> None:
    actions = _group(commands, "backlog", "manufacture a record, to test a target's strength with")
    make = _parser(
        actions,
        "make",
        "make frames up",
        "Make up frames of the past days for a reporter, as if it owed them, or had delivered them."
        " Their nodes are numbered from 201 on, so that they mix with no real ones.",
        "emonhub backlog make --days 10 --nodes 8 --interval 10 emoncmsorg",
    )
    make.add_argument("name", metavar="REPORTER")
    make.add_argument("--days", type=_seconds, required=True, metavar="N", help="how many days")
    make.add_argument("--nodes", type=_positive, default=4, metavar="N", help="how many nodes (default 4)")
    make.add_argument("--interval", type=_seconds, default=10.0, metavar="S", help="seconds between frames of a node")
    make.add_argument("--until", metavar="TIME", default="now", help=f"when the last frame was read. {_TIMES}")
    make.add_argument(
        "--house", action="store_true", help="from the simulated house: its own four nodes and rates, but slower"
    )
    make.add_argument("--kept", action="store_true", help="delivered already, and kept for the record")


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise ValueError(text)
    return value


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 < value < float("inf"):
        raise ValueError(text)
    return value
