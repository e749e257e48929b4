"""An RFM69 on the SPI bus that hears JeeLib's native packets, as emonTx, emonTH and emonPi send them.

A packet, behind its length:

    destination   its low 6 bits are a node, 0 for all; its high 2 bits the parity of the network group
    source        the node that sends
    payload
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from emonhub import Cargo, FrameError, integer, setting
from emonhub.interfacers.devices.rfm69.radio import RFM69Interfacer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from emonhub.interfacers.devices.rfm69.chip import Packet

_NODE = 0x3F
_PARITY = 0xC0
_EVERYTHING = 63

_REGISTERS = {
    0x02: 0x00,  # packets, FSK
    0x03: 0x02, 0x04: 0x8A,  # 49.261 kbit/s
    0x05: 0x05, 0x06: 0xC3,  # 90 kHz deviation
    0x07: 0x6C, 0x08: 0x80, 0x09: 0x00,  # 434 MHz
    0x0B: 0x20,
    0x11: 0x99,
    0x19: 0x42,  # receiver's bandwidth
    0x1E: 0x2C,
    0x25: 0x40,  # DIO0 is high while there is a packet
    0x26: 0x07,
    0x29: 0xA0,
    0x2D: 0x05,
    0x2E: 0x88, 0x2F: 0x2D,  # two sync bytes, of which the second is the group
    0x37: 0xD8,  # variable length, whitened, with a checksum; packets with a wrong one are shown too
    0x38: 0x42,  # 66 bytes at most
    0x3C: 0x8F,
    0x3D: 0x12,
    0x6F: 0x20,
    0x71: 0x02,
}  # fmt: skip


class EmonHubRF69Interfacer(RFM69Interfacer):
    """Hears packets in JeeLib's native format through an RFM69 on the SPI bus. It sends nothing."""

    selPin = RFM69Interfacer.selPin.but("16")  # noqa: N815

    nodeid = setting(integer(1, 63), 63, "own node id; 63 = hear what is for any node", init=True)
    group = setting(integer(1, 255), 210, "radio network group: that of the senders", init=True)

    def registers(self) -> Mapping[int, int]:
        return {**_REGISTERS, 0x30: self.group}

    async def take(self, packet: Packet) -> Cargo | None:
        if len(packet.data) < 2:
            raise FrameError("too short", "a packet without a sender")
        destination, source = packet.data[:2]
        if destination & _PARITY != parity(self.group):
            raise FrameError("parity", f"its parity is not that of group {self.group}")
        if destination & _NODE not in {self.nodeid, 0} and self.nodeid != _EVERYTHING:
            self.log.debug("Packet for node %d, from node %d", destination & _NODE, source)
            return None
        return self.cargo(source, packet.data[2:], packet.rssi)


def parity(group: int) -> int:
    """The two bits in a destination that tell groups apart."""
    folded = group ^ (group << 4)
    return (folded ^ (folded << 2)) & _PARITY
