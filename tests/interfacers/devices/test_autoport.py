"""`com_port = auto`: boards are found by what they say, and found again when their ports have other names."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from emonhub.demo.board import RadioBoard
from emonhub.interfacers.devices import autoport
from emonhub.interfacers.devices.autoport import kind_of
from emonhub.interfacers.devices.jee import EmonHubJeeInterfacer
from emonhub.interfacers.devices.oem import EmonHubOEMInterfacer
from tests.interfacers.harness import Port, QuickWorld, running, until

if TYPE_CHECKING:
    from pathlib import Path

    from emonhub.interfacers.devices.radioline import RadioLineInterfacer

EMONTX = b"|Firmware: emonTx4_DB_rfm69n v1.5.7\r\n"
EMON32 = b"> emonPi3 hardware, emon32 firmware 1.1.0\r\n"


class Says(RadioBoard):
    """Another device: answers with one line, whatever it is asked."""

    def __init__(self, answer: bytes) -> None:
        super().__init__()
        self.answer = answer

    def feed(self, data: bytes) -> bytes:
        return self.answer if data else b""


class Machine:
    """The folder of its devices, and the ports in it."""

    def __init__(self, folder: Path) -> None:
        self.dev = folder / "dev"
        self.by_id = self.dev / "serial" / "by-id"
        self.by_id.mkdir(parents=True)
        self.world = QuickWorld()
        self.world.state = folder
        self.ports: list[Port] = []

    def plug(self, name: str, board: RadioBoard, by_id: str = "") -> Port:
        """A device, as /dev/`name` and, where it has a name of its own, in by-id."""
        port = Port(self.by_id / by_id if by_id else self.dev / name, board)
        port.plug_in()
        if by_id:
            (self.dev / name).symlink_to(port.path.resolve())
        self.ports.append(port)
        return port

    def unplug_all(self) -> None:
        for port in self.ports:
            port.pull_out()
        for path in self.dev.glob("tty*"):
            path.unlink()
        self.ports.clear()

    def jee(self, name: str = "RFM2Pi", com_port: str = "auto") -> EmonHubJeeInterfacer:
        return EmonHubJeeInterfacer(name, settings(com_port), world=self.world)

    def oem(self, name: str = "EmonPi") -> EmonHubOEMInterfacer:
        return EmonHubOEMInterfacer(name, settings("auto"), world=self.world)


def settings(com_port: str) -> dict[str, Any]:
    return {"com_port": com_port, "pubchannels": ("out",)}


@pytest.fixture
async def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    found = Machine(tmp_path)
    monkeypatch.setattr(autoport, "DEV", found.dev)
    monkeypatch.setattr(autoport, "_ANSWER_S", 0.2)
    yield found
    found.unplug_all()


async def test_each_board_is_found_by_what_it_says(machine: Machine) -> None:
    machine.plug("ttyUSB0", Says(b""), "usb-modem")
    machine.plug("ttyUSB1", Says(EMON32), "usb-pi")
    radio = machine.plug("ttyUSB2", RadioBoard(), "usb-radio")
    async with running(machine.oem(), wait=False) as oem, running(machine.jee(), wait=False) as jee:
        await oem.is_running()
        await jee.is_running()
        assert port_of(oem.interfacer) == "usb-pi"
        assert port_of(jee.interfacer) == "usb-radio"
        await radio.print(b"OK 5 1 0 (-40)\r\n")
        await jee.has((5, 1))


async def test_two_boards_of_a_kind_are_shared_out(machine: Machine) -> None:
    for number in range(2):
        machine.plug(f"ttyUSB{number}", RadioBoard(), f"usb-{number}")
    async with running(machine.jee("one")) as one, running(machine.jee("two"), wait=False) as two:
        await two.is_running()
        assert {port_of(one.interfacer), port_of(two.interfacer)} == {"usb-0", "usb-1"}
        async with running(machine.jee("three"), wait=False) as three:
            await three.is_waiting()
            assert "no free port has RFM2Pi" in three.runner.last_error


async def test_a_port_that_is_configured_is_left_alone(machine: Machine) -> None:
    machine.plug("ttyUSB0", RadioBoard(), "usb-0")
    machine.plug("ttyUSB1", RadioBoard(), "usb-1")
    fixed = machine.jee("fixed", str(machine.dev / "ttyUSB0"))
    async with running(machine.jee(), wait=False) as found, running(fixed):
        await found.is_running()
        assert port_of(found.interfacer) == "usb-1"


async def test_boards_that_swap_names_are_found_again(machine: Machine) -> None:
    async def ports(first: str, second: str) -> list[str]:
        machine.plug("ttyUSB0", RadioBoard(), first)
        machine.plug("ttyUSB1", RadioBoard(), second)
        async with running(machine.jee("one")) as one, running(machine.jee("two")) as two:
            found = [port_of(one.interfacer), port_of(two.interfacer)]
        machine.unplug_all()
        return found

    before = await ports("usb-a", "usb-b")
    assert json.loads((machine.world.state / "ports.json").read_text()) == {  # type: ignore[operator]
        "one": str(machine.by_id / before[0]),
        "two": str(machine.by_id / before[1]),
    }
    (machine.world.state / "ports.json").write_text(  # type: ignore[operator]
        json.dumps({"one": str(machine.by_id / "usb-b"), "two": str(machine.by_id / "usb-a")})
    )
    assert await ports("usb-b", "usb-a") == ["usb-b", "usb-a"]


async def test_what_is_there_is_told_when_no_board_is(machine: Machine) -> None:
    machine.plug("ttyACM0", Says(EMONTX))
    async with running(machine.jee(), wait=False) as hub:
        await until(lambda: "ttyACM0: emonTx" in hub.runner.last_error, "what it is")
        assert not machine.world.ports_taken


async def test_a_board_that_only_prints_is_found_too(machine: Machine) -> None:
    machine.plug("ttyUSB0", Says(b"MSG:2,V1:245.1,P1:100,E1:0,pulse:3\r\n"))
    async with running(machine.oem()) as hub:
        assert port_of(hub.interfacer) == "ttyUSB0"


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        (b"[RFM12demo.12] A i5* g210 @ 433 MHz q1", "RFM2Pi"),
        (b"[emonPi.280] O i15 g210 @ 433 MHz q1 USA 0", "RFM2Pi"),
        (b" A i5 g210 @ 433 MHz q1", "RFM2Pi"),
        (EMONTX.strip(), "emonTx"),
        (b"emonTx V4 Firmware 1.6", "emonTx"),
        (EMON32.strip(), "emon32"),
        (b"OK 10 97 0 1 0 (-47)", ""),
        (b"MSG:2,V1:245.1", ""),
        (b"AT+CGMI", ""),
        (b"\xff\x00g210", ""),
    ],
)
def test_boards_are_told_apart(line: bytes, kind: str) -> None:
    assert kind_of(line) == kind


def port_of(interfacer: Any) -> str:
    found: RadioLineInterfacer = interfacer
    return found.port.rpartition("/")[2]
