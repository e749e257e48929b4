"""The emoncms reporter against a faithful fake of emoncms 11."""

from __future__ import annotations

import asyncio
import json
import logging
from contextlib import asynccontextmanager
from email.utils import formatdate
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

from emonhub import Batch, Cargo, Delivered, Layout, Outcome, Rejected, RetryAfter
from emonhub.interfacers.core.http import retry_after
from emonhub.interfacers.emoncms.http import EmoncmsHttpReporter
from tests.fakes import emoncms_faults as faults
from tests.fakes.emoncms import FakeEmoncms
from tests.fakes.virtual import run_virtual
from tests.fakes.virtual_world import START, VirtualWorld

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

NOW = int(START)
TX = Layout(17, "emonTx", ("P1", "Vrms"))
TH = Layout(23, "emonTH", ("temperature",))


def frame(time: float = NOW, layout: Layout = TX, values: tuple[Any, ...] = (3, 240.5), rssi: int = 0) -> Cargo:
    return Cargo(layout, values, time, rssi)


def reporter(server: FakeEmoncms, **settings: Any) -> EmoncmsHttpReporter:
    given = {"url": server.url, "apikey": server.write_key, "interval": 0.0, "timeout": 20.0} | settings
    return EmoncmsHttpReporter("emoncms", given, world=VirtualWorld())


def batch_of(sender: EmoncmsHttpReporter, cargos: Iterable[Cargo], first: int = 0) -> Batch:
    cargos = list(cargos)
    return Batch(first, [sender.encoder(c.layout)(c) for c in cargos], [c.time for c in cargos])


@asynccontextmanager
async def opened(server: FakeEmoncms, **settings: Any) -> AsyncIterator[EmoncmsHttpReporter]:
    sender = reporter(server, **settings)
    await sender.open()
    try:
        yield sender
    finally:
        await sender.close()


@asynccontextmanager
async def delivering(server: FakeEmoncms, **settings: Any) -> AsyncIterator[EmoncmsHttpReporter]:
    async with opened(server, **settings) as sender:
        task = asyncio.create_task(sender.run_delivery())
        try:
            yield sender
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def until(condition: Any, within_s: float = 3600.0) -> None:
    """Wait, in virtual seconds, until a condition holds."""
    async with asyncio.timeout(within_s):
        while not condition():
            await asyncio.sleep(0.01)


def deliver(cargos: list[Cargo], fault: Any = None, **settings: Any) -> tuple[Outcome, FakeEmoncms]:
    """What one batch comes to."""

    async def go() -> tuple[Outcome, FakeEmoncms]:
        async with FakeEmoncms() as server, opened(server, **settings) as sender:
            server.fault = fault
            return await sender.deliver(batch_of(sender, cargos)), server

    return run_virtual(go)


# --- what is sent ---


def test_index_form() -> None:
    outcome, server = deliver([frame(rssi=-44), frame(NOW + 5.9, TH, (21.5,))])
    assert outcome == Delivered()
    request = server.requests[0]
    assert request.path == "/input/bulk.json"
    assert request.query == {"time": "0"}
    assert request.headers["Authorization"] == f"Bearer {server.write_key}"
    assert request.headers["Content-Type"] == "application/x-www-form-urlencoded"
    assert request.form == {"data": f"[[{NOW},17,3,240.5,-44],[{NOW + 5},23,21.5]]"}
    assert server.frames == [(NOW, "17", [3, 240.5, -44]), (NOW + 5, "23", [21.5])]


def test_names_form_is_compressed() -> None:
    cargos = [frame(NOW + i, rssi=-44) for i in range(20)]
    outcome, server = deliver(cargos, sendnames=True)
    assert outcome == Delivered()
    request = server.requests[0]
    assert request.query == {"time": "0", "cb": "1"}
    assert request.frames[0] == [NOW, "emonTx", {"P1": 3, "Vrms": 240.5, "rssi": -44}]
    assert request.size < 200
    assert server.stored == 20


def test_a_short_text_is_not_worth_compressing() -> None:
    outcome, server = deliver([frame(values=(1,))], compress=True)
    assert outcome == Delivered()
    assert server.requests[0].query == {"time": "0"}


def test_sentat_lets_emoncms_correct_the_clock() -> None:
    async def go() -> None:
        async with FakeEmoncms(clock=lambda: NOW + 100) as server, opened(server, sentat=True) as sender:
            assert await sender.deliver(batch_of(sender, [frame(NOW - 5)])) == Delivered()
            assert server.frames[0].time == NOW + 95  # the hub's clock is 100 s slow

    run_virtual(go)


@pytest.mark.parametrize("sendnames", [False, True])
@pytest.mark.parametrize("compress", [False, True])
def test_numbers_arrive_as_they_were(sendnames: bool, compress: bool) -> None:
    numbers = (0, -1, 4294967295, 2**53, 0.1, 23.400000000000002, 1e-7, 1e20, -1.5e-300, 123456.789)
    layout = Layout(5, "house", tuple(f"v{i}" for i in range(len(numbers))))
    outcome, server = deliver([frame(NOW, layout, numbers)], sendnames=sendnames, compress=compress)
    assert outcome == Delivered()
    values = server.frames[0].values
    assert tuple(values.values() if isinstance(values, dict) else values) == numbers


@pytest.mark.parametrize("compress", [False, True])
def test_names_that_no_form_would_survive(compress: bool) -> None:
    """Quotes, backslashes, control characters: what emoncms would take out is left out, the rest arrives."""
    names = ('a"b', "c\\d", "é % °", "t\tu", "%s", "{x}", "+&=", "日本", "")
    layout = Layout(5, 'wohn"zimmer\\ü %d', names)
    values = tuple(range(len(names)))
    outcome, server = deliver([frame(NOW, layout, values)] * 3, sendnames=True, compress=compress)
    assert outcome == Delivered()
    assert server.frames[0].node == "wohnzimmerü d"
    assert server.frames[0].values == {
        "ab": 0, "cd": 1, "é  ": 2, "t u": 3, "s": 4, "x": 5, "7": 6, "日本": 7, "9": 8,
    }  # fmt: skip


def test_a_missing_value_is_left_out_and_never_a_zero() -> None:
    cargos = [frame(values=(None, 240), rssi=-50), frame(NOW + 1)]
    for sendnames, expected in ((False, {"2": 240, "3": -50}), (True, {"Vrms": 240, "rssi": -50})):
        outcome, server = deliver(cargos, sendnames=sendnames)
        assert outcome == Delivered()
        assert server.frames[0].values == expected


def test_names_that_do_not_fit_the_values(caplog: pytest.LogCaptureFixture) -> None:
    layout = Layout(9, "odd", ("one", "two"))
    cargos = [frame(NOW, layout, (1, 2, 3), -40), frame(NOW + 1, layout, (1, None, 3), -40)]
    outcome, server = deliver(cargos, sendnames=True)
    assert outcome == Delivered()
    assert server.frames == [(NOW, "odd", [1, 2, 3, -40]), (NOW + 1, "odd", {"1": 1, "3": 3, "4": -40})]
    assert "Node odd has 3 values and 2 names" in caplog.text


def test_a_node_without_a_name_goes_by_its_id() -> None:
    _, server = deliver([frame(NOW, Layout(30), (1, 2))], sendnames=True)
    assert server.frames[0] == (NOW, "30", [1, 2])


def test_frames_without_any_number_are_dropped_and_counted() -> None:
    async def go() -> None:
        async with FakeEmoncms() as server, delivering(server) as sender:
            sender.accept([frame(values=(None, None)), frame(NOW + 1), frame(NOW + 2, values=())])
            await until(lambda: server.stored == 1)
            assert sender.dropped.total() == 2
            assert sender.taken == sender.acknowledged + sender.buffer.frames + sender.dropped.total() + sender.dead

    run_virtual(go)


def test_senddata_off_takes_nothing() -> None:
    async def go() -> None:
        async with FakeEmoncms() as server, opened(server, senddata=False) as sender:
            sender.accept([frame()])
            assert sender.taken == sender.buffer.frames == 0

    run_virtual(go)


# --- what the answers mean ---

TEMPORARY = [
    (faults.unauthorised(), "refuses the apikey", False),
    (faults.empty_ok(), "must be the write key", False),
    (faults.redis_down(), "lost its database", True),
    (faults.database_down(), "lost its database", True),
    (faults.server_error(), "HTTP 500", True),
    (faults.unavailable(), "HTTP 503", False),
    (faults.too_many(), "HTTP 429", False),
    (faults.not_found(), "is its path missing", False),
    (faults.html_ok(), "not an answer of emoncms: Welcome", True),
    (faults.redirect("https://emoncms.example/"), "redirects to https://emoncms.example/", False),
    (faults.Reply(504), "HTTP 504", True),
    (faults.Reply(200, b"o"), "not an answer of emoncms: o", True),
    (faults.Reply(200, b"ok\xff\xfe"), "not an answer of emoncms", True),
    (faults.Hang("before"), "no answer within 20 s", True),
    (faults.Hang("stored"), "no answer within 20 s", True),
    (faults.Close(), "closed the connection", True),
    (faults.Close(0), "closed the connection", True),
    (faults.HalfAnswer(), "the request failed", True),
    (faults.SlowBody(), "no answer within 20 s", True),
    (faults.Slow(30), "no answer within 20 s", True),
]


@pytest.mark.parametrize(("fault", "reason", "ambiguous"), TEMPORARY, ids=lambda v: repr(v)[:40])
def test_kept_for_later(fault: Any, reason: str, ambiguous: bool) -> None:
    outcome, _ = deliver([frame()], fault)
    assert isinstance(outcome, RetryAfter)
    assert reason in outcome.reason
    assert outcome.ambiguous is ambiguous
    assert outcome.seconds is None


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (faults.error_text(), "json string supplied is not valid"),
        (faults.error_text("Error: Reached the maximal allowed number of different NodeIds, limit is 32."), "NodeIds"),
        (faults.crash_after(2), "emoncms crashed: Fatal error : Uncaught TypeError"),
        (faults.too_large(), "HTTP 413"),
        (faults.uri_too_long(), "HTTP 414"),
        (faults.Reply(200, b"<br />\n<b>Warning</b>:  x in <b>y</b> on line <b>2</b><br />\n"
                           b'{"success": false, "message": "no"}'), "no"),
    ],
    ids=lambda v: repr(v)[:40],
)  # fmt: skip
def test_refused_because_of_something_in_it(fault: Any, reason: str) -> None:
    outcome, _ = deliver([frame(), frame(NOW + 1)], fault)
    assert isinstance(outcome, Rejected)
    assert reason in outcome.reason


def test_a_warning_before_the_ok_does_not_block_for_ever() -> None:
    outcome, server = deliver([frame()], faults.warning_then_ok())
    assert outcome == Delivered()
    assert server.stored == 1


def test_nobody_there_is_no_ambiguous_end() -> None:
    async def go() -> None:
        server = FakeEmoncms()
        await server.up()
        async with opened(server) as sender:
            await server.down()
            outcome = await sender.deliver(batch_of(sender, [frame()]))
            assert isinstance(outcome, RetryAfter)
            assert "can't connect to 127.0.0.1" in outcome.reason
            assert not outcome.ambiguous

    run_virtual(go)


def test_crashes_without_a_word_are_blamed_on_a_frame_in_the_end() -> None:
    async def go() -> None:
        async with FakeEmoncms() as server, opened(server) as sender:
            server.fault = faults.server_error()
            batch = batch_of(sender, [frame()])
            outcomes = [await sender.deliver(batch) for _ in range(5)]
            assert [type(o) for o in outcomes] == [RetryAfter] * 3 + [Rejected] * 2
            server.fault = None
            assert await sender.deliver(batch) == Delivered()
            server.fault = faults.server_error()
            assert isinstance(await sender.deliver(batch), RetryAfter)

    run_virtual(go)


@pytest.mark.parametrize("asked", [30, formatdate(START + 30, usegmt=True)])  # the loop's time starts at 0
@pytest.mark.parametrize("fault", [faults.unavailable, faults.too_many])
def test_retry_after_is_obeyed(asked: int | str, fault: Any) -> None:
    async def go() -> None:
        async with FakeEmoncms() as server, delivering(server) as sender:
            server.script([fault(asked)])
            sender.accept([frame()])
            await until(lambda: server.stored == 1)
            first, second = server.requests
            assert second.arrived - first.arrived == pytest.approx(30, abs=0.5)

    run_virtual(go)


@pytest.mark.parametrize("text", ["", "soon", "²", "-5", "0", "9" * 400, formatdate(START - 60, usegmt=True)])
def test_a_retry_after_that_makes_no_sense(text: str) -> None:
    wait = retry_after(text, START)
    assert wait is None or wait > 1e9


def test_a_date_without_a_zone_is_utc() -> None:
    assert retry_after(formatdate(START + 30).replace("-0000", "").strip(), START) == 30


# --- the key ---


@pytest.mark.parametrize("key", ["", "x" * 32, "xxxxxxxx"])
def test_without_a_key_frames_are_kept_until_there_is_one(key: str, caplog: pytest.LogCaptureFixture) -> None:
    async def go() -> None:
        async with FakeEmoncms() as server, delivering(server, apikey=key) as sender:
            sender.accept([frame()])
            await until(lambda: sender.trouble)
            assert "no apikey is set" in caplog.text
            assert not server.requests
            sender.update({"url": server.url, "apikey": server.write_key, "interval": 0.0})
            await until(lambda: server.stored == 1, 1.0)  # at once: the change may have been the trouble

    run_virtual(go)


def test_a_wrong_key_keeps_the_frames_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    async def go() -> None:
        async with FakeEmoncms() as server, delivering(server, apikey="0" * 32) as sender:
            sender.accept([frame()])
            await until(lambda: len(server.requests) >= 3)
            assert sender.buffer.frames == 1
            assert "refuses the apikey" in caplog.text
            assert "0" * 32 not in caplog.text
            server.write_key = "0" * 32
            await until(lambda: server.stored == 1)

    run_virtual(go)


def test_a_read_key_keeps_the_frames() -> None:
    async def go() -> None:
        async with FakeEmoncms() as server, opened(server) as sender:
            sender.apikey = server.read_key
            outcome = await sender.deliver(batch_of(sender, [frame()]))
            assert isinstance(outcome, RetryAfter)
            assert "not the read key" in outcome.reason

    run_virtual(go)


# --- when, and how much at a time ---


def test_waits_for_the_interval_and_sends_all_at_once() -> None:
    async def go() -> None:
        async with FakeEmoncms() as server, delivering(server, interval=30.0) as sender:
            sender.accept([frame()])
            await until(lambda: server.stored == 1, 1.0)  # the first at once: people look whether it works
            for i in range(1, 10):
                sender.accept([frame(NOW + i)])
            await until(lambda: server.stored == 10)
            assert [r.frame_count for r in server.requests] == [1, 9]
            assert server.requests[1].arrived - server.requests[0].arrived == pytest.approx(30, abs=0.5)

    run_virtual(go)


def test_no_waiting_between_full_batches() -> None:
    async def go() -> None:
        async with FakeEmoncms() as server, delivering(server, interval=30.0, batchsize=100) as sender:
            server.fault = faults.unavailable()
            sender.accept([frame(NOW + i) for i in range(1050)])
            await until(lambda: len(server.requests) == 3)
            server.fault = None
            await until(lambda: server.stored == 1050)
            good = [r for r in server.requests if r.status == 200]
            assert [r.frame_count for r in good] == [100] * 10 + [50], "the rest of a backlog does not wait either"
            assert good[-1].arrived - good[0].arrived < 1

    run_virtual(go)


def test_waits_grow_while_it_fails() -> None:
    async def go() -> None:
        async with FakeEmoncms() as server, delivering(server, retry_max=60.0) as sender:
            server.fault = faults.unavailable()
            sender.accept([frame()])
            await until(lambda: len(server.requests) == 12)
            at = [r.arrived for r in server.requests]
            waits = [b - a for a, b in pairwise(at)]
            assert waits[:6] == sorted(waits[:6])
            assert max(waits) <= 61
            assert min(waits[7:]) >= 40
            assert len({round(w, 3) for w in waits[7:]}) > 1  # jittered

    run_virtual(go)


def test_the_node_limit_costs_only_the_node_too_many() -> None:
    async def go() -> None:
        async with FakeEmoncms() as server, delivering(server) as sender:
            server.store.node_limit = 3
            cargos = [frame(NOW + i, Layout(node), (i,)) for i, node in enumerate([1, 2, 3, 4, 1, 2, 3])]
            sender.accept(cargos)
            await until(lambda: server.stored == 6)
            await until(lambda: not sender.buffer.frames)
            assert sender.acknowledged == len(server.frames) == 6, "none twice"
            assert sender.dead == 1
            assert "NodeIds" in sender.dead_letters.all()[0].reason

    run_virtual(go)


@pytest.mark.parametrize("count", [4, 10])
def test_frames_before_a_bad_one_are_not_sent_again(count: int) -> None:
    async def go() -> None:
        async with FakeEmoncms() as server, delivering(server) as sender:
            server.script([faults.crash_after(count)])
            sender.accept([frame(NOW + i) for i in range(10)])
            await until(lambda: not sender.buffer.frames)
            assert sender.acknowledged == len(server.frames) == 10, "none twice"
            assert sender.dead == 0

    run_virtual(go)


def test_a_large_body_goes_in_parts() -> None:
    values = tuple(i + 0.123456 for i in range(1000))
    outcome, server = deliver([frame(NOW + i, Layout(1), values) for i in range(150)])
    assert outcome == Delivered()
    assert server.stored == 150
    assert server.requests[0].size > 1 << 20


def test_nothing_secret_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)

    async def go() -> str:
        async with FakeEmoncms() as server, delivering(server, retry_max=1.0) as sender:
            server.script([faults.unauthorised(), faults.Close(0), faults.server_error(), faults.html_ok()])
            sender.accept([frame()])
            await until(lambda: server.stored == 1 and not sender.buffer.frames)
            return server.write_key

    key = run_virtual(go)
    assert "acknowledged receipt with 'ok'" in caplog.text
    assert key not in caplog.text


# --- how far it came ---


@pytest.mark.parametrize("sendnames", [False, True])
@pytest.mark.parametrize("count", [0, 1, 4, 7, 10])
def test_already_has(sendnames: bool, count: int) -> None:
    """After a connection that broke when some frames were stored, the inputs tell how many."""

    async def go() -> None:
        async with FakeEmoncms() as server, opened(server, sendnames=sendnames) as sender:
            before = [frame(NOW - 10, TX, (1, 2)), frame(NOW - 9, TH, (3,))]
            assert await sender.deliver(batch_of(sender, before)) == Delivered()
            layouts = [TX, TH, Layout(5)]
            cargos = [frame(NOW + i, layouts[i % 3], (i, i + 0.1)[: 1 + (i % 3 == 0)]) for i in range(10)]
            batch = batch_of(sender, cargos, 2)
            server.script([faults.Close(count)])
            outcome = await sender.deliver(batch)
            assert isinstance(outcome, RetryAfter)
            assert outcome.ambiguous
            assert await sender.already_has(batch) == count

    run_virtual(go)


def test_already_has_of_a_server_without_inputs() -> None:
    async def go() -> None:
        async with FakeEmoncms() as server, opened(server) as sender:
            assert await sender.already_has(batch_of(sender, [frame()])) == 0

    run_virtual(go)


def test_already_has_reads_php_arrays() -> None:
    """A server whose only node is 0, with inputs 0, 1, 2, answers with arrays of arrays."""

    async def go() -> None:
        async with FakeEmoncms() as server, opened(server, sendnames=True) as sender:
            layout = Layout(0, "0", ("0", "1", "2"))
            batch = batch_of(sender, [frame(NOW + i, layout, (i, 2, 3)) for i in range(4)])
            server.script([faults.Close(2)])
            await sender.deliver(batch)
            assert isinstance(server.store.reading(None, None), list)
            assert await sender.already_has(batch) == 2

    run_virtual(go)


@pytest.mark.parametrize("case", ["down", "401", "html", "sentat", "backwards", "same second", "another sender"])
def test_already_has_says_when_it_can_not_tell(case: str) -> None:
    async def go() -> None:
        async with FakeEmoncms() as server, opened(server, sentat=case == "sentat") as sender:
            odd: dict[str, list[float]] = {"backwards": [0, 2, 1], "same second": [0, 1, 1.5]}
            times = odd.get(case, [0, 1, 2])
            batch = batch_of(sender, [frame(NOW + t, TX, (i, i)) for i, t in enumerate(times)])
            server.script([faults.Close(2)])
            await sender.deliver(batch)
            if case == "down":
                await server.down()
            elif case == "another sender":
                server.store.inputs["17", "1"].time = NOW + 1000
            server.fault = {"401": faults.unauthorised(), "html": faults.html_ok()}.get(case)
            assert await sender.already_has(batch) is None

    run_virtual(go)


def test_a_batch_is_json_whatever_is_in_it() -> None:
    async def go() -> None:
        async with FakeEmoncms() as server:
            sender = reporter(server, sendnames=True)
            batch = batch_of(sender, [frame(NOW, Layout("a/b%s", "", ("x",)), (1,)), frame(NOW, TX)])
            sender.compress = sender.sendnames = False
            body = sender.request(batch).body
            assert body.startswith(b"data=[[")
            assert json.loads(f"[{batch.records[0]}]") == ["abs", {"x": 1}]

    run_virtual(go)
