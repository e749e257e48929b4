from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emonhub.errors import SettingError
from emonhub.nodes.datacodes import FLOATS, SIZES, Scale, check_datacode, frame_size, integer_range, struct_code


def test_sizes_are_those_of_the_wire() -> None:
    assert SIZES == {
        "b": 1, "B": 1, "h": 2, "H": 2, "i": 4, "I": 4, "l": 4, "L": 4, "q": 8, "Q": 8, "f": 4, "d": 8, "c": 1,
    }  # fmt: skip
    assert frame_size(("L", "h", "f", "c")) == 11


@pytest.mark.parametrize("code", sorted(SIZES.keys() - FLOATS))
def test_the_range_of_a_whole_number_is_what_its_bytes_hold(code: str) -> None:
    low, high = integer_range(code)
    for number in (low, high):
        struct.pack("<" + struct_code(code), number)
    for number in (low - 1, high + 1):
        with pytest.raises(struct.error):
            struct.pack("<" + struct_code(code), number)


@pytest.mark.parametrize("code", ["x", "", "hh", "False", "1", "h "])
def test_a_datacode_that_does_not_exist_names_those_that_do(code: str) -> None:
    with pytest.raises(SettingError, match="must be one of b B h H"):
        check_datacode(code)


@pytest.mark.parametrize(
    ("scale", "raw", "value"),
    [
        ("0.1", 234, "23.4"),
        ("0.1", 7, "0.7"),
        ("0.1", 3, "0.3"),
        ("0.01", 24442, "244.42"),
        ("0.01", -2654, "-26.54"),
        ("0.001", 1, "0.001"),
        ("1e-3", 5, "0.005"),
        ("10", 12, "120"),
        ("1.0", 12, "12"),
        ("1", 12, "12"),
        ("-0.1", 234, "-23.4"),
        ("0.5", 3, "1.5"),
        ("2.5", 3, "7.5"),
        ("0.2548", 3, "0.7644"),
        (" 0.1 ", 1, "0.1"),
    ],
)
def test_a_scaled_number_is_the_one_that_people_write(scale: str, raw: int, value: str) -> None:
    assert str(Scale.parse(scale).up(raw)) == value
    assert Scale.parse(scale).down(float(value)) == pytest.approx(raw, abs=1e-9)


@pytest.mark.parametrize("text", ["", "x", "0", "0.0", "nan", "inf", "1e400", "1e-31", "1_0", "1,2", "1" * 31, "0.1.2"])
def test_what_is_no_scale_is_refused(text: str) -> None:
    with pytest.raises(SettingError, match="is no scale"):
        Scale.parse(text)


@given(
    raw=st.integers(-(1 << 63), (1 << 64) - 1),
    scale=st.sampled_from(["1", "10", "3", "-1", "1000", "1e3"]),
)
def test_whole_scales_lose_nothing_of_64_bits(raw: int, scale: str) -> None:
    factor = Scale.parse(scale)
    assert factor.down(factor.up(raw)) == raw
    assert isinstance(factor.down(factor.up(raw)), int)


@given(raw=st.integers(-(1 << 31), (1 << 32) - 1), digits=st.integers(0, 4))
def test_a_decimal_scale_gives_the_nearest_float_there_is(raw: int, digits: int) -> None:
    scale = Scale.parse(f"{10.0**-digits:.{digits}f}")
    sign, whole = ("-" if raw < 0 else ""), f"{abs(raw):0{digits + 1}d}"
    text = f"{sign}{whole[: len(whole) - digits]}.{whole[len(whole) - digits :] or '0'}"
    assert scale.up(raw) == float(text)
