"""A socket that asyncio has opened, and paho's client on top of it."""

from __future__ import annotations

import asyncio
import socket
import ssl
from typing import TYPE_CHECKING, Any

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from emonhub import Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    from emonhub.interfacers.core.mqtt.broker import Broker


_MAX_WAITING = 1000
"""Messages with QoS 1 or 2 that may be unconfirmed at once; more would be memory without bound."""

_MAX_PACKET = 1 << 24
"""Bytes of a message that a broker of MQTT 5 may send us."""


class PahoClient(Client):
    """paho's client, given its socket instead of opening one, which would hold up everything else."""

    ready_socket: socket.socket

    def bound_in_flight(self, most: int | None) -> None:
        """Keep to what a broker takes at once, which it says only when the connection stands."""
        if most is not None:
            self._max_inflight_messages = min(self._max_inflight_messages, most)

    def _create_socket(self) -> socket.socket:
        return self.ready_socket


def make_client(broker: Broker, version: MQTTProtocolVersion, client_id: str, opened: socket.socket) -> PahoClient:
    """A client that will greet the broker on this socket when `reconnect` is called."""
    is_5 = version == MQTTProtocolVersion.MQTTv5
    client = PahoClient(
        CallbackAPIVersion.VERSION2,
        client_id=client_id,
        clean_session=None if is_5 else not broker.session_s,
        protocol=version,
        reconnect_on_failure=False,
        manual_ack=True,
    )
    client.ready_socket = opened
    client.max_queued_messages_set(_MAX_WAITING)
    if broker.user:
        client.username_pw_set(broker.user, broker.password or None)
    if broker.status_topic:
        client.will_set(broker.status_topic, "offline", qos=1, retain=True)
    if not is_5:
        client.connect_async(broker.host, broker.port, broker.keepalive_s)
        return client
    properties: Any = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
    properties.MaximumPacketSize = _MAX_PACKET
    if broker.session_s:
        properties.SessionExpiryInterval = broker.session_s
    client.connect_async(
        broker.host, broker.port, broker.keepalive_s, clean_start=not broker.session_s, properties=properties
    )
    return client


async def open_socket(broker: Broker) -> socket.socket:
    """A connected socket, its TLS handshake done. Raises Unavailable, in words for the user."""
    context = broker.tls.context() if broker.tls is not None else None
    where = f"{broker.host}:{broker.port}"
    try:
        plain = await _connect(broker.host, broker.port)
    except socket.gaierror as error:
        raise Unavailable(f"the host name {broker.host} is not known ({error.strerror})") from error
    except ConnectionRefusedError as error:
        raise Unavailable(f"no broker answers at {where}") from error
    except OSError as error:
        raise Unavailable(f"can't connect to {where}: {error.strerror or error}") from error
    if context is None or broker.tls is None:
        return plain
    return await _secure(plain, context, broker.tls.server_name or broker.host, where)


async def _connect(host: str, port: int) -> socket.socket:
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    for index, (family, kind, protocol, _, address) in enumerate(found):
        made = socket.socket(family, kind, protocol)
        try:
            made.setblocking(False)
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await loop.sock_connect(made, address)
        except OSError:
            made.close()
            if index + 1 == len(found):
                raise
        except BaseException:
            made.close()
            raise
        else:
            return made
    raise OSError("the name has no address")


async def _secure(plain: socket.socket, context: ssl.SSLContext, name: str, where: str) -> ssl.SSLSocket:
    try:
        secured = context.wrap_socket(plain, server_hostname=name, do_handshake_on_connect=False)
    except (ssl.SSLError, ValueError) as error:
        plain.close()
        raise Unavailable(f"TLS with {where} can't start: {error}") from error
    try:
        await _handshake(secured)
    except ssl.SSLCertVerificationError as error:
        secured.close()
        raise Unavailable(f"the certificate of {where} is refused: {error.verify_message}") from error
    except (ssl.SSLError, OSError) as error:
        secured.close()
        why = error.reason if isinstance(error, ssl.SSLError) and error.reason else error
        raise Unavailable(f"TLS with {where} fails ({why}): is it a port for TLS?") from error
    except BaseException:
        secured.close()
        raise
    return secured


async def _handshake(secured: ssl.SSLSocket) -> None:
    loop = asyncio.get_running_loop()
    while True:
        try:
            secured.do_handshake()
        except ssl.SSLWantReadError:
            await _until_ready(secured, loop.add_reader, loop.remove_reader)
        except ssl.SSLWantWriteError:
            await _until_ready(secured, loop.add_writer, loop.remove_writer)
        else:
            return


async def _until_ready(secured: ssl.SSLSocket, add: Callable[..., Any], remove: Callable[..., Any]) -> None:
    ready = asyncio.Event()
    add(secured, ready.set)
    try:
        await ready.wait()
    finally:
        remove(secured)
