from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from emonhub.errors import SettingError
from emonhub.interfacers.devices.rf69 import EmonHubRF69Interfacer, parity
from emonhub.nodes.definition import Codec, NodeDefinition
from emonhub.nodes.table import Nodes
from emonhub.settings import declared
from tests.fakes.rfm69 import Air, FakeRFM69
from tests.interfacers.harness import QuickWorld, running, until

if TYPE_CHECKING:
    from collections.abc import Callable

    from emonhub.cargo import Cargo
    from emonhub.errors import FrameError
    from emonhub.interfacer import Interfacer


def rf69(nodes: Nodes | None = None, **settings: Any) -> EmonHubRF69Interfacer:
    values = {"pubchannels": ("out",), "nodeid": 5, **settings}
    return EmonHubRF69Interfacer("SPI", values, world=QuickWorld(), nodes=nodes)


def packet(*data: int, group: int = 210, **more: Any) -> Air:
    sync = bytes((0x2D, group))
    return Air(bytes(data), sync, carrier=b"\x6c\x80\x00", bitrate=b"\x02\x8a", whitened=True, **more)


def test_settings_are_those_of_today() -> None:
    settings = declared(EmonHubRF69Interfacer)
    wanted = {"group": 210, "datacode": "0", "selPin": "16", "interruptPin": "None"}
    assert {name: settings[name].default for name in wanted} == wanted
    assert all(settings[name].init for name in ("nodeid", "group"))


@pytest.mark.parametrize(("name", "raw"), [("nodeid", "0"), ("nodeid", "64"), ("group", "0"), ("group", "256")])
def test_what_the_radio_would_not_take_is_refused(name: str, raw: str) -> None:
    with pytest.raises(SettingError, match="must be"):
        declared(EmonHubRF69Interfacer)[name].kind(raw)


@pytest.mark.parametrize(("group", "bits"), [(210, 0x00), (5, 0x00), (100, 0x80), (212, 0xC0), (1, 0x40)])
def test_parity(group: int, bits: int) -> None:
    """Bit 7 is the exclusive-or of the group's bits 7, 5, 3 and 1, bit 6 that of 6, 4, 2 and 0."""
    ones = [(group & mask).bit_count() & 1 for mask in (0b10101010, 0b01010101)]
    assert parity(group) == bits == ones[0] << 7 | ones[1] << 6


async def test_set_up_as_the_senders_are(chip: FakeRFM69) -> None:
    async with running(rf69(group=100)):
        wanted = {
            0x01: 0x10, 0x02: 0x00, 0x03: 0x02, 0x04: 0x8A, 0x05: 0x05, 0x06: 0xC3, 0x07: 0x6C, 0x08: 0x80, 0x09: 0x00,
            0x0B: 0x20, 0x11: 0x99, 0x19: 0x42, 0x1E: 0x2C, 0x26: 0x07, 0x29: 0xA0, 0x2D: 0x05, 0x2E: 0x88, 0x2F: 0x2D,
            0x30: 100, 0x38: 0x42, 0x3C: 0x8F, 0x3D: 0x12, 0x6F: 0x20, 0x71: 0x02,
        }  # fmt: skip
        assert {address: chip.registers[address] for address in wanted} == wanted
        assert chip.registers[0x37] & ~0x08 == 0xD0


async def test_frames_of_a_node(chip: FakeRFM69) -> None:
    nodes = Nodes({"10": NodeDefinition("10", "loft", rx=Codec(names=("power", "vrms"), datacodes=("h", "h")))})
    async with running(rf69(nodes)) as hub:
        chip.hear(packet(5, 10, 44, 1, 0x0D, 0xFF, rssi=-47))
        await until(lambda: hub.heard)
        cargo = hub.heard[0]
        assert (hub.frames, cargo.rssi, cargo.layout.names) == ([(10, 300, -243)], -47, ("power", "vrms"))
        assert cargo.raw == b"OK 10 44 1 13 255 (-47)"


class Seen:
    def __init__(self) -> None:
        self.discarded_lines: list[tuple[str, bytes | str]] = []

    def passed(self, interfacer: Interfacer, cargos: list[Cargo]) -> None:
        pass

    def discarded(self, interfacer: Interfacer, error: FrameError, raw: bytes | str) -> None:
        self.discarded_lines.append((error.reason, raw))


async def test_templates_may_be_for_its_frames(chip: FakeRFM69) -> None:
    """What can't be decoded yet is seen as a line that can be decoded later."""
    interfacer = rf69(Nodes(autoconf=True))
    interfacer.observer = seen = Seen()
    async with running(interfacer) as hub:
        chip.hear(packet(0, 24, 164, 0, 0, 0, 151, 2, 27, 0, 1, 0, 0, 0, rssi=-45))
        await until(lambda: seen.discarded_lines)
        assert seen.discarded_lines == [("not accepted yet", b"OK 24 164 0 0 0 151 2 27 0 1 0 0 0 (-45)")]
        assert hub.bad == {}


@pytest.mark.parametrize(
    ("nodeid", "destination", "heard"),
    [(5, 5, True), (5, 0, True), (5, 6, False), (63, 6, True), (63, 63, True), (5, 63, False)],
)
async def test_only_what_is_for_this_node(chip: FakeRFM69, nodeid: int, destination: int, *, heard: bool) -> None:
    async with running(rf69(nodeid=nodeid)) as hub:
        chip.hear(packet(destination, 10, 1))
        await until(lambda: not chip.fifo and chip.mode == 4)
        chip.hear(packet(0, 10, 2))
        await until(lambda: hub.frames[-1:] == [(10, 2)])
        assert hub.frames == [(10, 1), (10, 2)] if heard else [(10, 2)]
        assert hub.bad == {}


@pytest.mark.parametrize("group", [1, 5, 100, 210, 212, 255])
async def test_the_group_is_obeyed(chip: FakeRFM69, group: int) -> None:
    async with running(rf69(group=group)) as hub:
        for other in range(1, 256):
            if other != group:
                chip.hear(packet(parity(other) | 5, 10, 1, group=other))
        chip.hear(packet(parity(group) | 5, 10, 2, group=group))
        await hub.has((10, 2))
        assert hub.bad == {}


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: packet(0x85, 10, 1), "parity"),
        (lambda: packet(5), "too short"),
        (lambda: packet(5, 10), "too short"),
        (lambda: packet(5, 10, 1, crc_ok=False), "crc"),
        (lambda: packet(5, 11, 1), "length"),
    ],
)
async def test_bad_packets_are_counted_and_cost_no_other(chip: FakeRFM69, make: Callable[[], Air], reason: str) -> None:
    nodes = Nodes({"11": NodeDefinition("11", rx=Codec(datacodes=("h",)))})
    async with running(rf69(nodes)) as hub:
        chip.hear(make())
        await until(lambda: hub.bad[reason])
        chip.hear(packet(5, 10, 2))
        await hub.has((10, 2))
        assert hub.bad == {reason: 1}
