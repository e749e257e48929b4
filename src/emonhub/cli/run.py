"""`emonhub run`: the hub itself."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from typing import TYPE_CHECKING

from emonhub import __version__, logs
from emonhub.cli import EXIT_BAD_FILE, EXIT_FAILED
from emonhub.cli.report import load_or_explain
from emonhub.hub import Hub
from emonhub.systemd import Notifier

if TYPE_CHECKING:
    from pathlib import Path

    from emonhub.config.model import Configuration

log = logging.getLogger("emonhub.hub")


def main(path: Path, logfile: str | None = None) -> int:
    """Run until told to stop. Returns the exit status."""
    configuration = load_or_explain(path)
    if configuration is None:
        return EXIT_BAD_FILE
    try:
        logs.set_up(configuration.hub, logfile)
    except OSError as error:
        print(f"emonhub: can't log to {logfile or '/dev/log'}: {error.strerror}", file=sys.stderr)
        return EXIT_BAD_FILE
    try:
        asyncio.run(_run(path, configuration), debug=False)
    except Exception:  # the supervisor boundary: a dead main task ends the process, so that it is started anew
        log.critical("The hub has failed and ends", exc_info=True)
        return EXIT_FAILED
    return 0


async def _run(path: Path, configuration: Configuration) -> None:
    hub = Hub(path, configuration)
    loop = asyncio.get_running_loop()
    notifier = Notifier(os.environ)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, hub.stop)
    loop.add_signal_handler(signal.SIGHUP, hub.look_now)
    log.info("emonHub v%s starts with %s", __version__, path)
    watchdog = asyncio.create_task(notifier.keep_alive(), name="watchdog")
    running = asyncio.create_task(hub.run(), name="hub")
    notifier.notify("READY=1", f"STATUS=Running with {path}")
    try:
        await running
    finally:
        notifier.notify("STOPPING=1")
        watchdog.cancel()
