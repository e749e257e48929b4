"""What other people's devices publish, as recorded, and what is made of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emonhub import FrameError, SettingError
from emonhub.interfacers.core.mqtt.families import FAMILIES
from emonhub.interfacers.core.mqtt.rules import Reading, Rule
from emonhub.interfacers.core.mqtt.topics import covers

CASES = {
    path.stem: json.loads(path.read_text()) for path in sorted((Path(__file__).parent / "families").glob("*.json"))
}


def read(rules: tuple[Rule, ...], topic: str, payload: bytes) -> Reading | None:
    for rule in rules:
        captured = rule.captures(topic)
        if captured is not None:
            assert covers(rule.filter, topic)
            return rule.read(captured, payload)
    return None


def test_every_family_has_recorded_messages_and_their_source() -> None:
    assert CASES.keys() == FAMILIES.keys()
    assert len(CASES) >= 10
    assert all("https://" in case["source"] for case in CASES.values())


@pytest.mark.parametrize(
    ("family", "message"),
    [pytest.param(family, m, id=m["topic"]) for family, case in CASES.items() for m in case["messages"]],
)
def test_recorded_messages(family: str, message: dict[str, Any]) -> None:
    reading = read(FAMILIES[family], message["topic"], message["payload"].encode())
    if message["node"] is None:
        assert reading is None
        return
    assert reading is not None
    assert reading.node == message["node"]
    assert dict(zip(reading.names, reading.values, strict=True)) == message["values"]
    assert reading.time == message.get("time")
    if "units" in message:
        assert list(reading.units) == message["units"]


@given(payload=st.binary(max_size=80))
def test_no_payload_at_all_breaks_a_rule(payload: bytes) -> None:
    for family, case in CASES.items():
        try:
            reading = read(FAMILIES[family], case["messages"][0]["topic"], payload)
        except FrameError:
            continue
        assert reading is None or all(value - value == 0 for value in reading.values)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (("power",), {"power": 5}),
        (("power:Power:W",), {"Power": 5}),
        (("temps.flow:Flow:C", "temps.0"), {"Flow": 31.5}),
        (("phases.1:L2",), {"L2": 20}),
        (("state:On", "mode:Mode"), {"On": 1, "Mode": 2}),
        (("switch:0.apower|Power",), {"Power": 7}),
        (("missing", "name", "none", "temps", "big"), None),
    ],
)
def test_paths_into_json(values: tuple[str, ...], expected: dict[str, float] | None) -> None:
    rule = Rule("x/{node}", values=values, words={"heating": 2})
    payload = {
        "power": 5,
        "temps": {"flow": "31.5"},
        "phases": [10, 20],
        "state": "ON",
        "mode": "Heating",
        "switch:0": {"apower": 7},
        "name": "boiler",
        "none": None,
        "big": "9" * 50,
    }
    reading = read((rule,), "x/boiler", json.dumps(payload).encode())
    assert (reading and dict(zip(reading.names, reading.values, strict=True))) == expected


def test_a_value_without_a_name_in_its_topic() -> None:
    assert read((Rule("well/{node}"),), "well/level", b"3.2") == Reading("level", ("value",), ("",), (3.2,))
    named = Rule("well/level", node="well", name="level", units={"level": "m"})
    assert read((named,), "well/level", b" 3.2\n") == Reading("well", ("level",), ("m",), (3.2,))


def test_a_message_may_bring_no_more_than_it_should() -> None:
    reading = read((Rule("x/{node}"),), "x/a", json.dumps({f"v{n}": n for n in range(1000)}).encode())
    assert reading is not None
    assert len(reading.values) == 200
    assert read((Rule("x/{node}"),), "x/a", b'{"a":' * 20 + b"1" + b"}" * 20) is None


@pytest.mark.parametrize("payload", [b"{", b'{"a":', b"[" * 100_000])
def test_broken_json_is_said(payload: bytes) -> None:
    with pytest.raises(FrameError, match="not JSON"):
        read((Rule("x/{node}"),), "x/a", payload)


def test_a_rule_of_ones_own_says_when_there_is_no_number() -> None:
    with pytest.raises(FrameError, match="no number"):
        read((Rule("x/{node}", strict=True),), "x/a", b"hello")


def test_a_node_named_by_the_payload_must_be_there() -> None:
    with pytest.raises(FrameError, match="no id"):
        read(FAMILIES["rtl_433"], "rtl_433/pi/events", b'{"model":"X","temperature_C":1}')


@pytest.mark.parametrize(
    "topic", ["a/+/b", "a/#", "a/{x", "a/x}", "{rest...}/b", "a/b{rest...}", "{x}/{x}", "a/{x:letters}"]
)
def test_patterns_that_can_not_be(topic: str) -> None:
    with pytest.raises(SettingError) as refusal:
        Rule(topic)
    assert topic in str(refusal.value)


@pytest.mark.parametrize(
    ("pattern", "topic", "captured"),
    [
        ("a/{x}", "a/b", {"x": "b"}),
        ("a/{x}", "a/b/c", None),
        ("a/{x}", "a/$b", None),
        ("a/{x}", "a/", None),
        ("a/plug-{x}", "a/plug-7", {"x": "7"}),
        ("a/plug-{x}-{y:digits}", "a/plug-7-8-9", {"x": "7-8", "y": "9"}),
        ("a.b/{x}", "aXb/c", None),
        ("a/{x...}", "a/b/c/d", {"x": "b/c/d"}),
        ("a/{x...}", "a", None),
    ],
)
def test_what_patterns_capture(pattern: str, topic: str, captured: dict[str, str] | None) -> None:
    assert Rule(pattern).captures(topic) == captured
