"""`emonhub demo`: a hub on a simulated house, with a live table of what it decodes."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import sys
import tempfile
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from emonhub.cli import EXIT_FAILED
from emonhub.cli.page import Page
from emonhub.config.load import load
from emonhub.config.model import WebConfig
from emonhub.demo.nodes import NODES
from emonhub.demo.sink import DemoEmoncms
from emonhub.hub import Hub

if TYPE_CHECKING:
    from emonhub.cli.table import LastLines, Latest
    from emonhub.nodes.definition import NodeDefinition

_REDRAW_S = 0.5

_PLAIN_S = 5.0
"""Between two prints where the output is no terminal."""


def main(*, seconds: float | None = None, speed: float = 60.0) -> int:
    """Run the demo until it is told to stop. Returns the exit status."""
    try:
        import rich  # noqa: F401, PLC0415
    except ImportError:
        print("emonhub demo needs the library rich: pip install 'emonhub[table]'", file=sys.stderr)
        return EXIT_FAILED
    with tempfile.TemporaryDirectory(prefix="emonhub-demo-") as folder:
        asyncio.run(_run(Path(folder), seconds, speed))
    return 0


async def _run(folder: Path, seconds: float | None, speed: float) -> None:
    from emonhub.cli.table import LastLines, Latest  # noqa: PLC0415 - needs rich

    emoncms = DemoEmoncms()
    configuration_file = folder / "emonhub.conf"
    configuration_file.write_text(_configuration(folder, await emoncms.start(), speed))
    lines = LastLines()
    logging.getLogger().addHandler(lines)
    try:
        page = Page()
        hub = Hub(configuration_file, load(configuration_file), on_applied=page.applied)
        latest = Latest()
        hub.channels.subscribe("the table", ("ToEmonCMS",), latest)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, hub.stop)
        if seconds is not None:
            loop.call_later(seconds, hub.stop)
        await _run_shown(hub, page, latest, lines, speed)
    finally:
        logging.getLogger().removeHandler(lines)
        await emoncms.stop()
    print(
        f"{latest.frames} frames of {len(latest.cargos)} nodes were decoded;"
        f" {emoncms.frames} arrived at the demo's emoncms, in {emoncms.requests} requests."
    )


async def _run_shown(hub: Hub, page: Page, latest: Latest, lines: LastLines, speed: float) -> None:
    running = asyncio.create_task(hub.run(), name="hub")
    await asyncio.wait([running, asyncio.ensure_future(hub.started.wait())], return_when=asyncio.FIRST_COMPLETED)
    page.hub = hub
    await page.serve()
    title = (
        f" emonHub: a simulated house, {speed:g} times as fast as a real one. Ctrl-C ends it.",
        f" See {page.url} in a browser, or change {hub.path}.",
    )
    showing = asyncio.create_task(_show(hub, latest, lines, title), name="show")
    try:
        await asyncio.wait([showing, running], return_when=asyncio.FIRST_COMPLETED)
        hub.stop()  # when the table has failed: it is what the demo is for
        await running
    finally:
        showing.cancel()
        await asyncio.gather(showing, return_exceptions=True)
        await page.stop()


async def _show(hub: Hub, latest: Latest, lines: LastLines, title: tuple[str, ...]) -> None:
    from rich.console import Console  # noqa: PLC0415
    from rich.live import Live  # noqa: PLC0415

    from emonhub.cli.table import plain, screen  # noqa: PLC0415

    console = Console()
    if not console.is_terminal:
        print("\n".join(line.strip() for line in title), flush=True)
        try:
            while True:
                await asyncio.sleep(_PLAIN_S)
                print(f"\n{plain(hub, latest)}", flush=True)
        finally:
            print(f"\n{plain(hub, latest)}\n", flush=True)
    with Live(console=console, auto_refresh=False, screen=True) as live:
        while True:
            live.update(screen(hub, latest, lines, title, console.size), refresh=True)
            await asyncio.sleep(_REDRAW_S)


def _configuration(folder: Path, url: str, speed: float) -> str:
    text = resources.files("emonhub.demo").joinpath("emonhub.conf").read_text("utf-8")
    text = text.format(link=folder / "RFM2Pi", speed=speed, url=url, state=folder / "state", port=_free_port())
    return text + "".join(_node(node.definition) for node in NODES)


def _free_port() -> int:
    """The page's usual port, or another one where that is taken."""
    for port in (WebConfig().port, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    return 0


def _node(definition: NodeDefinition) -> str:
    rx = definition.rx
    assert rx is not None
    lines = [
        f"[[{definition.id}]]",
        f"    nodename = {definition.nodename}",
        "    [[[rx]]]",
        f"        names = {', '.join(rx.names)}",
        f"        datacodes = {', '.join(rx.datacodes)}",
        f"        scales = {', '.join(map(str, rx.scales))}",
        f"        units = {', '.join(rx.units)}",
    ]
    if rx.whitening:
        lines.append("        whitening = 1")
    return "\n".join(lines) + "\n"
