"""Finds the serial port that a board is on, by what it says.

Ports are tried one after the other: the one that it was on last, those of /dev/serial/by-id, whose names belong to the
device, then the others. Each is asked `v`, at which all of the family say what they are:

    [RFM12demo.12] A i5* g210 @ 433 MHz q1        RFM2Pi     radio board; also an emonPi 1
    |Firmware: emonTx4_DB_rfm69n v1.5             emonTx     emonTx 4 or 5, or an emonPi 2 with its first firmware
    > emonPi3 hardware … emon32 …                 emon32     emonPi 2 or 3, emonTx 6
"""

from __future__ import annotations

import asyncio
import json
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from emonhub import Unavailable
from emonhub.interfacers.core.lines import LineSplitter
from emonhub.interfacers.core.serial import ports_named
from emonhub.interfacers.devices.oemsettings import firmware_of, has_other_commands

if TYPE_CHECKING:
    from collections.abc import Iterable

    from emonhub import World

AUTO = "auto"
DEV = Path("/dev")

_ANSWER_S = 3.0
"""A board that the opening of its port has reset is up, and has answered, within this time."""

_OTHERS_FIRST_S = 0.5
"""Interfacers whose port is configured get theirs before any is looked for."""

_RETRY_S = 10.0
"""Ports may have others' devices, which should not be asked all the time."""

_SPEEDS = (38400, 115200)
_MEMORY = "ports.json"
_RADIO_BOARD = re.compile(rb" i\d+\*? g\d+ @ \d+ ?MHz|\[RFM?12demo")
_RADIO_FRAME = re.compile(rb"OK(?: \d{1,3}){2,}(?: \(-?\d+\))?")
_NAMED_VALUES = re.compile(rb"(?:MSG|V1|P1):[-\d.]+(?:,\w+:[-\d.]+)+")


class Found(NamedTuple):
    """A port with its board, open."""

    port: str
    baud: int
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter


def kind_of(line: bytes) -> str:
    """RFM2Pi, emonTx or emon32 for a line in which a board says what it is; nothing for any other."""
    if _RADIO_BOARD.search(line):
        return "RFM2Pi"
    said = line.decode("ascii", "replace").strip("\r\x00 >|")
    if has_other_commands(said):
        return "emon32"
    return "emonTx" if firmware_of(said) else ""


def _guess(line: bytes) -> str:
    """What most likely prints such a line, if it says nothing of itself: old firmware does not."""
    if _NAMED_VALUES.fullmatch(line):
        return "emonTx"
    return "RFM2Pi" if _RADIO_FRAME.fullmatch(line) else ""


def candidates() -> dict[str, str]:
    """Ports that a board may be on, those whose names do not change first, each once: their names, and real ones."""
    names: dict[str, str] = {}
    for pattern in ("serial/by-id/*", "ttyUSB*", "ttyACM*", "ttyAMA0"):
        for port in ports_named(str(DEV / pattern)):
            if os.path.exists(port) and (real := os.path.realpath(port)) not in names.values():
                names[port] = real
    return names


async def find(world: World, name: str, kinds: Iterable[str], baud: int) -> Found:
    """The port with a board of one of these kinds for the interfacer of this name. Raises Unavailable."""
    await world.sleep(_OTHERS_FIRST_S)
    memory = world.state / _MEMORY if world.state is not None else None
    before = (await asyncio.to_thread(_recall, memory)).get(name, "")
    heard = []
    for port, real in sorted(candidates().items(), key=lambda item: item[0] != before):
        if real in world.ports_taken:
            continue
        world.ports_taken.add(real)
        try:
            found, said = await _ask(world, port, set(kinds), [baud, *(speed for speed in _SPEEDS if speed != baud)])
        except BaseException:
            world.ports_taken.discard(real)
            raise
        if found is not None:
            if port != before and memory is not None:
                await asyncio.to_thread(_remember, memory, name, port)
            return found
        world.ports_taken.discard(real)
        heard.append(f"{port}: {said}")
    what = " or ".join(sorted(kinds))
    raise Unavailable(f"no free port has {what}; {'; '.join(heard) or 'there is no port'}", retry_s=_RETRY_S)


async def _ask(world: World, port: str, kinds: set[str], speeds: list[int]) -> tuple[Found | None, str]:
    """The open port, if a board of these kinds answers on it; else what does."""
    for baud in speeds:
        try:
            reader, writer = await world.open_serial(port, baud)
        except Unavailable as error:
            return None, str(error)
        kind = ""
        try:
            kind = await _listen(reader, writer)
            if kind in kinds:
                return Found(port, baud, reader, writer), kind
        finally:
            if kind not in kinds:
                writer.close()
        if kind:
            return None, kind
    return None, "says nothing that is known"


async def _listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> str:
    splitter = LineSplitter()
    guess = ""
    try:
        async with asyncio.timeout(_ANSWER_S):
            writer.write(b"v\n")
            await writer.drain()
            while data := await reader.read(1 << 12):
                for line in splitter.feed(data):
                    if kind := kind_of(line):
                        return kind
                    guess = guess or _guess(line.strip())
    except (TimeoutError, OSError):
        pass
    return guess


def _recall(memory: Path | None) -> dict[str, str]:
    try:
        found = json.loads(memory.read_text("utf-8")) if memory is not None else {}
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _remember(memory: Path, name: str, port: str) -> None:
    new = memory.with_suffix(".new")
    try:
        new.write_text(json.dumps(_recall(memory) | {name: port}), "utf-8")
        new.replace(memory)
    except OSError:
        new.unlink(missing_ok=True)  # it is found by asking next time too
