"""The demo as a user starts it."""

from __future__ import annotations

import asyncio
import fcntl
import os
import re
import signal
import struct
import sys
import termios
from typing import TYPE_CHECKING

import pytest

from tests.e2e.hub import PATIENCE_S

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow

SUMMARY = re.compile(r"(\d+) frames of (\d+) nodes were decoded; (\d+) arrived at the demo's emoncms")
NODES = ("emonpi_5", "emontx3_cm_15", "emonTx4_17", "emonth2_23")


async def start(tmp_path: Path, *arguments: str, output: int = asyncio.subprocess.PIPE) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "emonhub", "demo", *arguments,
        stdout=output, stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "TMPDIR": str(tmp_path), "TERM": "xterm", "COLUMNS": "", "LINES": ""},
    )  # fmt: skip


async def test_its_frames_take_the_whole_road(tmp_path: Path) -> None:
    process = await start(tmp_path, "--seconds", "7")
    async with asyncio.timeout(PATIENCE_S * 2):
        out, err = map(bytes.decode, await process.communicate())
    assert process.returncode == 0, err
    assert err == "", "nothing to complain of"
    found = SUMMARY.search(out)
    assert found, out
    decoded, nodes, arrived = map(int, found.groups())
    assert nodes == 4
    assert arrived == decoded > 20
    for label in NODES:
        assert f"\n{label}: " in out
    assert list(tmp_path.iterdir()) == [], "it leaves nothing behind"


async def test_on_a_terminal_it_shows_nodes_until_it_is_interrupted(tmp_path: Path) -> None:
    terminal, side = os.openpty()
    try:
        fcntl.ioctl(side, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        process = await start(tmp_path, output=side)
        os.set_blocking(terminal, False)
        text = await _until(terminal, "emonpi_5")
        assert "power1" in text or "power1" in await _until(terminal, "power1")
        process.send_signal(signal.SIGINT)
        shown = asyncio.create_task(_until(terminal, "arrived at the demo's emoncms"))
        async with asyncio.timeout(PATIENCE_S):
            status = await process.wait()
        assert status == 0
        assert SUMMARY.search(await shown)
    finally:
        os.close(terminal)
        os.close(side)


async def _until(terminal: int, text: str) -> str:
    """What the terminal shows until it shows `text`."""
    shown = ""
    async with asyncio.timeout(PATIENCE_S):
        while text not in shown:
            try:
                shown += os.read(terminal, 1 << 16).decode("utf-8", "replace")
            except BlockingIOError:
                await asyncio.sleep(0.02)
    return shown
