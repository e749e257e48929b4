"""Logging: one line a change of state, repeats collapsed, the line shape that emonHub's users know.

2026-01-31 12:00:00,123 WARNING  RFM2Pi     Discarded frame, length: node 10: 11 bytes, … (+41 like it in 60 s)
"""

from __future__ import annotations

import logging
import logging.handlers
import os
import re
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

from emonhub.config.model import MASK
from emonhub.interfacer import LOGGER_PREFIX

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from emonhub.config.model import HubConfig

_WINDOW_S = 60.0
_MAX_KEYS = 500
"""Different messages remembered at once; more would let rubbish from outside fill the memory."""

_SHORTEST_HIDDEN = 4
"""Characters of a secret that is looked for in every line: a shorter one would black out ordinary words."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
"""What could end a line, move the cursor, or turn the text around: a device must not be able to write log lines."""


@dataclass(slots=True)
class _Seen:
    since: float
    let_through: int
    left_out: int = 0
    last: logging.LogRecord | None = None


class Repeats(logging.Filter):
    """Lets the first of many like records through, and one a minute after it with the number left out between.

    Alike are warnings and errors of one logger with the same text before its arguments are filled in, and the same
    `extra={"repeats": …}` where one is given; with it, records of any level are counted. `extra={"often": n}` lets n
    through in a minute. What is left when a flood has ended is told by `tell`.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._seen: dict[tuple[str, str, str], _Seen] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether this record is let through; adds the number left out before it."""
        repeats = getattr(record, "repeats", None)
        if record.levelno < logging.WARNING and repeats is None:
            return True
        key = (record.name, str(record.msg), str(repeats or ""))
        now = self._clock()
        seen = self._seen.get(key)
        if seen is not None and now - seen.since < _WINDOW_S:
            if seen.let_through < getattr(record, "often", 1):
                seen.let_through += 1
                return True
            seen.left_out += 1
            seen.last = record
            return False
        if seen is not None and seen.left_out:
            _add_count(record, seen.left_out, now - seen.since)
        if len(self._seen) >= _MAX_KEYS:
            self._seen = {key: kept for key, kept in self._seen.items() if kept.left_out}
            if len(self._seen) >= _MAX_KEYS:
                self._seen.clear()
        self._seen[key] = _Seen(now, 1)
        return True

    def take_left(self, *, all_of_it: bool = False) -> list[logging.LogRecord]:
        """The last of each kind left out, with their number, where a minute has passed (or of every kind)."""
        now = self._clock()
        told = []
        for key, seen in list(self._seen.items()):
            if not all_of_it and now - seen.since < _WINDOW_S:
                continue
            del self._seen[key]
            if seen.last is not None:
                if seen.left_out > 1:
                    _add_count(seen.last, seen.left_out - 1, now - seen.since)
                told.append(seen.last)
        return told


def _add_count(record: logging.LogRecord, count: int, seconds: float) -> None:
    record.msg = f"{record.getMessage()} (+{count} like it in {seconds:.0f} s)"
    record.args = ()


class Formatter(logging.Formatter):
    """Time, level, who, message; `who` is the interfacer's name, or MainThread for the hub itself.

    A message is one line whatever it carries; lines of a traceback are indented, so that none looks like a new entry.
    Secrets that were named to `hide` are masked.
    """

    def __init__(self, form: str = "%(asctime)s %(levelname)-8s %(who)-10s %(message)s") -> None:
        super().__init__(form)

    def format(self, record: logging.LogRecord) -> str:
        """The line, and a traceback's lines under it."""
        of_interfacer = record.name.startswith(LOGGER_PREFIX)
        record.who = _CONTROL.sub(_escape, record.name.removeprefix(LOGGER_PREFIX)) if of_interfacer else "MainThread"
        if record.exc_info:
            record.exc_text = None  # not as another formatter has kept it
        return masked(super().format(record))

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        """The message's line."""
        record.message = _CONTROL.sub(_escape, record.message)
        return super().formatMessage(record)

    def formatException(self, ei: logging._SysExcInfoType) -> str:  # noqa: N802 - logging's name
        """The traceback, each line of it indented."""
        lines = super().formatException(ei).split("\n")
        return "\n".join("  " + _CONTROL.sub(_escape, line) for line in lines)


def _escape(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode("ascii")


_hidden: re.Pattern[str] | None = None


def hide(secrets: Iterable[str]) -> None:
    """Mask these texts in every line from now on, instead of those named before."""
    global _hidden  # noqa: PLW0603 - logging is one for the process
    long_enough = sorted({s for s in secrets if len(s) >= _SHORTEST_HIDDEN}, key=len, reverse=True)
    _hidden = re.compile("|".join(map(re.escape, long_enough))) if long_enough else None


def masked(text: str) -> str:
    """A text for people to see: without the secrets that were named to `hide`."""
    return text if _hidden is None else _hidden.sub(MASK, text)


class _Fan(logging.Handler):
    """Passes records on to several handlers, so that repeats are counted once for all of them."""

    def __init__(self, handlers: list[logging.Handler]) -> None:
        super().__init__()
        self.handlers = handlers
        self.repeats = Repeats()
        self.addFilter(self.repeats)

    def emit(self, record: logging.LogRecord) -> None:
        for handler in self.handlers:
            handler.handle(record)

    def close(self) -> None:
        for handler in self.handlers:
            with suppress(OSError):  # what it holds back can't be written
                handler.close()
        super().close()


class _File(logging.handlers.RotatingFileHandler):
    """A log file with rotation of its own, which also follows when somebody else (logrotate) moves the file away."""

    def emit(self, record: logging.LogRecord) -> None:
        if self.stream is not None and not self._is_ours(self.stream):
            with suppress(OSError):
                self.stream.close()
            self.stream = None  # opened anew for this line
        super().emit(record)

    def _is_ours(self, stream: IO[str]) -> bool:
        try:
            there, ours = os.stat(self.baseFilename), os.fstat(stream.fileno())
        except OSError:
            return False
        return (there.st_dev, there.st_ino) == (ours.st_dev, ours.st_ino)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        """A line that can't be written, as on a full disk, is lost, and costs nothing else."""


def set_up(hub: HubConfig, logfile: str | None = None) -> None:
    """Log to the standard error, or to a file with rotation; and to syslog where that is asked for.

    Libraries' warnings, and what threads and tasks die of, go the same way. Raises OSError when the log file can't be
    written.
    """
    handler: logging.Handler = logging.StreamHandler()
    if logfile is not None:
        handler = _File(logfile, encoding="utf-8", errors="backslashreplace")
    handler.setFormatter(Formatter())
    handlers = [handler]
    if hub.use_syslog:
        handlers.append(_syslog())
    root = logging.getLogger()
    for old in [old for old in root.handlers if isinstance(old, _Fan)]:
        root.removeHandler(old)
        old.close()
    root.addHandler(_Fan(handlers))
    root.setLevel(logging.WARNING)
    logging.captureWarnings(capture=True)
    threading.excepthook = _log_thread_failure
    apply(hub)


def apply(hub: HubConfig) -> None:
    """Take over how much is logged, and when a log file is rotated, from a configuration."""
    logging.getLogger("emonhub").setLevel(hub.loglevel)
    for fan in _fans():
        for handler in fan.handlers:
            if isinstance(handler, logging.handlers.RotatingFileHandler):
                handler.maxBytes = hub.log_max_bytes
                handler.backupCount = hub.log_backup_count


def tell_repeats(*, all_of_them: bool = False) -> None:
    """Log how many repeats were left out of floods that are over; of all floods at the end."""
    for fan in _fans():
        for record in fan.repeats.take_left(all_of_it=all_of_them):
            fan.emit(record)


def _fans() -> list[_Fan]:
    return [handler for handler in logging.getLogger().handlers if isinstance(handler, _Fan)]


def _syslog() -> logging.Handler:
    handler = logging.handlers.SysLogHandler("/dev/log")
    handler.setFormatter(Formatter("emonHub[%(process)d]: %(levelname)s %(who)s %(message)s"))
    return handler


def _log_thread_failure(arguments: threading.ExceptHookArgs) -> None:
    if arguments.exc_type is SystemExit or arguments.exc_value is None:
        return
    name = arguments.thread.name if arguments.thread else "?"
    logging.getLogger("emonhub.hub").error(
        "A thread has died: %s",
        name,
        exc_info=(arguments.exc_type, arguments.exc_value, arguments.exc_traceback),
    )
