"""What needs no broker: topics, the form from hub to hub, the settings of a connection."""

from __future__ import annotations

import json
import zlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emonhub import Cargo, FrameError, Layout
from emonhub.interfacers.core.mqtt import hubform
from emonhub.interfacers.core.mqtt.broker import Broker
from emonhub.interfacers.core.mqtt.topics import covers, level

T = 1669888253.994


@pytest.mark.parametrize(
    ("topic_filter", "topic", "heard"),
    [
        ("a/b", "a/b", True),
        ("a/b", "a/b/c", False),
        ("a/b/c", "a/b", False),
        ("a/+", "a/b", True),
        ("a/+", "a/", True),
        ("a/+", "a", False),
        ("+/+", "/x", True),
        ("a/#", "a", True),
        ("a/#", "a/b/c", True),
        ("a/#", "ab", False),
        ("#", "a/b", True),
        ("#", "$SYS/x", False),
        ("+/x", "$SYS/x", False),
        ("$SYS/#", "$SYS/x", True),
    ],
)
def test_filters_cover_what_the_standard_says(topic_filter: str, topic: str, heard: bool) -> None:
    assert covers(topic_filter, topic) is heard


@given(st.text())
def test_any_name_makes_one_level(name: str) -> None:
    made = level(name)
    assert not set(made) & set("+#/\x00")
    made.encode()


VALUES = st.one_of(st.none(), st.integers(), st.floats(allow_nan=False, allow_infinity=False))
NODE_IDS = st.one_of(st.integers(0, 1 << 31), st.text())


LAYOUTS = st.builds(Layout, NODE_IDS, st.text(), st.lists(st.text(), max_size=4).map(tuple), st.just(("W",)))
CARGOS = st.builds(
    Cargo, LAYOUTS, st.lists(VALUES, min_size=1, max_size=4).map(tuple), st.just(T), st.integers(-130, 0), NODE_IDS
)


@given(cargo=CARGOS, compress=st.booleans())
def test_every_reading_comes_back_as_it_was(cargo: Cargo, compress: bool) -> None:
    record = hubform.encoder(cargo.layout)(cargo)
    assert "\n" not in record
    assert "\t" not in record
    (back,), errors = hubform.Unpacker().unpack(hubform.pack([(T, record)], compress=compress))
    assert not errors
    assert (back.values, back.time, back.rssi, back.target) == (cargo.values, T, cargo.rssi, cargo.target or 0)
    for part in ("node", "nodename", "names", "units"):
        assert getattr(back.layout, part) == getattr(cargo.layout, part)


def test_halves_of_characters_go_no_further() -> None:
    message = json.dumps({"emonhub": 1, "frames": [[T, "a\ud800", "b\ud800", ["c\ud800"], [], [1]]]}).encode()
    (cargo,), _ = hubform.Unpacker().unpack(message)
    assert (cargo.layout.node, cargo.layout.nodename, cargo.layout.names) == ("a?", "b?", ("c?",))


def test_readings_that_mean_the_same_share_their_layout() -> None:
    record = hubform.encoder(Layout(10, "a", ("x",)))(Cargo(Layout(10), (1,), T))
    unpacker = hubform.Unpacker()
    first, _ = unpacker.unpack(hubform.pack([(T, record), (T + 1, record)], compress=True))
    second, _ = unpacker.unpack(hubform.pack([(T + 2, record)], compress=False))
    assert first[0].layout is first[1].layout is second[0].layout


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'"emonhub"',
        b'{"emonhub":2,"frames":[]}',
        b'{"emonhub":1,"frames":{}}',
        b'{"emonhub":1}',
        b"[" * 100_000,
        b"\x78\x9c cut",
        b"\xff",
        zlib.compress(b"\x00" * (hubform._MAX_INFLATED + 1)),
    ],
)
def test_what_is_no_message_is_refused(payload: bytes) -> None:
    with pytest.raises(FrameError):
        hubform.Unpacker().unpack(payload)


@pytest.mark.parametrize(
    "frame",
    [
        7,
        [T, 10, "", [], []],
        [T, 10, "", [], [], [1], 0, 0, 0],
        [0, 10, "", [], [], [1]],
        [True, 10, "", [], [], [1]],
        ["now", 10, "", [], [], [1]],
        [1e12, 10, "", [], [], [1]],
        [T, None, "", [], [], [1]],
        [T, 10.5, "", [], [], [1]],
        [T, True, "", [], [], [1]],
        [T, 10, None, [], [], [1]],
        [T, 10, "", "P1", [], [1]],
        [T, 10, "", [1], [], [1]],
        [T, 10, "", [], [], []],
        [T, 10, "", [], [], ["1"]],
        [T, 10, "", [], [], [float("nan")]],
        [T, 10, "", [], [], [1], "strong"],
        [T, 10, "", [], [], [1], 0, []],
    ],
)
def test_a_bad_reading_does_not_cost_its_neighbours(frame: Any) -> None:
    good = [T, 10, "", [], [], [1]]
    message = json.dumps({"emonhub": 1, "frames": [good, frame, good]}).encode()
    cargos, errors = hubform.Unpacker().unpack(message)
    assert [cargo.values for cargo in cargos] == [(1,), (1,)]
    assert len(errors) == 1


@pytest.mark.parametrize(
    ("host", "local"),
    [("localhost", True), ("127.0.0.1", True), ("::1", True), ("10.0.0.2", False), ("broker.lan", False)],
)
def test_a_broker_on_this_machine(host: str, local: bool) -> None:
    assert Broker(host, 1883).is_local is local
