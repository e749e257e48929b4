"""Server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html): what is live on the page.

topics      overview   every other second: view.overview          nodes   each second: those that were heard
            tap        frames and rejects as they pass            log     lines as they are logged

What is sent is made once for all open pages. A page that does not take it in time misses some of it, and is let go of
after a while: it never holds up the others, and what waits for it is bounded.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections import deque
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Any

from aiohttp import web

from emonhub.web.tap import LISTENERS
from emonhub.web.view import overview

if TYPE_CHECKING:
    from collections.abc import Iterator

    from emonhub.web.site import Site
    from emonhub.web.tap import Listener

log = logging.getLogger("emonhub.web")

TOPICS = ("overview", "nodes", "tap", "log")

_TICK_S = 0.25
"""Between two messages of frames: four times a second is as often as anybody can look."""

_NODES_TICKS = 4
_OVERVIEW_TICKS = 8

_WRITE_S = 20.0
"""Longest time for what is written to be taken: a browser that is gone, or asleep, is let go of then."""

_LOOK_S = 5.0
"""Between two looks whether a page's session is still good; so often something is sent, also when nothing is new."""

_WAITING = 64
"""Messages that wait for one page at most, a quarter of a second each; the oldest go."""


class Stream:
    """One open page."""

    def __init__(self, topics: list[str]) -> None:
        self.topics = topics
        self._waiting: deque[tuple[bytes, int]] = deque()
        self._arrived = asyncio.Event()
        self._missed = 0

    def put(self, message: bytes, events: int = 0) -> None:
        """Add a message, which tells of so many frames; never waits."""
        if len(self._waiting) >= _WAITING:
            self._missed += self._waiting.popleft()[1]
        self._waiting.append((message, events))
        self._arrived.set()

    async def get(self) -> bytes:
        """All that waits; waits until there is something, but not for ever."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_LOOK_S):
                await self._arrived.wait()
        self._arrived.clear()
        messages = [message for message, _ in self._waiting]
        self._waiting.clear()
        if self._missed:
            messages.insert(0, _message("tap", [{"event": "missed", "count": self._missed}]))
            self._missed = 0
        return b"".join(messages) or b":\n\n"


class Events:
    """What all open pages are told. Costs nothing while none is open."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._streams: set[Stream] = set()
        self._ticking: asyncio.Task[None] | None = None
        self._told: dict[tuple[str, str], tuple[float, bool]] = {}

    @property
    def open(self) -> int:
        """How many pages are open."""
        return len(self._streams)

    @contextmanager
    def joined(self, stream: Stream) -> Iterator[None]:
        """Tell this one, too: first how things are, then what is new."""
        if "overview" in stream.topics:
            stream.put(_message("overview", overview(self._site.hub)))
        if "nodes" in stream.topics:
            stream.put(_message("nodes", self._site.history.listing(self._site.hub.world.time())))
        self._streams.add(stream)
        if self._ticking is None:
            self._ticking = asyncio.create_task(self._tick(), name="events")
        try:
            yield
        finally:
            self._streams.discard(stream)
            if not self._streams and self._ticking is not None:
                self._ticking.cancel()
                self._ticking = None

    async def _tick(self) -> None:
        ticks = 0
        with ExitStack() as stack:
            listeners: dict[str, Listener] = {}
            while True:
                for topic, source in (("tap", self._site.tap), ("log", self._site.log)):
                    if topic not in listeners and self._wanted(topic):
                        listeners[topic] = stack.enter_context(source.listen())
                ticks += 1
                try:
                    self._tell_news(ticks, listeners)
                except Exception:  # a boundary: the next one may be good again, and the pages stay open
                    log.exception("Open pages could not be told")
                await asyncio.sleep(_TICK_S)

    def _tell_news(self, ticks: int, listeners: dict[str, Listener]) -> None:
        if ticks % _OVERVIEW_TICKS == 0 and self._wanted("overview"):
            self._tell("overview", overview(self._site.hub))
        if ticks % _NODES_TICKS == 0 and self._wanted("nodes"):
            self._tell_nodes()
        for topic, listener in listeners.items():
            if events := listener.take():
                self._tell(topic, events, len(events))

    def _wanted(self, topic: str) -> bool:
        return any(topic in stream.topics for stream in self._streams)

    def _tell(self, topic: str, data: Any, events: int = 0) -> None:
        listening = [stream for stream in self._streams if topic in stream.topics]
        if listening:
            message = _message(topic, data)
            for stream in listening:
                stream.put(message, events if topic == "tap" else 0)

    def _tell_nodes(self) -> None:
        listing = self._site.history.listing(self._site.hub.world.time())
        news = [
            node for node in listing if self._told.get((node["source"], node["id"])) != (node["time"], node["stale"])
        ]
        if news:
            self._tell("nodes", news)
        self._told = {(node["source"], node["id"]): (node["time"], node["stale"]) for node in listing}


def _message(topic: str, data: Any) -> bytes:
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    return f"event: {topic}\ndata: {text}\n\n".encode("utf-8", "replace")


async def handle(request: web.Request, site: Site, wanted: str) -> web.StreamResponse:
    """Answer with a stream of these topics, commas between them, until the page is closed or its session ends."""
    topics = [topic for topic in wanted.split(",") if topic in TOPICS]
    if not topics:
        raise web.HTTPBadRequest(text=f"topics must be some of {', '.join(TOPICS)}")
    if site.events.open >= LISTENERS:
        raise web.HTTPServiceUnavailable(text=f"{LISTENERS} pages are open already")
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"})
    stream = Stream(topics)
    loop = asyncio.get_running_loop()
    with site.events.joined(stream), suppress(ConnectionError, TimeoutError):  # the page is closed, or asleep
        async with asyncio.timeout(_WRITE_S):
            await response.prepare(request)
        look = loop.time() + _LOOK_S
        while True:
            message = await stream.get()
            if loop.time() >= look:
                if not site.auth.may(request):
                    break
                look = loop.time() + _LOOK_S
            async with asyncio.timeout(_WRITE_S):
                await response.write(message)
    return response
