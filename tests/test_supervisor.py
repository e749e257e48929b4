"""One interfacer fails in every way there is, and the others never notice."""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

from emonhub import Cargo, Delivered, Interfacer, Layout, Reporter, Unavailable
from emonhub.channel import Channels
from emonhub.config.model import InterfacerConfig
from emonhub.supervisor import Runner, State
from tests.fakes.virtual import run_virtual
from tests.fakes.virtual_world import VirtualWorld

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine, Iterable

    from emonhub import Batch, Encoder, Outcome

HOUSE = Layout(1, "house", ("power",))


def cargo(value: float = 1) -> Cargo:
    return Cargo(HOUSE, (value,), 1.0)


class Source(Interfacer):
    """Does what its `script` says, one entry a read: raises it, or returns it; then waits for ever."""

    def __init__(self, name: str, *script: Any, **settings: Any) -> None:
        super().__init__(name, {"pubchannels": ("c",)} | settings, world=VirtualWorld())
        self.script = list(script)
        self.opened: list[float] = []
        self.closed = 0

    async def open(self) -> None:
        self.opened.append(asyncio.get_running_loop().time())

    async def read(self) -> Cargo | Iterable[Cargo] | None:
        if not self.script:
            await asyncio.Event().wait()
        step = self.script.pop(0)
        if isinstance(step, BaseException):
            raise step
        return step  # type: ignore[no-any-return]

    async def close(self) -> None:
        self.closed += 1


class Sink(Interfacer):
    """Keeps what it is sent; raises what stands in `failures` first."""

    def __init__(self, name: str, *failures: Exception, **settings: Any) -> None:
        super().__init__(name, {"subchannels": ("c",)} | settings, world=VirtualWorld())
        self.failures = list(failures)
        self.sent: list[Cargo] = []

    async def send(self, cargos: list[Cargo]) -> None:
        if self.failures:
            raise self.failures.pop(0)
        self.sent += cargos


class Target(Reporter):
    """A reporter that delivers into a list."""

    broken = False

    def __init__(self, name: str, **settings: Any) -> None:
        super().__init__(name, {"subchannels": ("c",), "interval": 0.0} | settings, world=VirtualWorld())
        self.delivered: list[str] = []

    def encoder(self, layout: Layout) -> Encoder:
        if self.broken:
            raise RuntimeError("a bug in the encoder")
        return lambda cargo: f"{cargo.values[0]}"

    async def deliver(self, batch: Batch) -> Outcome:
        self.delivered += batch.records
        return Delivered()


@asynccontextmanager
async def running(*interfacers: Interfacer) -> AsyncIterator[list[Runner]]:
    channels = Channels()
    runners = [Runner(InterfacerConfig(i.name, "T", 1, type(i), {}, {}), i, channels) for i in interfacers]
    for runner in runners:
        runner.start()
    try:
        yield runners
    finally:
        await asyncio.gather(*(runner.stop(1.0) for runner in runners))


async def until(condition: Callable[[], Any], within_s: float = 3600.0) -> None:
    async with asyncio.timeout(within_s):
        while not condition():
            await asyncio.sleep(0.01)


def virtual(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Run the test on a loop with virtual time."""

    def run(*args: Any, **kwargs: Any) -> None:
        run_virtual(lambda: test(*args, **kwargs))

    run.__name__ = test.__name__
    run.__signature__ = __import__("inspect").signature(test)  # type: ignore[attr-defined] # for pytest's fixtures
    return run


@virtual
async def test_what_raises_is_restarted_and_others_never_notice() -> None:
    bad, good, sink = Source("bad", ValueError("boom"), cargo(2)), Source("good"), Sink("sink")
    good.script = [cargo(1)]
    async with running(bad, good, sink) as (b, g, s):
        await until(lambda: b.state is State.FAILED)
        assert b.last_error == "ValueError: boom"
        await until(lambda: [c.values for c in sink.sent] == [(1,), (2,)])
        assert b.state is State.RUNNING
        assert b.last_error == ""
        assert b.last_failure == "ValueError: boom"
        assert (b.restarts, g.restarts, s.restarts) == (1, 0, 0)
        assert len(bad.opened) == 2
        assert bad.closed == 1
    assert bad.closed == 2


@virtual
async def test_waits_grow_up_to_a_minute_and_start_anew_after_a_good_run() -> None:
    bad = Source("bad", *[OSError("no")] * 10)
    async with running(bad) as (runner,):
        await until(lambda: runner.restarts == 10 and runner.state is State.RUNNING)
        waits = [round(b - a) for a, b in pairwise(bad.opened)]
        assert waits == [1, 2, 4, 8, 16, 32, 60, 60, 60, 60]
        await asyncio.sleep(100)
        for task in runner._tasks:
            task.cancel()  # by somebody else: a failure like any other
        await until(lambda: runner.restarts == 11 and runner.state is State.RUNNING, 2)


@pytest.mark.parametrize(
    "failure", [SystemExit(3), KeyboardInterrupt(), asyncio.CancelledError(), StopAsyncIteration(), RecursionError()]
)
def test_nothing_that_is_raised_ends_the_hub(failure: BaseException) -> None:
    async def go() -> None:
        bad = Source("bad", failure, cargo(1))
        sink = Sink("sink")
        async with running(bad, sink) as (runner, _):
            await until(lambda: sink.sent)
            assert runner.restarts == 1

    run_virtual(go)


@virtual
async def test_unavailable_is_waited_for_quietly(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    source = Source("port")
    gone = [Unavailable("there is no /dev/ttyX")] * 50

    async def open_() -> None:
        if gone:
            raise gone.pop()

    source.open = open_  # type: ignore[method-assign]
    async with running(source) as (runner,):
        await until(lambda: not gone)
        assert runner.restarts == 0
        await until(lambda: runner.state is State.RUNNING)
    lines = [r.getMessage() for r in caplog.records]
    assert lines == ["Waiting: there is no /dev/ttyX", "Running"]


@virtual
async def test_a_wait_of_nothing_does_not_take_the_core() -> None:
    source = Source("port")
    tries = 0

    async def open_() -> None:
        nonlocal tries
        tries += 1
        raise Unavailable("no", retry_s=0)

    source.open = open_  # type: ignore[method-assign]
    async with running(source):
        await asyncio.sleep(10)
    assert tries < 300


@virtual
async def test_a_sender_that_fails_loses_only_what_it_was_sending() -> None:
    source, sink = Source("source"), Sink("sink", ValueError("no"))
    async with running(source, sink) as (runner, sending):
        await until(lambda: sending.state is State.RUNNING)
        source.publish([cargo(1), cargo(2)])
        await until(lambda: sending.failed_sends == 2)
        source.publish([cargo(3)])
        await until(lambda: sink.sent)
        assert [c.values for c in sink.sent] == [(3,)]
        assert sending.restarts == 0
        assert runner.restarts == 0


@virtual
async def test_a_sender_that_is_not_there_misses_what_is_counted() -> None:
    source, sink = Source("source"), Sink("sink", Unavailable("gone", retry_s=5))
    async with running(source, sink) as (_, sending):
        await until(lambda: sending.state is State.RUNNING)
        source.publish([cargo(1)])
        await until(lambda: sending.state is State.WAITING)
        source.publish([cargo(2), cargo(3)])
        assert sending.failed_sends == 1
        assert sending.missed == 2
        await until(lambda: sending.state is State.RUNNING)
        source.publish([cargo(4)])
        await until(lambda: [c.values for c in sink.sent] == [(4,)])


@virtual
async def test_a_reporter_that_breaks_while_taking_over_never_reaches_the_publisher() -> None:
    source, target, sink = Source("source"), Target("target"), Sink("sink")
    async with running(source, target, sink) as (_, reporting, sending):
        await until(lambda: reporting.state is State.RUNNING and sending.state is State.RUNNING)
        target.broken = True
        source.publish([cargo(1)])
        await until(lambda: reporting.restarts == 1 and sink.sent)
        target.broken = False
        await until(lambda: reporting.state is State.RUNNING)
        source.publish([cargo(2)])
        await until(lambda: target.delivered == ["2"])
        assert target.taken == target.acknowledged + target.buffer.frames + target.dropped.total() + target.dead


@virtual
async def test_a_job_may_end_but_its_failure_restarts_all() -> None:
    class WithJobs(Source):
        first = True

        def jobs(self) -> Iterable[Coroutine[Any, Any, None]]:
            async def job() -> None:
                if self.first:
                    self.first = False
                    raise ValueError("job")

            return [job()]

    source = WithJobs("jobs")
    async with running(source) as (runner,):
        await until(lambda: runner.restarts == 1)
        await until(lambda: runner.state is State.RUNNING)
        await asyncio.sleep(100)
        assert runner.restarts == 1


@virtual
async def test_a_close_that_never_ends_is_left_behind() -> None:
    class Sticky(Source):
        async def close(self) -> None:
            await super().close()
            await asyncio.Event().wait()

    source = Sticky("sticky", ValueError("boom"))
    async with running(source):
        await until(lambda: len(source.opened) == 2, 10)


@virtual
async def test_a_stop_ends_an_interfacer_that_takes_no_cancelling() -> None:
    class Stubborn(Source):
        async def read(self) -> None:
            while True:
                try:
                    await asyncio.sleep(1000)
                except asyncio.CancelledError:
                    if self.closed:
                        raise

    source = Stubborn("stubborn")
    loop = asyncio.get_running_loop()
    async with running(source) as (runner,):
        await until(lambda: runner.state is State.RUNNING)
        started = loop.time()
        await runner.stop(0, 1.0)
        assert loop.time() - started <= 1.1
        assert runner.state is State.STOPPED
        source.closed = 1


@virtual
async def test_pause_out_sends_nothing_and_in_publishes_nothing() -> None:
    source, sink = Source("source", pause="in"), Sink("sink", pause="out")
    async with running(source, sink) as (_, sending):
        await until(lambda: sending.state is State.RUNNING)
        source.publish([cargo(1)])
        assert source.bad["paused"] == 1
        source.update({"pubchannels": ("c",)})
        source.publish([cargo(2)])
        await until(lambda: sending.missed == 1)
        sink.update({"subchannels": ("c",), "pause": "off"})
        source.publish([cargo(3)])
        await until(lambda: sink.sent)
        assert [c.values for c in sink.sent] == [(3,)]
        sink.update({"subchannels": ("c",), "pause": "all"})
        source.publish([cargo(4)])
        await until(lambda: sending.missed == 2)


@virtual
async def test_loglevel_of_one_interfacer() -> None:
    talker, quiet = Source("talker", loglevel="debug"), Source("quiet")
    async with running(talker, quiet) as (runner, _):
        assert talker.log.isEnabledFor(logging.DEBUG)
        assert not quiet.log.isEnabledFor(logging.DEBUG)
        talker.update({"pubchannels": ("c",)})
        runner.rewire()
        assert not talker.log.isEnabledFor(logging.DEBUG)


# --- reads that block: real threads, real time ---


class Blocking(Interfacer):
    """A blocking read that takes what is put into `queue`; an exception there is raised."""

    def __init__(self, name: str) -> None:
        super().__init__(name, {"pubchannels": ("c",)})
        self.ready = threading.Semaphore(0)
        self.items: list[Any] = []
        self.inside = 0
        self.most_inside = 0

    def give(self, item: Any) -> None:
        self.items.append(item)
        self.ready.release()

    def read(self) -> Any:
        self.inside += 1
        self.most_inside = max(self.most_inside, self.inside)
        try:
            self.ready.acquire()
            item = self.items.pop(0)
            if isinstance(item, BaseException):
                raise item
            return item
        finally:
            self.inside -= 1


async def test_a_blocking_read_holds_up_nobody() -> None:
    source, sink = Blocking("blocking"), Sink("sink")
    async with running(source, sink):
        source.give(cargo(1))
        source.give([cargo(2), cargo(3)])
        source.give(cargo(n) for n in (4, 5))
        source.give((cargo(6),))
        await until(lambda: len(sink.sent) == 6, 10)
        assert [c.values[0] for c in sink.sent] == [1, 2, 3, 4, 5, 6]
        source.give(None)  # so that its thread ends


async def test_a_blocking_generator_hands_over_as_it_goes() -> None:
    go_on = threading.Event()

    class Endless(Interfacer):
        def read(self) -> Any:
            yield cargo(1)
            go_on.wait(10)
            yield cargo(2)

    source, sink = Endless("endless", {"pubchannels": ("c",)}), Sink("sink")
    async with running(source, sink):
        await until(lambda: len(sink.sent) == 1, 10)
        go_on.set()
        await until(lambda: len(sink.sent) > 1, 10)


@pytest.mark.parametrize("failure", [ValueError("boom"), StopIteration(), SystemExit(1)])
async def test_a_blocking_read_that_raises_is_restarted(failure: BaseException) -> None:
    source, sink = Blocking("blocking"), Sink("sink")
    async with running(source, sink) as (runner, _):
        source.give(failure)
        await until(lambda: runner.restarts == 1, 10)
        source.give(cargo(1))
        await until(lambda: sink.sent, 10)
        assert source.most_inside == 1
        source.give(None)


async def test_never_two_reads_at_once() -> None:
    """A restart while a read is still under way waits for it to return."""
    source, sink = Blocking("blocking"), Sink("sink")
    async with running(source, sink) as (runner, _):
        await until(lambda: source.inside == 1, 10)
        runner._break(ValueError("something else failed"))
        await until(lambda: runner.state is State.WAITING, 10)
        assert "has not returned yet" in runner.last_error
        source.give(cargo(1))  # goes to the read of before, and with it
        await until(lambda: runner.state is State.RUNNING and source.inside == 1, 10)
        source.give(cargo(2))
        await until(lambda: sink.sent, 10)
        assert [c.values for c in sink.sent] == [(2,)]
        assert source.most_inside == 1
        source.give(None)


async def test_a_stop_before_a_successor_waits_for_the_read_to_return() -> None:
    source = Blocking("blocking")
    async with running(source) as (runner,):
        await until(lambda: source.inside == 1, 10)
        stopping = asyncio.create_task(runner.stop(10))
        await until(lambda: runner._task is not None and runner._task.done(), 10)
        assert not stopping.done()
        source.give(cargo())
        async with asyncio.timeout(5):
            await stopping
        assert source.inside == 0


async def test_a_read_that_finds_nothing_and_waits_for_nothing_takes_no_core() -> None:
    calls = 0

    class Eager(Interfacer):
        def read(self) -> None:  # type: ignore[override]
            nonlocal calls
            calls += 1

    async with running(Eager("eager")):
        await asyncio.sleep(0.5)
    assert 1 <= calls < 100


async def test_an_async_read_that_never_waits_lets_others_run() -> None:
    class Greedy(Interfacer):
        async def read(self) -> Cargo:
            return cargo()

    async with running(Greedy("greedy")) as (runner,):
        await until(lambda: runner.interfacer.received > 100, 10)


@virtual
async def test_an_async_generator_is_a_read_too() -> None:
    class Stream(Interfacer):
        async def read(self) -> Any:
            yield cargo(1)
            await asyncio.sleep(5)
            yield cargo(2)

    sink = Sink("sink")
    async with running(Stream("stream", {"pubchannels": ("c",)}, world=VirtualWorld()), sink):
        await until(lambda: len(sink.sent) >= 2)
        assert [c.values[0] for c in sink.sent[:2]] == [1, 2]


async def test_a_fast_blocking_read_is_slowed_down_to_what_the_loop_takes() -> None:
    calls = 0

    class Fast(Interfacer):
        def read(self) -> Cargo:  # type: ignore[override]
            nonlocal calls
            calls += 1
            return cargo()

    source = Fast("fast")
    async with running(source):
        await until(lambda: source.received > 10, 10)
        ahead = calls - source.received
    assert ahead < 100


PROGRAM = """
import asyncio, threading, sys
from emonhub import Interfacer
from emonhub.channel import Channels
from emonhub.config.model import InterfacerConfig
from emonhub.supervisor import Runner

inside = threading.Event()

class Stuck(Interfacer):
    def read(self):
        inside.set()
        threading.Event().wait()

async def main():
    runner = Runner(InterfacerConfig("stuck", "T", 1, Stuck, {}, {}), Stuck("stuck"), Channels())
    runner.start()
    while not inside.is_set():
        await asyncio.sleep(0.01)
    await runner.stop(0)

asyncio.run(main())
print("ended")
"""


async def test_a_read_that_never_returns_does_not_keep_the_process_from_ending() -> None:
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", PROGRAM, stdout=asyncio.subprocess.PIPE)
    async with asyncio.timeout(30):
        out, _ = await process.communicate()
    assert out == b"ended\n"
    assert process.returncode == 0
