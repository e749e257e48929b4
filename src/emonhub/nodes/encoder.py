"""From values to the bytes of a frame: for what is sent to a node, and for simulating one."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from emonhub.errors import FrameError
from emonhub.nodes.datacodes import FLOATS, ONE, PLAIN, Scale, integer_range, struct_code
from emonhub.nodes.decoder import WHITENING
from emonhub.nodes.definition import Codec

if TYPE_CHECKING:
    from collections.abc import Sequence


def encode(
    values: Sequence[float | str | None], codec: Codec | None, *, datacode: str = "h", scale: Scale = ONE
) -> bytes:
    """The bytes that `values` are packed into; `datacode` and `scale` hold where `codec` has none of its own.

    A value between two steps of its scale is cut towards zero, as today's emonHub does.
    Raises FrameError for a value that is no number or that its datacode can't hold, and for a wrong number of values.
    """
    codec = codec or Codec()
    code = PLAIN if codec.datacodes else codec.datacode or datacode
    codes = codec.packed_codes or (code,) * len(values)
    if len(codes) != len(values):
        raise FrameError("length", f"{len(values)} values for {len(codes)} datacodes ({','.join(codes)})")
    if codec.scales and len(codec.scales) > len(values):
        raise FrameError("length", f"{len(values)} values for {len(codec.scales)} scales")
    scales = codec.scales_for(len(values), scale)
    data = b"".join(
        _pack_one(index, value, code, factor, codec)
        for index, (value, code, factor) in enumerate(zip(values, codes, scales, strict=True))
    )
    return data.translate(WHITENING) if codec.whitening else data


def _pack_one(index: int, value: float | str | None, code: str, scale: Scale, codec: Codec) -> bytes:
    name = codec.names[index] if index < len(codec.names) else f"value {index + 1}"
    try:
        number = float(value) if isinstance(value, str) else value
        if number is None or number - number != 0:
            raise ValueError
    except (ValueError, TypeError):
        raise FrameError("non-numeric", f"{name}: {value!r} is no number") from None
    raw = scale.down(number)
    if code in FLOATS:
        try:
            return struct.pack("<" + code, raw)
        except OverflowError:
            raise FrameError("out of range", f"{name} = {value} does not fit datacode {code}") from None
    # 23.4 at a scale of 0.1 is 233.99999999999997 to a float: rounded off before it is cut.
    whole = raw if isinstance(raw, int) else int(round(raw, 6))
    low, high = (0, 255) if code == PLAIN else integer_range(code)
    if not low <= whole <= high:
        span = f"{scale.up(low):g} to {scale.up(high):g}"
        raise FrameError("out of range", f"{name} = {value} does not fit datacode {code} ({span})")
    return struct.pack("<" + ("B" if code == PLAIN else struct_code(code)), whole)
