"""An RFM69 on the SPI bus that talks to the nodes of a LowPowerLab network, encrypted, with acknowledgements.

A packet, behind its length:

    target    the node that it is for, 255 for all
    sender
    control   0x80 it is an acknowledgement, 0x40 its sender wants one
    payload   up to 61 bytes; an acknowledgement has none
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from emonhub import Cargo, FrameError, choice, integer, matching, setting, switch
from emonhub.interfacers.devices.packing import TTL, due, packed
from emonhub.interfacers.devices.rfm69.radio import RFM69Interfacer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from emonhub.interfacers.devices.rfm69.chip import Packet

_ALL = 255
_IS_ACK = 0x80
_WANTS_ACK = 0x40
_MAX_PAYLOAD = 61

_CARRIERS = {
    "31": (0x4E, 0xC0, 0x00),
    "43": (0x6C, 0x40, 0x00),
    "49": (0x6C, 0x7A, 0xE1),
    "86": (0xD9, 0x00, 0x00),
    "91": (0xE4, 0xC0, 0x00),
}

_REGISTERS = {
    0x02: 0x00,  # packets, FSK
    0x03: 0x02, 0x04: 0x40,  # 55.555 kbit/s
    0x05: 0x03, 0x06: 0x33,  # 50 kHz deviation
    0x11: 0x96,  # 70 % of the power
    0x19: 0x42,  # receiver's bandwidth
    0x25: 0x40,  # DIO0 is high while there is a packet
    0x29: 0xDC,
    0x2E: 0x88, 0x2F: 0x2D,  # two sync bytes, of which the second is the network
    0x37: 0x98,  # variable length, with a checksum; packets with a wrong one are shown too
    0x38: 0x42,  # 66 bytes at most
    0x3C: 0x8F,
    0x3D: 0x12,
    0x6F: 0x30,
}  # fmt: skip

_FREE_DBM = -90
_FREE_STEP_S = 0.001
_ACK_PATIENCE_S = 0.02
"""A sender waits a few hundredths of a second for its acknowledgement, and then sends once more."""
_PATIENCE_S = 1.0
_ACK_WAIT_S = 0.1
_TRIES = 3

_SAME_S = 0.5
"""Within this time, the same from the same node is what it has sent once more for want of an acknowledgement."""


class EmonHubRFM69LPLInterfacer(RFM69Interfacer):
    """Hears LowPowerLab packets through an RFM69 on the SPI bus, acknowledges them, and sends to nodes."""

    poll_s = 0.01  # a sender waits three hundredths of a second for its acknowledgement

    interruptPin = RFM69Interfacer.interruptPin.but("22")  # noqa: N815

    nodeid = setting(integer(1, 254), 5, "own node id", init=True)
    networkID = setting(integer(1, 255), 210, "radio network: that of the senders", init=True)  # noqa: N815
    freqBand = setting(  # noqa: N815
        choice(*_CARRIERS), "43", "31 = 315, 43 = 433.0, 49 = 433.92, 86 = 868, 91 = 915 MHz", init=True
    )
    encryption_key = setting(
        matching(r"|[\x20-\x7e]{16}", "16 characters, or empty for no encryption"),
        "89txbe4p8aik5kt3",
        "key of the network's packets; the default is known to everybody. Empty = not encrypted",
        init=True,
        secret=True,
    )
    ttl = TTL
    ack = setting(switch(), True, "1 = ask for acknowledgements, and send up to three times until one comes")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._awaited = 0  # the node whose acknowledgement is waited for
        self._acknowledged = asyncio.Event()
        self._latest: dict[int, tuple[bytes, float]] = {}  # what each sender sent last, and when

    def registers(self) -> Mapping[int, int]:
        carrier = dict(zip((0x07, 0x08, 0x09), _CARRIERS[self.freqBand], strict=True))
        return {**_REGISTERS, **carrier, 0x30: self.networkID}

    def key(self) -> bytes:
        return self.encryption_key.encode()

    # Hearing

    async def take(self, packet: Packet) -> Cargo | None:
        if len(packet.data) < 3:
            raise FrameError("too short", "a packet without target, sender and control byte")
        target, sender, control = packet.data[:3]
        if target not in {self.nodeid, _ALL}:
            self.log.debug("Packet for node %d, from node %d", target, sender)
            return None
        if control & _IS_ACK:
            if sender == self._awaited:
                self._acknowledged.set()
            return None
        if control & _WANTS_ACK and target != _ALL:
            await self._transmit(sender, _IS_ACK, b"", _ACK_PATIENCE_S)
        if self._is_again(sender, packet.data):
            self.log.debug("Node %d has sent the same once more", sender)
            return None
        return self.cargo(sender, packet.data[3:], packet.rssi)

    def _is_again(self, sender: int, data: bytes) -> bool:
        now = self.world.monotonic()
        before, at = self._latest.get(sender, (b"", 0.0))
        self._latest[sender] = (data, now)
        return data == before and now - at < _SAME_S

    # Sending

    async def send(self, cargos: list[Cargo]) -> None:
        for cargo in due(self, cargos, self.ttl):
            try:
                node, data = packed(self, cargo, _MAX_PAYLOAD)
                await self._send_to(int(node), data)
            except FrameError as error:
                self.discard(error)

    async def _send_to(self, node: int, data: bytes) -> None:
        if not self.ack or node == _ALL:
            await self._transmit(node, 0, data, _PATIENCE_S)
            self.log.debug("Sent to node %d: %s", node, list(data))
            return
        self._acknowledged.clear()
        self._awaited = node
        for _ in range(_TRIES):
            await self._transmit(node, _WANTS_ACK, data, _PATIENCE_S)
            try:
                async with asyncio.timeout(_ACK_WAIT_S):
                    await self._acknowledged.wait()
            except TimeoutError:
                continue
            self.log.debug("Sent to node %d, which has acknowledged it: %s", node, list(data))
            return
        raise FrameError("not acknowledged", f"node {node} did not acknowledge {list(data)}, sent {_TRIES} times")

    async def _transmit(self, node: int, control: int, data: bytes, patience_s: float) -> None:
        async with self.turn:
            await self._free_channel(patience_s)
            await self.chip.transmit(bytes((node, self.nodeid, control)) + data)

    async def _free_channel(self, patience_s: float) -> None:
        """Wait until nobody sends, and take what comes meanwhile: sending empties the chip's memory."""
        for _ in range(int(patience_s / _FREE_STEP_S)):
            if (packet := await self.fetch()) is not None:
                self.early.append(packet)
            elif await self.chip.rssi_now() < _FREE_DBM:
                return
            await self.world.sleep(_FREE_STEP_S)
