"""The SPI bus of a machine: which device is opened, how the radio is selected, what is said when it can't be had."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from emonhub.errors import Unavailable
from emonhub.interfacers.devices.rfm69 import bus


class FakeSpidev(ModuleType):
    """As much of the library as is used; `log` has what happens on the bus and on the pins, in order."""

    def __init__(self, log: list[Any], error: OSError | None = None) -> None:
        super().__init__("spidev")
        self.log = log
        self.error = error
        self.SpiDev = lambda: self

    def open(self, number: int, device: int) -> None:
        if self.error is not None:
            raise self.error
        self.log.append(("open", number, device))

    def xfer2(self, data: list[int]) -> list[int]:
        self.log.append(data)
        if self.error is not None:
            raise self.error
        return [255 - byte for byte in data]

    def close(self) -> None:
        self.log.append("close")


class Select:
    def __init__(self, log: list[Any]) -> None:
        self.log = log

    def set(self, *, high: bool) -> None:
        self.log.append("high" if high else "low")

    def release(self) -> None:
        self.log.append("release")


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[Any]:
    log: list[Any] = []

    def output(pin: str, *, high: bool) -> Select:
        log.append((pin, high))
        return Select(log)

    monkeypatch.setattr(bus, "DEV", str(tmp_path))
    monkeypatch.setattr(bus, "open_output", output)
    monkeypatch.setitem(sys.modules, "spidev", FakeSpidev(log))
    for device in ("spidev0.0", "spidev0.1"):
        (tmp_path / device).touch()
    return log


@pytest.mark.parametrize(("pin", "device"), [("24", 0), ("26", 1)])
def test_the_bus_selects_with_its_own_pins(log: list[Any], pin: str, device: int) -> None:
    spi = bus.open_bus(pin)
    assert spi.transfer(b"\x01\x02") == b"\xfe\xfd"
    spi.close()
    assert log == [("open", 0, device), [1, 2], "close"]


def test_any_other_pin_is_driven_by_hand(log: list[Any]) -> None:
    spi = bus.open_bus("16")
    spi.transfer(b"\x01")
    spi.close()
    assert log == [("open", 0, 0), ("16", True), "low", [1], "high", "close", "release"]


def test_a_pin_that_the_bus_does_not_have_is_driven_by_hand(log: list[Any], tmp_path: Path) -> None:
    (tmp_path / "spidev0.1").unlink()
    bus.open_bus("26").close()
    assert log[:2] == [("open", 0, 0), ("26", True)]


def test_a_bus_with_its_second_device_only(log: list[Any], tmp_path: Path) -> None:
    (tmp_path / "spidev0.0").unlink()
    bus.open_bus("16").close()
    assert log[0] == ("open", 0, 1)


def test_the_radio_is_not_left_selected(log: list[Any]) -> None:
    spi = bus.open_bus("16")
    sys.modules["spidev"].error = OSError(5, "Input/output error")  # type: ignore[attr-defined]
    with pytest.raises(OSError, match="Input/output"):
        spi.transfer(b"\x01")
    assert log[-3:] == ["low", [1], "high"]


def test_the_bus_is_let_go_of_without_the_pin(log: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    def taken(pin: str, *, high: bool) -> Select:
        raise Unavailable("pin 16 is in use")

    monkeypatch.setattr(bus, "open_output", taken)
    with pytest.raises(Unavailable, match="pin 16 is in use"):
        bus.open_bus("16")
    assert log == [("open", 0, 0), "close"]


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (FileNotFoundError(), "add `dtparam=spi=on` to /boot/firmware/config.txt"),
        (PermissionError(), "the group `spi`"),
        (OSError(16, "busy"), "can't be used"),
    ],
)
def test_what_keeps_it_from_the_bus_is_said(
    log: list[Any], monkeypatch: pytest.MonkeyPatch, error: OSError, said: str
) -> None:
    monkeypatch.setitem(sys.modules, "spidev", FakeSpidev(log, error))
    with pytest.raises(Unavailable, match=said):
        bus.open_bus("26")


def test_without_the_library(log: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "spidev", None)
    with pytest.raises(Unavailable, match=r"pip install 'emonhub\[spi\]'"):
        bus.open_bus("26")


def test_the_real_library_on_a_machine_without_such_a_bus() -> None:
    pytest.importorskip("spidev")
    if Path("/dev/spidev0.0").exists():
        pytest.skip("this machine has an SPI bus")
    with pytest.raises(Unavailable, match=r"there is no /dev/spidev0\.0"):
        bus.open_bus("16")
