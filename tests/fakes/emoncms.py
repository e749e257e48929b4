"""A fake emoncms server, as emoncms 11.16.8 was observed to behave (input/bulk, input/get, input/list).

    async with FakeEmoncms() as server:
        feed = server.log_to_feed("house", "power")
        ...  # post to server.url with server.write_key
        server.fault = unavailable(retry_after=30)   # until set to None again
        server.script([Close(), None, crash_after(3)])  # one for each request to come

Everything that happens inside one request after its body was read is one step, as no two requests write the
stores at once. Time is loop.time() only, so it runs on a loop with virtual time too.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import unquote

from aiohttp import web

from tests.fakes.emoncms_faults import Fault, not_found, unauthorised, uri_too_long
from tests.fakes.emoncms_php import (
    HTML,
    JSON,
    PLAIN,
    Answer,
    Crashed,
    Refused,
    crash_page,
    decode_batch,
    error_json,
    inflate,
    memory_page,
    parse_form,
    parse_query,
    strip_slashes,
    to_bytes,
    unhex,
)
from tests.fakes.emoncms_store import Engine, Feed, Store, StoredFrame

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import TracebackType

    from multidict import CIMultiDictProxy

# "Server now" when the server starts, unless a clock is given: a fixed date, so that no test depends on today.
START = 1_800_000_000

# Apache's LimitRequestLine; emonHub must not put data into URLs longer than this.
MAX_REQUEST_LINE = 8190

# PHP's post_max_size as Debian sets it; a larger body is dropped without a word.
POST_MAX_SIZE = 8 * 1024 * 1024


@dataclass
class Received:
    """One request as it came, and how it was answered (status None: not, or not yet)."""

    arrived: float  # loop.time()
    method: str
    path: str
    query: dict[str, str]
    headers: CIMultiDictProxy[str]
    target_size: int
    body: bytes = b""
    size: int = 0  # bytes of the body on the wire
    form: dict[str, str] = field(default_factory=dict)
    frames: list[Any] = field(default_factory=list)  # the decoded batch, empty if it is no array
    status: int | None = None
    answer: bytes = b""
    batch: Any = None  # the decoded JSON, or the exception that decoding ended in

    @property
    def frame_count(self) -> int:
        return len(self.frames)

    @property
    def parameters(self) -> dict[str, str]:
        """Those of the URL and of the form; the form wins."""
        return self.query | self.form


class _GoneDown(Exception):
    """The server went down while the request was waiting."""


@dataclass
class _Exchange:
    """The Exchange of the faults, on an aiohttp request."""

    server: FakeEmoncms
    request: web.Request
    received: Received
    gone: asyncio.Event

    @property
    def transport(self) -> asyncio.Transport | None:
        return self.request.transport

    async def read(self) -> None:
        body = bytearray()
        async for chunk in self.request.content.iter_any():
            body += chunk
        self.received.body = bytes(body)
        self.received.size = len(body)
        self.server.take_in(self.received)

    def serve(self, limit: int | None = None) -> Answer:
        return self.server.handle(self.received, limit)

    async def wait(self, seconds: float | None = None) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self.gone.wait()
        except TimeoutError:
            return
        raise _GoneDown

    async def send(self, answer: Answer) -> web.StreamResponse:
        self.received.status = answer.status
        self.received.answer = answer.body
        return web.Response(status=answer.status, body=answer.body, headers=self._headers(answer))

    async def begin(self, answer: Answer) -> web.StreamResponse:
        self.received.status = answer.status
        response = web.StreamResponse(status=answer.status, headers=self._headers(answer))
        response.content_length = len(answer.body)
        await response.prepare(self.request)
        return response

    def drop(self) -> web.StreamResponse:
        if self.request.transport is not None:
            self.request.transport.abort()
        return web.Response()  # goes nowhere

    def _headers(self, answer: Answer) -> dict[str, str]:
        return {"Content-Type": answer.content_type, **answer.headers}


class FakeEmoncms:
    """The server; see the module's text. Settings may be changed at any time."""

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        base_path: str = "",
        clock: Callable[[], float] | None = None,
        write_key: str = "0123456789abcdef0123456789abcdef",
        read_key: str = "fedcba9876543210fedcba9876543210",
    ) -> None:
        self.host = host
        self.port = port  # 0 until started on a free one
        self.base_path = base_path
        self.clock = clock
        self.write_key = write_key
        self.read_key = read_key
        self.display_errors = True
        self.post_max_size = POST_MAX_SIZE
        self.store = Store()
        self.requests: list[Received] = []
        self.fault: Fault | None = None
        self._script: deque[Fault | None] = deque()
        self._runner: web.AppRunner | None = None
        self._gone = asyncio.Event()
        self._started: float | None = None

    @property
    def url(self) -> str:
        """The base URL, without a slash at the end."""
        return f"http://{self.host}:{self.port}{self.base_path}"

    @property
    def frames(self) -> list[StoredFrame]:
        """Each frame that was stored, in order, also those stored twice."""
        return self.store.frames

    @property
    def stored(self) -> int:
        """How many different (time, node) were stored."""
        return len(self.store.unique)

    def now(self) -> int:
        """The server's clock in whole seconds."""
        if self.clock is not None:
            return int(self.clock())
        time = asyncio.get_running_loop().time()
        return int(START + time - (time if self._started is None else self._started))

    def log_to_feed(self, node: str | int, name: str, engine: Engine = "phpfina", interval: int = 10) -> Feed:
        """Log an input to a new feed. Makes the input, so that its first frame is logged already."""
        return self.store.add_process(str(node), name, 1, engine, interval)

    def power_to_kwh(self, node: str | int, name: str, engine: Engine = "phpfina", interval: int = 10) -> Feed:
        """Accumulate an input in W as kWh in a new feed. Makes the input."""
        return self.store.add_process(str(node), name, 4, engine, interval)

    def script(self, faults: Iterable[Fault | None]) -> None:
        """One fault (or None) for each request to come, in order; after the last, none."""
        self._script = deque(faults)
        self.fault = None

    async def __aenter__(self) -> Self:
        await self.up()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.down()

    async def up(self) -> None:
        """Listen, on the port used before if there was one. What was stored is still there."""
        if self._runner is not None:
            return
        if self._started is None:
            self._started = asyncio.get_running_loop().time()
        self._gone = asyncio.Event()
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._respond)
        self._runner = web.AppRunner(
            app,
            access_log=None,
            shutdown_timeout=1.0,
            auto_decompress=False,  # emoncms does not know Content-Encoding
            max_line_size=1 << 20,  # so that the 414 is ours
            max_field_size=1 << 20,
        )
        await self._runner.setup()
        await web.TCPSite(self._runner, self.host, self.port).start()
        self.port = self._runner.addresses[0][1]

    async def down(self) -> None:
        """Refuse connections and break those that are open."""
        runner, self._runner = self._runner, None
        if runner is None:
            return
        for site in list(runner.sites):
            await site.stop()
        self._gone.set()
        if runner.server is not None:
            for connection in list(runner.server.connections):
                if connection.transport is not None:
                    connection.transport.abort()
        await runner.cleanup()

    async def _respond(self, request: web.Request) -> web.StreamResponse:
        path, _, query = request.raw_path.partition("?")
        received = Received(
            asyncio.get_running_loop().time(),
            request.method,
            unquote(path),
            parse_query(query),
            request.headers,
            len(f"{request.method} {request.raw_path} HTTP/1.1"),
        )
        self.requests.append(received)
        exchange = _Exchange(self, request, received, self._gone)
        fault = self._script.popleft() if self._script else self.fault
        try:
            if fault is not None:
                return await fault.answer(exchange)
            await exchange.read()
            return await exchange.send(exchange.serve())
        except (_GoneDown, ConnectionError, web.RequestPayloadError):
            return exchange.drop()

    def take_in(self, received: Received) -> None:
        """Parse the form of a body that has been read, and decode its batch for the record."""
        if received.method == "POST" and received.size <= self.post_max_size:
            received.form = parse_form(received.headers.get("Content-Type", ""), received.body)
        try:
            received.batch = self._batch(received)
        except (Refused, Crashed, MemoryError) as error:
            received.batch = error
        if isinstance(received.batch, list):
            received.frames = received.batch

    def handle(self, received: Received, limit: int | None = None) -> Answer:
        """What emoncms does with the request, and its answer."""
        if received.target_size > MAX_REQUEST_LINE:
            return self._fixed(uri_too_long())
        route = "/" + "/".join(part for part in received.path.split("/") if part)
        if not f"{route}/".startswith(f"{self.base_path}/"):
            return self._fixed(not_found())
        route = route[len(self.base_path) :].strip("/")
        if route == "index.php":
            route = received.query.get("q", "").strip("/")
        if received.method == "OPTIONS":
            return Answer(200, b"", HTML, {"Access-Control-Allow-Origin": "*"})
        access = self._access(received)
        if access is None:
            return self._fixed(unauthorised())
        return self._route(route, received, access, limit)

    def _route(self, route: str, received: Received, access: str, limit: int | None) -> Answer:
        as_json = route.endswith(".json")
        controller, *action = route.removesuffix(".json").split("/")
        if controller != "input":
            text = '{"success":false,"message":"406 Not Acceptable. Route not found"}'
            return Answer(406, text.encode(), JSON)
        match action:
            case ["bulk"]:
                return self._bulk(received, limit) if access == "write" else Answer(200, b"")
            case ["list"] | ["get", *_] if access == "none":
                return Answer(200, b"false", JSON) if as_json else Answer(200, b"<!doctype html>\n<p>Login</p>", HTML)
            case ["list"]:
                return self._json(self.store.listing())
            case ["get", *place]:
                parameters = received.parameters
                node = place[0] if place else parameters.get("node")
                name = place[1] if len(place) > 1 else parameters.get("name")
                return self._json(self.store.reading(node, name))
        return Answer(200, b"false", JSON)

    def _access(self, received: Received) -> str | None:
        """write, read or none, from the URL, else the form, else the header (§1); None for a wrong key."""
        given = received.form | received.query
        key = given.get("apikey")
        if key is None and "devicekey" not in given:
            key = received.headers.get("Authorization", "").replace("Bearer ", "")
        return {self.write_key: "write", self.read_key: "read", "": "none"}.get(key or "")

    def _batch(self, received: Received) -> Any:
        parameters = received.parameters
        if "cb" in parameters:
            return decode_batch(inflate(received.body if received.size <= self.post_max_size else b""))
        data = parameters.get("data", "")
        if "c" in parameters:
            return decode_batch(inflate(unhex(data)))
        return decode_batch(to_bytes(strip_slashes(data)))

    def _bulk(self, received: Received, limit: int | None) -> Answer:
        parameters = received.parameters
        try:
            if isinstance(received.batch, Exception):
                raise received.batch
            printed = self.store.bulk(received.batch, parameters, self.now(), limit)
            text = '{"success": true}' if "fulljson" in parameters else "ok"
        except Refused as error:
            printed, text = error.printed, error_json(error.message)
        except Crashed as error:
            return self._crash(crash_page(error.what))
        except MemoryError:
            return self._crash(memory_page())
        return Answer(200, ((printed if self.display_errors else "") + text).encode(), PLAIN)

    def _crash(self, page: str) -> Answer:
        return Answer(200, page.encode(), HTML) if self.display_errors else Answer(500, b"", "text/html")

    @staticmethod
    def _fixed(fault: Any) -> Answer:
        return Answer(fault.status, fault.body, fault.content_type, fault.headers)

    @staticmethod
    def _json(value: Any) -> Answer:
        return Answer(200, json.dumps(value, separators=(",", ":")).encode(), JSON)
