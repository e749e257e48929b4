"""TCP: lines of text from anything that can open a connection, many at once."""

from __future__ import annotations

import asyncio
import socket

from emonhub import Unavailable, integer, matching, setting, text
from emonhub.interfacers.core.lineframes import KEY_LENGTH, LineInterfacer
from emonhub.interfacers.core.lines import LineSplitter

_CHUNK = 1 << 16
_MAX_CLIENTS = 500
"""Connections at once. A process may have 1024 files open, and the hub needs some for itself."""
_KEEPALIVE_S = 120
"""A client that was switched off without a word gives its place back after about twice this time."""


class EmonHubSocketInterfacer(LineInterfacer):
    """Listens for lines such as `10 97 0 1530`: the node id, then the values, with blanks between.

    A line may start with its time (`timestamped`), have the node to send to behind the node id (`targeted`), and must
    have the key among its fields when `apikey` is set. A client may send one line or many, and may stay connected; the
    last line needs no newline when the client ends the connection in good order.
    """

    port_nb = setting(integer(0, 65535), 50011, "TCP port; 0 = any that is free", init=True)
    bind = setting(
        text(),
        "",
        "address to listen on, * = all; empty = all addresses when an apikey is set, else only 127.0.0.1",
        init=True,
    )
    apikey = setting(
        matching(rf"|\S{{{KEY_LENGTH}}}|[xX]{{4}}.*", "32 characters, or empty for none"),
        "",
        "key that every line must carry",
        secret=True,
    )

    _server: asyncio.Server | None = None

    @property
    def host(self) -> str | None:
        """The address that it listens on; None for all."""
        if self.bind:
            return None if self.bind == "*" else self.bind
        return None if self._key else "127.0.0.1"

    @property
    def _key(self) -> bytes:
        return b"" if self.apikey.lower().startswith("xxxx") else self.apikey.encode()

    @property
    def port(self) -> int:
        """The port that it listens on; the true one once it does."""
        if self._server is not None and self._server.sockets:
            return int(self._server.sockets[0].getsockname()[1])
        return self.port_nb

    def endpoint(self) -> str:
        who = "all addresses" if self.host is None else self.host
        why = "" if self.bind or self._key else " (no apikey: this machine only)"
        return f"TCP port {self.port} on {who}{why}"

    async def open(self) -> None:
        self._clients: set[asyncio.Task[None]] = set()
        self._moved = asyncio.Event()
        self._server = await self.world.start_server(self._serve, self.host, self.port_nb)
        self._listening_on = self.host
        if self.host in {None, "0.0.0.0", "::"} and not self._key:
            self.log.warning("Listening on all addresses without an apikey: anyone in the network can send values")

    async def run(self) -> None:
        await self._moved.wait()
        raise Unavailable("its address has changed", retry_s=0.0)

    def settings_changed(self, changed: set[str]) -> None:
        if self.host != self._listening_on:
            self._moved.set()

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
            for client in list(self._clients):
                client.cancel()
            await asyncio.gather(*self._clients, return_exceptions=True)
            await self._server.wait_closed()
            self._server = None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        peer = writer.get_extra_info("peername") or ("?",)
        if len(self._clients) >= _MAX_CLIENTS:
            self.log.warning(
                "Refused a connection: %d clients are connected",
                len(self._clients),
                extra={"repeats": "full"},
            )
            writer.close()
            return
        self._clients.add(task)
        try:
            _keep_alive(writer.get_extra_info("socket"))
            await self._listen_to(reader)
        except OSError as error:  # reset by the client, or the client was switched off
            self.log.debug("Client %s: %s", peer[0], error)
        except asyncio.CancelledError:
            self.log.debug("Client %s: connection closed by the hub", peer[0])
        finally:
            self._clients.discard(task)
            writer.close()

    async def _listen_to(self, reader: asyncio.StreamReader) -> None:
        splitter = LineSplitter()
        while data := await reader.read(_CHUNK):
            lines = splitter.feed(data)
            if splitter.overlong:
                self.discard(splitter.overlong)
                splitter.overlong = None
            if lines:
                self.decoders.refresh()
                self.publish(self.parse(lines, self.world.time()))
        if rest := splitter.rest():
            self.decoders.refresh()
            self.publish(self.parse([rest], self.world.time()))


def _keep_alive(connection: socket.socket | None) -> None:
    if connection is None:
        return
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (("TCP_KEEPIDLE", _KEEPALIVE_S), ("TCP_KEEPINTVL", _KEEPALIVE_S // 4), ("TCP_KEEPCNT", 4)):
        if hasattr(socket, name):
            connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
