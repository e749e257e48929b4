from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from emonhub.errors import Unavailable
from emonhub.interfacers.devices.rfm69.radio import RFM69Interfacer
from tests.fakes.rfm69 import FakeRFM69

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


class Pins:
    """The header's pins: DIO0 of the radio raises edges on one, others are set."""

    def __init__(self, chip: FakeRFM69) -> None:
        self.missing = ""
        self.asked: list[tuple[Sequence[str], bool]] = []
        self.levels: list[tuple[str, bool]] = []
        self.edges = 0
        self.held = 0
        self.broken = False
        self._read, self._write = os.pipe()
        self._pin = ""
        self._chip = chip
        chip.on_dio0 = self.edge

    def lines(self, chip: str, pins: Sequence[str], **wanted: Any) -> Pins:
        if self.missing:
            raise Unavailable(self.missing)
        self.asked.append((pins, wanted["rising"]))
        self.held += 1
        return self

    def output(self, pin: str, *, high: bool) -> Pins:
        self._pin = pin
        self.held += 1
        self.set(high=high)
        return self

    def set(self, *, high: bool) -> None:
        self.levels.append((self._pin, high))
        if not high:
            self._chip.power_up()

    def edge(self) -> None:
        if self.asked:
            os.write(self._write, b"x")

    def fileno(self) -> int:
        return self._read

    def new_edges(self) -> int:
        count = len(os.read(self._read, 100))
        if self.broken:
            raise OSError(19, "No such device")
        self.edges += count
        return count

    def values(self) -> list[bool]:
        return []

    def release(self) -> None:
        self.held -= 1

    def close(self) -> None:
        os.close(self._read)
        os.close(self._write)


@pytest.fixture
def chip(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeRFM69]:
    """The radio on the bus."""
    chip = FakeRFM69()
    monkeypatch.setattr(RFM69Interfacer, "bus_of", staticmethod(chip))
    yield chip
    assert chip.opened == chip.closed


@pytest.fixture
def pins(chip: FakeRFM69, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pins]:
    pins = Pins(chip)
    monkeypatch.setattr(RFM69Interfacer, "lines_of", staticmethod(pins.lines))
    monkeypatch.setattr(RFM69Interfacer, "output_of", staticmethod(pins.output))
    yield pins
    assert pins.held == 0
    pins.close()
