"""`emonhub describe`: every type of interfacer and its settings, from their declarations. Also makes the reference."""

from __future__ import annotations

import inspect
import sys
import textwrap
from typing import TYPE_CHECKING, Any

from emonhub import plugins
from emonhub.cli import EXIT_BAD_FILE, EXIT_FAILED
from emonhub.config.findings import nearest
from emonhub.config.load import HubSettings, WebSettings
from emonhub.interfacer import Interfacer
from emonhub.nodes.definition import CodecSettings, NodeSettings
from emonhub.reporter import Reporter
from emonhub.settings import Setting, declared

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_WIDTH = 100

_INTRODUCTION = """\
# Settings

<!-- Made by `emonhub describe --markdown` from the declarations in the code. Don't edit: run `make reference`. -->

Every setting that emonhub.conf can have. `emonhub describe TYPE` prints the same for one type of interfacer. Which
sections there are and how they are written is told in [configuration](../configuration.md).

In the tables, **init** marks settings of `[[[init_settings]]]`: a change of one restarts the interfacer. All others
belong into `[[[runtimesettings]]]` and are taken over while it runs. Either place is accepted.
"""


def main(type_name: str | None = None, *, markdown: bool = False) -> int:
    """Print all types, or one with its settings. Returns the exit status: 1 for one that can't be used here."""
    if markdown:
        print(reference(), end="")
        return 0
    if type_name is None:
        _print_types()
        return 0
    if type_name in _SECTIONS:
        _print_settings(declared(_SECTIONS[type_name][0]), with_section=False)
        return 0
    names = plugins.type_names()
    found = plugins.find(type_name)
    if found.cls is None:
        meant = nearest(type_name, names) if not found.known else ""
        hint = f": did you mean {meant}?" if meant else ": emonhub describe lists those that there are"
        print(f"emonhub describe: {found.problem}{hint if not found.known else ''}", file=sys.stderr)
        return EXIT_FAILED if found.known else EXIT_BAD_FILE
    print(f"{type_name}\n\n{_indented(inspect.getdoc(found.cls) or '', '  ')}\n")
    own = own_settings(found.cls)
    _print_settings(own)
    _print_settings({name: s for name, s in declared(found.cls).items() if name not in own}, "Common settings:")
    return 0


_SECTIONS: dict[str, tuple[type, str]] = {
    "hub": (HubSettings, "`[hub]`"),
    "web": (WebSettings, "`[web]`"),
    "nodes": (NodeSettings, "A node's section in `[nodes]`"),
    "rx": (CodecSettings, "`[[[rx]]]` and `[[[tx]]]` of a node"),
}


def reference() -> str:
    """The settings reference, in Markdown."""
    parts = [_INTRODUCTION]
    for cls, title in _SECTIONS.values():
        parts.append(f"## {title}\n\n{_table(declared(cls))}")
    parts.append(
        "## Settings of every interfacer\n\nTypes that have another default say so in their own table.\n\n"
        + _table(declared(Interfacer))
    )
    parts.append(
        "## Settings of every reporter\n\nReporters are interfacers that keep what they owe until it is acknowledged:"
        " see [the buffer](../buffer.md).\n\n" + _table(_changed(Reporter, Interfacer))
    )
    aliases: dict[type[Interfacer], list[str]] = {}
    for name in plugins.built_in_names():
        found = plugins.find(name)
        if found.cls is not None:
            aliases.setdefault(_original(found.cls), []).append(name)
    for type_, names in aliases.items():
        parts.append(_type_markdown(type_, [name for name in names if name != type_.__name__]))
    return "\n".join(parts)


def own_settings(cls: type[Interfacer]) -> dict[str, Setting[Any]]:
    """The settings that a type has beside those of every interfacer or reporter, or with another default."""
    return _changed(cls, Reporter if issubclass(cls, Reporter) else Interfacer)


def default_text(setting: Setting[Any]) -> str:
    """A default as emonhub.conf would have it."""
    value = setting.default
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, tuple):
        return ", ".join(map(str, value))
    if isinstance(value, float):
        return "ever" if value == float("inf") else f"{value:.12g}"
    if isinstance(value, int) and setting.kind.rule.startswith("a size"):
        return _size(value)
    return str(value)


def _changed(cls: type, base: type) -> dict[str, Setting[Any]]:
    common = declared(base)
    return {name: setting for name, setting in declared(cls).items() if setting is not common.get(name)}


def _original(cls: type[Interfacer]) -> type[Interfacer]:
    """The class that this one is another name of: it adds nothing to it."""
    base = cls.__bases__[0]
    adds = [name for name in vars(cls) if not name.startswith("_")]
    if not adds and base.__name__ in plugins.built_in_names() and issubclass(base, Interfacer):
        return base
    return cls


def _type_markdown(cls: type[Interfacer], others: list[str]) -> str:
    text = inspect.getdoc(cls) or ""
    also = f"Other names of the same: {', '.join(f'`{name}`' for name in others)}.\n\n" if others else ""
    return f"## {cls.__name__}\n\n{text}\n\n{also}{_table(own_settings(cls))}"


def _table(settings: Mapping[str, Setting[Any]]) -> str:
    lines = ["| setting | default | what it does | must be |", "| --- | --- | --- | --- |"]
    for name, setting in settings.items():
        default = default_text(setting)
        init = " **init**" if setting.init else ""
        cells = (f"`{name}`{init}", f"`{default}`" if default else "", _help(setting), setting.kind.rule)
        lines.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
    return "\n".join(lines) + "\n"


def _print_types() -> None:
    names = plugins.type_names()
    widest = max(map(len, names))
    for name in names:
        found = plugins.find(name)
        text = (inspect.getdoc(found.cls) or "").partition("\n\n")[0].replace("\n", " ") if found.cls else found.problem
        print(textwrap.fill(f"{name:<{widest}}  {text}", _WIDTH, subsequent_indent=" " * (widest + 2)))
    print("\nemonhub describe TYPE shows the settings of one; hub, web, nodes and rx stand for those sections.")


def _print_settings(settings: Mapping[str, Setting[Any]], title: str = "", *, with_section: bool = True) -> None:
    if title and settings:
        print(title)
    for init in (True, False) if with_section else (False,):
        chosen = {name: s for name, s in settings.items() if s.init is init or not with_section}
        if chosen and with_section:
            print(f"  [[[{next(iter(chosen.values())).section}]]]")
        _print_each(chosen.items())


def _print_each(settings: Iterable[tuple[str, Setting[Any]]]) -> None:
    for name, setting in settings:
        print(f"  {name} = {default_text(setting)}".rstrip())
        print(_indented(f"{_help(setting)}; must be {setting.kind.rule}", "      "))
    print()


def _help(setting: Setting[Any]) -> str:
    said = not setting.unit or setting.help.startswith("seconds") or setting.unit in setting.help.split()
    unit = "" if said else f" ({setting.unit})"
    return f"{setting.help}{unit}"


def _indented(text: str, indent: str) -> str:
    paragraphs = text.split("\n\n")
    return "\n\n".join(
        textwrap.fill(" ".join(p.split()), _WIDTH, initial_indent=indent, subsequent_indent=indent) for p in paragraphs
    )


def _size(value: int) -> str:
    for unit, letter in ((1 << 30, "G"), (1 << 20, "M"), (1 << 10, "k")):
        if value and value % unit == 0:
            return f"{value // unit}{letter}"
    return str(value)
