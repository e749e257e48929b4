"""Lines that real boards sent, written into a pseudo-terminal and read with the configuration that goes with them."""

from __future__ import annotations

import json
import re
import struct
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from emonhub.config.load import load
from emonhub.interfacers.devices.jee import EmonHubJeeInterfacer
from emonhub.interfacers.devices.radioline import RadioLineInterfacer
from emonhub.interfacers.devices.tx3e import EmonHubTx3eInterfacer
from emonhub.nodes.table import Nodes
from tests.interfacers.harness import Port, QuickWorld, Running, running, until
from tests.testdata import testdata

if TYPE_CHECKING:
    from collections.abc import Iterator

    from emonhub.cargo import Cargo
    from emonhub.config.model import Configuration

DEVICES = Path(__file__).parents[2] / "devices"
CONFS = DEVICES / "captures"

POSTED = {
    "node_10450": "node_10450.0.conf",
    "node_11824": "node_11824.0.conf",
    "node_12406": "node_12406.0.conf",
}
"""The nodes that the same user posted. Where nobody posted any, `captures/` has the layout that the values show."""

TWO_BLANKS = "node_6218"
"""The hub of that day refused lines with two blanks behind OK, as an early RFM69Pi printed them. These count here."""


def captures() -> list[str]:
    folder = Path(__file__).parents[4] / "shared" / "testdata" / "rfm2pi"
    return sorted(path.name.removesuffix(".expected.json") for path in folder.glob("*.expected.json")) or ["none"]


def expected(capture: str) -> dict[str, Any]:
    path = testdata("rfm2pi") / f"{capture}.expected.json"
    found: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return found


def as_sent(frame: str) -> bytes:
    """The line as the board sent it: hubs of 2014 logged it behind its time."""
    return re.sub(r"^\d+\.\d+ (?=\D|\d+ )", "", frame, count=1).encode() + b"\r\n"


def configuration(text: str, port: Port, folder: Path) -> Configuration:
    path = folder / "emonhub.conf"
    path.write_text(text.replace("PORT", str(port.path)), "utf-8")
    found = load(path)
    assert found.errors == []
    return found


def text_for(capture: str, kind: str = "") -> str:
    for name in (f"{capture}{kind}.conf", f"{capture}.conf", "default.conf"):
        if (CONFS / name).exists():
            text = (CONFS / name).read_text("utf-8")
            break
    if capture in POSTED:
        posted = (testdata("rfm2pi") / POSTED[capture]).read_text("utf-8")
        text += posted[re.search(r"^\s*\[\[\d+\]\]", posted, re.MULTILINE).start() :]  # type: ignore[union-attr]
    return text


class Hub(Running):
    """The one interfacer of a configuration."""

    @classmethod
    def of(cls, found: Configuration) -> Any:
        (config,) = found.interfacers.values()
        assert config.cls is not None
        nodes = Nodes(found.nodes, autoconf=found.hub.autoconf)
        return running(config.cls(config.name, config.settings, world=QuickWorld(), nodes=nodes))


async def replay(found: Configuration, port: Port, wire: bytes, end: bytes) -> Running:
    """Everything that comes of these bytes, which `end`, a good frame of node 250, is put behind."""

    def is_end(cargo: Cargo) -> bool:
        return cargo.layout.node == 250 or "end" in cargo.layout.names

    async with Hub.of(found) as hub:
        await port.print(wire + end)
        await until(lambda: any(map(is_end, hub.heard)), f"all of {wire!r}")
        assert is_end(hub.heard.pop())
        assert isinstance(hub, Running)
        return hub


def end_for(found: Configuration) -> bytes:
    (config,) = found.interfacers.values()
    assert config.cls is not None
    if issubclass(config.cls, EmonHubTx3eInterfacer):
        return b"MSG:0,end:1\r\n"
    return b"OK 250 1 0\r\n" if issubclass(config.cls, RadioLineInterfacer) else b"250 1\r\n"


@pytest.mark.parametrize("capture", captures())
async def test_decoded_as_the_hub_that_received_it_logged(capture: str, port: Port, tmp_path: Path) -> None:
    frames = [frame for frame in expected(capture).get("decoded", ()) if frame["frame"]]
    found = configuration(text_for(capture), port, tmp_path)
    hub = await replay(found, port, b"".join(as_sent(frame["frame"]) for frame in frames), end_for(found))
    assert len(hub.heard) == len(frames)
    for cargo, frame in zip(hub.heard, frames, strict=True):
        assert cargo.layout.node == frame["node"]
        # That hub multiplied without rounding: 16.400000000000002 for what is 16.4 here.
        assert cargo.values == pytest.approx(frame["values"], rel=1e-12)
        # A firmware that printed -4281139229 dBm measured nothing; what is no signal strength is left out.
        logged = frame.get("rssi", 0)
        assert cargo.rssi == (logged if logged > -200 else 0)
        if "buffered" in frame:
            assert [cargo.layout.node, *cargo.values] + [cargo.rssi] * (cargo.rssi != 0) == pytest.approx(
                frame["buffered"][1:], rel=1e-12
            )


@pytest.mark.parametrize("capture", captures())
async def test_what_that_hub_refused_is_refused(capture: str, port: Port, tmp_path: Path) -> None:
    refused = [frame for frame in expected(capture).get("frames_with_warnings", ()) if "values" not in frame]
    found = configuration(text_for(capture, ".refused"), port, tmp_path)
    hub = await replay(found, port, b"".join(as_sent(frame["frame"]) for frame in refused), end_for(found))
    frames = [frame for frame in hub.frames if frame[0] != 250]
    if capture == TWO_BLANKS:
        assert frames == [
            (10, 0, 0, 0, 50, 27171, 0), (10, 0, 0, 0, 50, 27259, 0), (10, 0, 0, 0, 50, 27201, 0),
            (10, 0, 0, 0, 49, 27072, 0), (10, 0, 0, 0, 4, 27090, 0),
        ]  # fmt: skip
        return
    assert frames == []
    said = sum(re.search(r">| i\d+ g\d+ @", frame["frame"]) is not None for frame in refused)
    assert hub.bad.total() == len(refused) - said


async def test_a_whitened_frame_with_the_posted_layout(port: Port, tmp_path: Path) -> None:
    case = expected("community_12651")
    rx = f"datacodes = {case['datacodes']}\nscales = {','.join(map(str, case['scales']))}\nwhitening = 1\n"
    found = configuration(text_for("") + f"[[{case['node']}]]\n[[[rx]]]\n{rx}", port, tmp_path)
    hub = await replay(found, port, case["frame"].encode() + b"\r\n", end_for(found))
    assert hub.frames == [(22, 84, 109.14, 0, 0, 0, 0, 0, 0, 0, 0, 300, 300, 300, 1)]
    assert hub.heard[0].rssi == -27


async def test_a_frame_whose_sender_had_constants(port: Port, tmp_path: Path) -> None:
    case = expected("community_3477")
    found = configuration(text_for("") + f"[[18]]\n[[[rx]]]\ndatacodes = {case['datacodes']}\n", port, tmp_path)
    hub = await replay(found, port, case["frame"].encode() + b"\r\n", end_for(found))
    assert hub.frames == [(18, *case["values"])]
    assert hub.heard[0].rssi == -37


def cases() -> list[Path]:
    return sorted(path.parent for path in DEVICES.glob("*/*/wire"))


@pytest.mark.parametrize("case", cases(), ids=lambda case: f"{case.parent.name}-{case.name}")
async def test_own_cases(case: Path, port: Port, tmp_path: Path) -> None:
    """A case is a folder: adding one needs no code."""
    found = configuration((case / "conf").read_text("utf-8"), port, tmp_path)
    hub = await replay(found, port, (case / "wire").read_bytes(), end_for(found))
    wanted = json.loads((case / "expected.json").read_text("utf-8"))
    have = [
        {
            "node": cargo.layout.node,
            "nodename": cargo.layout.nodename,
            "values": list(cargo.values),
            "rssi": cargo.rssi,
            "names": list(cargo.layout.names),
        }
        for cargo in hub.heard
    ]
    assert have == wanted["frames"]
    assert hub.bad == wanted["bad"]


# Every [nodes] that people have published, with an oracle of its own.


def published() -> Iterator[Path]:
    folder = Path(__file__).parents[4] / "shared" / "testdata"
    yield from sorted(folder.glob("emonhub_conf*/*.configobj.json"))


SIZES = {"b": 1, "B": 1, "h": 2, "H": 2, "i": 4, "I": 4, "l": 4, "L": 4, "q": 8, "Q": 8, "f": 4, "0": 1}


def oracle(data: bytes, codes: list[str], scales: list[str]) -> list[float]:
    values = []
    for index, code in enumerate(codes):
        part, data = data[: SIZES[code]], data[SIZES[code] :]
        number = Decimal(int.from_bytes(part, "little", signed=code.islower()))
        if code == "f":
            number = Decimal(struct.unpack("<f", part)[0])
        values.append(float(number * Decimal(scales[index] if index < len(scales) else "1")))
    assert data == b""
    return values


def listed(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


def as_emonhub_conf(path: Path, wrapped_in: str | None) -> str:
    text = path.read_text("utf-8", errors="replace")
    if wrapped_in:
        text = f"[{wrapped_in}]\n{text}"
    for top in ("hub", "interfacers"):
        if not re.search(rf"^\s*\[{top}\]", text, re.MULTILINE):
            text = f"[{top}]\n{text}"
    return text


@pytest.mark.parametrize("parsed", list(published()) or [Path("none")], ids=lambda p: p.name.split(".configobj")[0])
async def test_every_published_node_definition(parsed: Path, port: Port, tmp_path: Path) -> None:
    testdata("emonhub_conf")
    reference = json.loads(parsed.read_text("utf-8"))
    if not reference["ok"]:
        return  # not even today's hub reads it
    source = next(
        p
        for p in (parsed.with_name(parsed.name.removesuffix(".configobj.json") + end) for end in ("", ".conf"))
        if p.exists()
    )
    path = tmp_path / "emonhub.conf"
    path.write_text(as_emonhub_conf(source, reference["wrapped_in"]), "utf-8")
    found = load(path)
    nodes = reference["config"].get("nodes") or reference["config"]
    wire, wanted = b"", []
    for number, (id_, section) in enumerate(nodes.items()):
        rx = section.get("rx") if isinstance(section, dict) else None
        if not isinstance(rx, dict) or not id_.isdigit() or id_ not in found.nodes:
            continue
        names = listed(rx.get("names", []))
        codes = listed(rx["datacodes"]) if "datacodes" in rx else [rx.get("datacode", "h")] * (len(names) or 3)
        scales = listed(rx["scales"]) if "scales" in rx else [rx.get("scale", "1")] * len(codes)
        data = bytes((97 * number + 41 * i + i * i) % 256 for i in range(sum(SIZES[code] for code in codes)))
        values = oracle(data, codes, scales)
        sent = bytes(byte ^ 0x55 for byte in data) if rx.get("whitening") == "1" else data
        wire += f"OK {id_} {' '.join(map(str, sent))} (-50)\r\n".encode()
        if names and names[0].upper() == "MSG":
            values += [0, 0]
        wanted.append((section.get("nodename", ""), int(id_), names[: len(values)], values))
    interfacer = EmonHubJeeInterfacer(
        "RFM2Pi", {"com_port": str(port.path), "pubchannels": ("out",)}, world=QuickWorld(), nodes=Nodes(found.nodes)
    )
    async with running(interfacer) as hub:
        await port.print(wire)
        await until(lambda: len(hub.heard) >= len(wanted), f"{len(wanted)} frames, {hub.bad}")
        assert hub.bad == {}
        for cargo, (nodename, node, names, values) in zip(hub.heard, wanted, strict=True):
            assert (cargo.layout.nodename, cargo.layout.node) == (nodename, node)
            assert [cargo.layout.name_of(i) for i in range(len(values))][: len(names)] == names
            assert list(cargo.values) == pytest.approx(values, rel=1e-15)
