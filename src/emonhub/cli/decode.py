"""`emonhub decode`: what a frame says, by the configuration and by every template of the library."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from emonhub.cli import DEFAULT_FILE, EXIT_BAD_FILE, EXIT_FAILED
from emonhub.cli.report import load_or_explain
from emonhub.errors import FrameError
from emonhub.nodes.datacodes import PLAIN, SIZES
from emonhub.nodes.decoder import BYTE_OF_FIELD, compile_decoder, show
from emonhub.nodes.definition import Codec, NodeDefinition
from emonhub.nodes.likely import remark
from emonhub.nodes.templates import Template, templates

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class _Frame:
    node: str
    fields: list[bytes]
    rssi: str


def main(words: Sequence[str], path: Path | None = None) -> int:
    """Print all that can be said of a frame. Returns the exit status: 1 when nothing decodes it."""
    try:
        frame = _parse(" ".join(words))
    except FrameError as error:
        print(f"emonhub decode: {error}", file=sys.stderr)
        return EXIT_BAD_FILE
    definitions = {}
    if path is not None or DEFAULT_FILE.exists():
        configuration = load_or_explain(path or DEFAULT_FILE)
        if configuration is None:
            return EXIT_BAD_FILE
        definitions = dict(configuration.nodes)
    packed = all(field in BYTE_OF_FIELD for field in frame.fields)
    what = f"{len(frame.fields)} bytes" if packed else f"{len(frame.fields)} numbers, not all of them bytes"
    print(f"node {frame.node}: {what}" + (f", received at {frame.rssi} dBm" if frame.rssi else ""))
    good = _by_configuration(frame, definitions.get(frame.node), path or DEFAULT_FILE)
    if frame.node not in definitions:
        _as_unknown(frame)
    if packed:
        good = _by_templates(frame) or good
    return 0 if good else EXIT_FAILED


def _parse(line: str) -> _Frame:
    fields = line.encode().split()
    if fields and fields[0] == b"OK":
        del fields[0]
    rssi = ""
    if fields and fields[-1].startswith(b"("):
        rssi = fields.pop().decode().strip("()")
        rssi = "" if rssi in {"0", "-0"} else rssi
    if len(fields) < 2:
        raise FrameError(
            "too short",
            f"a frame is a node id and at least one value, as in: OK 10 97 0 (-47); this is {line!r}",
        )
    return _Frame(fields[0].decode(), fields[1:], rssi)


def _by_configuration(frame: _Frame, definition: NodeDefinition | None, path: Path) -> bool:
    if definition is None:
        print(f"\nIt is not in [nodes] of {path}.")
        return False
    print(f"\nAs {path} has it" + (f" ({definition.nodename})" if definition.nodename else "") + ":")
    return _print_values(frame, definition)


def _as_unknown(frame: _Frame) -> None:
    """What a radio's interfacer makes of a node that nobody has described."""
    try:
        values = compile_decoder(frame.node, None, datacode="h").decode(frame.fields)
    except FrameError as error:
        print(f"An unknown node's frame has datacode h by default, which does not fit: {error}")
        return
    print(f"An unknown node's frame has datacode h by default: {' '.join(map(str, values))}")


def _by_templates(frame: _Frame) -> bool:
    size = len(frame.fields)
    fitting = [template for template in templates() if template.rx.size == size]
    fitting.sort(key=lambda template: not _is_usual(template, frame.node))
    print(f"\nTemplates for {size} bytes:" if fitting else f"\nNo template is for {size} bytes.")
    for template in fitting:
        print(f"\n  {template.name}{_usual_nodes(template, frame.node)}{', whitened' if template.rx.whitening else ''}")
        _print_values(frame, NodeDefinition(frame.node, rx=replace(template.rx)))
    others = sorted((t for t in templates() if t not in fitting), key=lambda t: t.rx.size or 0)
    print("\nThe others have another length:")
    by_size: dict[int | None, list[str]] = {}
    for template in others:
        by_size.setdefault(template.rx.size, []).append(template.name)
    for wanted, names in by_size.items():
        print(f"  {wanted:3} bytes  {', '.join(names)}")
    return bool(fitting)


def _is_usual(template: Template, node: str) -> bool:
    return node.isdecimal() and int(node) in template.nodeids


def _usual_nodes(template: Template, node: str) -> str:
    ids = template.nodeids
    usually = f"node{'s' if len(ids) > 1 else ''} {', '.join(map(str, ids))}"
    return f" ({'' if _is_usual(template, node) else 'but '}usually {usually})"


def _print_values(frame: _Frame, definition: NodeDefinition) -> bool:
    decoder = compile_decoder(frame.node, definition, datacode="h")
    try:
        values = decoder.decode(frame.fields)
    except FrameError as error:
        print(f"    does not fit: {error}")
        return False
    layout = decoder.layout
    codes = _codes(definition, len(frame.fields))
    values = values[: len(codes)]  # without the count of missed frames: of one frame it says nothing
    width = max(len(layout.name_of(i)) for i in range(len(values)))
    position = 0
    for index, (value, code) in enumerate(zip(values, codes, strict=True)):
        size = SIZES.get(code, 1)
        raw = b" ".join(show(field).strip("'").encode() for field in frame.fields[position : position + size]).decode()
        position += size
        number = "no number" if value is None else f"{value:.10g}" if isinstance(value, float) else str(value)
        said = f"{layout.name_of(index):<{width}} = {number} {layout.unit_of(index)}".rstrip()
        what = remark(value, layout.unit_of(index), layout.name_of(index))
        print(f"    {raw:>16}  {said}{f'  <- {what}' if what else ''}")
    return True


def _codes(definition: NodeDefinition, fields: int) -> tuple[str, ...]:
    rx = definition.rx or Codec()
    if rx.packed_codes:
        return rx.packed_codes
    code = PLAIN if rx.datacodes else rx.datacode or "h"
    return (code,) * (fields // SIZES.get(code, 1))
