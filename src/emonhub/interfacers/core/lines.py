"""Lines of text out of a stream of bytes, whatever pieces it comes in."""

from __future__ import annotations

from emonhub import FrameError

MAX_LINE = 1 << 16
"""Bytes of the longest line that is kept; the longest frame of any known device is a hundredth of it."""


class LineSplitter:
    """Collects bytes and gives out whole lines, without their ends (LF or CR LF).

    A line of more than MAX_LINE bytes is thrown away up to its end; `overlong` then holds the error to report, once.
    """

    def __init__(self) -> None:
        self._rest = bytearray()
        self._skipping = False
        self.overlong: FrameError | None = None

    def feed(self, data: bytes) -> list[bytes]:
        """The lines that are complete now."""
        # Only the new bytes are looked at: a long line that comes byte by byte costs no more than one that comes whole.
        end = data.find(b"\n")
        if end < 0:
            self._keep(data)
            return []
        if self._skipping or len(self._rest) + end > MAX_LINE:
            self._keep(data[:end])
            self._rest.clear()
            self._skipping = False
            start = b""
            data = data[end + 1 :]
        else:
            start = bytes(self._rest)
            self._rest.clear()
        whole = start + data
        lines = whole.split(b"\n")
        self._keep(lines.pop())
        if len(data) > MAX_LINE:
            lines = [line for line in lines if self._fits(line)]
        return [line.removesuffix(b"\r") for line in lines] if b"\r" in whole else lines

    def rest(self) -> bytes:
        """What has come of a line that has no end yet, given out and forgotten."""
        rest = bytes(self._rest).removesuffix(b"\r")
        self._rest.clear()
        self._skipping = False
        return rest

    def _keep(self, part: bytes) -> None:
        if self._skipping:
            return
        if self._fits(part, len(self._rest)):
            self._rest.extend(part)
        else:
            self._rest.clear()
            self._skipping = True

    def _fits(self, part: bytes, before: int = 0) -> bool:
        if before + len(part) <= MAX_LINE:
            return True
        self.overlong = FrameError("too long", f"a line of more than {MAX_LINE} bytes")
        return False
