"""HTTP: the generic half of every reporter that posts batches to a web server. Knows nothing of any service."""

from __future__ import annotations

import asyncio
import io
import os
from abc import abstractmethod
from dataclasses import dataclass, field
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any
from urllib.request import getproxies, proxy_bypass

from emonhub import Batch, Outcome, Reporter, RetryAfter, SettingError, matching, number, setting

if TYPE_CHECKING:
    from collections.abc import Mapping

    import aiohttp

_ANSWER_READ = 1 << 16
"""Bytes of an answer to a batch that are read. A server in trouble may send pages without end."""

_IN_ONE_PIECE = 1 << 20
"""Bytes of a body that are sent in one piece; larger ones go in parts, so that the loop is not held up."""


@dataclass(frozen=True, slots=True)
class Request:
    """One POST: the body and what goes with it."""

    url: str
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server answered: the start of its text, undecodable bytes replaced."""

    status: int
    text: str
    headers: Mapping[str, str]


class HttpReporter(Reporter):
    """Posts batches with one kept-alive connection, a total deadline for each, and obeys Retry-After.

    A subclass says what a batch looks like as a request, and what an answer means.
    """

    url = setting(
        matching(r"https?://[^\s/]+\S*", "a web address with http:// or https://"),
        "",
        "address of the server",
        vital=True,
    )
    timeout = setting(
        number(0.05),
        60.0,
        "longest time for one request, from connecting to the last byte of the answer",
        unit="s",
    )

    _session: aiohttp.ClientSession | None = None
    _connected = False  # during a request: whether there is a connection, so that the server may have got something

    @abstractmethod
    def request(self, batch: Batch) -> Request:
        """The request that delivers a batch."""

    @abstractmethod
    def judge(self, status: int, answer: str) -> Outcome:
        """What an answer means. 3xx, and 429 and 503 with a Retry-After, never come here."""

    def check(self) -> None:
        if not self.url:
            raise SettingError("url must be set in [[[runtimesettings]]]")

    def endpoint(self) -> str:
        return self.url

    async def open(self) -> None:
        import aiohttp  # noqa: PLC0415 - half the memory of an idle hub: only for who needs it

        tracing = aiohttp.TraceConfig()
        tracing.on_connection_create_end.append(self._note_connection)
        tracing.on_connection_reuseconn.append(self._note_connection)
        # One connection: a reporter has one batch in flight, and order matters to its target.
        # aiohttp's own deadlines are off: one total deadline holds for all of a request.
        self._session = aiohttp.ClientSession(
            connector=self.world.http_connector(limit=1),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=None),
            trace_configs=[tracing],
            proxy=proxy_for(self.url),
        )

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def deliver(self, batch: Batch) -> Outcome:
        request = self.request(batch)
        body = request.body if len(request.body) < _IN_ONE_PIECE else io.BytesIO(request.body)
        answer = await self.ask("POST", request.url, data=body, headers=request.headers)
        if isinstance(answer, RetryAfter):
            return answer
        if 300 <= answer.status < 400:
            there = answer.headers.get("Location", "another address")
            return RetryAfter(f"{self.url} redirects to {there}: set url to where it leads")
        if answer.status in {429, 503} and "Retry-After" in answer.headers:
            wait = retry_after(answer.headers["Retry-After"], self.world.time())
            return RetryAfter(f"the server asks to wait (HTTP {answer.status})", wait)
        return self.judge(answer.status, answer.text)

    async def ask(self, method: str, url: str, *, read: int = _ANSWER_READ, **options: Any) -> Answer | RetryAfter:
        """One request, and the first `read` bytes of its answer; or why there is none.

        The reason is ambiguous when the request may have reached the server. `options` are aiohttp's.
        """
        import aiohttp  # noqa: PLC0415

        assert self._session is not None
        self._connected = False
        try:
            async with (
                asyncio.timeout(self.timeout),
                self._session.request(method, url, allow_redirects=False, **options) as response,
            ):
                text = (await _read(response, read)).decode("utf-8", "replace")
                return Answer(response.status, text, response.headers)
        except TimeoutError:
            reason = f"no answer within {self.timeout:g} s" if self._connected else self._unconnected()
        except aiohttp.ClientConnectorError as error:
            reason = f"can't connect to {error.host}:{error.port} ({_reason(error.os_error)})"
        except aiohttp.ServerDisconnectedError:
            reason = "the server closed the connection without an answer"
        except (aiohttp.ClientError, OSError) as error:
            reason = f"the request failed: {type(error).__name__} {error}".rstrip()
        return RetryAfter(reason, ambiguous=self._connected)

    def _unconnected(self) -> str:
        return f"no connection to {self.url} within {self.timeout:g} s"

    async def _note_connection(self, *_: object) -> None:
        self._connected = True


async def _read(response: aiohttp.ClientResponse, limit: int) -> bytes:
    """The answer, up to a bound; an answer that ends early raises."""
    found = bytearray()
    async for chunk in response.content.iter_chunked(_ANSWER_READ):
        found += chunk
        if len(found) > limit:
            break
    return bytes(found)


def _reason(error: OSError) -> str:
    """Why a connection could not be made, in the system's words; asyncio's own repeat the address."""
    return os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)


def proxy_for(url: str) -> str | None:
    """The proxy that the environment names for an address, as in http_proxy, https_proxy and no_proxy.

    Asked for once: aiohttp's own way (`trust_env`) asks a thread before every request.
    """
    scheme, _, rest = url.partition("://")
    host = rest.partition("/")[0].rpartition("@")[2].partition(":")[0]
    return None if proxy_bypass(host) else getproxies().get(scheme)


def retry_after(text: str, now: float) -> float | None:
    """Seconds that a Retry-After header asks for, in either of its forms; None when it asks for no wait or is no time.

    `now` is Unix seconds.
    """
    text = text.strip()
    try:
        if text.isascii() and text.isdecimal():
            wait = float(text)
        else:
            date = parsedate_to_datetime(text)
            wait = (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp() - now
    except (ValueError, TypeError, OverflowError):
        return None
    return wait if wait > 0 else None
