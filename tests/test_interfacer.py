"""What the base class does for every interfacer."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from emonhub import Cargo, FrameError, Interfacer, Layout, SettingError, integer, setting
from emonhub.settings import apply

HOUSE = Layout(10, "house", ("power", "temp"))


class Thermometer(Interfacer):
    """An interfacer with a rule across settings."""

    low = setting(integer(), 0, "lowest")
    high = setting(integer(), 10, "highest")

    def __init__(self, settings: dict[str, Any] | None = None) -> None:
        self.told: list[set[str]] = []
        super().__init__("thermometer", settings)

    def check(self) -> None:
        if self.low > self.high:
            raise SettingError("low must not be above high")

    def settings_changed(self, changed: set[str]) -> None:
        self.told.append(changed)


def published(interfacer: Interfacer) -> list[tuple[tuple[str, ...], list[Cargo]]]:
    found: list[tuple[tuple[str, ...], list[Cargo]]] = []
    interfacer.connect(lambda names, cargos: found.append((names, cargos)))
    return found


def test_settings_are_checked_when_it_is_made() -> None:
    with pytest.raises(SettingError, match="low must not be above high"):
        Thermometer({"low": 11})


def test_an_update_says_what_changed_and_goes_back_to_defaults() -> None:
    one = Thermometer({"low": 1, "high": 20})
    assert one.update({"low": 2}) == {"low", "high"}
    assert (one.low, one.high) == (2, 10)
    assert one.update({"low": 2}) == set()
    assert one.told == [{"low", "high"}]


def test_an_update_that_breaks_a_rule_changes_nothing() -> None:
    one = Thermometer({"low": 1, "high": 20})
    decoders = one.decoders
    with pytest.raises(SettingError, match="low must not"):
        one.update({"low": 30, "high": 20, "scale": 2, "pubchannels": ("x",)})
    assert (one.low, one.high, one.pubchannels) == (1, 20, ())
    assert one.decoders is decoders
    assert one.told == []


def test_decoding_settings_take_effect_while_running() -> None:
    one = Thermometer()
    assert one.decoders[b"10"].decode([b"1", b"2"]) == (1, 2)
    one.update({"nodeoffset": 100})
    assert one.decoders[b"10"].layout.node == 110


def test_publish_counts_and_hands_on() -> None:
    one = Thermometer({"pubchannels": ("a", "b")})
    found = published(one)
    cargos = [Cargo(HOUSE, (1, 2), 5.0), Cargo(HOUSE, (3, 4), 6.0)]
    one.publish(cargos)
    one.publish([])
    assert found == [(("a", "b"), cargos)]
    assert one.received == 2
    assert one.last_received == 6.0


def test_a_frame_is_logged_for_the_asking(caplog: pytest.LogCaptureFixture) -> None:
    one = Thermometer()
    one.publish([Cargo(HOUSE, (1, 2.5), 5.0, -40)])
    assert caplog.text == ""
    caplog.set_level(logging.DEBUG)
    one.publish([Cargo(HOUSE, (1, 2.5), 5.0, -40)])
    assert "NEW FRAME : node 10 (house) at 5.000 RSSI -40 Values : power=1, temp=2.5" in caplog.text


def test_what_a_read_returns_is_made_safe(caplog: pytest.LogCaptureFixture) -> None:
    """An author's mistakes are counted and named, and cost only the value or the frame."""
    one = Thermometer()
    nan, inf = float("nan"), float("inf")
    good = one._checked(
        [
            Cargo(HOUSE, (1, nan), 1.0),
            Cargo(HOUSE, (-inf, None), 1.0),
            Cargo(HOUSE, (True, 2), 1.0),
            Cargo(HOUSE, ("12", 2), 1.0),  # type: ignore[arg-type]
            "text",  # type: ignore[list-item]
        ]
    )
    assert [c.values for c in good] == [(1, None), (None, None), (1, 2)]
    assert good[2].values[0] is not True
    assert dict(one.bad) == {"value not finite": 2, "non-numeric": 1, "no cargo": 1}
    assert "'12' is no number" in caplog.text
    assert "read() returned str, not Cargo" in caplog.text
    assert one._checked(None) == []
    assert len(one._checked(Cargo(HOUSE, (1, 2), 1.0))) == 1


def test_a_discarded_frame_is_counted_and_shown_in_part(caplog: pytest.LogCaptureFixture) -> None:
    one = Thermometer()
    one.discard(FrameError("length", "11 bytes"), b"\xff\x00" * 1000)
    one.discard(FrameError("length", "11 bytes"))
    assert one.bad == {"length": 2}
    first, second = (r.getMessage() for r in caplog.records)
    assert first.startswith("Discarded frame, length: 11 bytes [\\xff")
    assert first.endswith("…]")
    assert len(first) < 1000
    assert second == "Discarded frame, length: 11 bytes"


def test_loglevel_is_one_of_the_levels() -> None:
    kind = Interfacer.loglevel.kind
    assert kind("debug") == "debug"
    assert kind("") == ""
    with pytest.raises(SettingError, match="must be DEBUG, INFO"):
        kind("LOUD")


def test_a_setting_is_its_value_on_an_instance_and_its_declaration_on_the_class() -> None:
    one = Thermometer()
    assert one.low == 0
    assert apply(one, {"low": 3}) == {"low"}
    assert Thermometer.low.default == 0
