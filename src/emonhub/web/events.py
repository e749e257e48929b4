"""Server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html): what is live on the page.

topics      overview   every other second: view.overview          nodes   each second: those that were heard
            tap        frames and rejects as they pass            log     lines as they are logged
"""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

from aiohttp import web

from emonhub.web.tap import LISTENERS
from emonhub.web.view import overview

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from emonhub.web.site import Site

TOPICS = ("overview", "nodes", "tap", "log")

_OVERVIEW_S = 2.0
_NODES_S = 1.0
_PAUSE_S = 0.2
"""Between two messages of frames: five times a second is as often as anybody can look."""

_WRITE_S = 20.0
"""Longest time for one message to be taken: a browser that is gone, or asleep, is let go of then."""


class Stream:
    """One open page."""

    def __init__(self, site: Site, response: web.StreamResponse) -> None:
        self._site = site
        self._response = response
        self._lock = asyncio.Lock()

    async def run(self, topics: list[str]) -> None:
        """Send until the page is closed."""
        jobs: dict[str, Coroutine[Any, Any, None]] = {
            "overview": self._overview(),
            "nodes": self._nodes(),
            "tap": self._tap(),
            "log": self._log(),
        }
        for topic in TOPICS:
            if topic not in topics:
                jobs.pop(topic).close()
        tasks = [asyncio.create_task(job, name=f"events {topic}") for topic, job in jobs.items()]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        except (ConnectionError, TimeoutError):
            return  # the page is closed, or its browser asleep
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _send(self, topic: str, data: Any) -> None:
        text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
        async with self._lock, asyncio.timeout(_WRITE_S):
            await self._response.write(f"event: {topic}\ndata: {text}\n\n".encode())

    async def _overview(self) -> None:
        while True:
            await self._send("overview", overview(self._site.hub))
            await asyncio.sleep(_OVERVIEW_S)

    async def _nodes(self) -> None:
        told: dict[tuple[str, str], tuple[float, bool]] = {}
        while True:
            now = self._site.hub.world.time()
            listing = self._site.history.listing(now)
            news = [n for n in listing if told.get((n["source"], n["id"])) != (n["time"], n["stale"])]
            if news:
                await self._send("nodes", news)
            told = {(n["source"], n["id"]): (n["time"], n["stale"]) for n in listing}
            await asyncio.sleep(_NODES_S)

    async def _tap(self) -> None:
        with self._site.tap.listen() as listener:
            while True:
                await self._send("tap", await listener.get())
                await asyncio.sleep(_PAUSE_S)

    async def _log(self) -> None:
        with self._site.log.listen() as listener:
            while True:
                await self._send("log", await listener.get())
                await asyncio.sleep(_PAUSE_S)


async def handle(request: web.Request, site: Site) -> web.StreamResponse:
    """GET /api/v1/events?topics=overview,tap"""
    topics = [topic for topic in request.query.get("topics", ",".join(TOPICS)).split(",") if topic in TOPICS]
    if not topics:
        raise web.HTTPBadRequest(text=f"topics must be some of {', '.join(TOPICS)}")
    if site.streams >= LISTENERS:
        raise web.HTTPServiceUnavailable(text=f"{LISTENERS} pages are open already")
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"})
    await response.prepare(request)
    site.streams += 1
    try:
        await Stream(site, response).run(topics)
    finally:
        site.streams -= 1
    return response
