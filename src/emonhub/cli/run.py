"""`emonhub run`: the hub itself."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import sys
import threading
from typing import TYPE_CHECKING, Any

from emonhub import __version__, logs
from emonhub.cli import EXIT_BAD_FILE, EXIT_FAILED
from emonhub.cli.page import Page
from emonhub.cli.report import load_or_explain
from emonhub.hub import Hub
from emonhub.systemd import Notifier

if TYPE_CHECKING:
    from pathlib import Path

    from emonhub.config.model import Configuration

log = logging.getLogger("emonhub.hub")

_HARD_STOP_S = 9.5
"""After a stop was asked for: the hub takes less to drain and close, and service managers lose patience with more."""

_COLLECT_AFTER = 5000
"""Objects made and not freed, then the newest are looked at: half a megabyte at most waits for that."""


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
    last_resort = threading.Timer(_HARD_STOP_S, _end_all_the_same)
    last_resort.daemon = True
    try:
        asyncio.run(_run(path, configuration, last_resort))
    except Exception:  # the outermost boundary: a dead hub ends the process, so that it is started anew
        log.critical("The hub has failed and ends", exc_info=True)
        return EXIT_FAILED
    finally:
        last_resort.cancel()
    return 0


async def _run(path: Path, configuration: Configuration, last_resort: threading.Timer) -> None:
    page = Page()
    hub = Hub(path, configuration, on_applied=page.applied)
    loop = asyncio.get_running_loop()
    notifier = Notifier(os.environ)

    def stop(number: signal.Signals) -> None:
        log.info("Asked to stop (%s)", number.name)
        notifier.notify("STOPPING=1")
        if not last_resort.is_alive():
            last_resort.start()
        hub.stop()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop, number)
    loop.add_signal_handler(signal.SIGHUP, hub.look_now)
    loop.set_exception_handler(_log_stray)
    log.info("emonHub v%s starts with %s", __version__, path)
    watchdog = asyncio.create_task(notifier.keep_alive(), name="watchdog")
    started = asyncio.create_task(hub.started.wait(), name="wait for the start")
    running = asyncio.create_task(hub.run(), name="hub")
    try:
        await asyncio.wait([started, running], return_when=asyncio.FIRST_COMPLETED)
        if started.done():
            _spare_the_collector()
            notifier.notify("READY=1", f"STATUS=Running with {path}")
            page.hub = hub
            await page.serve()
        await running
    finally:
        if not last_resort.is_alive():
            last_resort.start()
        started.cancel()
        watchdog.cancel()
        await page.stop()


def _spare_the_collector() -> None:
    """What was made at the start stays: the garbage collector need not look at it again.

    Nor need it look as often as it does by default: a chunk of frames makes thousands of objects and frees them all.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_COLLECT_AFTER)


def _end_all_the_same() -> None:
    """End the process, whatever somebody's thread or task is still busy with."""
    log.critical("Something does not let go: ending all the same")
    logging.shutdown()
    os._exit(EXIT_FAILED)


def _log_stray(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """What nobody waited for: a task or a callback that failed."""
    error = context.get("exception")
    task = context.get("task") or context.get("future")
    of = f" (task {task.get_name()})" if isinstance(task, asyncio.Task) else ""
    log.error("%s%s: %s", context.get("message", "Unhandled error"), of, error, exc_info=error)
