from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import pytest

from emonhub.cargo import Cargo, Layout
from emonhub.errors import SettingError
from emonhub.interfacers.devices import rfm69lpl as module
from emonhub.interfacers.devices.rfm69lpl import EmonHubRFM69LPLInterfacer
from emonhub.nodes.definition import Codec, NodeDefinition
from emonhub.nodes.table import Nodes
from emonhub.settings import declared
from tests.fakes.rfm69 import Air, FakeRFM69
from tests.interfacers.harness import QuickWorld, Running, running, until

if TYPE_CHECKING:
    from collections.abc import Callable

KEY = b"89txbe4p8aik5kt3"
ACK, WANTS = 0x80, 0x40


def lpl(nodes: Nodes | None = None, **settings: Any) -> EmonHubRFM69LPLInterfacer:
    values = {"pubchannels": ("out",), "subchannels": ("tx",), "interruptPin": "None", **settings}
    return EmonHubRFM69LPLInterfacer("SPI", values, world=QuickWorld(), nodes=nodes)


def packet(*payload: int, target: int = 5, sender: int = 10, control: int = 0, **more: Any) -> Air:
    return Air(bytes((target, sender, control, *payload)), **{"key": KEY, **more})


def send(hub: Running, *values: Any, node: int | str = 30, target: int | str = 0) -> None:
    hub.channels.publish(("tx",), [Cargo(Layout(node), values, time.time(), target=target)])


def sent(chip: FakeRFM69) -> list[tuple[int, ...]]:
    return [tuple(frame.data) for frame in chip.sent]


def acknowledging(chip: FakeRFM69, *, from_try: int = 1) -> Callable[[Air], None]:
    """A node that acknowledges what it is sent, from a certain try on."""
    tries = 0

    def answer(frame: Air) -> None:
        nonlocal tries
        tries += 1
        if frame.data[2] == WANTS and tries >= from_try:
            reply = packet(target=frame.data[1], sender=frame.data[0], control=ACK)
            asyncio.get_running_loop().call_later(0.002, chip.hear, reply)

    return answer


class TestSettings:
    def test_defaults_are_those_of_today(self) -> None:
        settings = declared(EmonHubRFM69LPLInterfacer)
        wanted = {
            "nodeid": 5, "networkID": 210, "interruptPin": "22", "resetPin": "None", "selPin": "26", "freqBand": "43",
            "encryption_key": KEY.decode(), "datacode": "0",
        }  # fmt: skip
        assert {name: settings[name].default for name in wanted} == wanted
        assert settings["encryption_key"].secret

    @pytest.mark.parametrize(
        ("name", "raw"),
        [("nodeid", "255"), ("networkID", "0"), ("freqBand", "44"), ("encryption_key", "fifteen letters"),
         ("encryption_key", "sixteenlettersé!")],
    )  # fmt: skip
    def test_what_the_radio_would_not_take_is_refused(self, name: str, raw: str) -> None:
        with pytest.raises(SettingError, match="must be"):
            declared(EmonHubRFM69LPLInterfacer)[name].kind(raw)

    @pytest.mark.parametrize(
        ("band", "carrier"),
        [("31", "4ec000"), ("43", "6c4000"), ("49", "6c7ae1"), ("86", "d90000"), ("91", "e4c000")],
    )
    async def test_set_up_as_the_senders_are(self, chip: FakeRFM69, band: str, carrier: str) -> None:
        async with running(lpl(freqBand=band, networkID=17)):
            wanted = {
                0x01: 0x10, 0x02: 0x00, 0x03: 0x02, 0x04: 0x40, 0x05: 0x03, 0x06: 0x33, 0x19: 0x42, 0x25: 0x40,
                0x29: 0xDC, 0x2E: 0x88, 0x2F: 0x2D, 0x30: 17, 0x38: 0x42, 0x3C: 0x8F, 0x3D: 0x13, 0x6F: 0x30,
            }  # fmt: skip
            assert {address: chip.registers[address] for address in wanted} == wanted
            assert chip.registers[0x37] & ~0x08 == 0x90
            assert bytes(chip.registers[7:10]).hex() == carrier
            assert chip.key == KEY


class TestHearing:
    async def test_frames(self, chip: FakeRFM69) -> None:
        nodes = Nodes({"10": NodeDefinition("10", "loft", rx=Codec(names=("power",), datacodes=("h",)))})
        async with running(lpl(nodes)) as hub:
            chip.hear(packet(44, 1, rssi=-71))
            await until(lambda: hub.heard)
            assert (hub.frames, hub.heard[0].rssi, hub.heard[0].layout.names) == ([(10, 300)], -71, ("power",))
            chip.hear(packet(45, 1, target=255))
            await until(lambda: hub.frames[1:] == [(10, 301)])
        assert chip.sent == []

    async def test_only_what_is_for_this_node_and_network(self, chip: FakeRFM69) -> None:
        async with running(lpl(networkID=17)) as hub:
            chip.hear(packet(1, sync=b"\x2d\xd2"))
            chip.hear(packet(2, sync=b"\x2d\x11", target=6, control=WANTS))
            await until(lambda: not chip.fifo and chip.mode == 4)
            chip.hear(packet(3, sync=b"\x2d\x11"))
            await hub.has((10, 3))
            assert hub.bad == {}
        assert chip.sent == []

    @pytest.mark.parametrize("key", ["a key of its own", ""])
    async def test_a_key_of_its_own_or_none(self, chip: FakeRFM69, key: str) -> None:
        async with running(lpl(encryption_key=key)) as hub:
            chip.hear(packet(1, 2, 3))  # its target comes out as another
            await until(lambda: not chip.fifo and chip.mode == 4)
            chip.hear(packet(4, key=key.encode()))
            await hub.has((10, 4))

    async def test_what_asks_for_it_is_acknowledged(self, chip: FakeRFM69) -> None:
        async with running(lpl(nodeid=7)) as hub:
            chip.hear(packet(1, target=7, control=WANTS))
            await hub.has((10, 1))
            assert sent(chip) == [(10, 7, ACK)]
            assert chip.sent[0].key == KEY
            chip.hear(packet(2, target=255, control=WANTS))  # everybody would, at once
            await hub.has((10, 2))
        assert len(chip.sent) == 1

    async def test_a_busy_channel_is_not_waited_for_long(self, chip: FakeRFM69) -> None:
        chip.noise = [-60]
        interfacer = lpl()
        async with running(interfacer) as hub:
            chip.hear(packet(1, control=WANTS))
            await hub.has((10, 1))
        assert sent(chip) == [(10, 5, ACK)]
        assert isinstance(interfacer.world, QuickWorld)
        assert 5 <= interfacer.world.waits.count(module._FREE_STEP_S) <= 40

    async def test_what_is_sent_once_more_counts_once(self, chip: FakeRFM69, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(module, "_SAME_S", 1000.0)
        async with running(lpl()) as hub:
            for sender, number in ((10, 1), (10, 1), (11, 1), (10, 2), (10, 1)):
                before = len(chip.sent)
                chip.hear(packet(number, sender=sender, control=WANTS))
                await until(lambda before=before: len(chip.sent) > before and chip.mode == 4)  # type: ignore[misc]
            await hub.has((10, 1), (11, 1), (10, 2), (10, 1))
            monkeypatch.setattr(module, "_SAME_S", 0.0)
            chip.hear(packet(1))
            await hub.has((10, 1))
        assert len(chip.sent) == 5


class TestSending:
    async def test_values_are_packed_for_their_node(self, chip: FakeRFM69) -> None:
        tx = Codec(datacodes=("b", "b", "b", "h", "h", "H", "H"))
        nodes = Nodes({"20": NodeDefinition("20", tx=tx)})
        chip.on_sent = acknowledging(chip)
        async with running(lpl(nodes, datacode="h")) as hub:
            send(hub, 1, 1850)
            send(hub, 14, 38, 34, 700, -138, 2700, 829, node=7, target=20)
            send(hub, "5", node="31")
            await until(lambda: len(chip.sent) == 3)
            assert sent(chip) == [
                (30, 5, WANTS, 1, 0, 58, 7),
                (20, 5, WANTS, 14, 38, 34, 188, 2, 118, 255, 140, 10, 61, 3),
                (31, 5, WANTS, 5, 0),
            ]
            await until(lambda: chip.mode == 4 and not chip.fifo)
            chip.hear(packet(1, 0))
            await hub.has((10, 1))
            assert hub.bad == {}

    @pytest.mark.parametrize("tries", [1, 2, 3])
    async def test_until_it_is_acknowledged(self, chip: FakeRFM69, tries: int) -> None:
        chip.on_sent = acknowledging(chip, from_try=tries)
        async with running(lpl()) as hub:
            send(hub, 1)
            send(hub, 2, node=255)
            await until(lambda: len(chip.sent) > tries)
            assert sent(chip) == [(30, 5, WANTS, 1)] * tries + [(255, 5, 0, 2)]
            assert hub.bad == {}

    async def test_what_nobody_acknowledges_is_counted(self, chip: FakeRFM69, caplog: pytest.LogCaptureFixture) -> None:
        async with running(lpl()) as hub:
            send(hub, 1)
            await until(lambda: hub.bad["not acknowledged"])
            assert sent(chip) == [(30, 5, WANTS, 1)] * 3
            chip.hear(packet(sender=30, control=ACK))  # too late
            await until(lambda: not chip.fifo and chip.mode == 4)
            send(hub, 2)
            await until(lambda: hub.bad["not acknowledged"] == 2)
        assert "node 30 did not acknowledge [1]" in caplog.text

    async def test_without_acknowledgements(self, chip: FakeRFM69) -> None:
        async with running(lpl(ack=False)) as hub:
            send(hub, 1)
            send(hub, 2)
            await until(lambda: len(chip.sent) == 2)
            assert sent(chip) == [(30, 5, 0, 1), (30, 5, 0, 2)]
            assert hub.bad == {}

    async def test_what_comes_meanwhile_is_not_lost(self, chip: FakeRFM69) -> None:
        chip.noise = [-60] * 20 + [-100]
        async with running(lpl(ack=False)) as hub:
            send(hub, 1)
            await until(lambda: len(chip.noise) < 15)
            chip.hear(packet(7))
            await hub.has((10, 7))
            assert sent(chip) == [(30, 5, 0, 1)]
        assert chip.lost == []

    @pytest.mark.parametrize(
        ("node", "values", "reason"),
        [
            (30, (256,), "out of range"),
            (30, (None,), "non-numeric"),
            (30, (), "length"),
            (30, (1,) * 62, "length"),
            (256, (1,), "bad node id"),
            ("loft", (1,), "bad node id"),
        ],
    )
    async def test_what_can_not_be_sent_is_dropped_and_counted(
        self, chip: FakeRFM69, node: int | str, values: tuple[Any, ...], reason: str
    ) -> None:
        async with running(lpl(ack=False)) as hub:
            send(hub, *values, node=node)
            send(hub, *(7,) * 61)
            await until(lambda: chip.sent)
            assert hub.bad == {f"not sent, {reason}": 1}
            assert sent(chip) == [(30, 5, 0, *(7,) * 61)]
