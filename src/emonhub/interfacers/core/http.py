"""HTTP: the generic half of every reporter that posts batches to a web server. Knows nothing of any service."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from emonhub import Batch, Outcome, Reporter, RetryAfter, SettingError, matching, number, setting

if TYPE_CHECKING:
    from collections.abc import Mapping

    import aiohttp

_ANSWER_READ = 1 << 16
"""Bytes of an answer that are read. A server in trouble may send pages without end."""


@dataclass(frozen=True, slots=True)
class Request:
    """One POST: the body and what goes with it."""

    url: str
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


class HttpReporter(Reporter):
    """Posts batches with one kept-alive connection, a total deadline for each, and obeys Retry-After.

    A subclass says what a batch looks like as a request, and what an answer means.
    """

    url = setting(
        matching(r"https?://[^\s/]+\S*", "a web address with http:// or https://"),
        "",
        "address of the server",
    )
    timeout = setting(
        number(0.05),
        60.0,
        "longest time for one request, from connecting to the last byte of the answer",
        unit="s",
    )

    _session: aiohttp.ClientSession | None = None

    @abstractmethod
    def request(self, batch: Batch) -> Request:
        """The request that delivers a batch."""

    @abstractmethod
    def judge(self, status: int, answer: str) -> Outcome:
        """What an answer means. 3xx, 429 and 503 with a Retry-After never come here."""

    def check(self) -> None:
        if not self.url:
            raise SettingError("url must be set in [[[runtimesettings]]]")

    def endpoint(self) -> str:
        return self.url

    async def open(self) -> None:
        import aiohttp  # noqa: PLC0415 - half the memory of an idle hub: only for who needs it

        # One connection: a reporter has one batch in flight, and order matters to its target.
        # aiohttp's own deadlines are off: one total deadline holds for all of a request.
        self._session = aiohttp.ClientSession(
            connector=self.world.http_connector(limit=1),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=None),
            trust_env=True,
        )

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def deliver(self, batch: Batch) -> Outcome:
        import aiohttp  # noqa: PLC0415

        assert self._session is not None
        request = self.request(batch)
        try:
            async with (
                asyncio.timeout(self.timeout),
                self._session.post(
                    request.url, data=request.body, headers=request.headers, allow_redirects=False
                ) as response,
            ):
                answer = (await _read(response)).decode("utf-8", "replace")
                if 300 <= response.status < 400:
                    there = response.headers.get("Location", "another address")
                    return RetryAfter(f"{self.url} redirects to {there}: set url to where it leads")
                if response.status in {429, 503} and "Retry-After" in response.headers:
                    wait = _seconds(response.headers["Retry-After"], self.world.time())
                    return RetryAfter(f"the server asks to wait (HTTP {response.status})", wait)
                return self.judge(response.status, answer)
        except TimeoutError:
            return RetryAfter(f"no answer within {self.timeout:g} s")
        except aiohttp.ClientConnectorError as error:
            return RetryAfter(
                f"can't connect to {error.host}:{error.port} ({error.os_error.strerror or error.os_error})"
            )
        except aiohttp.ServerDisconnectedError:
            return RetryAfter("the server closed the connection without an answer")
        except (aiohttp.ClientError, OSError) as error:
            return RetryAfter(f"the request failed: {type(error).__name__} {error}".rstrip())


async def _read(response: aiohttp.ClientResponse) -> bytes:
    """The answer, up to a bound; an answer that ends early raises."""
    found = bytearray()
    async for chunk in response.content.iter_chunked(_ANSWER_READ):
        found += chunk
        if len(found) > _ANSWER_READ:
            break
    return bytes(found)


def _seconds(retry_after: str, now: float) -> float | None:
    """Seconds that a Retry-After header asks for, in either of its forms; None when it makes no sense."""
    if retry_after.strip().isdigit():
        return float(retry_after)
    try:
        return max(0.0, parsedate_to_datetime(retry_after).timestamp() - now)
    except (ValueError, TypeError):
        return None
