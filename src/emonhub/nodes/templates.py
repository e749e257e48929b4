"""The library of node templates: what the boards of the OpenEnergyMonitor family send.

It stands in `templates.conf` beside this file, written like `[nodes]`, with the node ids that each board uses.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from emonhub.nodes.definition import Codec

from emonhub.nodes.definition import CodecSettings, NodeDefinition, codec_from
from emonhub.settings import declared


@dataclass(frozen=True, slots=True)
class Template:
    """One board's frame: its name, the node ids it normally uses, and how it is decoded."""

    name: str
    nodeids: tuple[int, ...]
    rx: Codec


@cache
def templates() -> tuple[Template, ...]:
    """Every template, in the order of the file."""
    # Not needed, and not loaded, until somebody asks for a template.
    from importlib import resources  # noqa: PLC0415

    from configobj import ConfigObj  # noqa: PLC0415

    text = resources.files("emonhub.nodes").joinpath("templates.conf").read_text("utf-8")
    parsed = ConfigObj(text.splitlines(), interpolation=False)
    kinds = declared(CodecSettings)
    found = []
    for name, section in parsed.items():
        rx = {key: kinds[key].kind(value) for key, value in section["rx"].items()}
        ids = section.get("nodeids", [])
        found.append(Template(name, tuple(int(i) for i in ([ids] if isinstance(ids, str) else ids)), codec_from(rx)))
    return tuple(found)


def named_template(name: str) -> Template | None:
    """The template of this name, if there is one."""
    return next((template for template in templates() if template.name == name), None)


def fitting(length: int) -> list[Template]:
    """The templates whose frames have this many bytes."""
    return [template for template in templates() if template.rx.size == length]


def definition_from(template: Template, node: int) -> NodeDefinition:
    """The node that a template makes of an id; named as today's emonHub names it."""
    return NodeDefinition(id=str(node), nodename=f"{template.name}_{node}", rx=replace(template.rx))
