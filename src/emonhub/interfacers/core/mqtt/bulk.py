"""MQTT, bulk: every reading is owed until the broker has confirmed it."""

from __future__ import annotations

import asyncio
import json
from abc import abstractmethod
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

from emonhub import (
    Batch,
    Delivered,
    DeliveredUpTo,
    Encoder,
    FrameError,
    Layout,
    Outcome,
    Rejected,
    Reporter,
    RetryAfter,
    SettingError,
    choice,
    integer,
    number,
    setting,
    switch,
    text,
)
from emonhub.interfacers.core.mqtt import hubform
from emonhub.interfacers.core.mqtt.base import MqttInterfacer
from emonhub.interfacers.core.mqtt.topics import level

if TYPE_CHECKING:
    from emonhub import Cargo
    from emonhub.interfacers.core.mqtt.messages import Receipt

_UNCONFIRMED = 20
"""Messages on their way at once: as many as brokers take of one client by default."""

_LARGEST = 1 << 20
"""Bytes of a message at most, whatever the broker would take: it has to go out within the time for its confirmation."""

_OF_THE_MESSAGE = frozenset({"Packet too large", "Payload format invalid", "Topic name invalid"})
"""Refusals that are the message's own fault. All others are the broker's, and may pass."""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One message, and how many of the batch's readings are in it."""

    topic: str
    payload: bytes | str
    frames: int = 1


class MqttReporter(MqttInterfacer, Reporter):
    """Sends batches as confirmed messages, in order and no faster than the other side can take them.

    A subclass says how a reading is written (`encoder`), and which messages a batch makes (`messages`). What is sent
    again is sent as the same bytes.
    """

    interval = Reporter.interval.but(0.0)
    retry_max = Reporter.retry_max.but(30.0)
    qos = setting(integer(1, 2), 1, "quality of service: 1 = confirmed, 2 = confirmed in two steps")
    max_rate = setting(
        number(0),
        20.0,
        "messages a second at most, so that a backlog overflows no queue behind the broker; 0 = no limit",
    )
    timeout = setting(number(0.05), 30.0, "longest wait for the broker to confirm a message", unit="s")
    needs_subscriber = setting(
        switch(),
        True,
        "1 = what the broker has confirmed and nobody is subscribed to is kept and sent again (with MQTT 5 and qos 1)",
    )

    _next_slot = 0.0

    @abstractmethod
    def messages(self, batch: Batch) -> list[Outgoing]:
        """The messages that deliver a batch, its readings in order."""

    async def deliver(self, batch: Batch) -> Outcome:
        connection = self.connection
        assert connection is not None
        await connection.tried.wait()
        if not connection.connected:
            return RetryAfter(connection.trouble)
        messages = self.messages(batch)
        receipts: list[asyncio.Future[Receipt]] = []
        try:
            for index, message in enumerate(messages):
                await self._pace()
                if index >= _UNCONFIRMED:
                    await self._confirmed(receipts[index - _UNCONFIRMED])
                if any(receipt.done() and not self._is_good(receipt.result()) for receipt in receipts[-_UNCONFIRMED:]):
                    break
                receipts.append(self.put_confirmed(message.topic, message.payload, self.qos))
            for receipt in receipts:
                await self._confirmed(receipt)
        except TimeoutError:
            connection.give_up(f"no confirmation within {self.timeout:g} s")
        return self._judge(messages, [receipt.result() for receipt in receipts if receipt.done()], batch)

    def on_ready(self) -> None:
        super().on_ready()
        self.hurry()

    async def _confirmed(self, receipt: asyncio.Future[Receipt]) -> None:
        async with asyncio.timeout(self.timeout):
            await receipt

    async def _pace(self) -> None:
        now = self.world.monotonic()
        if self.max_rate:
            if self._next_slot > now:
                await self.world.sleep(self._next_slot - now)
            self._next_slot = max(now, self._next_slot) + 1 / self.max_rate

    def _is_good(self, receipt: Receipt) -> bool:
        return receipt.taken and (receipt.subscribed or not self.needs_subscriber)

    def _judge(self, messages: list[Outgoing], receipts: list[Receipt], batch: Batch) -> Outcome:
        frames = 0
        for message, receipt in zip(messages, receipts, strict=False):
            if self._is_good(receipt):
                frames += message.frames
            elif frames:
                return DeliveredUpTo(frames)
            elif receipt.taken:
                return RetryAfter(f"nobody is subscribed to {message.topic} (is what should take it running?)")
            elif receipt.lost:
                return RetryAfter(receipt.reason)
            elif receipt.reason in _OF_THE_MESSAGE:
                return Rejected(f"{receipt.reason} ({message.topic})")
            else:
                why = "see its access rules" if receipt.reason == "Not authorized" else "it may pass"
                return RetryAfter(f"the broker refuses a message on {message.topic}: {receipt.reason}; {why}")
        return Delivered() if frames == len(batch.records) else DeliveredUpTo(frames)


class EmonHubMqttReporter(MqttReporter):
    """Sends readings from hub to hub, many in a message, or as a JSON object with its time for each.

    `form = hub` keeps all that a reading has, and is read by EmonHubMqttSubscriberInterfacer. `form = json` publishes
    `{"time": 1669888253.994, "P1": 100, "rssi": -44}` on the basetopic with the node's name behind it.
    """

    form = setting(choice("hub", "json"), "hub", "hub = many readings a message; json = an object for each")
    topic = setting(text(), "emonhub/bulk", "topic of form hub")
    basetopic = setting(text(), "emon/", "what the topics of form json start with")
    compress = setting(switch(), True, "1 = compress messages of form hub")

    def check(self) -> None:
        super().check()
        for name in ("topic", "basetopic"):
            if set(getattr(self, name)) & set("+#"):
                raise SettingError(f"{name} can't have + or # in it: they are wildcards")

    def encoder(self, layout: Layout) -> Encoder:
        return hubform.encoder(layout) if self.form == "hub" else self.json_encoder(layout)

    def messages(self, batch: Batch) -> list[Outgoing]:
        found: list[Outgoing] = []
        # What was buffered under another `form` goes out as it was written: only objects have a tab in them.
        for is_object, run in groupby(zip(batch.times, batch.records, strict=True), lambda frame: "\t" in frame[1]):
            frames = list(run)
            if is_object:
                found += [self._object(time, record) for time, record in frames]
            else:
                found += self._packed(frames)
        return found

    def _packed(self, frames: list[tuple[float, str]]) -> list[Outgoing]:
        """These readings in as few messages as the broker takes."""
        message = hubform.pack(frames, compress=self.compress)
        largest = min(_LARGEST, self.connection.largest if self.connection is not None else _LARGEST)
        half = len(frames) // 2
        if half and len(message) + len(self.topic.encode()) > largest:
            return self._packed(frames[:half]) + self._packed(frames[half:])
        return [Outgoing(self.topic, message, len(frames))]

    def json_encoder(self, layout: Layout) -> Encoder:
        """Writes a reading as its node and a tab, and the inside of its JSON object but for the time."""
        node = level(layout.label)
        keys: list[str] = []

        def write(cargo: Cargo) -> str:
            values = cargo.values
            if len(keys) < len(values):
                keys[:] = [json.dumps(_key(layout.name_of(i))) for i in range(len(values))]
            pairs = [f"{key}: {value}" for key, value in zip(keys, values, strict=False) if value is not None]
            if not pairs:
                raise FrameError("no value", "no value in the frame is a number")
            if cargo.rssi:
                pairs.append(f'"rssi": {cargo.rssi}')
            return f"{node}\t{', '.join(pairs)}"

        return write

    def _object(self, time: float, record: str) -> Outgoing:
        node, _, inside = record.partition("\t")
        return Outgoing(f"{self.basetopic}{node}", f'{{"time": {round(time, 3)}, {inside}}}')


def _key(name: str) -> str:
    """A value's own name, unless it would be read as the time of the reading."""
    return f"{name}_" if name.lower() == "time" else name
