"""What is live: each topic as it happens, and what a page that does not listen costs."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from emonhub.cargo import Cargo, Layout
from emonhub.web.events import Stream
from tests.web.conftest import PATIENCE_S, asking, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import pytest

    from tests.web.conftest import Client, Site

FRAME = "OK 10 100 0 215 0 (-40)"


class Page:
    """An open page."""

    def __init__(self, lines: Any) -> None:
        self._lines = lines

    async def next(self, topic: str) -> Any:
        """What comes next of a topic."""
        async with asyncio.timeout(PATIENCE_S):
            while (await self._lines.readline()).strip() != f"event: {topic}".encode():
                pass
            return json.loads((await self._lines.readline()).removeprefix(b"data: "))


@asynccontextmanager
async def page(client: Client, topics: str) -> AsyncIterator[Page]:
    async with client.session.get(f"{client.url}/api/v1/events?topics={topics}") as answer:
        assert answer.content_type == "text/event-stream"
        yield Page(answer.content)


async def test_how_things_are_comes_at_once_and_then_what_is_new(site: Site, client: Client) -> None:
    site.reads("RFM2Pi", FRAME)
    async with page(client, "overview,nodes") as opened:
        overview = await opened.next("overview")
        assert {itf["name"] for itf in overview["interfacers"]} == {"RFM2Pi", "emoncmsorg"}
        (node,) = await opened.next("nodes")
        assert node["name"] == "emonTx"
        site.reads("RFM2Pi", "OK 10 7 0 215 0 (-40)")
        (node,) = await opened.next("nodes")
        assert node["values"][0]["value"] == 7
        assert (await opened.next("overview"))["time"] > overview["time"]


async def test_frames_and_rejects_are_shown_on_their_way(site: Site, client: Client) -> None:
    async with page(client, "tap") as opened:
        await until(lambda: site.server.site.tap.listeners)
        site.reads("RFM2Pi", FRAME, "OK 10 1 (-40)")
        rejected, frame = sorted(await opened.next("tap"), key=lambda event: event["event"])
        assert rejected["event"] == "discarded"
        assert rejected["reason"] == "length"
        assert frame["raw"] == FRAME
        assert frame["values"] == [["power", 100, "W"], ["temp", 21.5, "C"]]
        assert frame["to"] == ["emoncmsorg"]


async def test_log_lines_come_as_they_are_logged(site: Site, client: Client) -> None:
    async with page(client, "log") as opened:
        await until(lambda: site.server.site.log._listeners)
        site.interfacer("RFM2Pi").log.warning("something <b>odd</b>")
        (line,) = await opened.next("log")
        assert (line["level"], line["interfacer"], line["text"]) == ("WARNING", "RFM2Pi", "something <b>odd</b>")


async def test_only_what_was_asked_for_comes(site: Site, client: Client) -> None:
    async with client.session.get(f"{client.url}/api/v1/events?topics=nothing") as answer:
        assert answer.status == 400
    async with page(client, "tap,nothing"):
        await until(lambda: site.server.site.events.open == 1)
        assert not site.server.site.log._listeners


async def test_nothing_is_done_once_all_pages_are_closed(site: Site, client: Client) -> None:
    async with page(client, "tap,log"):
        await until(lambda: site.server.site.tap.listeners and site.server.site.log._listeners)
    site.reads("RFM2Pi", FRAME)
    await until(lambda: not site.server.site.events.open)
    await until(lambda: not site.server.site.tap.listeners and not site.server.site.log._listeners)


async def test_a_page_that_does_not_listen_holds_up_nobody_and_is_let_go(
    site: Site, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("emonhub.web.events._WRITE_S", 0.5)
    host, _, port = client.url.removeprefix("http://").rpartition(":")
    _, asleep = await asyncio.open_connection(host, int(port), limit=1)
    asleep.write(b"GET /api/v1/events?topics=tap HTTP/1.1\r\nHost: localhost\r\n\r\n")
    async with asking(site, read_bufsize=64 << 20) as other, page(other, "tap") as awake:
        await until(lambda: site.server.site.events.open == 2)
        itf = site.interfacer("RFM2Pi")
        layout = Layout(10, "x" * 5_000)
        async with asyncio.timeout(PATIENCE_S * 2):
            while site.server.site.events.open == 2:
                itf.publish([Cargo(layout, (1.0,), 0.0)] * 500)
                await awake.next("tap")
        itf.publish([Cargo(Layout(10), (2.0,), 0.0)])
        while (await awake.next("tap"))[-1]["values"][0][1] != 2:
            pass
    asleep.close()


async def test_what_waits_for_a_page_is_bounded_and_what_it_misses_is_told() -> None:
    stream = Stream(["tap"])
    for _ in range(100):
        stream.put(b"event: tap\ndata: []\n\n", 10)
    said = await stream.get()
    first = said.split(b"\n")[1]
    assert json.loads(first.removeprefix(b"data: ")) == [{"event": "missed", "count": 360}]
    assert said.count(b"event: tap") == 65


async def test_a_page_with_nothing_new_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that it is noticed when it is gone."""
    monkeypatch.setattr("emonhub.web.events._LOOK_S", 0.01)
    assert await Stream(["tap"]).get() == b":\n\n"


async def test_text_that_is_none_stops_no_stream(site: Site, client: Client) -> None:
    """JSON that devices send may hold halves of characters."""
    async with page(client, "tap") as opened:
        await until(lambda: site.server.site.tap.listeners)
        itf = site.interfacer("RFM2Pi")
        site.server.site.passed(itf, [Cargo(Layout(10, "half \ud800"), (1.0,), 0.0)])
        (event,) = await opened.next("tap")
        assert event["name"] == "half ?"


async def test_what_fails_once_ends_no_stream(
    site: Site, client: Client, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with page(client, "nodes") as opened:
        await opened.next("nodes")
        with monkeypatch.context() as broken:
            broken.setattr(site.server.site.history, "listing", lambda _now: [{}])
            await until(lambda: "Open pages could not be told" in caplog.text)
        site.reads("RFM2Pi", FRAME)
        (node,) = await opened.next("nodes")
        assert node["name"] == "emonTx"
