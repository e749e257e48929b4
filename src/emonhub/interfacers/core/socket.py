"""TCP: lines of text from anything that can open a connection, many at once."""

from __future__ import annotations

import asyncio
import hmac
import socket
from typing import TYPE_CHECKING

from emonhub import Cargo, FrameError, Interfacer, NodeId, Unavailable, integer, matching, setting, text
from emonhub.interfacers.core.lines import LineSplitter

if TYPE_CHECKING:
    from collections.abc import Iterable

_CHUNK = 1 << 16
_MAX_CLIENTS = 500
"""Connections at once. A process may have 1024 files open, and the hub needs some for itself."""
_KEY_LENGTH = 32
_KEEPALIVE_S = 120
"""A client that was switched off without a word gives its place back after about twice this time."""


class EmonHubSocketInterfacer(Interfacer):
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
        matching(rf"|\S{{{_KEY_LENGTH}}}|[xX]{{4}}.*", "32 characters, or empty for none"),
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
        elif any(len(field) == _KEY_LENGTH for field in line.split()):
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


def _keep_alive(connection: socket.socket | None) -> None:
    if connection is None:
        return
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (("TCP_KEEPIDLE", _KEEPALIVE_S), ("TCP_KEEPINTVL", _KEEPALIVE_S // 4), ("TCP_KEEPCNT", 4)):
        if hasattr(socket, name):
            connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
