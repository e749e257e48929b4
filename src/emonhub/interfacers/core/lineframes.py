"""Frames as lines of text: `10 97 0 1530` is the node id and the values."""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING

from emonhub import Cargo, FrameError, Interfacer, NodeId

if TYPE_CHECKING:
    from collections.abc import Iterable

KEY_LENGTH = 32


class LineInterfacer(Interfacer):
    """The base of what takes such lines. They may start with their time (`timestamped`), have the node to send to
    behind the node id (`targeted`), and must have the key among their fields where there is one.
    """

    @property
    def _key(self) -> bytes:
        return b""

    def parse(self, lines: Iterable[bytes], now: float) -> list[Cargo]:
        """The frames in these lines; `now` is when they were read, Unix seconds."""
        if self._key or self.timestamped or self.targeted:
            return self._parse_with_extras(lines, now)
        cargos = []
        decoders = self.decoders
        for line in lines:
            fields = line.split()
            try:
                decoder = decoders[fields[0]]
                del fields[0]
                values = decoder.decode(fields)
                cargos.append(Cargo(decoder.layout, values, now, raw=line))
            except FrameError as error:
                self._refuse(error, line)
            except IndexError:
                self.discard(FrameError("empty line", "the line is empty"))
        return cargos

    def _parse_with_extras(self, lines: Iterable[bytes], now: float) -> list[Cargo]:
        cargos = []
        key = self._key
        for line in lines:
            try:
                fields = line.split()
                if not fields:
                    raise FrameError("empty line", "the line is empty")
                if key:
                    fields = self._without_key(fields, key)
                time = self._time(fields.pop(0)) if self.timestamped and fields else now
                if len(fields) < 1 + self.targeted:
                    raise FrameError("too short", "the line has no values")
                decoder = self.decoders[fields.pop(0)]
                target = self._target(fields.pop(0)) if self.targeted else 0
                values = decoder.decode(fields)
                shown = b"" if key else line
                cargo = Cargo(decoder.layout, values, time, target=target, device_time=self.timestamped, raw=shown)
                cargos.append(cargo)
            except FrameError as error:
                self._refuse(error, line)
        return cargos

    def _refuse(self, error: FrameError, line: bytes) -> None:
        """Discard a line, without showing what may be a key: in place, mistyped, or sent though none is asked for."""
        if self._key:
            self.discard(error)
        elif any(len(field) == KEY_LENGTH for field in line.split()):
            self.discard(FrameError(error.reason, "the line seems to carry an apikey, but none is set here"))
        else:
            self.discard(error, line)

    def _without_key(self, fields: list[bytes], key: bytes) -> list[bytes]:
        if not any(hmac.compare_digest(field, key) for field in fields):
            raise FrameError("apikey", "the line does not carry the apikey")
        return [field for field in fields if key not in field]

    @staticmethod
    def _time(field: bytes) -> float:
        try:
            time = float(field)
        except ValueError:
            time = -1.0
        if not 0 < time < 1e11:
            raise FrameError("bad time", f"{field[:40]!r} is no time in Unix seconds")
        return time

    @staticmethod
    def _target(field: bytes) -> NodeId:
        if not field.isdigit() or len(field) > 9:
            raise FrameError("bad target", f"{field[:40]!r} is no node id")
        return int(field)
