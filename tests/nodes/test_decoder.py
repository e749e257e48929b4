from __future__ import annotations

import math
import struct
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from emonhub.errors import FrameError, SettingError
from emonhub.nodes.datacodes import SIZES, Scale
from emonhub.nodes.decoder import compile_decoder
from emonhub.nodes.definition import Codec, NodeDefinition

if TYPE_CHECKING:
    from collections.abc import Sequence

    from emonhub.nodes.decoder import Decoder, Values


def decoder_of(node: int | str = 10, nodename: str = "", note: Any = None, **rx: Any) -> Decoder:
    if "scales" in rx:
        rx["scales"] = tuple(map(Scale.parse, rx["scales"]))
    if "scale" in rx:
        rx["scale"] = Scale.parse(rx["scale"])
    for key in ("names", "units"):
        if key in rx:
            rx[key] = tuple(rx[key])
    if "datacodes" in rx:
        rx["datacodes"] = tuple(rx["datacodes"])
    definition = NodeDefinition(str(node), nodename, rx=Codec(**rx))
    return compile_decoder(node, definition, **({"note": note} if note else {}))


def decode(decoder: Decoder, text: str) -> Values:
    return decoder.decode(text.encode().split())


def reason_of(decoder: Decoder, text: str) -> str:
    with pytest.raises(FrameError) as caught:
        decode(decoder, text)
    assert "node 10" in str(caught.value)
    return caught.value.reason


@pytest.mark.parametrize(
    ("code", "fields", "value"),
    [
        ("b", "255", -1),
        ("B", "255", 255),
        ("c", "65", 65),
        ("h", "13 255", -243),
        ("H", "13 255", 65293),
        ("i", "255 255 255 255", -1),
        ("l", "254 255 255 255", -2),
        ("I", "255 255 255 255", 4294967295),
        ("L", "81 182 1 0", 112209),
        ("q", "0 0 0 0 0 0 0 128", -(1 << 63)),
        ("Q", "255 255 255 255 255 255 255 255", (1 << 64) - 1),
        ("f", "154 25 117 67", 245.10000610351562),
        ("d", "154 153 153 153 153 163 110 64", 245.1125),
    ],
)
def test_each_datacode_little_endian(code: str, fields: str, value: float) -> None:
    decoded = decode(decoder_of(datacodes=[code]), fields)
    assert decoded == pytest.approx((value,), rel=1e-6) if code == "d" else decoded == (value,)


def test_datacodes_win_over_datacode_and_are_packed_without_gaps() -> None:
    decoder = decoder_of(datacodes="bhL", datacode="h")
    assert decode(decoder, "1 2 0 3 0 0 0") == (1, 2, 3)


def test_one_datacode_serves_frames_of_any_length() -> None:
    decoder = decoder_of(datacode="h")
    assert decode(decoder, "1 0 2 0") == (1, 2)
    assert decode(decoder, "1 0 2 0 255 255") == (1, 2, -1)


def test_the_interfacers_datacode_holds_where_the_node_has_none() -> None:
    assert decode(compile_decoder(10, None, datacode="h"), "1 0 2 0") == (1, 2)
    assert decode(compile_decoder(10, NodeDefinition("10"), datacode="L"), "1 0 2 0") == (131073,)
    assert decode(compile_decoder(10, NodeDefinition("10", rx=Codec(datacode="0")), datacode="h"), "1 2") == (1, 2)
    assert decode(compile_decoder(10, NodeDefinition("10", rx=Codec(datacodes=("0",))), datacode="h"), "1") == (1,)


def test_datacode_0_is_no_datacode_among_others() -> None:
    with pytest.raises(SettingError, match="can't be one of several"):
        Codec(datacodes=("h", "0"))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "too short"),
        ("1", "length"),
        ("1 2 3", "length"),
        ("1 2 3 4 5 6", "length"),
        ("1 2 3 256", "out of range"),
        ("1 2 3 -1", "out of range"),
        ("1 2 3 4.5", "out of range"),
        ("1 2 3 nan", "out of range"),
        ("1 2 3 x", "non-numeric"),
        ("1 2 3 1_0", "non-numeric"),
        ("1 2 3 \x00", "non-numeric"),
        ("1 2 3 " + "9" * 5000, "out of range"),
    ],
)
def test_a_frame_that_does_not_fit_says_why(text: str, reason: str) -> None:
    assert reason_of(decoder_of(datacodes="hh"), text) == reason
    if reason != "length":
        assert reason_of(decoder_of(datacode="h"), text) == reason


def test_a_long_field_is_not_shown_whole() -> None:
    with pytest.raises(FrameError) as caught:
        decode(decoder_of(datacodes="b"), "x" * 10_000)
    assert len(str(caught.value)) < 200


def test_leading_zeros_and_signs_are_numbers() -> None:
    assert decode(decoder_of(datacodes="bb"), "007 +5") == (7, 5)


@pytest.mark.parametrize(
    ("scaling", "values"),
    [
        ({"scales": ["1", "0.1", "0.01"]}, (234, 23.4, 2.34)),
        ({"scales": ["1", "0.1"]}, (234, 23.4, 234)),  # the list is too short: the rest is not scaled
        ({"scales": ["0.1"]}, (23.4, 234, 234)),  # a list of one is a list
        ({"scales": ["1", "1", "1", "0.1"]}, (234, 234, 234)),
        ({"scale": "0.1"}, (23.4, 23.4, 23.4)),
        ({"scales": ["1", "0.1", "1"], "scale": "0.5"}, (234, 23.4, 234)),
        ({}, (234, 234, 234)),
    ],
)
def test_scales(scaling: dict[str, Any], values: tuple[float, ...]) -> None:
    frame = "234 0 234 0 234 0"
    assert decode(decoder_of(datacodes="hhh", **scaling), frame) == values
    assert decode(decoder_of(datacode="h", **scaling), frame) == values
    assert decode(decoder_of(datacode="0", **scaling), "234 234 234") == values


def test_the_interfacers_scale_holds_where_the_node_has_none() -> None:
    tenth = Scale.parse("0.1")
    assert decode(compile_decoder(10, None, datacode="h", scale=tenth), "234 0") == (23.4,)
    assert decode(compile_decoder(10, None, scale=tenth), "234") == (23.4,)
    with_own = NodeDefinition("10", rx=Codec(datacodes=("h",), scale=Scale.parse("0.01")))
    assert decode(compile_decoder(10, with_own, scale=tenth), "234 0") == (2.34,)


def test_whitening_is_undone_before_unpacking() -> None:
    decoder = decoder_of(datacodes="Lhhhhhllll hhhL".replace(" ", ""), whitening=True, scales=["1", "0.01"])
    values = decode(
        decoder, "1 85 85 85 247 127 85 85 85 85 85 85 85 85" + " 85" * 16 + " 101 32 101 32 101 32 84 85 85 85"
    )
    assert values == (84, 109.14, 0, 0, 0, 0, 0, 0, 0, 0, 30000, 30000, 30000, 1)


@pytest.mark.parametrize("whitening", [True, False])
def test_whitening_of_frames_of_any_length(whitening: bool) -> None:
    decoder = decoder_of(datacode="B", whitening=whitening)
    assert decode(decoder, "84 85") == ((1, 0) if whitening else (84, 85))


def test_numbers_as_text() -> None:
    decoder = decoder_of(datacode="0")
    assert decode(decoder, "10 -3.5 1e3 005 -0 2.0 18446744073709551616") == (10, -3.5, 1000, 5, 0, 2, 1 << 64)
    assert all(isinstance(value, int) for value in decode(decoder, "10 2.0 1e3"))
    assert reason_of(decoder, "1 x") == "non-numeric"
    assert reason_of(decoder, "1 1_0") == "non-numeric"
    assert reason_of(decoder, "") == "too short"
    assert reason_of(decoder, "1 " * 2001) == "length"


@pytest.mark.parametrize("word", ["nan", "inf", "-inf", "1e999", "Infinity", "9" * 300])
def test_what_is_not_finite_leaves_a_gap_and_is_told(word: str) -> None:
    notes: list[tuple[str, str]] = []
    decoder = decoder_of(datacode="0", note=lambda *note: notes.append(note))
    assert decode(decoder, f"1 {word} 2") == (1, None, 2)
    assert [reason for reason, _ in notes] == ["not finite"]
    assert "node 10" in notes[0][1]


@pytest.mark.parametrize("raw", [math.nan, math.inf, -math.inf])
def test_the_same_for_packed_floats(raw: float) -> None:
    notes: list[tuple[str, str]] = []
    decoder = decoder_of(
        datacodes="ffd", names=["a", "b", "c"], scales=["1", "0.1", "1e9"], note=lambda *n: notes.append(n)
    )
    assert decoder.unpack(struct.pack("<ffd", 1.5, raw, 2.0)) == (1.5, None, 2e9)
    assert decoder.unpack(struct.pack("<ffd", 1.5, 10.0, 1e305)) == (1.5, 1.0, None)
    assert len(notes) == 2
    assert "b = " in notes[0][1]


class TestNames:
    def test_names_and_units_go_with_the_values(self) -> None:
        layout = decoder_of(nodename="loft", datacodes="hh", names=["a", "b"], units=["W", "V"]).layout
        assert (layout.node, layout.nodename, layout.names, layout.units) == (10, "loft", ("a", "b"), ("W", "V"))

    def test_too_few_and_too_many_names_cost_no_value(self) -> None:
        for names in ([], ["a"], ["a", "b", "c"]):
            decoder = decoder_of(datacodes="hh", names=names, units=["W"])
            assert decode(decoder, "1 0 2 0") == (1, 2)
            assert [decoder.layout.name_of(i) for i in range(2)] == [*names[:2], *["1", "2"][len(names) :]]
            assert [decoder.layout.unit_of(i) for i in range(2)] == ["W", ""]


class TestMissed:
    """A node whose first value is named MSG counts its frames: the hub counts those that did not come."""

    NAMES = ("MSG", "a")

    def counted(self, counts: Sequence[int | str], **rx: Any) -> list[tuple[Any, Any]]:
        decoder = decoder_of(datacode="0", names=self.NAMES, **rx)
        found = [decode(decoder, f"{count} 7") for count in counts]
        assert all(values[1] == 7 for values in found)
        return [(values[-2], values[-1]) for values in found]

    def test_what_is_missed_adds_up(self) -> None:
        assert self.counted([3, 4, 7, 8, 9]) == [(0, 0), (0, 0), (2, 50), (2, 40), (2, 33.333)]

    def test_a_frame_that_comes_twice_misses_nothing(self) -> None:
        assert self.counted([3, 3, 4, 4, 6]) == [(0, 0), (0, 0), (0, 0), (0, 0), (1, 33.333)]

    def test_a_lower_count_is_a_sender_that_restarted(self) -> None:
        assert self.counted([3, 6, 1, 3]) == [(0, 0), (2, 66.667), (0, 0), (1, 50)]

    def test_a_count_that_wraps_starts_again(self) -> None:
        decoder = decoder_of(datacodes="B", names=["MSG"])
        assert [decode(decoder, text) for text in ("253", "255", "0", "2")] == [
            (253, 0, 0),
            (255, 1, 50),
            (0, 0, 0),
            (2, 1, 50),
        ]

    def test_a_count_from_zero(self) -> None:
        assert self.counted([0, 2]) == [(0, 0), (1, 50)]

    def test_a_count_that_is_no_number_leaves_gaps(self) -> None:
        assert self.counted([1, "nan", 3]) == [(0, 0), (None, None), (1, 50)]

    @pytest.mark.parametrize("name", ["MSG", "Msg", "msg"])
    @pytest.mark.parametrize("rx", [{"datacodes": "LH"}, {"datacode": "H"}])
    def test_packed_frames_are_counted_too(self, name: str, rx: dict[str, Any]) -> None:
        decoder = decoder_of(nodename="x", names=[name, "a"], units=["n", "W"], **rx)
        width = " 0 0" if "datacodes" in rx else ""
        assert decode(decoder, f"1 0{width} 5 0") == (1, 5, 0, 0)
        assert decode(decoder, f"3 0{width} 5 0") == (3, 5, 1, 50)
        assert decoder.layout.names == (name, "a", "missed", "missedprc")
        assert decoder.layout.units == ("n", "W", "", "%")
        assert decoder.layout.nodename == "x"

    @pytest.mark.parametrize("name", ["MSG2", "message", "M"])
    def test_other_names_count_nothing(self, name: str) -> None:
        decoder = decoder_of(datacodes="LH", names=[name, "a"])
        assert decode(decoder, "1 0 0 0 5 0") == (1, 5)
        assert decoder.layout.names == (name, "a")

    @pytest.mark.parametrize(
        ("names", "expected"),
        [
            (["MSG"], ("MSG", "2", "missed", "missedprc")),
            (["MSG", "a", "b"], ("MSG", "a", "missed", "missedprc")),
        ],
    )
    def test_the_two_keep_their_names_where_names_and_values_differ_in_number(
        self, names: list[str], expected: tuple[str, ...]
    ) -> None:
        for rx in ({"datacodes": "BB"}, {"datacode": "B"}, {"datacode": "0"}):
            decoder = decoder_of(names=names, **rx)
            assert decode(decoder, "1 5") == (1, 5, 0, 0)
            assert decoder.layout.names == expected

    def test_a_refused_frame_counts_nothing(self) -> None:
        decoder = decoder_of(datacodes="B", names=["MSG"])
        decode(decoder, "1")
        with pytest.raises(FrameError):
            decode(decoder, "5 5")
        assert decode(decoder, "2") == (2, 0, 0)

    def test_any_counts_give_a_share_between_none_and_all(self) -> None:
        @given(st.lists(st.integers(0, 300), min_size=1, max_size=50))
        def check(counts: list[int]) -> None:
            for missed, percent in self.counted(counts):
                assert 0 <= missed <= 300
                assert 0 <= percent <= 100

        check()


CODECS = st.builds(
    Codec,
    names=st.lists(st.sampled_from(["MSG", "a", "b"]), max_size=4).map(tuple),
    datacodes=st.lists(st.sampled_from(sorted(SIZES)), max_size=4).map(tuple),
    datacode=st.sampled_from(["", "0", *sorted(SIZES)]),
    scales=st.lists(
        st.sampled_from([Scale.parse(s) for s in ("1", "0.1", "-0.01", "1e30", "1e-30", "2.5")]), max_size=5
    ).map(tuple),
    scale=st.sampled_from([None, Scale.parse("0.01"), Scale.parse("1e30")]),
    whitening=st.booleans(),
)

FIELDS = st.one_of(
    st.integers(0, 255).map(lambda n: str(n).encode()),
    st.sampled_from(
        [
            b"nan",
            b"-inf",
            b"1e308",
            b"1e-400",
            b"-1",
            b"256",
            b"1_0",
            b"0x10",
            b"\x00",
            b"\xff\xfe",
            b"9" * 400,
            b"-0",
            b"+",
        ]
    ),
    st.binary(min_size=1, max_size=6).map(lambda b: b.translate(None, b" \t\r\n\x0b\x0c") or b"0"),
)


@given(codec=CODECS, fields=st.lists(FIELDS, max_size=24))
@example(codec=Codec(datacode="0", scale=Scale.parse("1e30")), fields=[b"1e299"])
@example(codec=Codec(datacode="0", names=("MSG",)), fields=[b"nan"])
@example(codec=Codec(datacodes=("d",), scale=Scale.parse("1e30")), fields=[b"255"] * 6 + [b"239", b"127"])
@example(codec=Codec(names=("MSG", "a"), datacode="f"), fields=[b"0", b"0", b"192", b"127"])
def test_only_a_frame_error_ever_comes_out_and_only_finite_numbers(codec: Codec, fields: list[bytes]) -> None:
    decoder = compile_decoder(10, NodeDefinition("10", rx=codec), datacode="h")
    for _ in range(2):
        try:
            values = decoder.decode(fields)
        except FrameError:
            return
        assert values
        assert all(value is None or math.isfinite(value) for value in values)
        if codec.counts_frames:
            assert len(decoder.layout.names) == len(values)


@given(codec=CODECS, data=st.binary(max_size=40))
def test_the_same_for_bytes(codec: Codec, data: bytes) -> None:
    decoder = compile_decoder(10, NodeDefinition("10", rx=codec), datacode="h")
    other = compile_decoder(10, NodeDefinition("10", rx=codec), datacode="h")
    fields = [str(byte).encode() for byte in data]
    try:
        values = decoder.unpack(data)
    except FrameError:
        with pytest.raises(FrameError):
            other.decode(fields)
        return
    assert values == other.decode(fields)
