"""Logging: one line a change of state, repeats collapsed, the line shape that emonHub's users know.

2026-01-31 12:00:00,123 WARNING  RFM2Pi     Discarded frame, length: node 10: 11 bytes, … (+41 like it in 60 s)
"""

from __future__ import annotations

import logging
import logging.handlers
import time
from typing import TYPE_CHECKING

from emonhub.interfacer import LOGGER_PREFIX

if TYPE_CHECKING:
    from collections.abc import Callable

    from emonhub.config.model import HubConfig

_WINDOW_S = 60.0
_MAX_KEYS = 500
"""Different messages remembered at once; more would let rubbish from outside fill the memory."""


class Repeats(logging.Filter):
    """Lets the first of many like messages through, and one a minute after it with the number left out between.

    Alike are warnings and errors of one logger with the same text before its arguments are filled in, and the same
    `extra={"repeats": …}` where one is given.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._seen: dict[tuple[str, str, str], list[float]] = {}  # key -> [time let through, left out since]

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether this record is let through; adds the number left out before it."""
        if record.levelno < logging.WARNING:
            return True
        key = (record.name, str(record.msg), str(getattr(record, "repeats", "")))
        now = self._clock()
        seen = self._seen.get(key)
        if seen is not None and now - seen[0] < _WINDOW_S:
            seen[1] += 1
            return False
        if seen is not None and seen[1]:
            record.msg = f"{record.getMessage()} (+{seen[1]:.0f} like it in {now - seen[0]:.0f} s)"
            record.args = ()
        if len(self._seen) >= _MAX_KEYS:
            self._seen.clear()
        self._seen[key] = [now, 0]
        return True


class Formatter(logging.Formatter):
    """Time, level, who, message; `who` is the interfacer's name, or MainThread for the hub itself."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)-8s %(who)-10s %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        of_interfacer = record.name.startswith(LOGGER_PREFIX)
        record.who = record.name.removeprefix(LOGGER_PREFIX) if of_interfacer else "MainThread"
        return super().format(record)


def set_up(hub: HubConfig, logfile: str | None = None) -> None:
    """Log to the standard error, or to a file with rotation; and to syslog where that is asked for.

    Raises OSError when the log file can't be written.
    """
    handler: logging.Handler = logging.StreamHandler()
    if logfile is not None:
        handler = logging.handlers.RotatingFileHandler(
            logfile, maxBytes=hub.log_max_bytes, backupCount=hub.log_backup_count, encoding="utf-8"
        )
    handlers = [handler]
    if hub.use_syslog:
        handlers.append(_syslog())
    root = logging.getLogger("emonhub")
    for old in root.handlers[:]:
        root.removeHandler(old)
        old.close()
    repeats = Repeats()
    for each in handlers:
        if each.formatter is None:
            each.setFormatter(Formatter())
        root.addHandler(each)
    handlers[0].addFilter(repeats)
    root.propagate = False
    set_level(hub.loglevel)


def set_level(level: str) -> None:
    """How much is logged: DEBUG, INFO, WARNING, ERROR or CRITICAL."""
    logging.getLogger("emonhub").setLevel(level)


def _syslog() -> logging.Handler:
    handler = logging.handlers.SysLogHandler("/dev/log")
    handler.setFormatter(logging.Formatter("emonHub[%(process)d]: %(levelname)s %(name)s %(message)s"))
    return handler
