"""A real mosquitto on a free port, that a test may stop, kill, freeze and restart; and a plain client to look with."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import pytest
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

STARTS_WITHIN_S = 10.0


def mosquitto_binary() -> str:
    """Where mosquitto is; skips the test where it is not."""
    found = shutil.which("mosquitto", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
    return found or pytest.skip("mosquitto is not installed")


def free_port() -> int:
    """A port that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Mosquitto:
    """`options` are lines of its configuration; `persistence` keeps sessions and queues over a restart."""

    def __init__(
        self, folder: Path, options: Iterable[str] = ("allow_anonymous true",), *, persistence: bool = False
    ) -> None:
        self.port = free_port()
        self._folder = folder
        self._options = list(options)
        self._persistence = persistence
        self._process: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._process is not None:
            self.thaw()
            await self.kill()

    async def start(self) -> None:
        """Start it, and wait until it accepts connections."""
        lines = [f"listener {self.port} 127.0.0.1", "user root" if os.geteuid() == 0 else "", *self._options]
        if self._persistence:
            # Written on a clean stop; on_changes makes it survive kill -9 as well.
            lines += ["persistence true", f"persistence_location {self._folder}/", "autosave_on_changes true"]
            lines += ["autosave_interval 1"]
        config = self._folder / "mosquitto.conf"
        config.write_text("\n".join(lines) + "\n")
        self._process = await asyncio.create_subprocess_exec(
            mosquitto_binary(), "-c", str(config), stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
        )
        async with asyncio.timeout(STARTS_WITHIN_S):
            while not await self._accepts():
                if self._process.returncode is not None:
                    raise RuntimeError(f"mosquitto ended with {self._process.returncode}: {config.read_text()}")
                await asyncio.sleep(0.01)

    async def _accepts(self) -> bool:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", self.port)
        except OSError:
            return False
        writer.close()
        return True

    async def stop(self) -> None:
        """Stop it as systemd does."""
        await self._end(signal.SIGTERM)

    async def kill(self) -> None:
        """kill -9."""
        await self._end(signal.SIGKILL)

    def freeze(self) -> None:
        """It goes on holding its connections and answers nothing any more."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """It goes on where it was."""
        assert self._process is not None
        if self._process.returncode is None:
            self._process.send_signal(signal.SIGCONT)

    async def _end(self, with_signal: signal.Signals) -> None:
        assert self._process is not None
        if self._process.returncode is None:
            self._process.send_signal(with_signal)
            await self._process.wait()
        self._process = None


@dataclass(frozen=True, slots=True)
class Heard:
    """A message, and when it came on the loop's clock."""

    topic: str
    payload: bytes
    retain: bool
    at: float

    @property
    def text(self) -> str:
        return self.payload.decode()


class Listener:
    """A client of its own, in a thread of its own, that shares nothing with the code under test."""

    def __init__(self, port: int, *filters: str, qos: int = 2, client_id: str = "", **auth: Any) -> None:
        self.heard: list[Heard] = []
        self._port = port
        self._filters = [(name, qos) for name in filters]
        self._loop = asyncio.get_running_loop()
        self._changed = asyncio.Event()
        self._subscribed = threading.Event()
        self._client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=client_id,
            clean_session=not client_id,
            protocol=MQTTProtocolVersion.MQTTv311,
        )
        if auth:
            self._client.username_pw_set(auth["user"], auth["password"])
        self._client.reconnect_delay_set(1, 1)
        self._client.on_connect = self._on_connect
        self._client.on_message = self._on_message
        self._client.on_subscribe = lambda *_: self._subscribed.set()

    async def __aenter__(self) -> Self:
        self._client.connect_async("127.0.0.1", self._port)
        self._client.loop_start()
        await self.until_subscribed()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._client.disconnect()
        await asyncio.to_thread(self._client.loop_stop)

    async def until_subscribed(self) -> None:
        """Wait until it is connected and hears what it wants to."""
        assert await asyncio.to_thread(self._subscribed.wait, STARTS_WITHIN_S)

    def publish(self, topic: str, payload: str | bytes, qos: int = 1, *, retain: bool = False) -> Any:
        """Send a message; the answer has wait_for_publish."""
        return self._client.publish(topic, payload, qos, retain)

    async def published(self, topic: str, payload: str | bytes, qos: int = 1, *, retain: bool = False) -> None:
        """Send a message and wait until the broker has it."""
        info = self.publish(topic, payload, qos, retain=retain)
        await asyncio.to_thread(info.wait_for_publish, STARTS_WITHIN_S)

    def on(self, topic: str) -> list[str]:
        """The payloads heard on a topic so far."""
        return [heard.text for heard in self.heard if heard.topic == topic]

    def on_bytes(self, topic: str) -> list[bytes]:
        """The same as bytes."""
        return [heard.payload for heard in self.heard if heard.topic == topic]

    async def until(self, condition: Callable[[], object], timeout_s: float = 20.0) -> None:
        """Wait until `condition` holds, looking when something is heard."""
        async with asyncio.timeout(timeout_s):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

    def _on_connect(self, client: Client, *_: Any) -> None:
        self._subscribed.clear()
        if self._filters:
            client.subscribe(self._filters)
        else:
            self._subscribed.set()

    def _on_message(self, client: Client, userdata: Any, message: Any) -> None:
        self._loop.call_soon_threadsafe(self._note, message.topic, message.payload, bool(message.retain))

    def _note(self, topic: str, payload: bytes, retain: bool) -> None:
        self.heard.append(Heard(topic, payload, retain, self._loop.time()))
        self._changed.set()
