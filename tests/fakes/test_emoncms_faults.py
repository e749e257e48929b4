"""The faults of the fake emoncms: what a client sees of each, and what is stored; on sockets and in virtual time."""

from __future__ import annotations

import asyncio
import zlib
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import aiohttp
import async_solipsism
import pytest

from tests.fakes import emoncms_faults as faults
from tests.fakes.emoncms import START, FakeEmoncms
from tests.fakes.virtual import VirtualConnector, run_virtual

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

FATAL = "<br />\n<b>Fatal error</b>:  Uncaught "
BATCH = "[[1,1,1],[2,1,1],[3,1,1]]"


async def send(server: FakeEmoncms, session: aiohttp.ClientSession, data: str = BATCH) -> tuple[int, str]:
    """Post three frames; the status and text of the answer."""
    form = {"data": data, "time": "0", "apikey": server.write_key}
    async with session.post(f"{server.url}/input/bulk.json", data=form, allow_redirects=False) as answer:
        return answer.status, await answer.text()


@asynccontextmanager
async def real() -> AsyncIterator[tuple[FakeEmoncms, aiohttp.ClientSession]]:
    async with FakeEmoncms() as server, aiohttp.ClientSession() as session:
        yield server, session


@asynccontextmanager
async def virtual(timeout_s: float = 60) -> AsyncIterator[tuple[FakeEmoncms, aiohttp.ClientSession]]:
    timeout = aiohttp.ClientTimeout(total=timeout_s)
    async with (
        FakeEmoncms() as server,
        aiohttp.ClientSession(connector=VirtualConnector(), timeout=timeout) as session,
    ):
        yield server, session


@dataclass(frozen=True)
class Case:
    fault: faults.Reply
    status: int
    begins: str = ""
    stored: int = 0
    headers: dict[str, str] = field(default_factory=dict)


CASES = {
    "unauthorised": Case(faults.unauthorised(), 401, "Invalid API key", headers={"Content-Type": "text/html"}),
    "empty_ok": Case(faults.empty_ok(), 200),
    "error_text": Case(faults.error_text("no"), 200, '{"success": false, "message": "no"}'),
    "crash_after": Case(faults.crash_after(2), 200, FATAL + "TypeError: ", stored=2),
    "redis_down": Case(faults.redis_down(), 200, FATAL + "RedisException: Connection refused"),
    "database_down": Case(faults.database_down(), 200, FATAL + "mysqli_sql_exception: Connection refused"),
    "warning_then_ok": Case(faults.warning_then_ok(), 200, "<br />\n<b>Warning</b>:  ", stored=3),
    "server_error": Case(faults.server_error(store=1), 500, stored=1),
    "unavailable": Case(faults.unavailable(30), 503, "<html>", headers={"Retry-After": "30"}),
    "too_many": Case(faults.too_many(5), 429, "<html>", headers={"Retry-After": "5"}),
    "too_large": Case(faults.too_large(), 413, "<html>"),
    "uri_too_long": Case(faults.uri_too_long(), 414, "<html>"),
    "not_found": Case(faults.not_found(), 404, "<html>"),
    "html_ok": Case(faults.html_ok(), 200, "<!doctype"),
    "redirect": Case(faults.redirect("https://127.0.0.1/"), 302, headers={"Location": "https://127.0.0.1/"}),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
async def test_reply(case: Case) -> None:
    async with real() as (server, session):
        server.fault = case.fault
        status, text = await send(server, session)
        assert (status, server.stored) == (case.status, case.stored)
        assert text.startswith(case.begins)
        assert bool(text) == bool(case.begins)
        async with session.get(f"{server.url}/input/bulk", allow_redirects=False) as answer:
            assert {name: answer.headers[name] for name in case.headers} == case.headers
        record = server.requests[0]
        assert (record.status, record.answer.decode(), record.frame_count) == (status, text, 3)


async def test_script_is_one_fault_for_each_request() -> None:
    async with real() as (server, session):
        server.fault = faults.not_found()
        server.script([faults.unavailable(), None, faults.server_error()])
        assert [(await send(server, session))[0] for _ in range(5)] == [503, 200, 500, 200, 200]


@pytest.mark.parametrize(
    ("fault", "stored", "error"),
    [
        (faults.Close(), 3, aiohttp.ServerDisconnectedError),
        (faults.Close(store=2), 2, aiohttp.ServerDisconnectedError),
        (faults.Close(store=0), 0, aiohttp.ServerDisconnectedError),
        (faults.HalfAnswer(), 3, aiohttp.ClientPayloadError),
    ],
)
@pytest.mark.parametrize("kind", ["real", "virtual"])
def test_broken_connection(kind: str, fault: faults.Fault, stored: int, error: type[Exception]) -> None:
    async def check() -> None:
        async with real() if kind == "real" else virtual() as (server, session):
            server.fault = fault
            with pytest.raises(error):
                await send(server, session)
            assert server.stored == stored
            server.fault = None
            assert await send(server, session) == (200, "ok")

    if kind == "real":
        asyncio.run(check())
    else:
        run_virtual(check)


async def test_down_and_up_on_the_same_port() -> None:
    async with real() as (server, session):
        assert await send(server, session) == (200, "ok")
        url = server.url
        await server.down()
        with pytest.raises(aiohttp.ClientConnectorError):
            await send(server, session)
        await server.up()
        assert server.url == url
        assert await send(server, session, "[[4,1,1]]") == (200, "ok")
        assert server.stored == 4


async def test_going_down_ends_what_hangs() -> None:
    """On real sockets: the client sees its connection close, and nothing waits for a timeout."""
    async with real() as (server, session):
        server.fault = faults.Hang("before")
        sending = asyncio.create_task(send(server, session))
        async with asyncio.timeout(5):
            while not server.requests:
                await asyncio.sleep(0)
            await server.down()
            with pytest.raises(aiohttp.ClientError):
                await sending


def test_down_and_up_in_virtual_time() -> None:
    async def check() -> None:
        async with virtual() as (server, session):
            assert await send(server, session) == (200, "ok")
            await server.down()
            await server.down()
            for _ in range(2):
                with pytest.raises(aiohttp.ClientConnectorError):
                    await send(server, session)
            await asyncio.sleep(86_400)
            await server.up()
            assert await send(server, session, "[[4,1,1]]") == (200, "ok")
            assert server.now() == START + 86_400
            assert server.requests[1].arrived - server.requests[0].arrived == pytest.approx(86_400)

    run_virtual(check)


@pytest.mark.parametrize(
    ("fault", "stored", "in_the_end"),
    [
        (faults.Hang("before"), 0, 0),
        (faults.Hang("after"), 0, 0),
        (faults.Hang("stored"), 3, 3),
        (faults.SlowBody(), 3, 3),
        (faults.Slow(90), 3, 3),
        (faults.Slow(90, stored_first=False), 0, 3),
    ],
)
def test_client_times_out(fault: faults.Fault, stored: int, in_the_end: int) -> None:
    async def check() -> None:
        loop = asyncio.get_running_loop()
        async with virtual(timeout_s=60) as (server, session):
            server.script([fault])
            began = loop.time()
            with pytest.raises(TimeoutError):
                await send(server, session)
            assert loop.time() - began == pytest.approx(60, abs=1.1)  # aiohttp rounds long timeouts up
            assert server.stored == stored
            assert server.requests[0].frame_count == (0 if fault == faults.Hang("before") else 3)
            await asyncio.sleep(60)
            assert server.stored == in_the_end
            assert await send(server, session, "[[9,1,1]]") == (200, "ok")

    run_virtual(check)


def test_slow_answer_and_slow_body_arrive() -> None:
    async def check() -> None:
        loop = asyncio.get_running_loop()
        async with virtual() as (server, session):
            server.script([faults.Slow(10), faults.SlowBody(length=5, interval_s=2)])
            began = loop.time()
            assert await send(server, session) == (200, "ok")
            assert loop.time() - began == pytest.approx(10)
            assert await send(server, session) == (200, "ooooo")
            assert loop.time() - began == pytest.approx(18, abs=2)

    run_virtual(check)


def test_large_batch_in_virtual_time() -> None:
    """More than the virtual sockets take at once goes through whole."""

    async def check() -> None:
        async with virtual() as (server, session):
            batch = "[" + ",".join(f'[{n},"node",1,2,3]' for n in range(20_000)) + "]"
            assert await send(server, session, batch) == (200, "ok")
            assert server.stored == 20_000

    run_virtual(check)


def test_virtual_loop_refuses_to_wait_for_nothing() -> None:
    async def check() -> None:
        await asyncio.Event().wait()

    with pytest.raises(async_solipsism.SleepForeverError):
        run_virtual(check)


async def test_upload_cut_short_stores_nothing() -> None:
    async with real() as (server, session):
        body = zlib.compress(b"[[9,1,1]]")
        head = f"POST /input/bulk?cb=1&apikey={server.write_key} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n"
        _, writer = await asyncio.open_connection(server.host, server.port)
        writer.write(head.encode() + body)
        await writer.drain()
        writer.close()
        await writer.wait_closed()
        assert await send(server, session) == (200, "ok")
        assert server.stored == 3
        assert server.requests[0].status is None
