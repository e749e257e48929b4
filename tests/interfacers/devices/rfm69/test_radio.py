"""What both kinds of packets have in common: a radio that is found, set up, waited for, lost, and found again."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from emonhub.errors import SettingError, Unavailable
from emonhub.interfacers.devices.rf69 import EmonHubRF69Interfacer
from emonhub.interfacers.devices.rfm69 import radio as module
from emonhub.interfacers.devices.rfm69lpl import EmonHubRFM69LPLInterfacer
from tests.fakes.rfm69 import SLEEP, Air, FakeRFM69
from tests.interfacers.harness import QuickWorld, running, until

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.interfacers.devices.conftest import Pins

KEY = b"89txbe4p8aik5kt3"


def lpl(**settings: Any) -> EmonHubRFM69LPLInterfacer:
    values = {"pubchannels": ("out",), "interruptPin": "None", **settings}
    return EmonHubRFM69LPLInterfacer("SPI", values, world=QuickWorld())


def frame(*values: int, sender: int = 10, **more: Any) -> Air:
    return Air(bytes((5, sender, 0, *values)), key=KEY, **more)


class TestSettings:
    @pytest.mark.parametrize(
        ("name", "value", "said"),
        [("selPin", "None", "selPin must be set"), ("selPin", "", "selPin must be set"), ("interruptPin", "6", "pin 6"),
         ("resetPin", "41", "pin 41")],
    )  # fmt: skip
    def test_a_pin_that_is_none(self, name: str, value: str, said: str) -> None:
        with pytest.raises(SettingError, match=said):
            lpl(**{name: value})

    @pytest.mark.parametrize("raw", ["None", "none", "", "22"])
    def test_pins_as_files_have_them(self, raw: str) -> None:
        assert EmonHubRFM69LPLInterfacer.interruptPin.kind(raw) == raw


class TestOpening:
    async def test_no_radio(self, chip: FakeRFM69) -> None:
        chip.present = False
        async with running(lpl(selPin="16"), wait=False) as hub:
            await hub.is_waiting()
            assert "no radio answers on SPI bus 0" in hub.runner.last_error
            assert "pin 16 (selPin)" in hub.runner.last_error
            chip.present = True
            await hub.is_running()
            chip.hear(frame(1))
            await hub.has((10, 1))

    @pytest.mark.parametrize("what", ["stuck", "broken"])
    async def test_a_radio_that_does_not_do_as_told(self, chip: FakeRFM69, what: str) -> None:
        setattr(chip, what, True)
        async with running(lpl(), wait=False) as hub:
            await hub.is_waiting()
            assert {"stuck": "does not get into mode 1", "broken": "the SPI bus can't be used"}[what] in (
                hub.runner.last_error
            )
            setattr(chip, what, False)
            await hub.is_running()

    async def test_it_is_reset_first(self, chip: FakeRFM69, pins: Pins) -> None:
        interfacer = lpl(resetPin="24")
        async with running(interfacer):
            assert pins.levels == [("24", True), ("24", False)]
        assert isinstance(interfacer.world, QuickWorld)
        assert interfacer.world.waits[:2] == [0.3, 0.3]

    async def test_a_pin_that_can_not_be_had(
        self, chip: FakeRFM69, pins: Pins, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def taken(pin: str, *, high: bool) -> Pins:
            raise Unavailable("pin 24 is in use: `gpioinfo` shows by whom")

        monkeypatch.setattr(EmonHubRFM69LPLInterfacer, "output_of", staticmethod(taken))
        async with running(lpl(resetPin="24"), wait=False) as hub:
            await hub.is_waiting()
            assert hub.runner.last_error == "pin 24 is in use: `gpioinfo` shows by whom"
            monkeypatch.setattr(EmonHubRFM69LPLInterfacer, "output_of", staticmethod(pins.output))
            await hub.is_running()

    async def test_it_is_left_asleep(self, chip: FakeRFM69) -> None:
        async with running(lpl()):
            pass
        assert chip.mode == SLEEP


class TestWaiting:
    async def test_an_interrupt_wakes_it(self, chip: FakeRFM69, pins: Pins, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(module, "_LOOK_S", 1000.0)
        async with running(lpl(interruptPin="22")) as hub:
            assert pins.asked == [(["22"], True)]
            for number in range(20):
                chip.hear(frame(number))
                await hub.has((10, number))
            assert pins.edges == 20

    async def test_an_interrupt_that_is_missed_costs_a_moment_only(
        self, chip: FakeRFM69, pins: Pins, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(module, "_LOOK_S", 0.01)
        chip.on_dio0 = lambda: None
        async with running(lpl(interruptPin="22")) as hub:
            chip.hear(frame(1))
            await hub.has((10, 1))

    async def test_without_the_pin_it_is_polled(
        self, chip: FakeRFM69, pins: Pins, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level("INFO")
        pins.missing = "pin 22 is in use: `gpioinfo` shows by whom"
        async with running(lpl(interruptPin="22")) as hub:
            chip.hear(frame(1))
            await hub.has((10, 1))
        assert "The radio is polled: pin 22 is in use" in caplog.text

    async def test_a_pin_that_goes_away(self, chip: FakeRFM69, pins: Pins) -> None:
        async with running(lpl(interruptPin="22")) as hub:
            pins.broken = True
            for number in range(3):
                chip.hear(frame(number))
                await hub.has((10, number))
            assert pins.held == 0


class TestReceiving:
    async def test_a_frame_has_its_strength_and_its_line(self, chip: FakeRFM69) -> None:
        async with running(lpl()) as hub:
            chip.hear(frame(1, 255, rssi=-91))
            await until(lambda: hub.heard)
            assert (hub.heard[0].rssi, hub.heard[0].raw) == (-91, b"OK 10 1 255 (-91)")

    async def test_one_after_the_other_without_a_loss(self, chip: FakeRFM69) -> None:
        async with running(lpl()) as hub:
            for number in range(300):
                await until(lambda: not chip.fifo and chip.mode == 4)
                chip.hear(frame(number % 256, number // 256))
            await until(lambda: len(hub.heard) == 300)
            assert hub.frames == [(10, n % 256, n // 256) for n in range(300)]
        assert chip.lost == []

    async def test_broken_ones_are_counted_and_cost_no_other(self, chip: FakeRFM69) -> None:
        async with running(lpl()) as hub:
            for bad, reason in (
                (frame(9, crc_ok=False), "crc"),
                (frame(9, length=0), "length"),
                (frame(9, length=66), "length"),
                (Air(b"\x05\x0a", key=KEY), "too short"),
                (frame(), "too short"),
            ):
                before = hub.bad[reason]
                chip.hear(bad)
                await until(lambda before=before, reason=reason: hub.bad[reason] == before + 1, reason)  # type: ignore[misc]
            chip.hear(frame(1))
            await hub.has((10, 1))
            assert hub.bad == {"crc": 1, "length": 2, "too short": 2}

    async def test_noise(self, chip: FakeRFM69) -> None:
        interfacer = lpl()
        random = interfacer.world.random
        async with running(interfacer) as hub:
            for _ in range(500):
                await until(lambda: not chip.fifo and chip.mode == 4)
                data = random.randbytes(random.randrange(1, 66))
                length = random.choice((len(data), random.randrange(256)))
                chip.hear(Air(data, key=KEY, length=length, crc_ok=random.random() < 0.01))
            await until(lambda: not chip.fifo and chip.mode == 4)
            chip.hear(frame(1))
            await until(lambda: hub.frames[-1:] == [(10, 1)])
            assert hub.bad["crc"] > 200
            assert len(hub.heard) < 5


class TestLosingIt:
    async def test_a_radio_that_was_reset_is_set_up_anew(
        self, chip: FakeRFM69, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        monkeypatch.setattr(module, "_CHECK_S", 0.02)
        async with running(lpl()) as hub:
            chip.power_up()
            await until(lambda: chip.key == KEY and chip.mode == 4)
            chip.hear(frame(1))
            await hub.has((10, 1))
        assert caplog.text.count("lost its settings") == 1

    async def test_a_network_that_falls_silent(
        self, chip: FakeRFM69, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level("INFO")
        monkeypatch.setattr(module, "_CHECK_S", 0.01)
        monkeypatch.setattr(module, "_SILENT_S", 0.05)
        async with running(lpl()) as hub:
            await asyncio.sleep(0.2)
            assert "Nothing heard" not in caplog.text  # nothing was heard before either
            chip.hear(frame(1))
            await hub.has((10, 1))
            await until(lambda: "Nothing heard" in caplog.text)
            await until(lambda: chip.mode == 4)
            chip.hear(frame(2))
            await hub.has((10, 2))

    async def test_a_radio_that_is_pulled_out(self, chip: FakeRFM69, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(module, "_CHECK_S", 0.02)
        async with running(lpl()) as hub:
            chip.present = False
            await hub.is_waiting()
            assert "no radio answers" in hub.runner.last_error
            chip.present = True
            chip.power_up()
            await hub.is_running()
            chip.hear(frame(1))
            await hub.has((10, 1))

    async def test_a_bus_that_fails_while_it_runs(self, chip: FakeRFM69) -> None:
        async with running(lpl()) as hub:
            chip.broken = True
            await hub.is_waiting()
            assert "the SPI bus can't be used" in hub.runner.last_error
            chip.broken = False
            await hub.is_running()
            chip.hear(frame(1))
            await hub.has((10, 1))

    @pytest.mark.parametrize("only", [range(256), (0x00, 0xFF), (0xFF,)])
    async def test_a_loose_wire(self, chip: FakeRFM69, monkeypatch: pytest.MonkeyPatch, only: Sequence[int]) -> None:
        monkeypatch.setattr(module, "_CHECK_S", 0.02)
        interfacer = lpl(loglevel="CRITICAL")
        random = interfacer.world.random
        whole = chip.transfer
        transfers = 0

        def loose(data: bytes) -> bytes:
            nonlocal transfers
            transfers += 1
            return bytes(random.choices(only, k=len(data)))

        async with running(interfacer) as hub:
            monkeypatch.setattr(chip, "transfer", loose)
            await until(lambda: transfers > 2000)
            monkeypatch.setattr(chip, "transfer", whole)
            await hub.is_running()
            await until(lambda: chip.mode == 4 and chip.key == KEY)
            hub.heard.clear()
            chip.hear(frame(1))
            await hub.has((10, 1))

    async def test_both_kinds_leave_each_other_alone(self, chip: FakeRFM69) -> None:
        jeelib = EmonHubRF69Interfacer("RF69", {"pubchannels": ("out",)}, world=QuickWorld())
        async with running(jeelib) as hub:
            chip.hear(frame(1))
            chip.hear(Air(b"\x05\x0a\x02", carrier=b"\x6c\x80\x00", bitrate=b"\x02\x8a", whitened=True))
            await hub.has((10, 2))
