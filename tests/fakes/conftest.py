"""A client for the tests of the fake emoncms that sends exactly what it is told."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

import aiohttp
import pytest
from yarl import URL

from tests.fakes.emoncms import FakeEmoncms

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

FORM = "application/x-www-form-urlencoded"
NOW = 1_700_000_000


@dataclass
class Client:
    """Sends exactly what it is told, each request on a connection that may be reused."""

    server: FakeEmoncms
    session: aiohttp.ClientSession

    async def ask(
        self, target: str, body: bytes | None = None, *, method: str = "POST", **headers: str
    ) -> tuple[int, str, str]:
        """Status, Content-Type and text of the answer."""
        url = URL(self.server.url + target, encoded=True)
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        stream = None if body is None else io.BytesIO(body)  # aiohttp warns of large bodies as bytes
        async with self.session.request(method, url, data=stream, headers=sent, allow_redirects=False) as answer:
            return answer.status, answer.headers["Content-Type"], await answer.text()

    async def bulk(self, data: str, query: str = "time=0") -> str:
        """The text that answers a batch sent as a form, with status 200."""
        body = f"apikey={self.server.write_key}&data=".encode() + data.replace("+", "%2B").encode()
        status, _, text = await self.ask(f"/input/bulk.json?{query}", body, Content_Type=FORM)
        assert status == 200
        return text

    @property
    def inputs(self) -> dict[str, float | None]:
        """Values by node/name."""
        return {f"{node}/{name}": entry.value for (node, name), entry in self.server.store.inputs.items()}


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    async with FakeEmoncms(clock=lambda: NOW + 0.9) as server, aiohttp.ClientSession() as session:
        yield Client(server, session)
