"""systemd's notification protocol (sd_notify(3)): a datagram of NAME=VALUE lines to the socket in NOTIFY_SOCKET."""

from __future__ import annotations

import asyncio
import os
import socket
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


class Notifier:
    """Tells systemd how the hub is; does nothing where systemd did not start it."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        address = environ.get("NOTIFY_SOCKET", "")
        self._address = "\0" + address[1:] if address.startswith("@") else address
        microseconds = environ.get("WATCHDOG_USEC", "")
        if environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
            microseconds = ""  # meant for another process, which started us
        # Half the time that systemd gives, as sd_watchdog_enabled(3) advises.
        self._period = int(microseconds) / 2e6 if microseconds.isdigit() and int(microseconds) else None

    def notify(self, *assignments: str) -> None:
        """Send assignments such as READY=1."""
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
                # A full queue must not stop the loop; the next beat comes soon enough.
                sender.setblocking(False)
                sender.connect(self._address)
                sender.sendall("\n".join(assignments).encode())
        except OSError:
            return  # a hub that can't tell how it is goes on all the same; the watchdog sees to the rest

    async def keep_alive(self) -> None:
        """Feed the watchdog from the loop for as long as the loop turns; ends at once where there is no watchdog."""
        while self._period is not None:
            self.notify("WATCHDOG=1")
            await asyncio.sleep(self._period)
