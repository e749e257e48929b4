from __future__ import annotations

import asyncio
import logging
import random
import socket
import struct
from typing import Any

import pytest

from emonhub.errors import SettingError
from emonhub.interfacers.core import socket as module
from emonhub.interfacers.core.socket import EmonHubSocketInterfacer
from emonhub.nodes.definition import Codec, NodeDefinition
from emonhub.nodes.table import Nodes
from emonhub.settings import declared
from tests.interfacers.harness import QuickWorld, Running, running, until

KEY = "0123456789abcdef0123456789abcdef"


def listener(nodes: Nodes | None = None, **settings: Any) -> EmonHubSocketInterfacer:
    values = {"port_nb": 0, "bind": "127.0.0.1", "pubchannels": ("out",), **settings}
    return EmonHubSocketInterfacer("Socket", values, world=QuickWorld(), nodes=nodes)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


async def connect(hub: Running) -> asyncio.StreamWriter:
    assert isinstance(hub.interfacer, EmonHubSocketInterfacer)
    _, writer = await asyncio.open_connection("127.0.0.1", hub.interfacer.port)
    return writer


async def say(hub: Running, data: bytes) -> None:
    """Connect, send, close: what most users' scripts do."""
    writer = await connect(hub)
    writer.write(data)
    await close(writer)


async def close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    await writer.wait_closed()


class TestAddress:
    @pytest.mark.parametrize(
        ("settings", "host", "says"),
        [
            ({}, "127.0.0.1", "TCP port 50011 on 127.0.0.1 (no apikey: this machine only)"),
            ({"apikey": "x" * 32}, "127.0.0.1", "TCP port 50011 on 127.0.0.1 (no apikey: this machine only)"),
            ({"apikey": KEY}, None, "TCP port 50011 on all addresses"),
            ({"bind": "192.168.1.5"}, "192.168.1.5", "TCP port 50011 on 192.168.1.5"),
            ({"bind": "127.0.0.1", "apikey": KEY}, "127.0.0.1", "TCP port 50011 on 127.0.0.1"),
            ({"bind": "0.0.0.0"}, "0.0.0.0", "TCP port 50011 on 0.0.0.0"),
            ({"bind": "::"}, "::", "TCP port 50011 on ::"),
            ({"bind": "*"}, None, "TCP port 50011 on all addresses"),
            ({"port_nb": 8080}, "127.0.0.1", "TCP port 8080 on 127.0.0.1 (no apikey: this machine only)"),
        ],
    )
    def test_an_explicit_bind_wins_else_the_key_decides(
        self, settings: dict[str, Any], host: str | None, says: str
    ) -> None:
        interfacer = EmonHubSocketInterfacer("Socket", settings)
        assert (interfacer.host, interfacer.endpoint()) == (host, says)

    @pytest.mark.parametrize("settings", [{"bind": "*"}, {"bind": "0.0.0.0"}, {"bind": "::"}])
    async def test_an_open_door_is_told(self, settings: dict[str, Any], caplog: pytest.LogCaptureFixture) -> None:
        async with running(listener(**settings)):
            assert "anyone in the network can send values" in caplog.text

    async def test_the_log_says_where_it_listens(self, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.INFO)
        async with running(listener(bind="")) as hub:
            assert isinstance(hub.interfacer, EmonHubSocketInterfacer)
            assert f"TCP port {hub.interfacer.port} on 127.0.0.1 (no apikey: this machine only)" in caplog.text
            assert hub.interfacer.port != 0

    async def test_a_port_that_is_taken_at_first(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as other:
            port = other.getsockname()[1]
            hub = Running(listener(port_nb=port))
            hub.runner.start()
            await hub.is_waiting()
            assert f"can't listen on 127.0.0.1:{port}" in hub.runner.last_error
        await hub.is_running()
        await say(hub, b"10 1\n")
        await hub.has((10, 1))
        await hub.runner.stop(0)

    async def test_a_key_that_is_set_later_opens_the_door(self) -> None:
        interfacer = listener(bind="", port_nb=free_port())
        async with running(interfacer) as hub:
            old = await connect(hub)
            interfacer.update({"port_nb": interfacer.port_nb, "pubchannels": ("out",), "apikey": KEY})
            await until(lambda: interfacer._listening_on is None)
            await hub.is_running()
            await say(hub, f"{KEY} 10 1\n10 2\n".encode())
            await hub.has((10, 1))
            await close(old)

    async def test_settings_that_move_nothing_disturb_nobody(self) -> None:
        interfacer = listener()
        async with running(interfacer) as hub:
            writer = await connect(hub)
            writer.write(b"10 1\n")
            await hub.has((10, 1))
            interfacer.update(
                {"bind": "127.0.0.1", "port_nb": 0, "pubchannels": ("out",), "nodeoffset": 100, "apikey": KEY}
            )
            writer.write(f"10 2 {KEY}\n10 3\n".encode())
            await hub.has((110, 2))
            await until(lambda: hub.bad == {"apikey": 1})
            await close(writer)


class TestLines:
    async def test_one_line_a_connection(self) -> None:
        async with running(listener()) as hub:
            await say(hub, b"98 3.8 1.6 5.2 80.3\r\n")
            await hub.has((98, 3.8, 1.6, 5.2, 80.3))
            await say(hub, b"98 1\n")
            await hub.has((98, 1))

    async def test_many_lines_a_connection_in_any_pieces(self) -> None:
        async with running(listener()) as hub:
            writer = await connect(hub)
            frames = [(number, number, 2 * number) for number in range(1, 201)]
            data = b"".join(b"%d %d %d\r\n" % frame for frame in frames)
            rng = random.Random(1)
            while data:
                size = rng.randint(1, 40)
                writer.write(data[:size])
                await writer.drain()
                await asyncio.sleep(0)
                data = data[size:]
            await hub.has(*frames)
            await close(writer)
            assert hub.bad == {}

    async def test_a_last_line_without_its_newline(self) -> None:
        async with running(listener()) as hub:
            await say(hub, b"10 1\n11 2 3")
            await hub.has((10, 1), (11, 2, 3))

    async def test_half_a_line_of_a_broken_connection_is_none(self) -> None:
        async with running(listener()) as hub:
            writer = await connect(hub)
            writer.write(b"10 1\n11 2")
            await hub.has((10, 1))
            raw = writer.get_extra_info("socket")
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # closing is a reset
            await close(writer)
            await say(hub, b" 3 4\n12 1\n")
            await until(lambda: (12, 1) in hub.frames)
            assert (11, 2) not in hub.frames
            assert all(frame[0] in {3, 12} for frame in hub.frames)

    async def test_bad_lines_cost_no_other(self) -> None:
        bad = {
            b"": "empty line",
            b"\xff\xfe\x00": "bad node id",
            b"10": "too short",
            b"10 x": "non-numeric",
            "10 1°".encode(): "non-numeric",
            b"meter 1": "unknown node",
            b"-1 1": "bad node id",
            b"7" * (1 << 20): "too long",
            b"10 " + b"1 " * 3000: "length",
        }
        async with running(listener()) as hub:
            await say(hub, b"".join(line + b"\n10 %d\n" % n for n, line in enumerate(bad)))
            await hub.has(*((10, number) for number in range(len(bad))))
            reasons = list(bad.values())
            assert hub.bad == {reason: reasons.count(reason) for reason in reasons}

    async def test_nodes_by_name_offset_and_datacode(self) -> None:
        nodes = Nodes({"shed": NodeDefinition("shed", "garden", rx=Codec(datacodes=("h",)))})
        async with running(listener(nodes, nodeoffset=100, datacode="B")) as hub:
            await say(hub, b"shed 1 1\n10 5\n")
            await hub.has(("shed", 257), (110, 5))

    async def test_new_nodes_hold_for_open_connections(self) -> None:
        nodes = Nodes()
        async with running(listener(nodes)) as hub:
            writer = await connect(hub)
            writer.write(b"10 1 1\n")
            await hub.has((10, 1, 1))
            nodes.replace({"10": NodeDefinition("10", rx=Codec(datacodes=("h",)))}, autoconf=False)
            writer.write(b"10 1 1\n")
            await hub.has((10, 257))
            await close(writer)


class TestExtras:
    @pytest.mark.parametrize(
        ("settings", "line", "values", "stamp", "target"),
        [
            ({"timestamped": True}, "1669888253.99 98 3.8 1.6", (3.8, 1.6), 1669888253.99, 0),
            ({"targeted": True}, "98 7 3.8", (3.8,), None, 7),
            ({"timestamped": True, "targeted": True}, "1669888253 98 7 3.8", (3.8,), 1669888253, 7),
            ({"timestamped": True, "apikey": KEY}, f"{KEY} 1669888253 98 3.8", (3.8,), 1669888253, 0),
            ({"apikey": KEY}, f"98 3.8 {KEY}", (3.8,), None, 0),
            ({"apikey": KEY}, f"98 {KEY} 3.8", (3.8,), None, 0),
            ({"apikey": KEY}, f"98 3.8 key={KEY} {KEY}", (3.8,), None, 0),
        ],
    )
    async def test_they_stand_where_the_settings_say(
        self, settings: dict[str, Any], line: str, values: tuple[Any, ...], stamp: float | None, target: int
    ) -> None:
        async with running(listener(**settings)) as hub:
            before = hub.interfacer.world.time()
            await say(hub, line.encode() + b"\r\n")
            await until(lambda: hub.heard)
            cargo = hub.heard[0]
            assert (cargo.layout.node, cargo.values, cargo.target) == (98, values, target)
            assert cargo.time == stamp if stamp else before <= cargo.time <= hub.interfacer.world.time()

    @pytest.mark.parametrize(
        ("settings", "line", "reason"),
        [
            ({"timestamped": True}, "x 98 3.8", "bad time"),
            ({"timestamped": True}, "nan 98 3.8", "bad time"),
            ({"timestamped": True}, "1669888253000 98 3.8", "bad time"),
            ({"timestamped": True}, "1669888253", "too short"),
            ({"timestamped": True}, "1669888253 98", "too short"),
            ({"targeted": True}, "98", "too short"),
            ({"targeted": True}, "98 x 1", "bad target"),
            ({"targeted": True}, "98 7", "too short"),
            ({"timestamped": True}, "", "empty line"),
        ],
    )
    async def test_what_does_not_fit_is_counted(self, settings: dict[str, Any], line: str, reason: str) -> None:
        async with running(listener(**settings)) as hub:
            await say(hub, line.encode() + b"\n")
            await until(lambda: hub.bad == {reason: 1})
            assert hub.heard == []


class TestKey:
    @pytest.mark.parametrize(
        "line",
        [
            "98 3.8",
            f"98 3.8 {KEY[:-1]}",
            f"98 3.8 {KEY}0",
            f"98 3.8 {KEY.upper()}",
            f"98 3.8 {'f' * 32}",
            KEY[:16],
            "98 x",
        ],
    )
    async def test_without_the_key_a_line_is_dropped_and_never_shown(
        self, line: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.DEBUG)
        async with running(listener(apikey=KEY)) as hub:
            await say(hub, f"{line}\n98 1 {KEY}\n".encode())
            await hub.has((98, 1))
            assert hub.bad == {"apikey": 1}
        assert "does not carry the apikey" in caplog.text
        assert KEY not in caplog.text
        for word in line.split():
            assert len(word) < 16 or word not in caplog.text

    @pytest.mark.parametrize("line", [f"98 3.8 {KEY}", f"{KEY} 98 3.8", f"{KEY}"])
    async def test_a_key_that_nobody_asked_for_is_not_shown_either(
        self, line: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.DEBUG)
        async with running(listener()) as hub:
            await say(hub, line.encode() + b"\n")
            await until(hub.bad.total)
            assert hub.heard == []
        assert "seems to carry an apikey" in caplog.text
        assert KEY not in caplog.text

    @pytest.mark.parametrize("raw", ["short", KEY + "0", "x" * 3, KEY[:-1] + " "])
    def test_a_key_of_another_length_is_refused(self, raw: str) -> None:
        with pytest.raises(SettingError, match="32 characters"):
            declared(EmonHubSocketInterfacer)["apikey"].kind(raw)

    @pytest.mark.parametrize("raw", ["", "x" * 32, "xxxx", "XXXX your key here", KEY])
    def test_placeholders_and_keys_are_taken(self, raw: str) -> None:
        assert declared(EmonHubSocketInterfacer)["apikey"].kind(raw) == raw
        assert declared(EmonHubSocketInterfacer)["apikey"].secret


class TestManyClients:
    CLIENTS = 50
    LINES = 200

    async def test_none_loses_a_line_by_the_others(self) -> None:
        """Fifty at once: one idle, one slow by the byte, one sending rubbish, the rest sending lines in pieces."""
        async with running(listener()) as hub:
            done = asyncio.Event()
            idle = await connect(hub)
            nuisances = [asyncio.create_task(self._slow(hub, done)), asyncio.create_task(self._rubbish(hub, done))]
            numbers = range(1, self.CLIENTS - 2)
            await asyncio.gather(*(self._client(hub, number) for number in numbers))
            wanted = {(number, line, 7) for number in numbers for line in range(self.LINES)}
            await until(lambda: len(hub.heard) >= len(wanted))
            done.set()
            await asyncio.gather(*nuisances)
            await until(lambda: (1000, 12345) in hub.frames)
            good = [frame for frame in hub.frames if frame[0] < 1000]
            assert len(good) == len(wanted)
            assert set(good) == wanted
            for number in numbers:
                assert [frame[1] for frame in good if frame[0] == number] == list(range(self.LINES))
            assert set(hub.frames) - wanted == {(1000, 12345)}
            assert hub.bad == {"bad node id": 200}
            idle.write(b"1001 1\n")
            await until(lambda: (1001, 1) in hub.frames)
            await close(idle)

    async def _client(self, hub: Running, number: int) -> None:
        rng = random.Random(number)
        data = b"".join(b"%d %d 7\r\n" % (number, line) for line in range(self.LINES))
        writer = await connect(hub)
        while data:
            size = rng.randint(1, 100)
            writer.write(data[:size])
            await writer.drain()
            await asyncio.sleep(0)
            data = data[size:]
        await close(writer)

    async def _slow(self, hub: Running, done: asyncio.Event) -> None:
        writer = await connect(hub)
        for byte in b"1000 12345":
            writer.write(bytes((byte,)))
            await asyncio.sleep(0)
        await done.wait()  # all others have come while this line was unfinished
        assert (1000, 12345) not in hub.frames
        writer.write(b"\n")
        await close(writer)

    async def _rubbish(self, hub: Running, done: asyncio.Event) -> None:
        rng = random.Random(0)
        writer = await connect(hub)
        for _ in range(200):
            writer.write(b"x\xff" + rng.randbytes(500).replace(b"\n", b"") + b"\n")
            await writer.drain()
            await asyncio.sleep(0)
        await done.wait()
        await close(writer)

    async def test_one_too_many_is_refused_and_the_rest_go_on(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(module, "_MAX_CLIENTS", 2)
        async with running(listener()) as hub:
            first, second = await connect(hub), await connect(hub)
            first.write(b"1 1\n")
            second.write(b"2 1\n")
            await until(lambda: len(hub.heard) == 2)
            assert isinstance(hub.interfacer, EmonHubSocketInterfacer)
            reader, refused = await asyncio.open_connection("127.0.0.1", hub.interfacer.port)
            assert await reader.read() == b""
            await close(refused)
            await close(first)
            await until(lambda: len(hub.interfacer._clients) == 1)  # type: ignore[attr-defined]
            third = await connect(hub)
            third.write(b"3 1\n")
            second.write(b"2 2\n")
            await until(lambda: {(2, 2), (3, 1)} <= set(hub.frames))
            await close(second)
            await close(third)

    async def test_stopping_closes_every_connection(self) -> None:
        async with running(listener()) as hub:
            assert isinstance(hub.interfacer, EmonHubSocketInterfacer)
            reader, writer = await asyncio.open_connection("127.0.0.1", hub.interfacer.port)
            await until(lambda: len(hub.interfacer._clients) == 1)  # type: ignore[attr-defined]
        assert await reader.read() == b""
        await close(writer)
