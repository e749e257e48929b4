"""emonTx 3e and what prints like it: lines such as `MSG:1,Vrms:240.1,P1:100,pulse:0` on a serial port."""

from __future__ import annotations

from typing import TYPE_CHECKING

from emonhub import Cargo, FrameError, setting, text
from emonhub.interfacers.core.serial import EmonHubSerialInterfacer
from emonhub.interfacers.devices.keyvalue import read_pairs

if TYPE_CHECKING:
    from collections.abc import Iterable


class EmonHubTx3eInterfacer(EmonHubSerialInterfacer):
    """Reads lines that begin with `MSG:`; what else the device prints goes to the log.

    EmonHubOEMInterfacer reads these lines too, and can set up the device: it is the one to choose for a new one.
    """

    nodename = setting(text(), "", "node id of its frames; empty = the number that nodeoffset is")

    def parse(self, lines: Iterable[bytes], now: float) -> list[Cargo]:
        cargos = []
        for whole in lines:
            line = whole.strip(b" \t\r\n\v\f\x00")
            try:
                if line.startswith(b"MSG:"):
                    cargos.append(read_pairs(_text(line)).cargo(self, self.nodename or self.nodeoffset, now, line))
                elif line:
                    self.log.debug("The device says: %s", _text(line))
            except FrameError as error:
                self.discard(error, line)
        return cargos


def _text(line: bytes) -> str:
    try:
        return line.decode("ascii")
    except UnicodeDecodeError:
        raise FrameError("noise", "not text") from None
