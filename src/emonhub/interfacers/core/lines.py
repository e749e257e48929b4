"""Lines of text out of a stream of bytes, whatever pieces it comes in."""

from __future__ import annotations

from emonhub import FrameError

MAX_LINE = 1 << 16
"""Bytes of the longest line that is kept; the longest frame of any known device is a hundredth of it."""


class LineSplitter:
    """Collects bytes and gives out whole lines, without their ends (LF or CR LF).

    A line that grows beyond MAX_LINE is thrown away up to its end; `overlong` then holds the error to report, once.
    """

    def __init__(self) -> None:
        self._rest = b""
        self._skipping = False
        self.overlong: FrameError | None = None

    def feed(self, data: bytes) -> list[bytes]:
        """The lines that are complete now."""
        if b"\n" not in data:
            self._keep(self._rest + data)
            return []
        lines = (self._rest + data).split(b"\n")
        self._rest = b""
        if self._skipping:
            del lines[0]
            self._skipping = False
        self._keep(lines.pop())
        return lines

    def rest(self) -> bytes:
        """What has come of a line that has no end yet, given out and forgotten."""
        rest, self._rest = self._rest, b""
        skipped, self._skipping = self._skipping, False
        return b"" if skipped else rest

    def _keep(self, rest: bytes) -> None:
        if self._skipping:
            self._rest = b""
        elif len(rest) > MAX_LINE:
            self.overlong = FrameError("too long", f"a line of more than {MAX_LINE} bytes")
            self._rest = b""
            self._skipping = True
        else:
            self._rest = rest
