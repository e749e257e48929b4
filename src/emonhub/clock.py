"""The wall clock, and whether to believe it: a Raspberry Pi has none of its own, and starts with a time of the past.

A frame read by a clock that is not set yet is marked as provisional. Once the clock is set, how wrong it was is known
from the one clock that has run evenly since the start (CLOCK_BOOTTIME), also for frames on disk and after a restart.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

log = logging.getLogger("emonhub.hub")

FLOOR = 1_767_225_600.0
"""2026-01-01: an earlier time is surely wrong. Also the least that is accepted of a clock that was never set."""

WAIT_S = 300.0
"""After a start of the machine, for the network to come up and the time with it; then frames go out as they are."""

_STEP_S = 1.0
"""What is less is the clock being slowly put right, and changes the order of no frames."""

_LOOK_S = 1.0
_BOOTS_KEPT = 20

_STA_UNSYNC = 0x40
_STATUS_AT = 40
"""Where `status` stands in struct timex of 64-bit Linux; 20 on 32-bit (adjtimex(2))."""


class Clock:
    """Wall time, and whether it can be trusted.

    trusted   the time is right, as far as can be told: then frames are not marked
    holding   it is not, and there is hope that it soon will be: then nothing is delivered
    offset    wall time less the time since the machine's start, seconds
    """

    def __init__(
        self,
        wall: Callable[[], float] = time.time,
        since_start: Callable[[], float] = lambda: time.clock_gettime(time.CLOCK_BOOTTIME),
        boot: str | None = None,
        is_set: Callable[[], bool] | None = None,
    ) -> None:
        self.time = wall
        self.wait_s = WAIT_S
        self.boot = boot if boot is not None else _boot_id()
        self.trusted = True
        self._since_start = since_start
        self._is_set = is_set or _is_set
        self._listeners: list[Callable[[float, bool], None]] = []
        self._known: dict[str, float] = {}
        self._file: Path | None = None
        self._offset = self.offset
        self._judge()

    @property
    def offset(self) -> float:
        return self.time() - self._since_start()

    @property
    def holding(self) -> bool:
        return not self.trusted and self._since_start() < self.wait_s

    @property
    def offset_stamped(self) -> float:
        """The offset that frames are stamped by: a drift of less than a second is not followed."""
        return self._offset

    @staticmethod
    def text(when: float) -> str:
        """A time for people, in local time."""
        return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(when))

    def stamp(self) -> dict[str, Any]:
        """Which clock times are by from now on, for `correction`."""
        return {"boot": self.boot, "offset": round(self._offset, 3)}

    def correction(self, stamp: dict[str, Any]) -> float | None:
        """Seconds to be added to provisional times with this stamp; None while that is not known."""
        try:
            boot, offset = str(stamp["boot"]), float(stamp["offset"])
        except (KeyError, TypeError, ValueError):
            return None
        right = self._offset if boot == self.boot and self.trusted else self._known.get(boot)
        return None if right is None else right - offset

    def on_change(self, listener: Callable[[float, bool], None]) -> None:
        """Have `listener` told when a clock that was not trusted steps, and by how many seconds, or is set."""
        self._listeners.append(listener)

    def remember(self, file: Path) -> None:
        """Keep what earlier starts of the machine found out about their clocks in a file."""
        self._file = file
        try:
            found = json.loads(file.read_text())
            self._known = {str(boot): float(offset) for boot, offset in found.items()}
        except (OSError, ValueError, TypeError, AttributeError):
            self._known = {}
        if self.trusted and self._known.get(self.boot) != round(self._offset, 3):
            self._keep()  # it may have been set since an earlier run of the hub, which could not see it

    async def watch(self) -> None:
        """Look at the clock for as long as the hub runs."""
        while True:
            await asyncio.sleep(_LOOK_S)
            self.look()

    def look(self) -> None:
        """See whether the clock has been set, or has stepped."""
        was_trusted, before = self.trusted, self._offset
        now = self.offset
        self._judge()
        stepped = abs(now - before) >= _STEP_S
        if stepped:
            self._offset = now
            log.warning("The clock has stepped by %+.1f s", now - before)
        if self.trusted and not was_trusted:
            log.info("The clock is set")
            self._keep()
        if not was_trusted and (stepped or self.trusted):
            for listener in self._listeners:
                listener(now - before if stepped else 0.0, self.trusted)

    def _judge(self) -> None:
        self.trusted = self.time() >= FLOOR and self._is_set()

    def _keep(self) -> None:
        if self._file is None:
            return
        self._known.pop(self.boot, None)
        self._known[self.boot] = round(self._offset, 3)
        newest = dict(list(self._known.items())[-_BOOTS_KEPT:])
        try:
            self._file.write_text(json.dumps(newest))
        except OSError as error:
            log.debug("%s can't be written: %s", self._file, error)


def _boot_id() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def _is_set() -> bool:
    """Boards described by a device tree are taken to have no clock that runs without power: their time is right once
    the kernel says that somebody has set it. All others keep their time, or get it from the machine they run on.
    """
    if not Path("/proc/device-tree/model").exists():
        return True
    import ctypes  # noqa: PLC0415 - a megabyte that only boards without a clock need

    try:
        buffer = ctypes.create_string_buffer(512)
        if ctypes.CDLL(None, use_errno=True).adjtimex(buffer) < 0:
            return True
    except (OSError, AttributeError):
        return True
    at = _STATUS_AT if ctypes.sizeof(ctypes.c_long) == 8 else _STATUS_AT // 2
    return not int.from_bytes(buffer.raw[at : at + 4], "little") & _STA_UNSYNC
