"""A hub with its page, in this process, and something to ask it with."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from emonhub.cargo import Cargo, Layout
from emonhub.config.load import load
from emonhub.hub import Hub
from emonhub.web.server import Server
from tests.e2e.hub import free_port

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from emonhub.interfacer import Interfacer
    from tests.fakes.emoncms import FakeEmoncms

PATIENCE_S = 20.0

NODES = """
[nodes]
[[10]]
    nodename = emonTx
    [[[rx]]]
        names = power, temp
        datacodes = h, h
        scales = 1, 0.1
        units = W, C
"""

RADIO = """
[[RFM2Pi]]
    Type = EmonHubJeeInterfacer
    [[[init_settings]]]
        com_port = {port}
    [[[runtimesettings]]]
        pubchannels = ToEmonCMS,
"""

EMONCMS = """
[[emoncmsorg]]
    # the account of the house
    Type = EmonHubEmoncmsHTTPInterfacer
    [[[init_settings]]]
        keep = 30 d
        sync_interval_s = 0
    [[[runtimesettings]]]
        subchannels = ToEmonCMS,
        url = {url}
        apikey = {key}    # read and write
        interval = 0
"""


class Client:
    """Asks one hub, as the page does: with a session's cookie and its CSRF token."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self.session = session
        self.url = url
        self.headers: dict[str, str] = {}

    async def begin(self) -> None:
        """Open the page, and find out who one is."""
        async with self.session.get(self.url + "/") as answer:
            assert answer.status == 200
        async with self.session.get(self.url + "/api/v1/session") as answer:
            self.headers["X-CSRF-Token"] = (await answer.json())["csrf"]

    async def ask(self, method: str, path: str, body: Any = None, *, status: int = 200) -> Any:
        """The JSON that is answered, with the status that is expected."""
        async with self.session.request(
            method, self.url + "/api/v1" + path, json=body, headers=self.headers, allow_redirects=False
        ) as answer:
            said = await answer.json()
            assert answer.status == status, said
            return said

    async def get(self, path: str, **more: Any) -> Any:
        return await self.ask("GET", path, **more)

    async def post(self, path: str, body: Any = None, **more: Any) -> Any:
        return await self.ask("POST", path, {} if body is None else body, **more)

    async def put(self, path: str, body: Any, **more: Any) -> Any:
        return await self.ask("PUT", path, body, **more)


class Site:
    """A running hub with its page."""

    def __init__(self, hub: Hub, server: Server, path: Path) -> None:
        self.hub = hub
        self.server = server
        self.path = path

    def interfacer(self, name: str) -> Interfacer:
        return self.hub.runners[name].interfacer

    def reads(self, name: str, *lines: str, time: float | None = None) -> None:
        """Let a radio board's interfacer read these lines."""
        itf = self.interfacer(name)
        itf.decoders.refresh()
        itf.publish(itf.parse([line.encode() for line in lines], time or self.hub.world.time()))  # type: ignore[attr-defined]

    def publishes(self, name: str, node: int | str = 10, value: float = 1.0, **layout: Any) -> None:
        itf = self.interfacer(name)
        itf.publish([Cargo(Layout(node, **layout), (value,), self.hub.world.time())])


async def until(condition: Callable[[], object], what: str = "it") -> None:
    """Wait until a condition holds."""
    try:
        async with asyncio.timeout(PATIENCE_S):
            while not condition():
                await asyncio.sleep(0.01)
    except TimeoutError:
        raise AssertionError(f"{what} did not come about") from None


def configuration(state: Path, *interfacers: str, web: str = "", hub: str = "", nodes: str = NODES) -> str:
    port = "" if "port" in web else f"port = {free_port()}\n"
    return f"[hub]\nstate_dir = {state}\n{hub}\n[web]\n{port}{web}\n[interfacers]\n{''.join(interfacers)}{nodes}"


@asynccontextmanager
async def serving(path: Path, text: str) -> AsyncIterator[Site]:
    """A hub with this configuration."""
    path.write_text(text)
    server: Server | None = None

    def applied(_configuration: Any) -> None:
        if server is not None:
            task = asyncio.ensure_future(server.apply())
            tasks.add(task)
            task.add_done_callback(tasks.discard)

    tasks: set[asyncio.Future[None]] = set()
    hub = Hub(path, load(path), on_applied=applied)
    server = Server(hub)
    running = asyncio.create_task(hub.run())
    try:
        await hub.started.wait()
        await server.start()
        yield Site(hub, server, path)
    finally:
        await server.stop()
        hub.stop()
        await running


@asynccontextmanager
async def asking(site: Site, **options: Any) -> AsyncIterator[Client]:
    """Somebody's browser."""
    jar = aiohttp.CookieJar(unsafe=True)
    async with aiohttp.ClientSession(cookie_jar=jar, **options) as session:
        yield Client(session, site.server.url)


@pytest.fixture
def state(tmp_path: Path) -> Path:
    path = tmp_path / "state"
    path.mkdir()
    return path


@pytest.fixture
async def emoncms() -> AsyncIterator[FakeEmoncms]:
    from tests.fakes.emoncms import FakeEmoncms  # noqa: PLC0415

    async with FakeEmoncms() as server:
        yield server


@pytest.fixture
async def site(tmp_path: Path, state: Path, emoncms: FakeEmoncms) -> AsyncIterator[Site]:
    """A hub with a radio board that is not plugged in, and a reporter."""
    text = configuration(
        state,
        RADIO.format(port=tmp_path / "ttyRFM"),
        EMONCMS.format(url=emoncms.url, key=emoncms.write_key),
    )
    async with serving(tmp_path / "emonhub.conf", text) as site:
        yield site


@pytest.fixture
async def client(site: Site) -> AsyncIterator[Client]:
    async with asking(site) as client:
        await client.begin()
        yield client
