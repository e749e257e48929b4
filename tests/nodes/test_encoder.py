from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emonhub.errors import FrameError
from emonhub.nodes.datacodes import Scale
from emonhub.nodes.decoder import compile_decoder
from emonhub.nodes.definition import Codec, NodeDefinition
from emonhub.nodes.encoder import encode
from emonhub.nodes.templates import Template, templates


def codec(datacodes: str = "", *, scale: Scale | None = None, scales: tuple[Scale, ...] = ()) -> Codec:
    return Codec(datacodes=tuple(datacodes), scale=scale, scales=scales)


def test_examples_of_todays_hub() -> None:
    assert list(encode((1, 1850), None)) == [1, 0, 58, 7]
    assert list(encode((14, 38, 34, 700, -138, 2700, 829), codec("bbbhhHH"))) == [
        14, 38, 34, 188, 2, 118, 255, 140, 10, 61, 3,
    ]  # fmt: skip


def test_values_are_divided_by_their_scale_and_cut() -> None:
    tenth = Scale.parse("0.1")
    assert encode((23.4,), codec("h", scale=tenth)) == (234).to_bytes(2, "little")
    assert encode((23.49, -23.49), codec("hh", scale=tenth)) == b"\xea\x00\x16\xff"
    assert encode((23.4, 5), codec("hh", scales=(tenth,))) == b"\xea\x00\x05\x00"
    assert encode((23.4,), None, scale=tenth) == b"\xea\x00"
    assert encode(("18.5", "7"), None) == b"\x12\x00\x07\x00"


def test_datacode_0_sends_bytes_as_they_are() -> None:
    assert encode((1, 255), Codec(datacode="0")) == b"\x01\xff"
    assert encode((1, 2, 3), Codec(datacodes=("0",))) == b"\x01\x02\x03"
    with pytest.raises(FrameError, match="does not fit"):
        encode((256,), Codec(datacode="0"))


@pytest.mark.parametrize(
    ("values", "how", "reason", "says"),
    [
        ((70000,), codec("h"), "out of range", "a = 70000 does not fit datacode h (-32768 to 32767)"),
        ((70000,), codec("h", scale=Scale.parse("0.1")), "out of range", "(-3276.8 to 3276.7)"),
        ((-1,), codec("B"), "out of range", "0 to 255"),
        ((1e39,), codec("f"), "out of range", "datacode f"),
        ((None,), codec("h"), "non-numeric", "a: None is no number"),
        (("x",), codec("h"), "non-numeric", "'x'"),
        ((math.nan,), codec("f"), "non-numeric", "nan"),
        ((math.inf,), codec("h"), "non-numeric", "inf"),
        ((1, 2), codec("h"), "length", "2 values for 1 datacodes"),
        ((), codec("h"), "length", "0 values for 1 datacodes"),
        ((1,), codec("", scales=(Scale(), Scale())), "length", "1 values for 2 scales"),
    ],
)
def test_what_can_not_be_sent_says_why(values: tuple[float, ...], how: Codec, reason: str, says: str) -> None:
    how = Codec(("a",), how.datacodes, how.datacode, how.scales, how.scale)
    with pytest.raises(FrameError) as caught:
        encode(values, how)
    assert caught.value.reason == reason
    assert says in str(caught.value)


def assert_round_trip(how: Codec, data: bytes) -> None:
    values = compile_decoder(10, NodeDefinition("10", rx=how)).unpack(data)
    if how.counts_frames:
        values = values[:-2]
    if None in values:  # a float that is not finite
        with pytest.raises(FrameError, match="no number"):
            encode(values, how)
        return
    assert encode(values, how) == data


@pytest.mark.parametrize("template", templates(), ids=lambda template: template.name)
def test_every_template_packs_what_it_unpacks(template: Template) -> None:
    how, size = template.rx, template.rx.size
    assert size is not None

    @given(st.binary(min_size=size, max_size=size))
    def check(data: bytes) -> None:
        assert_round_trip(how, data)

    check()


@given(
    st.data(),
    st.lists(st.sampled_from("bBhHiIlLc"), min_size=1, max_size=6),
    st.lists(st.sampled_from(["1", "0.1", "0.01", "0.001", "10", "-1", "2.5", "0.2548"]), max_size=6),
    st.booleans(),
)
def test_any_whole_numbers_with_any_usual_scale(
    data: st.DataObject, codes: list[str], scales: list[str], whitening: bool
) -> None:
    how = Codec(datacodes=tuple(codes), scales=tuple(map(Scale.parse, scales[: len(codes)])), whitening=whitening)
    assert how.size is not None
    assert_round_trip(how, data.draw(st.binary(min_size=how.size, max_size=how.size)))


@given(st.binary(min_size=32, max_size=32))
def test_64_bit_numbers_and_floats(data: bytes) -> None:
    how = Codec(datacodes=("q", "Q", "d", "f", "f"))
    # A NaN may carry bits that no number shows; what is finite comes back to the bit.
    assert_round_trip(how, data)


def test_the_library_is_as_published() -> None:
    sizes = {template.name: template.rx.size for template in templates()}
    assert sizes == {
        "emonpi": 24, "emonpiCM": 40, "emontxshield": 10, "emontx3_discreet": 26, "emontx3_3phase": 26,
        "emontx3_cm": 40, "emontx3_cm_rf69n": 40, "emonth1": 8, "emonth2": 12, "emonTx4": 52, "emonTx4_3phase": 50,
        "emon_DB_6CT_1phase": 46, "EmonTx4DB_rf1": 52, "EmonTx4DB_rf2": 52, "emonTx6_temp_pulse": 32,
        "emonTx6_3phase": 46,
    }  # fmt: skip
    for template in templates():
        rx = template.rx
        assert template.nodeids
        assert len(rx.names) == len(rx.datacodes) == len(rx.scales) == len(rx.units), template.name
        assert len(set(rx.names)) == len(rx.names), template.name
    assert [template.name for template in templates() if template.rx.whitening] == ["emontx3_cm"]
