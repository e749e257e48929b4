"""One connection to a broker, from its open socket to its end: paho's client, driven by the asyncio loop.

A session is used once. Nothing that it had not sent when it ended is sent later by itself: who owes delivery sends
again, and what was live is gone.
"""

from __future__ import annotations

import asyncio
import ssl
from typing import TYPE_CHECKING, Any

from paho.mqtt.enums import MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.subscribeoptions import SubscribeOptions

from emonhub import Unavailable
from emonhub.interfacers.core.mqtt.answers import end, refusal, silence
from emonhub.interfacers.core.mqtt.messages import Message, Receipt
from emonhub.interfacers.core.mqtt.transport import make_client

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterable, Mapping

    from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage
    from paho.mqtt.reasoncodes import ReasonCode

    from emonhub.interfacers.core.mqtt.broker import Broker
    from emonhub.interfacers.core.mqtt.messages import Subscription
    from emonhub.interfacers.core.mqtt.transport import PahoClient

MAX_UNSENT = 1 << 18
"""Bytes on their way to a broker that does not take them; more would be memory without bound and stale when it does."""

_LARGEST_PACKET = (1 << 28) - 1
"""Bytes of a message that MQTT can carry."""

_OVERHEAD = 20
"""Bytes of a packet beside its topic and payload, at most."""

_READS = 100
"""Packets handled in one go, before the other tasks have their turn."""

_CLOSE_S = 1.0
"""For the last messages and the good-bye to go out."""


class Session:
    """`opened` is done when the broker has welcomed us, or raises; `ended` gets the reason of the end, in words.

    `largest` is how many bytes a topic and its payload may have together.
    """

    def __init__(
        self,
        broker: Broker,
        version: MQTTProtocolVersion,
        client_id: str,
        opened_socket: socket.socket,
        *,
        on_message: Callable[[Message], bool],
        on_drained: Callable[[], None],
    ) -> None:
        self._broker = broker
        self._socket = opened_socket
        self._take = on_message
        self._on_drained = on_drained
        self._loop = asyncio.get_running_loop()
        self.opened: asyncio.Future[None] = self._loop.create_future()
        self.ended: asyncio.Future[str] = self._loop.create_future()
        self.on_refused_filter: Callable[[str], None] = lambda _name: None
        self._receipts: dict[int, asyncio.Future[Receipt]] = {}
        self._subscribing: dict[int | None, list[str]] = {}
        self.largest = _LARGEST_PACKET - _OVERHEAD
        self._unsent = 0
        self._congested = False
        self._flushing = False
        self._handled = 0
        self._tick: asyncio.TimerHandle | None = None
        self._client = self._make_client(version, client_id)

    def start(self) -> None:
        """Send the greeting."""
        self._client.reconnect()
        self._on_tick()

    @property
    def alive(self) -> bool:
        return self.opened.done() and not self.ended.done()

    def publish(self, topic: str, payload: bytes | str, qos: int = 0, *, retain: bool = False) -> bool:
        """Send now or never. False when it can't be: the broker is gone, or does not keep up."""
        if not self.alive:
            return False
        if self._unsent > MAX_UNSENT:
            self._client.loop_write()
            if self._unsent > MAX_UNSENT:
                self._congested = True
                return False
        self._unsent += len(payload) + len(topic)
        return self._client.publish(topic, payload, qos, retain).rc == MQTTErrorCode.MQTT_ERR_SUCCESS

    def confirm(self, topic: str, payload: bytes | str, qos: int = 1) -> asyncio.Future[Receipt]:
        """Send, and be told what became of it."""
        receipt: asyncio.Future[Receipt] = self._loop.create_future()
        if not self.alive:
            receipt.set_result(Receipt(taken=False, lost=True, reason="not connected"))
            return receipt
        if len(payload) + len(topic.encode()) > self.largest:
            receipt.set_result(Receipt(taken=False, reason="Packet too large"))
            return receipt
        info = self._client.publish(topic, payload, qos)
        if info.rc != MQTTErrorCode.MQTT_ERR_SUCCESS:
            receipt.set_result(Receipt(taken=False, lost=True, reason="too many messages are unconfirmed"))
            return receipt
        self._receipts[info.mid] = receipt
        self._client.on_publish = self._on_publish  # only while it is needed: it makes QoS 0 slow
        return receipt

    def subscribe(self, wanted: Mapping[str, Subscription]) -> None:
        """Ask for these topic filters. Those that the broker refuses are told to `on_refused_filter`."""
        if not wanted:
            return
        if self._client.protocol == MQTTProtocolVersion.MQTTv5:
            keeps = {True: SubscribeOptions.RETAIN_SEND_ON_SUBSCRIBE, False: SubscribeOptions.RETAIN_DO_NOT_SEND}
            options = [
                (name, SubscribeOptions(qos=one.qos, noLocal=True, retainHandling=keeps[one.retained]))
                for name, one in wanted.items()
            ]
            _, mid = self._client.subscribe(options)
        else:
            _, mid = self._client.subscribe([(name, one.qos) for name, one in wanted.items()])
        self._subscribing[mid] = list(wanted)

    def unsubscribe(self, filters: Iterable[str]) -> None:
        """Ask for nothing more from these."""
        if names := list(filters):
            self._client.unsubscribe(names)

    async def close(self) -> None:
        """Say good-bye behind what is on its way, and end."""
        if self.alive:
            self._client.disconnect()
            await asyncio.wait([self.ended], timeout=_CLOSE_S)
        self.drop("closed")

    def drop(self, reason: str) -> None:
        """End at once."""
        if self._tick is not None:
            self._tick.cancel()
        self._unhook()
        self._socket.close()
        if not self.opened.done():
            self.opened.cancel()
        if not self.ended.done():
            self.ended.set_result(reason)
        for receipt in self._receipts.values():
            if not receipt.done():
                receipt.set_result(Receipt(taken=False, lost=True, reason=reason))
        self._receipts.clear()

    def _make_client(self, version: MQTTProtocolVersion, client_id: str) -> PahoClient:
        client = make_client(self._broker, version, client_id, self._socket)
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_message = self._on_message
        client.on_subscribe = self._on_subscribe
        client.on_socket_open = self._on_socket_open
        client.on_socket_close = self._on_socket_close
        client.on_socket_register_write = self._on_register_write
        client.on_socket_unregister_write = self._on_unregister_write
        return client

    # What paho tells us

    def _on_connect(self, client: Any, userdata: Any, flags: ConnectFlags, reason: ReasonCode, properties: Any) -> None:
        if self.opened.done():
            return
        if not reason.is_failure:
            # What the broker bounds (MQTT 5); it hangs up on those who do not keep to it.
            self._client.bound_in_flight(getattr(properties, "ReceiveMaximum", None))
            self.largest = getattr(properties, "MaximumPacketSize", _LARGEST_PACKET) - _OVERHEAD
            self.opened.set_result(None)
            return
        self.opened.set_exception(refusal(reason.getName(), self._broker))

    def _on_disconnect(
        self, client: Any, userdata: Any, flags: DisconnectFlags, reason: ReasonCode, properties: Any
    ) -> None:
        why = end(reason.getName(), self._broker, said_by_broker=flags.is_disconnect_packet_from_server)
        if not self.opened.done():
            self.opened.set_exception(Unavailable(silence(self._broker)))
        self._loop.call_soon(self.drop, why)

    def _on_message(self, client: Client, userdata: Any, raw: MQTTMessage) -> None:
        self._handled += 1
        try:
            message = Message(raw.topic, bytes(raw.payload), raw.qos, bool(raw.retain))
        except UnicodeDecodeError:
            taken = True  # a topic that is no text is nothing that anybody could have asked for
        else:
            taken = self._take(message)
        if taken and raw.qos:
            client.ack(raw.mid, raw.qos)

    def _on_publish(self, client: Client, userdata: Any, mid: int, reason: ReasonCode, properties: Any) -> None:
        self._handled += 1
        receipt = self._receipts.pop(mid, None)
        if not self._receipts:
            client.on_publish = None
        if receipt is not None and not receipt.done():
            name = reason.getName()
            receipt.set_result(
                Receipt(taken=not reason.is_failure, subscribed=name != "No matching subscribers", reason=name)
            )

    def _on_subscribe(self, client: Any, userdata: Any, mid: int, reasons: list[ReasonCode], properties: Any) -> None:
        for name, reason in zip(self._subscribing.pop(mid, ()), reasons, strict=False):
            if reason.is_failure:
                self.on_refused_filter(name)

    # The loop's side

    def _on_socket_open(self, client: Any, userdata: Any, opened_socket: Any) -> None:
        self._loop.add_reader(self._socket, self._readable)

    def _on_socket_close(self, client: Any, userdata: Any, closing: Any) -> None:
        self._unhook()

    def _unhook(self) -> None:
        if self._socket.fileno() >= 0:
            self._loop.remove_reader(self._socket)
            self._loop.remove_writer(self._socket)

    def _readable(self) -> None:
        client = self._client
        for _ in range(_READS):
            before = self._handled
            client.loop_read()
            if self._socket.fileno() < 0:
                return
            if self._handled == before:
                break
        # What TLS has already taken off the wire, the loop will not tell us of.
        if isinstance(self._socket, ssl.SSLSocket) and self._socket.pending():
            self._loop.call_soon(self._readable_again)

    def _readable_again(self) -> None:
        if self._socket.fileno() >= 0 and not self.ended.done():
            self._readable()

    def _on_register_write(self, client: Any, userdata: Any, opened_socket: Any) -> None:
        if not self._flushing:
            self._flushing = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._flushing = False
        self._client.loop_write()
        if self._client.want_write() and self._socket.fileno() >= 0:
            self._loop.add_writer(self._socket, self._client.loop_write)

    def _on_unregister_write(self, client: Any, userdata: Any, opened_socket: Any) -> None:
        if self._socket.fileno() >= 0:
            self._loop.remove_writer(self._socket)
        self._unsent = 0
        if self._congested:
            self._congested = False
            self._loop.call_soon(self._on_drained)

    def _on_tick(self) -> None:
        """paho looks after its pings when it is called; it does so by itself only in a thread of its own."""
        self._client.loop_misc()
        if not self.ended.done():
            self._tick = self._loop.call_later(max(0.2, self._broker.keepalive_s / 5), self._on_tick)
