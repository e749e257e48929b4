"""From the fields of a frame to values: a node's definition, compiled once into one function.

Order of the work, as today's emonHub has it: whitening, unpacking, scaling, names, missed-frame counters.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from emonhub.cargo import Layout, NodeId, Value
from emonhub.errors import FrameError
from emonhub.nodes.datacodes import FLOATS, ONE, PLAIN, SIZES, Scale, frame_size, struct_code
from emonhub.nodes.definition import Codec, NodeDefinition

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Values = tuple[Value, ...]
    Note = Callable[[str, str], None]
    """Told of (reason, detail) when a single value had to be left out."""

BYTE_OF_FIELD = {str(number).encode(): number for number in range(256)}
"""A byte as radio boards print it. A table look-up is twice as fast as int(), and refuses all that is no byte."""

WHITENING = bytes(number ^ 0x55 for number in range(256))

_FIELD_SHOWN = 40
_MAX_FIELDS = 2000
"""A frame of more values than this is no frame of any device; emoncms was seen to take this many."""


class Decoder:
    """Decodes the frames of one node for one interfacer.

    layout  what the values mean
    decode  from the frame's fields, as bytes objects of text, to values. Raises FrameError
    unpack  the same from the frame's bytes, for sources that have them
    """

    __slots__ = ("decode", "layout", "unpack")

    def __init__(
        self, layout: Layout, decode: Callable[[Sequence[bytes]], Values], unpack: Callable[[bytes], Values]
    ) -> None:
        self.layout = layout
        self.decode = decode
        self.unpack = unpack


def compile_decoder(
    node: NodeId,
    definition: NodeDefinition | None,
    *,
    datacode: str = PLAIN,
    scale: Scale = ONE,
    note: Note = lambda _reason, _detail: None,
) -> Decoder:
    """The decoder of `node`; `datacode` and `scale` hold where its definition has none of its own."""
    codec = (definition.rx if definition else None) or Codec()
    layout = Layout(node, definition.nodename if definition else "", codec.names, codec.units)
    if codec.datacodes and codec.datacodes != (PLAIN,):
        unpack = _fixed(layout, codec, codec.datacodes, scale, note)
        names = codec.names
        if len(names) == len(codec.datacodes) and names[0].upper() == "MSG":
            unpack = _count_missed(unpack)
            layout = _with_missed(layout)
    else:
        code = PLAIN if codec.datacodes else codec.datacode or datacode
        if code == PLAIN:
            return _plain_decoder(layout, codec, scale, note)
        unpack = _repeated(layout, codec, code, scale, note)
    return Decoder(layout, _from_fields(layout, unpack), unpack)


def _from_fields(layout: Layout, unpack: Callable[[bytes], Values]) -> Callable[[Sequence[bytes]], Values]:
    byte = BYTE_OF_FIELD.__getitem__

    def decode(fields: Sequence[bytes]) -> Values:
        if not fields:
            raise FrameError("too short", f"node {layout.label}: the frame has no values")
        try:
            data = bytes(map(byte, fields))
        except KeyError:
            data = _bytes_the_long_way(layout, fields)
        return unpack(data)

    return decode


def _bytes_the_long_way(layout: Layout, fields: Sequence[bytes]) -> bytes:
    data = bytearray()
    for position, field in enumerate(fields, 1):
        try:
            number = int(field)
            data.append(number)
        except ValueError:
            shown = show(field)
            what = "is no byte (0..255)" if is_number(field) else "is no number"
            reason = "out of range" if is_number(field) else "non-numeric"
            raise FrameError(reason, f"node {layout.label}: field {position}, {shown}, {what}") from None
    return bytes(data)


def _fixed(
    layout: Layout, codec: Codec, codes: tuple[str, ...], default_scale: Scale, note: Note
) -> Callable[[bytes], Values]:
    packed = struct.Struct("<" + "".join(map(struct_code, codes)))
    scale = compile_scaling(codec.scales_for(len(codes), default_scale))
    finite = _finite_only(layout, note) if FLOATS.intersection(codes) else None
    raw_unpack = packed.unpack
    whitening = WHITENING if codec.whitening else None

    def unpack(data: bytes) -> Values:
        try:
            if whitening is not None:
                data = data.translate(whitening)
            values = raw_unpack(data)
        except struct.error:
            raise _wrong_length(layout, len(data), packed.size, codes) from None
        if scale is not None:
            values = scale(values)
        return finite(values) if finite is not None else values

    return unpack


def _repeated(layout: Layout, codec: Codec, code: str, scale: Scale, note: Note) -> Callable[[bytes], Values]:
    """One datacode for as many values as the frame has."""
    size = SIZES[code]
    by_length: dict[int, Callable[[bytes], Values]] = {}

    def unpack(data: bytes) -> Values:
        length = len(data)
        unpack_fixed = by_length.get(length)
        if unpack_fixed is None:
            if not length or length % size or length > _MAX_FIELDS:
                raise FrameError(
                    "length",
                    f"node {layout.label}: {length} bytes are no whole number of {code} values ({size} bytes each)",
                )
            unpack_fixed = by_length[length] = _fixed(layout, codec, (code,) * (length // size), scale, note)
        return unpack_fixed(data)

    return unpack


def _plain_decoder(layout: Layout, codec: Codec, default_scale: Scale, note: Note) -> Decoder:
    """The frame carries numbers as text, not packed bytes."""

    def decode(fields: Sequence[bytes]) -> Values:
        if not fields:
            raise FrameError("too short", f"node {layout.label}: the frame has no values")
        if len(fields) > _MAX_FIELDS:
            raise FrameError("length", f"node {layout.label}: {len(fields)} values in one frame")
        if codec.scales or codec.scale or not default_scale.is_one:
            scales = codec.scales_for(len(fields), default_scale)
            return tuple(_plain_value(layout, f, s, note) for f, s in zip(fields, scales, strict=True))
        return tuple([_plain_value(layout, field, ONE, note) for field in fields])

    def unpack(data: bytes) -> Values:
        return decode([str(byte).encode() for byte in data])

    return Decoder(layout, decode, unpack)


def _plain_value(layout: Layout, field: bytes, scale: Scale, note: Note) -> Value:
    try:
        if b"_" in field:  # Python reads 1_000 as a number, no device means it so
            raise ValueError
        number: float = int(field) if field.isdigit() else float(field)
    except ValueError:
        raise FrameError("non-numeric", f"node {layout.label}: {show(field)} is no number") from None
    if number - number != 0 or abs(number) > _LARGEST:
        note("not finite", f"node {layout.label}: the value {show(field)} is left out")
        return None
    scaled = number if scale is ONE else scale.up(number)
    return int(scaled) if scaled == int(scaled) and abs(scaled) < _EXACT else scaled


_LARGEST = 1e300
"""Beyond this a scale could make an infinity of it, and no target takes it."""

_EXACT = 1 << 63


def compile_scaling(scales: Sequence[Scale]) -> Callable[[Values], Values] | None:
    """One function that scales a whole tuple of values, or None when there is nothing to scale."""
    if all(scale.is_one for scale in scales):
        return None
    parts = ", ".join(ONE.expression(f"v[{i}]") if s.is_one else s.expression(f"v[{i}]") for i, s in enumerate(scales))
    # Only indices and whole numbers of ours stand in the source: nothing a user wrote is evaluated.
    function: Callable[[Values], Values] = eval(f"lambda v: ({parts},)")  # noqa: S307
    return function


def _finite_only(layout: Layout, note: Note) -> Callable[[Values], Values]:
    def check(values: Values) -> Values:
        if all(value is not None and value - value == 0 for value in values):
            return values
        for index, value in enumerate(values):
            if value is None or value - value != 0:
                note("not finite", f"node {layout.label}: {layout.name_of(index)} = {value} is left out")
        return tuple(value if value is not None and value - value == 0 else None for value in values)

    return check


def _count_missed(unpack: Callable[[bytes], Values]) -> Callable[[bytes], Values]:
    """Appends how many frames were missed by the sender's own count, and the same in per cent."""
    first = last = missed = 0

    def counting(data: bytes) -> Values:
        nonlocal first, last, missed
        values = unpack(data)
        counter = values[0]
        if not isinstance(counter, int):
            return (*values, None, None)
        if last == 0 or counter < last:  # the first frame, or the sender has restarted
            first, missed = counter, 0
        elif counter > last:
            missed += counter - last - 1
        last = counter
        return (*values, missed, round(100 * missed / (counter - first), 3) if counter > first else 0)

    return counting


def _with_missed(layout: Layout) -> Layout:
    units = (*layout.units, "", "%") if len(layout.units) == len(layout.names) else layout.units
    return Layout(layout.node, layout.nodename, (*layout.names, "missed", "missedprc"), units)


def _wrong_length(layout: Layout, have: int, want: int, codes: tuple[str, ...]) -> FrameError:
    return FrameError("length", f"node {layout.label}: {have} bytes, its datacodes {','.join(codes)} need {want}")


def is_number(field: bytes) -> bool:
    """Whether a field reads as a number at all."""
    try:
        float(field)
    except ValueError:
        return False
    return True


def show(field: bytes) -> str:
    """A field for a message: readable, and never long."""
    text = field[:_FIELD_SHOWN].decode("utf-8", "backslashreplace")
    return repr(text) + ("…" if len(field) > _FIELD_SHOWN else "")


__all__ = ["Decoder", "compile_decoder", "compile_scaling", "frame_size", "is_number", "show"]
