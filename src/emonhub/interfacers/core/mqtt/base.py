"""The generic half of everything that speaks MQTT. Knows nothing of any service.

A subclass says what it wants to hear in `subscriptions`, takes it in `on_message`, and sends with `put` (now or
never) or `put_confirmed`. Opening, reopening, TLS, and sharing one connection with others are done here:

    class Doorbell(MqttInterfacer):
        topic = setting(text(), "doorbell/#", "what it listens to")

        @property
        def subscriptions(self):
            return {self.topic: Subscription(qos=1)}

        def on_message(self, message):
            rings = int(message.payload)
            self.publish([Cargo(LAYOUT, (rings,), self.world.time())])
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from emonhub import FrameError, Interfacer, SettingError, choice, integer, number, setting, switch, text
from emonhub.interfacers.core.mqtt.broker import Broker, Tls
from emonhub.interfacers.core.mqtt.connection import Connection, connection_to

if TYPE_CHECKING:
    from collections.abc import Mapping

    from emonhub.interfacers.core.mqtt.messages import Message, Receipt, Subscription

MAX_PAYLOAD = 1 << 22
"""Bytes of a message that are looked at. Nothing that a meter has to say is longer."""


class MqttInterfacer(Interfacer):
    """Uses a connection to a broker, which interfacers with equal connection settings share.

    trouble  why it is not connected, for people; empty while it is
    """

    mqtt_host = setting(text(), "127.0.0.1", "the broker's host name or address", init=True)
    mqtt_port = setting(integer(1, 65535), 1883, "the broker's port", init=True)
    mqtt_user = setting(text(), "", "user name, where the broker wants one", init=True)
    mqtt_passwd = setting(text(), "", "password, where the broker wants one", init=True, secret=True)
    mqtt_version = setting(
        choice("auto", "5", "3.1.1"), "auto", "version of MQTT; auto = 5 unless the broker does not know it", init=True
    )
    mqtt_client_id = setting(text(), "", "client id; empty = made up", init=True)
    mqtt_keepalive = setting(
        integer(1, 65535), 15, "seconds without a sign of life after which the broker is asked for one", init=True
    )
    mqtt_reconnect_max = setting(
        number(0.1),
        30.0,
        "longest wait between attempts to connect; a broker on this machine is tried every second",
        init=True,
        unit="s",
    )
    mqtt_tls_enabled = setting(switch(), False, "1 = encrypt the connection (mostly on port 8883)", init=True)
    mqtt_tls_ca_certs = setting(
        text(), "", "file with the CA certificates that may vouch for the broker; empty = the system's", init=True
    )
    mqtt_tls_certfile = setting(text(), "", "file with our own certificate, for brokers that ask for one", init=True)
    mqtt_tls_keyfile = setting(text(), "", "file with its key, unless that is in the same file", init=True)
    mqtt_tls_server_name = setting(
        text(), "", "name in the broker's certificate, where that is not mqtt_host", init=True
    )
    mqtt_tls_insecure = setting(
        switch(), False, "1 = don't check the name in the broker's certificate; needs mqtt_tls_ca_certs", init=True
    )

    trouble = ""
    connection: Connection | None = None

    # For subclasses to fill in

    @property
    def subscriptions(self) -> Mapping[str, Subscription]:
        """The topic filters that it wants to hear, and how."""
        return {}

    def on_message(self, message: Message) -> None:
        """Take a message. It is confirmed to the broker when this returns, and comes again if it raises."""

    def on_ready(self) -> None:
        """Messages go through now: it is connected, or the broker keeps up again."""
        if self.trouble:
            self.trouble = ""
            self.log.info("Connected to the broker at %s", self.broker)

    def on_trouble(self, reason: str) -> None:
        """It is not connected, and why; called again when the reason is another one."""
        self.trouble = reason
        self.log.warning("Waiting for the broker: %s", reason)

    def make_broker(self) -> Broker:
        """The connection that it wants, from the settings."""
        tls = None
        if self.mqtt_tls_enabled:
            tls = Tls(
                self.mqtt_tls_ca_certs,
                self.mqtt_tls_certfile,
                self.mqtt_tls_keyfile,
                self.mqtt_tls_server_name,
                self.mqtt_tls_insecure,
            )
        return Broker(
            self.mqtt_host.strip(),
            self.mqtt_port,
            self.mqtt_user.strip(),
            self.mqtt_passwd.strip(),
            self.mqtt_version,
            self.mqtt_client_id,
            keepalive_s=self.mqtt_keepalive,
            tls=tls,
            longest_wait_s=self.mqtt_reconnect_max,
        )

    # For subclasses to use

    def put(self, topic: str, payload: bytes | str, qos: int = 0, *, retain: bool = False) -> bool:
        """Send now or never. False when that can't be: not connected, or the broker does not keep up."""
        return self.connection is not None and self.connection.publish(topic, payload, qos, retain=retain)

    def put_confirmed(self, topic: str, payload: bytes | str, qos: int = 1) -> asyncio.Future[Receipt]:
        """Send with QoS 1 or 2; awaiting the answer says what became of it, and takes as long as the broker does."""
        assert self.connection is not None
        return self.connection.confirm(topic, payload, qos)

    def refuse_overlong(self, message: Message) -> bool:
        """Whether a message is too long to be looked at; counts and logs it if so."""
        if len(message.payload) <= MAX_PAYLOAD:
            return False
        self.discard(FrameError("too long", f"{len(message.payload)} bytes on {message.topic[:80]}"))
        return True

    # How it is done

    @property
    def broker(self) -> Broker:
        """The connection that it has or wants."""
        return self.connection.broker if self.connection is not None else self.make_broker()

    def check(self) -> None:
        super().check()
        if not self.mqtt_host.strip():
            raise SettingError("mqtt_host must be the name or address of a broker")
        broker = self.make_broker()
        if broker.tls is not None:
            broker.tls.check()

    def endpoint(self) -> str:
        return f"MQTT broker at {self.broker}"

    async def open(self) -> None:
        self._failure: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        broker = self.make_broker()
        if broker.tls is None and not broker.is_local:
            if self.mqtt_tls_ca_certs or self.mqtt_tls_certfile:
                self.log.warning("TLS files are given, and mqtt_tls_enabled is 0: nothing is encrypted")
            elif broker.password:
                self.log.warning("The password goes to %s unencrypted: see mqtt_tls_enabled", broker)
        self.connection = connection_to(broker, self.world)
        self.connection.attach(self)

    async def run(self) -> None:
        await self._failure

    async def close(self) -> None:
        connection, self.connection = self.connection, None
        if connection is not None:
            await connection.detach(self)

    def on_failure(self, error: Exception) -> None:
        """Let the supervisor know what failed while nobody was waiting for it."""
        if not self._failure.done():
            self._failure.set_exception(error)

    def on_refused_filter(self, name: str) -> None:
        """The broker does not let us hear this."""
        self.log.error("The broker refuses to let %r hear %s: see its access rules", self.mqtt_user, name)
