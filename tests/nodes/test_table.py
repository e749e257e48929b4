from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emonhub.errors import FrameError, Undecided
from emonhub.nodes.datacodes import Scale
from emonhub.nodes.definition import Codec, NodeDefinition
from emonhub.nodes.encoder import encode
from emonhub.nodes.table import _MAX_REMEMBERED, Decoders, Nodes
from emonhub.nodes.templates import definition_from, named_template, templates


def node(id_: str, **rx: Any) -> dict[str, NodeDefinition]:
    return {id_: NodeDefinition(id_, f"name of {id_}", rx=Codec(**rx))}


def decoders(nodes: Nodes, **settings: Any) -> Decoders:
    return Decoders(nodes, lambda _reason, _detail: None, **{"datacode": "h", **settings})


class Autoconf:
    """A radio's decoders with autoconf on."""

    def __init__(self, **settings: Any) -> None:
        self.hints: list[str] = []
        self.decoders = decoders(Nodes(autoconf=True), packed_frames=True, hint=self.hints.append, **settings)

    def frame(self, id_: int, data: bytes) -> tuple[str, dict[str, Any]]:
        decoder = self.decoders[str(id_).encode()]
        values = decoder.decode([str(byte).encode() for byte in data])
        layout = decoder.layout
        return layout.nodename, {layout.name_of(i): value for i, value in enumerate(values)}


def template(name: str) -> Codec:
    return next(t.rx for t in templates() if t.name == name)


def test_a_configured_node_is_decoded_and_named() -> None:
    found = decoders(Nodes(node("10", datacodes=("B",), names=("a",))))[b"10"]
    assert found.decode([b"7"]) == (7,)
    assert (found.layout.node, found.layout.nodename, found.layout.names) == (10, "name of 10", ("a",))


def test_an_unknown_node_has_the_interfacers_datacode_and_scale() -> None:
    table = decoders(Nodes(), scale=Scale.parse("0.1"))
    assert table[b"12"].decode([b"234", b"0"]) == (23.4,)
    assert (table[b"12"].layout.node, table[b"12"].layout.nodename) == (12, "")


def test_a_node_is_looked_up_once() -> None:
    table = decoders(Nodes())
    assert table[b"12"] is table[b"12"]


@pytest.mark.parametrize("token", [b"10", b"010", b"0000000000010"])
def test_ids_are_numbers_however_they_are_written(token: bytes) -> None:
    assert decoders(Nodes(node("10")))[token].layout.nodename == "name of 10"


def test_long_numbers_and_words_are_ids_where_nodes_has_them() -> None:
    nodes = Nodes(node("121111111111") | node("emonTx4") | node("a4:cf:12") | node("living room"))
    for id_ in nodes.definitions:
        layout = decoders(nodes)[id_.encode()].layout
        assert layout.nodename == f"name of {id_}"
        assert str(layout.node) == id_


@pytest.mark.parametrize(
    ("token", "reason", "says"),
    [
        (b"emonTx5", "unknown node", "add [[emonTx5]]"),
        (b"-5", "bad node id", "'-5'"),
        (b"3.5", "bad node id", "'3.5'"),
        (b"nan", "bad node id", "'nan'"),
        (b"1_0", "bad node id", "'1_0'"),
        (b"\xff\xfe", "bad node id", "no node id"),
        (b"1" * 16, "bad node id", "no node id"),
        (b"x" * 1000, "bad node id", "…"),
        (b"", "bad node id", "no node id"),
        ("\N{ARABIC-INDIC DIGIT THREE}".encode(), "bad node id", "no node id"),
    ],
)
def test_what_can_be_no_node_id(token: bytes, reason: str, says: str) -> None:
    with pytest.raises(FrameError) as caught:
        decoders(Nodes(node("emonTx4")))[token]
    assert caught.value.reason == reason
    assert says in str(caught.value)
    assert len(str(caught.value)) < 200


def test_nodelistonly_takes_only_what_is_listed() -> None:
    table = decoders(Nodes(node("10")), nodelistonly=True)
    assert table[b"10"].layout.node == 10
    with pytest.raises(FrameError, match="node 11 is not in"):
        table[b"11"]


def test_the_offset_is_added_before_the_look_up() -> None:
    table = decoders(Nodes(node("110")), nodeoffset=100)
    assert table[b"10"].layout.nodename == "name of 110"
    assert table[b"11"].layout.node == 111
    assert table.by_id(11).layout.node == 11
    assert table.by_id(110).layout.nodename == "name of 110"
    assert table[b"11"].layout.node == 111
    assert table.by_id("110").layout.node == 110


def test_a_new_configuration_counts_on_for_the_nodes_that_stay_the_same() -> None:
    same, other = node("10", datacodes=("B",), names=("MSG",)), node("11", datacodes=("B",), names=("MSG",))
    nodes = Nodes(same | other)
    table = decoders(nodes)
    for token in (b"10", b"11"):
        table[token].decode([b"1"])
    assert nodes.replace(same | node("11", datacodes=("B",), names=("MSG",), units=("n",)), autoconf=False)
    table.refresh()
    assert table[b"10"].decode([b"3"]) == (3, 1, 50)
    assert table[b"11"].decode([b"3"]) == (3, 0, 0)
    assert not nodes.replace(dict(nodes.definitions), autoconf=False)


def test_a_frame_keeps_the_names_in_force_when_it_was_read() -> None:
    nodes = Nodes(node("10", names=("old",)))
    table = decoders(nodes)
    before = table[b"10"].layout
    nodes.replace(node("10", names=("new",)), autoconf=False)
    table.refresh()
    assert (before.names, table[b"10"].layout.names) == (("old",), ("new",))


def test_made_up_ids_fill_no_memory() -> None:
    table = decoders(Nodes(node("10", datacodes=("B",), names=("MSG",))))
    table[b"10"].decode([b"1"])
    for number in range(5 * _MAX_REMEMBERED):
        table[str(1000 + number).encode()]
    assert len(table) <= _MAX_REMEMBERED + 1
    assert table[b"10"].decode([b"2"]) == (2, 0, 0)


class TestAutoconf:
    def test_a_frame_that_a_template_may_be_for_waits_for_its_node(self) -> None:
        hub = Autoconf()
        for length in (46, 52):
            with pytest.raises(Undecided, match="node 17"):
                hub.frame(17, bytes(length))
        with pytest.raises(Undecided):
            hub.decoders.by_id(23).unpack(bytes(12))
        assert hub.hints == []

    def test_once_accepted_it_is_decoded_and_named(self) -> None:
        hub = Autoconf()
        data = encode((20.1, 19, 55, 2.9, 3), template("emonth2"))
        with pytest.raises(Undecided):
            hub.frame(23, data)
        chosen = named_template("emonth2")
        assert chosen is not None
        hub.decoders._nodes.replace({"23": definition_from(chosen, 23)}, autoconf=True)
        hub.decoders.refresh()
        expected = {"temperature": 20.1, "external temperature": 19, "humidity": 55, "battery": 2.9, "pulsecount": 3}
        assert hub.frame(23, data) == ("emonth2_23", expected)

    def test_no_template_is_guessed_by_its_length_alone(self) -> None:
        hub = Autoconf()
        assert hub.frame(3, b"\x01\x00" * 6) == ("", {str(i): 1 for i in range(1, 7)})
        assert len(hub.hints) == 1
        assert "emonth2" in hub.hints[0]
        assert "[[3]]" in hub.hints[0]

    def test_a_frame_that_no_template_has_is_decoded_as_without_autoconf_and_said_once(self) -> None:
        hub = Autoconf()
        for _ in range(3):
            assert hub.frame(17, b"\x05\x00") == ("", {"1": 5})
        assert len(hub.hints) == 1

    def test_bad_frames_are_called_bad(self) -> None:
        hub = Autoconf()
        for fields in ([], [b"x"] * 12, [b"300"] * 12):
            with pytest.raises(FrameError) as caught:
                hub.decoders[b"23"].decode(fields)
            assert not isinstance(caught.value, Undecided)

    def test_it_is_only_for_bytes_of_unknown_nodes_with_numbers(self) -> None:
        for nodes, packed in ((Nodes(), True), (Nodes(autoconf=True), False), (Nodes(node("23"), autoconf=True), True)):
            table = decoders(nodes, packed_frames=packed)
            assert table[b"23"].decode([b"1", b"0"] * 6) == (1,) * 6

    def test_nodelistonly_comes_first(self) -> None:
        with pytest.raises(FrameError, match="nodelistonly"):
            Autoconf(nodelistonly=True).frame(23, bytes(12))


@given(st.lists(st.tuples(st.binary(max_size=4), st.lists(st.binary(min_size=1, max_size=4), max_size=12))))
def test_only_frame_errors_come_out(frames: list[tuple[bytes, list[bytes]]]) -> None:
    for settings in ({}, {"packed_frames": True, "nodeoffset": 3}, {"datacode": "0"}):
        table = decoders(Nodes(node("1", datacodes=("h",)), autoconf=True), **settings)
        for token, fields in frames:
            try:
                assert table[token].decode(fields)
            except FrameError:
                continue
