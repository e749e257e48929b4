"""The newest log lines, and those to come: for the page and for `emonhub tap`."""

from __future__ import annotations

import logging
from collections import deque
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from emonhub.interfacer import LOGGER_PREFIX
from emonhub.logs import Formatter
from emonhub.web.tap import Listener

if TYPE_CHECKING:
    from collections.abc import Iterator

_KEPT = 1000


class LogView(logging.Handler):
    """Keeps the newest lines. Secrets are masked in them as in the log itself."""

    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(Formatter("%(message)s"))
        self.lines: deque[dict[str, Any]] = deque(maxlen=_KEPT)
        self._listeners: set[Listener] = set()

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one."""
        of = record.name.removeprefix(LOGGER_PREFIX) if record.name.startswith(LOGGER_PREFIX) else ""
        line = {"time": record.created, "level": record.levelname, "interfacer": of, "text": self.format(record)}
        self.lines.append(line)
        for listener in self._listeners:
            listener.put(line)

    @contextmanager
    def listen(self) -> Iterator[Listener]:
        """Hear every line from now on."""
        listener = Listener()
        self._listeners.add(listener)
        try:
            yield listener
        finally:
            self._listeners.discard(listener)
