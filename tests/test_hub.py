"""The hub applies configurations, survives what interfacers do, and says what happens."""

from __future__ import annotations

import asyncio
import logging
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from emonhub import Cargo, Delivered, Interfacer, Layout, Reporter, RetryAfter, SettingError, setting, text
from emonhub.config.model import Configuration, HubConfig, InterfacerConfig, Problem
from emonhub.hub import Hub, build
from emonhub.supervisor import State

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from emonhub import Batch, Encoder, Outcome

HOUSE = Layout(1, "house", ("power",))


class Device(Interfacer):
    """Says what it is told to."""

    address = setting(text(), "", "where it is", init=True)
    secret = setting(text(), "", "its password", secret=True)
    mood = setting(text(), "", "what to do with new settings")

    def endpoint(self) -> str:
        return self.address

    async def read(self) -> None:
        await asyncio.Event().wait()

    def settings_changed(self, changed: set[str]) -> None:
        if self.mood == "raise":
            raise ValueError("I don't like it")


class Other(Device):
    """Another type with the same settings."""


class Unmakeable(Device):
    """Has a bug where it is made."""

    def check(self) -> None:
        raise ZeroDivisionError("a bug")


class Picky(Device):
    """Refuses its settings."""

    def check(self) -> None:
        raise SettingError("address must be something else")


class Target(Reporter):
    """Delivers while `url` is `up`."""

    url = setting(text(), "up", "the target")

    def encoder(self, layout: Layout) -> Encoder:
        return lambda cargo: str(cargo.values[0])

    async def deliver(self, batch: Batch) -> Outcome:
        return Delivered() if self.url == "up" else RetryAfter("down")


def config(
    cls: type[Interfacer], name: str = "one", init: dict[str, Any] | None = None, **run: Any
) -> InterfacerConfig:
    return InterfacerConfig(name, cls.__name__, 1, cls, init or {}, run, frozenset({"secret"}))


def configuration(*interfacers: InterfacerConfig, **hub: Any) -> Configuration:
    given = {"loglevel": "DEBUG"} | hub
    return Configuration(Path("emonhub.conf"), HubConfig(**given), {i.name: i for i in interfacers}, {})


@asynccontextmanager
async def running(*interfacers: InterfacerConfig) -> AsyncIterator[Hub]:
    hub = Hub(Path("/nowhere/emonhub.conf"), configuration(*interfacers))
    task = asyncio.create_task(hub.run())
    await hub.started.wait()
    try:
        yield hub
    finally:
        hub.stop()
        await task


async def until(condition: Callable[[], Any]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.01)


async def up(hub: Hub) -> None:
    await until(lambda: all(r.state is State.RUNNING for r in hub.runners.values()))


@pytest.fixture(autouse=True)
def _info(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)


async def test_what_did_not_change_is_not_touched() -> None:
    async with running(config(Device, "a"), config(Device, "b")) as hub:
        before = dict(hub.runners)
        await hub.apply(configuration(config(Device, "a"), config(Device, "b", mood="new"), config(Device, "c")))
        assert hub.runners["a"] is before["a"]
        assert hub.runners["b"] is before["b"]
        assert getattr(hub.runners["b"].interfacer, "mood", "") == "new"
        await hub.apply(configuration(config(Device, "b")))
        assert set(hub.runners) == {"b"}
        assert before["a"].state is State.STOPPED
        assert getattr(hub.runners["b"].interfacer, "mood", "") == "", "back to its default"


@pytest.mark.parametrize("new", [config(Other), config(Device, init={"address": "there"})], ids=["type", "init"])
async def test_another_type_or_initial_setting_starts_it_anew(new: InterfacerConfig) -> None:
    async with running(config(Device)) as hub:
        before = hub.runners["one"]
        await hub.apply(configuration(new))
        assert hub.runners["one"] is not before
        assert before.state is State.STOPPED
        await up(hub)


async def test_a_constructor_with_a_bug_costs_nobody_else(caplog: pytest.LogCaptureFixture) -> None:
    async with running(config(Unmakeable, "bad"), config(Picky, "picky"), config(Device, "good")) as hub:
        await up(hub)
        assert set(hub.runners) == {"good"}
        assert hub.refused["bad"].reason == "it can't be made (ZeroDivisionError: a bug)"
        assert hub.refused["picky"].reason == "address must be something else"
        assert "'bad' does not run: it can't be made" in caplog.text
        assert "bad [refused]" in hub.summary()
        await hub.apply(configuration(config(Device, "bad"), config(Device, "good")))
        await up(hub)
        assert set(hub.runners) == {"good", "bad"}
        assert hub.refused == {}


async def test_an_update_with_a_bug_costs_nobody_else(caplog: pytest.LogCaptureFixture) -> None:
    async with running(config(Device, "a"), config(Device, "b")) as hub:
        await hub.apply(configuration(config(Device, "a", mood="raise"), config(Device, "b", mood="x")))
        assert "did not take its new settings (ValueError: I don't like it)" in hub.refused["a"].reason
        assert getattr(hub.runners["b"].interfacer, "mood", "") == "x"
        assert "'a' goes on with its old settings" in caplog.text


async def test_an_unusable_edit_leaves_it_running(caplog: pytest.LogCaptureFixture) -> None:
    async with running(config(Device)) as hub:
        problem = Problem("error", 3, ("interfacers", "one"), "", "there is no such type")
        before = hub.runners["one"]
        for _ in range(2):
            await hub.apply(configuration(replace(config(Device, init={"address": "x"}), cls=None, errors=(problem,))))
        assert hub.runners["one"] is before
        assert caplog.text.count("'one' goes on with its old settings: there is no such type") == 1


async def test_what_a_reporter_owes_outlives_its_restart() -> None:
    async with running(config(Target, url="down", interval=0.0, buffer_mode="memory")) as hub:
        await up(hub)
        first = hub.runners["one"].interfacer
        assert isinstance(first, Reporter)
        first.accept([Cargo(HOUSE, (n,), 1.8e9 + n) for n in range(5)])
        await hub.apply(configuration())
        await hub.apply(configuration(config(Target, interval=0.0, buffer_mode="memory")))
        second = hub.runners["one"].interfacer
        assert isinstance(second, Reporter)
        assert second is not first
        await until(lambda: second.acknowledged == 5)


async def test_the_summary_says_what_happened_since_the_last() -> None:
    async with running(config(Device, "a"), config(Target, "out", interval=0.0, buffer_mode="memory")) as hub:
        await up(hub)
        source, target = hub.runners["a"].interfacer, hub.runners["out"].interfacer
        assert isinstance(target, Reporter)
        source.publish([Cargo(HOUSE, (1,), 1.8e9)] * 3)
        source.bad["length"] += 2
        source.bad["paused"] += 9
        target.accept([Cargo(HOUSE, (1,), 1.8e9)] * 4)
        await until(lambda: target.acknowledged == 4)
        assert hub.summary() == "a 3 frames (2 bad), out 4 delivered"
        assert hub.summary() == "a 0 frames, out 0 delivered"
        hub.runners["a"].state, hub.runners["a"].last_error = State.WAITING, "there is no /dev/x"
        assert hub.summary() == "a 0 frames [waiting: there is no /dev/x], out 0 delivered"


async def test_secrets_are_masked_in_the_log_from_then_on() -> None:
    from emonhub import logs  # noqa: PLC0415

    async with running(config(Device, secret="open sesame")):
        assert logs.masked("say open sesame") == "say ********"
    logs.hide(())


async def test_a_stop_in_the_middle_of_a_change_stops_all() -> None:
    closing = asyncio.Event()

    class Slow(Device):
        async def close(self) -> None:
            closing.set()
            await asyncio.sleep(0.2)

    hub = Hub(Path("/nowhere"), configuration(config(Slow, "a"), config(Device, "b")))
    task = asyncio.create_task(hub.run())
    await hub.started.wait()
    await up(hub)
    runners = list(hub.runners.values())
    changing = asyncio.create_task(hub.apply(configuration()))
    await closing.wait()
    hub.stop()
    changing.cancel()
    await task
    assert [r.state for r in runners] == [State.STOPPED] * 2
    left = [t.get_name() for t in asyncio.all_tasks() if t is not asyncio.current_task()]
    assert left == []


@pytest.mark.parametrize("task", ["_watch", "_sum_up", "_tend", "apply"])
async def test_a_dead_main_task_ends_the_hub_in_order(task: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(*_: object) -> None:
        raise RuntimeError("a bug")

    hub = Hub(Path("/nowhere"), configuration(config(Device)))
    monkeypatch.setattr(hub, task, fail)
    with pytest.raises(RuntimeError, match="a bug"):
        await hub.run()
    assert all(r.state is State.STOPPED for r in hub.runners.values())


def test_building_opens_nothing_and_refuses_what_is_unusable() -> None:
    built = build(config(Device, init={"address": "x"}, mood="y"))
    assert isinstance(built, Device)
    assert (built.address, built.mood) == ("x", "y")
    with pytest.raises(SettingError, match="there is no such type"):
        build(replace(config(Device), cls=None))
