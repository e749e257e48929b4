"""Pulses and digital inputs, on lines that are handed in: what the kernel would do is played by a pipe."""

from __future__ import annotations

import asyncio
import errno
import os
import sys
from datetime import timedelta
from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from emonhub.errors import SettingError, Unavailable
from emonhub.interfacers.devices import gpio
from emonhub.interfacers.devices.digital import EmonHubDigitalInputInterfacer
from emonhub.interfacers.devices.pulse import EmonHubPulseCounterInterfacer
from emonhub.interfacers.devices.total import StoredTotal
from emonhub.nodes.datacodes import Scale
from emonhub.nodes.definition import Codec, NodeDefinition
from emonhub.nodes.table import Nodes
from emonhub.world import World
from tests.interfacers.harness import QuickWorld, Running, running, until

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


class FakeLines:
    """Lines whose edges and levels the test makes; there is one of it, however often it is asked for."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.missing = ""
        self.high: list[bool] = []
        self.held = 0
        self.broken = False
        self._new = 0
        self._read, self._write = os.pipe()

    def __call__(self, chip: str, pins: Sequence[str], **wanted: Any) -> FakeLines:
        if self.missing:
            raise Unavailable(self.missing)
        self.asked.append({"chip": chip, "pins": list(pins), **wanted})
        self.held += 1
        return self

    def pulse(self, count: int = 1) -> None:
        self._new += count
        os.write(self._write, b"x")

    def fail(self) -> None:
        self.broken = True
        os.write(self._write, b"x")

    def fileno(self) -> int:
        return self._read

    def new_edges(self) -> int:
        os.read(self._read, 100)
        if self.broken:
            raise OSError(errno.ENODEV, "No such device")
        new, self._new = self._new, 0
        return new

    def values(self) -> list[bool]:
        if self.broken:
            raise OSError(errno.ENODEV, "No such device")
        return self.high

    def release(self) -> None:
        self.held -= 1

    def close(self) -> None:
        os.close(self._read)
        os.close(self._write)


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Any:
    fake = FakeLines()
    monkeypatch.setattr(EmonHubPulseCounterInterfacer, "lines_of", staticmethod(fake))
    monkeypatch.setattr(EmonHubDigitalInputInterfacer, "lines_of", staticmethod(fake))
    yield fake
    assert fake.held == 0
    fake.close()


@pytest.fixture
def world(tmp_path: Path) -> QuickWorld:
    world = QuickWorld()
    world.state = tmp_path
    return world


def counter(world: World, nodes: Nodes | None = None, **values: Any) -> EmonHubPulseCounterInterfacer:
    settings = {"pulse_pin": "15", "pubchannels": ("out",), "rate_limit": 0.4, **values}
    return EmonHubPulseCounterInterfacer("pulse", settings, world=world, nodes=nodes)


async def total(hub: Running, wanted: int) -> None:
    await until(lambda: hub.heard and hub.heard[-1].values[0] == wanted, f"{wanted}, only {hub.frames}")


class TestPulses:
    async def test_the_total_is_sent_when_it_has_changed(self, lines: FakeLines, world: QuickWorld) -> None:
        async with running(counter(world, nodeoffset=3, bouncetime=2.0)) as hub:
            lines.pulse()
            await total(hub, 1)
            lines.pulse()
            lines.pulse(40)
            await total(hub, 42)
            assert len(hub.heard) <= 3
            assert {(c.layout.node, c.layout.names) for c in hub.heard} == {(3, ("Pulse",))}
        assert lines.asked == [{"chip": "", "pins": ["15"], "pull": "down", "edges": True, "debounce_s": 0.002}]

    async def test_not_more_often_than_the_limit(self, lines: FakeLines, world: QuickWorld) -> None:
        async with running(counter(world, rate_limit=4000.0)) as hub:
            lines.pulse()
            await total(hub, 1)
            lines.pulse(4)
            await until(lambda: hub.interfacer.total == 5)  # type: ignore[attr-defined]
            assert len(hub.heard) == 1
        assert 4000.0 in world.waits

    async def test_the_total_goes_on_after_a_restart(self, lines: FakeLines, world: QuickWorld) -> None:
        for wanted in (5, 10, 15):
            async with running(counter(world)) as hub:
                lines.pulse(5)
                await total(hub, wanted)

    async def test_after_a_power_cut_no_more_is_lost_than_came_since(self, lines: FakeLines, world: QuickWorld) -> None:
        async with running(counter(world, save_interval=10.0)) as hub:
            lines.pulse(5)
            await until(lambda: list(world.state.iterdir()))  # type: ignore[union-attr]
            other = QuickWorld()
            other.state = world.state
            first = counter(other)
            await first._load()
            assert first.total == 5
            assert hub.interfacer.total == 5  # type: ignore[attr-defined]

    async def test_a_hundred_power_cuts(self, lines: FakeLines, world: QuickWorld) -> None:
        true = counted = least = 0
        for _ in range(100):
            interfacer = counter(world)
            await interfacer._load()
            assert least <= interfacer.total <= true
            lost = true - interfacer.total
            for _ in range(world.random.randrange(4)):
                lines.pulse(new := world.random.randrange(500))
                true += new
                counted += new
                interfacer._count(lines, asyncio.get_running_loop().create_future())
                if world.random.random() < 0.7:
                    await interfacer._save()
                    least = interfacer.total
            assert interfacer.total == true - lost
            if world.random.random() < 0.3:  # in the middle of storing it
                stored = interfacer._stored
                assert stored is not None
                world.disk.put(stored.path, (0, 512)[stored._turn], b"%020d" % (interfacer.total + 9))
            true = interfacer.total
        assert 0 < true < counted

    async def test_it_is_stored_at_intervals_only(self, lines: FakeLines, world: QuickWorld) -> None:
        saves = []
        interfacer = counter(world, save_interval=4000.0)
        put = world.disk.put

        def counted(path: Path, offset: int, data: bytes) -> None:
            saves.append(data)
            put(path, offset, data)

        world.disk.put = counted  # type: ignore[method-assign]
        async with running(interfacer) as hub:
            for count in range(1, 31):
                lines.pulse()
                await until(lambda wanted=count: interfacer.total == wanted)  # type: ignore[misc]
            assert saves == []
            await total(hub, 30)
        assert len(saves) == 1

    async def test_without_a_state_directory_it_counts_all_the_same(
        self, lines: FakeLines, caplog: pytest.LogCaptureFixture
    ) -> None:
        async with running(counter(QuickWorld())) as hub:
            lines.pulse()
            await total(hub, 1)
        assert "the total starts at 0 with each start" in caplog.text

    async def test_the_line_is_lost_and_comes_back(self, lines: FakeLines, world: QuickWorld) -> None:
        async with running(counter(world)) as hub:
            lines.pulse(2)
            await total(hub, 2)
            lines.missing = "pin 15 is in use: `gpioinfo` shows by whom"
            lines.fail()
            await until(lambda: hub.runner.last_error.startswith("pin 15 is in use"))
            lines.missing, lines.broken = "", False
            await hub.is_running()
            lines.pulse()
            await total(hub, 3)

    async def test_pulses_may_be_scaled_and_named(self, lines: FakeLines, world: QuickWorld) -> None:
        codec = Codec(names=("gas",), scales=(Scale.parse("0.01"),), units=("m3",))
        async with running(counter(world, Nodes({"0": NodeDefinition("0", "meter", rx=codec)}))) as hub:
            lines.pulse(3)
            await total(hub, 0.03)  # type: ignore[arg-type]
            assert (hub.heard[0].layout.nodename, hub.heard[0].layout.names) == ("meter", ("gas",))

    @pytest.mark.parametrize(("pin", "said"), [("", "pulse_pin must be set"), ("6", "no input"), ("x", "no input")])
    def test_a_pin_that_is_none(self, pin: str, said: str) -> None:
        with pytest.raises(SettingError, match=said):
            counter(World(), pulse_pin=pin)
        assert counter(World(), pulse_pin="PIN_A", chip="/dev/gpiochip1").endpoint() == "pin PIN_A of /dev/gpiochip1"


class TestStoredTotal:
    async def test_one_of_two_slots_may_be_damaged(self, world: QuickWorld, tmp_path: Path) -> None:
        async def load() -> int | None:
            return await StoredTotal(world, tmp_path, "a/b").load()

        stored = StoredTotal(world, tmp_path, "a/b")
        assert await stored.load() is None
        for number in (7, 8, 9):
            await stored.save(number)
            assert await load() == number
        whole = stored.path.read_bytes()
        for at in range(len(whole)):
            stored.path.write_bytes(whole[:at] + b"?" + whole[at + 1 :])
            assert await load() in {8, 9}
        for size in range(600):
            stored.path.write_bytes(whole[:size])
            assert await load() in {None, 8, 9}
        stored.path.write_bytes(whole)
        again = StoredTotal(world, tmp_path, "a/b")
        await again.load()
        await again.save(10)  # not over the newest one
        assert {b"%020d" % 9, b"%020d" % 10} == {stored.path.read_bytes()[at : at + 20] for at in (0, 512)}


class TestDigitalInputs:
    def inputs(self, world: World, **values: Any) -> EmonHubDigitalInputInterfacer:
        settings = {"pins": ("11", "13"), "pubchannels": ("out",), "read_interval": 4.0, **values}
        return EmonHubDigitalInputInterfacer("digital", settings, world=world)

    @pytest.mark.parametrize(("invert", "wanted"), [(False, (1, 0)), (True, (0, 1))])
    async def test_levels(self, lines: FakeLines, world: QuickWorld, *, invert: bool, wanted: tuple[int, int]) -> None:
        lines.high = [True, False]
        async with running(self.inputs(world, invert=invert)) as hub:
            await until(lambda: len(hub.heard) >= 2)
            assert set(hub.frames) == {("gpio", *wanted)}
            assert hub.heard[0].layout.names == ("pin11", "pin13")
        assert all(0 < wait <= 4.01 for wait in world.waits)

    async def test_its_node_may_have_another_name(self, lines: FakeLines, world: QuickWorld) -> None:
        lines.high = [True]
        async with running(self.inputs(world, pins=("15",), nodename="heatpump")) as hub:
            await until(lambda: hub.heard)
            assert hub.frames[0] == ("heatpump", 1)

    async def test_lines_that_are_lost(self, lines: FakeLines, world: QuickWorld) -> None:
        lines.high = [True, True]
        async with running(self.inputs(world)) as hub:
            lines.broken = True
            await hub.is_waiting()
            lines.broken = False
            await hub.is_running()
            await until(lambda: hub.heard)

    @pytest.mark.parametrize(
        ("pins", "said"), [((), "pins must be set"), (("11", "11"), "twice"), (("11", "1"), "no input")]
    )
    def test_pins_that_are_none(self, pins: tuple[str, ...], said: str) -> None:
        with pytest.raises(SettingError, match=said):
            self.inputs(World(), pins=pins)


class FakeGpiod(ModuleType):
    """As much of the library as is used, on a machine with these chips."""

    def __init__(self, error: Exception | None = None) -> None:
        super().__init__("gpiod")
        names = SimpleNamespace
        self.line = names(
            Direction=names(INPUT="in", OUTPUT="out"),
            Value=names(ACTIVE="active", INACTIVE="inactive"),
            Edge=names(FALLING="falling", RISING="rising", NONE="none"),
            Bias=names(PULL_UP="up", PULL_DOWN="down", AS_IS="as is"),
        )
        self.LineSettings = lambda **settings: settings
        self.error = error
        self.requested: tuple[Any, ...] = ()
        self.seqno = 0
        self.values: list[tuple[int, str]] = []

    def request_lines(self, path: str, config: Any, *, consumer: str) -> Any:
        if self.error is not None:
            raise self.error
        self.requested = (path, config, consumer)
        return SimpleNamespace(
            set_value=lambda line, value: self.values.append((line, value)),
            fd=7,
            read_edge_events=lambda: [SimpleNamespace(line_seqno=self.seqno)],
            get_values=lambda lines: [SimpleNamespace(value=int(line == 17)) for line in lines],
            release=lambda: None,
        )


def request(library: ModuleType | None, monkeypatch: pytest.MonkeyPatch, chip: str = "/dev/gpiochip9") -> gpio.Lines:
    monkeypatch.setitem(sys.modules, "gpiod", library)
    return gpio.open_lines(chip, ["17", "B"], pull="up", edges=True, debounce_s=0.001)


class TestLines:
    def test_as_asked_for(self, monkeypatch: pytest.MonkeyPatch) -> None:
        library = FakeGpiod()
        lines = request(library, monkeypatch)
        wanted = {
            "direction": "in", "edge_detection": "falling", "bias": "up",
            "debounce_period": timedelta(milliseconds=1),
        }  # fmt: skip
        assert library.requested == ("/dev/gpiochip9", {(17, "B"): wanted}, "emonhub")
        assert (lines.fileno(), lines.values()) == (7, [True, False])

    def test_rising_edges(self, monkeypatch: pytest.MonkeyPatch) -> None:
        library = FakeGpiod()
        monkeypatch.setitem(sys.modules, "gpiod", library)
        gpio.open_lines("/dev/gpiochip9", ["1"], pull="off", edges=True, debounce_s=0, rising=True)
        assert library.requested[1][(1,)]["edge_detection"] == "rising"

    def test_an_output(self, monkeypatch: pytest.MonkeyPatch) -> None:
        library = FakeGpiod()
        monkeypatch.setitem(sys.modules, "gpiod", library)
        monkeypatch.setattr(gpio, "_header_chip", lambda _library: "/dev/gpiochip0")
        output = gpio.open_output("16", high=True)
        assert library.requested == ("/dev/gpiochip0", {23: {"direction": "out", "output_value": "active"}}, "emonhub")
        output.set(high=False)
        output.set(high=True)
        output.release()
        assert library.values == [(23, "inactive"), (23, "active")]
        library.error = OSError(errno.EBUSY, "busy")
        with pytest.raises(Unavailable, match="pin 16 is in use"):
            gpio.open_output("16", high=True)

    def test_edges_that_the_kernel_had_no_room_for_are_counted(self, monkeypatch: pytest.MonkeyPatch) -> None:
        library = FakeGpiod()
        lines = request(library, monkeypatch)
        for seqno, new in ((1, 1), (4, 3), (1000, 996)):
            library.seqno = seqno
            assert lines.new_edges() == new

    @pytest.mark.parametrize(
        ("error", "said"),
        [
            (PermissionError(), "group `gpio`"),
            (FileNotFoundError(), "`gpioinfo` shows those"),
            (OSError(errno.EBUSY, "busy"), "is in use: `gpioinfo`"),
            (OSError(errno.EINVAL, "Invalid argument"), "can't be had: "),
            (ValueError("line offset out of range"), "can't be had: "),
        ],
    )
    def test_what_keeps_it_from_the_lines_is_said(
        self, error: Exception, said: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with pytest.raises(Unavailable, match=said):
            request(FakeGpiod(error), monkeypatch)

    def test_without_the_library(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with pytest.raises(Unavailable, match=r"pip install 'emonhub\[gpio\]'"):
            request(None, monkeypatch)

    def test_the_real_library_on_a_machine_without_such_a_chip(self) -> None:
        pytest.importorskip("gpiod")
        with pytest.raises(Unavailable, match="there is no /dev/gpiochip99"):
            gpio.open_lines("/dev/gpiochip99", ["1"], pull="off", edges=True, debounce_s=0.001)
