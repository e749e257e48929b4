from __future__ import annotations

import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web

from emonhub.errors import FrameError, SettingError
from emonhub.interfacers.devices.packetgen import EmonHubPacketGenInterfacer
from emonhub.nodes.definition import Codec, NodeDefinition
from emonhub.nodes.table import Nodes
from emonhub.settings import declared
from tests.interfacers.harness import QuickWorld, running, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

KEY = "0123456789abcdef0123456789ABCDEF"


class Emoncms:
    """An emoncms with the module PacketGen."""

    def __init__(self) -> None:
        self.packet: Any = [{"value": 1, "type": 2}, {"value": "1850", "type": 1}, {"value": 200, "type": 0}]
        self.interval = '"5"'
        self.status = 200
        self.asked: list[str] = []

    async def answer(self, request: web.Request) -> web.Response:
        self.asked.append(request.path)
        if request.query.get("apikey") != KEY:
            return web.Response(status=401)
        body = self.interval if "getinterval" in request.path else self.packet
        return web.Response(text=body if isinstance(body, str) else json.dumps(body), status=self.status)

    @asynccontextmanager
    async def up(self) -> AsyncIterator[str]:
        app = web.Application()
        app.router.add_get("/{tail:.*}", self.answer)
        runner = web.AppRunner(app, handle_signals=False)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        try:
            yield f"http://127.0.0.1:{runner.addresses[0][1]}/emoncms"
        finally:
            await runner.cleanup()


def packetgen(url: str = "http://x", nodes: Nodes | None = None, **values: Any) -> EmonHubPacketGenInterfacer:
    settings = {"url": url, "apikey": KEY, "pubchannels": ("out",), **values}
    return EmonHubPacketGenInterfacer("PacketGen", settings, world=QuickWorld(), nodes=nodes)


async def test_the_packet_is_published_again_and_again() -> None:
    emoncms = Emoncms()
    async with emoncms.up() as url, running(packetgen(url)) as hub:
        await until(lambda: len(hub.heard) >= 2)
        assert hub.frames[:2] == [(0, 1, 1850, 200)] * 2
        assert {cargo.target for cargo in hub.heard} == {0}
        assert set(emoncms.asked) == {f"/emoncms/packetgen/{what}.json" for what in ("getpacket", "getinterval")}


async def test_as_often_as_emoncms_says() -> None:
    emoncms = Emoncms()
    emoncms.interval = '"17"'
    interfacer = packetgen(interval=0.4)
    assert isinstance(interfacer.world, QuickWorld)
    async with emoncms.up() as url:
        interfacer.url = url
        async with running(interfacer) as hub:
            await until(lambda: interfacer._every_s == 17)
            emoncms.interval = "soon"
            await until(lambda: 17 in interfacer.world.waits and hub.heard)  # type: ignore[attr-defined]
            assert interfacer._every_s == 17


async def test_the_first_value_may_be_the_node_to_send_to(caplog: pytest.LogCaptureFixture) -> None:
    emoncms = Emoncms()
    emoncms.packet = [{"value": 30, "type": 0}, {"value": 1, "type": 2}, {"value": 1850, "type": 1}]
    async with emoncms.up() as url, running(packetgen(url, targeted=True)) as hub:
        await until(lambda: hub.heard)
        assert (hub.heard[0].target, hub.heard[0].values) == (30, (1, 1850))
    assert "put [[30]] with [[[tx]]] into [nodes], and there datacodes = B, h" in caplog.text


async def test_nothing_is_said_of_a_node_that_has_datacodes(caplog: pytest.LogCaptureFixture) -> None:
    nodes = Nodes({"0": NodeDefinition("0", tx=Codec(datacodes=("B", "h", "B")))})
    packetgen(nodes=nodes)._packet('[{"value": 1, "type": 2}]')
    assert caplog.text == ""


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("", "bad answer"),
        ("<html>", "bad answer"),
        ("{}x", "bad answer"),
        ("null", "bad answer"),
        ('[{"value": 1}]', "bad answer"),
        ('[{"value": "x", "type": 0}]', "bad answer"),
        ('[{"value": 1e999, "type": 0}]', "bad answer"),
        ('[{"value": 256, "type": 0}]', "out of range"),
        ('[{"value": 70000, "type": 1}]', "out of range"),
        ('[{"value": 1, "type": 3}]', "out of range"),
    ],
)
def test_what_is_no_packet(answer: str, reason: str) -> None:
    with pytest.raises(FrameError) as caught:
        packetgen()._packet(answer)
    assert caught.value.reason == reason


@pytest.mark.parametrize(("answer", "targeted"), [("[]", False), ("[]", True), ('[{"value": 1, "type": 0}]', True)])
def test_an_empty_packet_is_none(answer: str, *, targeted: bool) -> None:
    assert packetgen(targeted=targeted)._packet(answer) is None


async def test_what_keeps_it_from_emoncms_is_said_and_passes() -> None:
    emoncms = Emoncms()
    emoncms.status = 404
    async with emoncms.up() as url, running(packetgen(url), wait=False) as hub:
        await until(lambda: "is the module PacketGen installed" in hub.runner.last_error)
        emoncms.status = 302
        await until(lambda: "redirects" in hub.runner.last_error)
        emoncms.status = 200
        await until(lambda: hub.heard)
    assert KEY not in hub.runner.last_error


@pytest.mark.parametrize(
    ("values", "said"),
    [({"apikey": ""}, "no apikey is set"), ({"apikey": "x" * 32}, "no apikey is set"), ({}, "can't connect to 127.0")],
)
async def test_without_a_key_or_a_server(values: dict[str, Any], said: str) -> None:
    async with running(packetgen("http://127.0.0.1:9/emoncms", **values), wait=False) as hub:
        await until(lambda: said in hub.runner.last_error)
        assert KEY not in hub.runner.last_error


async def test_a_key_that_is_refused() -> None:
    async with Emoncms().up() as url, running(packetgen(url, apikey="0" * 32), wait=False) as hub:
        await until(lambda: "refuses the apikey" in hub.runner.last_error)


def test_settings() -> None:
    found = declared(EmonHubPacketGenInterfacer)
    assert (found["url"].default, found["interval"].default) == ("http://localhost/emoncms", 5.0)
    with pytest.raises(SettingError, match="interval must be more than 0"):
        packetgen(interval=0.0)
