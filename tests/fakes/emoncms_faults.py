"""Ways in which an emoncms, or what stands before it, fails: one small class or function each.

A fault takes the place of the normal handling of one request. It may still have the request handled
(``exchange.serve``), which is what storing means, and answer otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol

from tests.fakes.emoncms_php import HTML, PLAIN, Answer, crash_page, error_json, warning

if TYPE_CHECKING:
    import asyncio

    from aiohttp import web


class Exchange(Protocol):
    """One request under way, as a fault sees it."""

    @property
    def transport(self) -> asyncio.Transport | None:
        """The connection, None when the client is gone."""

    async def read(self) -> None:
        """Read the request's body; without it there is nothing to store."""

    def serve(self, limit: int | None = None) -> Answer:
        """Handle the request as emoncms does, storing at most limit frames, and return its answer unsent."""

    async def wait(self, seconds: float | None = None) -> None:
        """Wait, for ever if None; ends early (and ends the request) when the server goes down."""

    async def send(self, answer: Answer) -> web.StreamResponse:
        """Send a whole answer."""

    async def begin(self, answer: Answer) -> web.StreamResponse:
        """Send the status and headers of an answer, and nothing of its body."""

    def drop(self) -> web.StreamResponse:
        """Close the connection without an answer."""


class Fault(Protocol):
    """Anything that can be set as FakeEmoncms.fault."""

    async def answer(self, exchange: Exchange) -> web.StreamResponse:
        """Deal with one request."""


@dataclass(frozen=True)
class Reply:
    """A fixed answer, after storing the first ``store`` frames (None: all that the batch stores)."""

    status: int
    body: bytes = b""
    content_type: str = HTML
    headers: dict[str, str] = field(default_factory=dict)
    store: int | None = 0

    async def answer(self, exchange: Exchange) -> web.StreamResponse:
        await exchange.read()
        if self.store != 0:
            exchange.serve(self.store)
        return await exchange.send(Answer(self.status, self.body, self.content_type, self.headers))


def unauthorised() -> Reply:
    """401: the key is wrong."""
    text = "Invalid API key"
    realm = f'Bearer realm="API KEY", error="invalid_apikey", error_description="{text}"'
    return Reply(401, text.encode(), "text/html", {"WWW-Authenticate": realm})


def empty_ok() -> Reply:
    """200 and no body: what a read key or none gets."""
    return Reply(200, content_type=PLAIN)


def error_text(message: str = "Format error, json string supplied is not valid", store: int | None = 0) -> Reply:
    """200 and a JSON error, after storing some frames."""
    return Reply(200, error_json(message).encode(), PLAIN, store=store)


def crash_after(frames: int = 0) -> Reply:
    """200 and the page of a crash caused by data, after storing the first frames of the batch."""
    return Reply(200, crash_page("TypeError: Unsupported operand types: array + int").encode(), store=frames)


def redis_down() -> Reply:
    """200 and the page of a Redis that is away; nothing stored, temporary."""
    return Reply(200, crash_page("RedisException: Connection refused").encode())


def database_down() -> Reply:
    """200 and the page of a database that is away; nothing stored, temporary."""
    return Reply(200, crash_page("mysqli_sql_exception: Connection refused").encode())


def warning_then_ok() -> Reply:
    """All stored, and a PHP warning printed in front of the ok."""
    return Reply(200, (warning("Undefined variable $x") + "ok").encode(), PLAIN, store=None)


def server_error(store: int | None = 0) -> Reply:
    """500 with an empty body: a crash of any kind with display_errors off."""
    return Reply(500, store=store)


def unavailable(retry_after: int | str | None = None) -> Reply:
    """503, with Retry-After (seconds or a date) if given."""
    return _html(503, "Service Unavailable", retry_after)


def too_many(retry_after: int | str | None = None) -> Reply:
    """429, with Retry-After (seconds or a date) if given."""
    return _html(429, "Too Many Requests", retry_after)


def too_large() -> Reply:
    """413, as a proxy with a small body limit answers."""
    return _html(413, "Request Entity Too Large")


def uri_too_long() -> Reply:
    """414, as Apache answers to a long request line."""
    return _html(414, "Request-URI Too Long")


def not_found() -> Reply:
    """404 of Apache itself: the base URL is wrong."""
    return _html(404, "Not Found")


def html_ok() -> Reply:
    """200 and a web page: a captive portal, or emoncms's login page."""
    return Reply(200, b"<!doctype html>\n<html><title>Welcome</title></html>")


def redirect(location: str, status: int = 302) -> Reply:
    """The address has moved, as http to https does."""
    return Reply(status, b"", HTML, {"Location": location})


def _html(status: int, title: str, retry_after: int | str | None = None) -> Reply:
    page = f"<html><head><title>{status} {title}</title></head><body><h1>{title}</h1></body></html>\n"
    headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
    return Reply(status, page.encode(), "text/html; charset=iso-8859-1", headers)


@dataclass(frozen=True)
class Hang:
    """Never answers: before the body is read, after it, or after storing it all."""

    when: Literal["before", "after", "stored"] = "after"

    async def answer(self, exchange: Exchange) -> web.StreamResponse:
        if self.when != "before":
            await exchange.read()
        if self.when == "stored":
            exchange.serve()
        await exchange.wait()
        return exchange.drop()


@dataclass(frozen=True)
class Close:
    """Closes without an answer, after storing (the ambiguous case) or having stored nothing."""

    store: int | None = None

    async def answer(self, exchange: Exchange) -> web.StreamResponse:
        await exchange.read()
        if self.store != 0:
            exchange.serve(self.store)
        return exchange.drop()


@dataclass(frozen=True)
class HalfAnswer:
    """Stores all, announces two bytes, sends ``o`` and closes."""

    async def answer(self, exchange: Exchange) -> web.StreamResponse:
        await exchange.read()
        exchange.serve()
        response = await exchange.begin(Answer(200, b"ok"))
        await response.write(b"o")
        if exchange.transport is not None:
            exchange.transport.close()  # not abort: the byte is to arrive
        return response


@dataclass(frozen=True)
class SlowBody:
    """Stores all, announces a long body and sends a byte of it every so often."""

    length: int = 1_000_000
    interval_s: float = 1.0

    async def answer(self, exchange: Exchange) -> web.StreamResponse:
        await exchange.read()
        exchange.serve()
        response = await exchange.begin(Answer(200, b"o" * self.length))
        for _ in range(self.length):
            await response.write(b"o")
            await exchange.wait(self.interval_s)
        return response


@dataclass(frozen=True)
class Slow:
    """The right answer, late; what is sent is stored before the wait or after it, also if the client has left."""

    seconds: float
    stored_first: bool = True

    async def answer(self, exchange: Exchange) -> web.StreamResponse:
        await exchange.read()
        if self.stored_first:
            answer = exchange.serve()
            await exchange.wait(self.seconds)
        else:
            await exchange.wait(self.seconds)
            answer = exchange.serve()
        return await exchange.send(answer)
