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

    layout  what the values of the frame decoded last mean; most nodes have one layout for all frames
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
    if codec.packed_codes:
        unpack = _fixed(layout, codec, codec.packed_codes, scale, note)
    else:
        code = PLAIN if codec.datacodes else codec.datacode or datacode
        if code == PLAIN:
            decoder = _plain_decoder(layout, codec, scale, note)
            return _counting_missed(decoder) if codec.counts_frames else decoder
        unpack = _repeated(layout, codec, code, scale, note)
    decode = _from_fields(layout, unpack)
    if codec.packed_codes and not codec.whitening and not FLOATS.intersection(codec.packed_codes):
        decode = _quickly(codec, codec.packed_codes, scale, decode)
    decoder = Decoder(layout, decode, unpack)
    return _counting_missed(decoder) if codec.counts_frames else decoder


def _quickly(
    codec: Codec, codes: tuple[str, ...], default_scale: Scale, thoroughly: Callable[[Sequence[bytes]], Values]
) -> Callable[[Sequence[bytes]], Values]:
    """The decoder of frames that nothing is wrong with, in as few calls as can be; the others are left to another."""
    byte = BYTE_OF_FIELD.__getitem__
    unpack = _struct_of(codes).unpack
    scale = compile_scaling(codec.scales_for(len(codes), default_scale))

    def decode(fields: Sequence[bytes]) -> Values:
        try:
            return unpack(bytes(map(byte, fields)))
        except (KeyError, struct.error):
            return thoroughly(fields)

    def decode_scaled(fields: Sequence[bytes]) -> Values:
        assert scale is not None
        try:
            return scale(*unpack(bytes(map(byte, fields))))
        except (KeyError, struct.error):
            return thoroughly(fields)

    return decode if scale is None else decode_scaled


def _struct_of(codes: tuple[str, ...]) -> struct.Struct:
    return struct.Struct("<" + "".join(map(struct_code, codes)))


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
            if b"_" in field:
                raise ValueError
            data.append(int(field))
        except ValueError:
            shown = show(field)
            what = "is no byte (0..255)" if is_number(field) else "is no number"
            reason = "out of range" if is_number(field) else "non-numeric"
            raise FrameError(reason, f"node {layout.label}: field {position}, {shown}, {what}") from None
    return bytes(data)


def _fixed(
    layout: Layout, codec: Codec, codes: tuple[str, ...], default_scale: Scale, note: Note
) -> Callable[[bytes], Values]:
    packed = _struct_of(codes)
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
            values = scale(*values)
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
        if b"_" in field:
            raise ValueError
        number: float = int(field) if field.isdigit() else float(field)
    except ValueError:
        raise FrameError("non-numeric", f"node {layout.label}: {show(field)} is no number") from None
    if number - number != 0 or abs(number) > _LARGEST:
        note("not finite", f"node {layout.label}: the value {show(field)} is left out")
        return None
    scaled = number if scale is ONE else scale.up(number)
    return int(scaled) if scaled == int(scaled) and abs(scaled) < _EXACT else scaled


_LARGEST = 1e270
"""Beyond this a scale could make an infinity of it, and no target takes it."""

_EXACT = 1 << 63


def compile_scaling(scales: Sequence[Scale]) -> Callable[..., Values] | None:
    """One function from values to the tuple of them scaled, or None when there is nothing to scale."""
    if all(scale.is_one for scale in scales):
        return None
    names = [f"v{i}" for i in range(len(scales))]
    parts = [ONE.expression(v) if s.is_one else s.expression(v) for v, s in zip(names, scales, strict=True)]
    # Only names and whole numbers of ours stand in the source: nothing a user wrote is evaluated.
    function: Callable[..., Values] = eval(f"lambda {', '.join(names)}: ({', '.join(parts)},)")  # noqa: S307
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


def _counting_missed(decoder: Decoder) -> Decoder:
    """Appends to each frame how many were missed by the sender's own count, and the same in per cent."""
    count = missed_counter()
    by_length: dict[int, Layout] = {}
    plain = decoder.layout

    def named(values: Values) -> Values:
        layout = by_length.get(len(values))
        if layout is None:
            layout = by_length[len(values)] = with_missed(plain, len(values))
        counting.layout = layout
        return count(values)

    def decode(fields: Sequence[bytes]) -> Values:
        return named(decoder.decode(fields))

    def unpack(data: bytes) -> Values:
        return named(decoder.unpack(data))

    counting = Decoder(with_missed(plain, len(plain.names)), decode, unpack)
    return counting


def missed_counter() -> Callable[[Values], Values]:
    """Appends to the values how many frames were missed, by the count that the first of them is, and the per cent."""
    first: float | None = None
    last: float = 0
    missed: float = 0

    def count(values: Values) -> Values:
        nonlocal first, last, missed
        counter = values[0]
        if counter is None:
            return (*values, None, None)
        if first is None or counter < last:  # the first frame, or the sender has restarted
            first, missed = counter, 0
        elif counter > last:  # a counter that comes twice is a frame heard twice
            missed += max(0, counter - last - 1)
        last = counter
        return (*values, missed, round(100 * missed / (counter - first), 3) if counter > first else 0)

    return count


def with_missed(layout: Layout, count: int) -> Layout:
    """The layout of `count` values with two more behind them: each value gets a name, so that these two have theirs."""
    names = tuple(map(layout.name_of, range(count)))
    units = (*map(layout.unit_of, range(count)), "", "%") if layout.units else ()
    return Layout(layout.node, layout.nodename, (*names, "missed", "missedprc"), units)


def _wrong_length(layout: Layout, have: int, want: int, codes: tuple[str, ...]) -> FrameError:
    return FrameError("length", f"node {layout.label}: {have} bytes, its datacodes {','.join(codes)} need {want}")


def is_number(field: bytes) -> bool:
    """Whether a field reads as a number at all."""
    try:
        float(field)
    except ValueError:
        return False
    return b"_" not in field  # Python reads 1_000 as a number, no device means it so


def show(field: bytes) -> str:
    """A field for a message: readable, and never long."""
    text = field[:_FIELD_SHOWN].decode("utf-8", "backslashreplace")
    return repr(text) + ("…" if len(field) > _FIELD_SHOWN else "")


__all__ = [
    "Decoder",
    "compile_decoder",
    "compile_scaling",
    "frame_size",
    "is_number",
    "missed_counter",
    "show",
    "with_missed",
]
