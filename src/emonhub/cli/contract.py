"""`emonhub test-interfacer`: does an interfacer keep to what the hub and its users count on?

The same checks run over those that ship with emonHub. What needs a device that is not there is said to be not tried.
"""

from __future__ import annotations

import asyncio
import inspect
import math
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from emonhub.channel import Channels
from emonhub.config.model import InterfacerConfig
from emonhub.errors import SettingError
from emonhub.interfacer import Interfacer
from emonhub.settings import Setting, declared
from emonhub.supervisor import Runner, State
from emonhub.world import World

if TYPE_CHECKING:
    from collections.abc import Mapping

    from emonhub.cargo import Cargo

RUN_S = 2.0
"""How long it runs for the checks, unless a frame comes earlier."""

_STOP_S = 1.0
_LAG_S = 0.3
"""A loop that is held up for so long makes others late."""
_TICK_S = 0.01
_CHANNEL = "test"

_WATCHED = {"socket.connect", "socket.bind", "subprocess.Popen", "os.system"}


@dataclass(frozen=True, slots=True)
class Result:
    """What a check has found."""

    outcome: Literal["good", "failed", "not tried"]
    check: str
    text: str = ""


class _Hasty(World):
    """The real world, where waiting is short."""

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(min(seconds, 0.05))


class _Opened:
    """Notes what is opened while it is on."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.on = False
        sys.addaudithook(self._hook)

    def _hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.on and (event in _WATCHED or (event == "open" and str(arguments[0]).startswith("/dev/"))):
            self.seen.append(f"{event} {arguments[-1] if event.startswith('socket') else arguments[0]}")


class _Listener:
    def __init__(self) -> None:
        self.heard: list[tuple[Cargo, float, tuple[Any, ...]]] = []

    def accept(self, cargos: list[Cargo]) -> None:
        self.heard += [(cargo, cargo.time, cargo.values) for cargo in cargos]


_opened: _Opened | None = None


async def examine(cls: type[Interfacer], settings: Mapping[str, Any], *, run_s: float = RUN_S) -> list[Result]:
    """Every check of this class, with these checked settings."""
    results = [_declarations(cls), _construction(cls, settings)]
    if results[-1].outcome == "good":
        results += await _run(cls, settings, run_s)
        results.append(await _failing(cls, settings))
    return results


def raw_settings(cls: type[Interfacer], given: Mapping[str, str]) -> dict[str, Any]:
    """Settings from texts, as emonhub.conf would have them. Raises SettingError."""
    known = declared(cls)
    found = {}
    for name, text in given.items():
        if name not in known:
            raise SettingError(f"there is no setting {name}: known are {', '.join(known)}")
        try:
            found[name] = known[name].kind(text)
        except SettingError as error:
            raise SettingError(f"{name} = {text}: {error}") from None
    return found


def _declarations(cls: type[Interfacer]) -> Result:
    check = "its settings are declared, and it says what it is"
    common = declared(Interfacer)
    for name, setting in declared(cls).items():
        if not setting.help:
            return Result("failed", check, f"setting {name} has no help: say in a few words what it is for")
        if name not in common and hasattr(Interfacer, name):
            return Result("failed", check, f"setting {name} hides {name} of Interfacer: call it something else")
    hidden = [name for name in common if not isinstance(inspect.getattr_static(cls, name), Setting)]
    if hidden:
        return Result("failed", check, f"{hidden[0]} is a setting of every interfacer: use {hidden[0]}.but(...)")
    if not (cls.__doc__ or "").strip():
        return Result("failed", check, "it has no docstring, which `emonhub describe` shows")
    return Result("good", check)


def _construction(cls: type[Interfacer], settings: Mapping[str, Any]) -> Result:
    global _opened  # noqa: PLW0603 - there is no taking back an audit hook: one for all
    check = "constructing it opens nothing"
    _opened = _opened or _Opened()
    _opened.seen.clear()
    _opened.on = True
    try:
        interfacer = cls("test", settings, world=World())
        interfacer.endpoint()
    except SettingError as error:
        return Result("not tried", check, f"{error}: give it with --set NAME=VALUE")
    except Exception as error:  # noqa: BLE001 - somebody's constructor may raise anything
        return Result("failed", check, f"it raises {type(error).__name__}: {error}")
    finally:
        _opened.on = False
    if _opened.seen:
        return Result("failed", check, f"{_opened.seen[0]}: what opens something belongs into open()")
    return Result("good", check)


def _runner(interfacer: Interfacer) -> tuple[Runner, _Listener]:
    channels = Channels()
    listener = _Listener()
    channels.subscribe("listener", [_CHANNEL], listener)
    return Runner(InterfacerConfig("test", "", 0, type(interfacer), {}, {}), interfacer, channels), listener


async def _run(cls: type[Interfacer], settings: Mapping[str, Any], run_s: float) -> list[Result]:
    interfacer = cls("test", {**settings, "pubchannels": (_CHANNEL,)}, world=World())
    runner, listener = _runner(interfacer)
    lags: list[float] = []
    ticker = asyncio.create_task(_tick(lags), name="ticker")
    loop = asyncio.get_running_loop()
    runner.start()
    end = loop.time() + run_s
    while loop.time() < end and not listener.heard and runner.state is not State.FAILED:  # noqa: ASYNC110 - likewise
        await asyncio.sleep(_TICK_S)
    state, why = runner.state, runner.last_error
    started = loop.time()
    await runner.stop(0, 5.0)
    took = loop.time() - started
    ticker.cancel()
    await asyncio.gather(ticker, return_exceptions=True)
    return [
        _running(state, why),
        _verdict("it stops within a second", took <= _STOP_S, f"it took {took:.1f} s"),
        _verdict("it does not hold up the others", max(lags, default=0.0) < _LAG_S, _held_up(lags)),
        _times(listener, interfacer.world.time()),
    ]


def _running(state: State, why: str) -> Result:
    check = "it runs"
    if state is State.FAILED:
        return Result("failed", check, why)
    return Result("good", check) if state is State.RUNNING else Result("not tried", check, why)


def _held_up(lags: list[float]) -> str:
    return (
        f"the loop stood still for {max(lags, default=0.0):.1f} s: in `async def`, wait with await; or write `def read`"
    )


def _verdict(check: str, good: bool, text: str) -> Result:
    return Result("good", check) if good else Result("failed", check, text)


def _times(listener: _Listener, now: float) -> Result:
    check = "its frames have the times of their samples, and stay as they are"
    if not listener.heard:
        return Result("not tried", check, "no frame came while it was tried")
    for cargo, time, values in listener.heard:
        if not (isinstance(time, int | float) and math.isfinite(time) and 0 < time <= now + 1):
            return Result("failed", check, f"time {time!r}: use self.world.time(), Unix seconds")
        if cargo.time != time or cargo.values != values:
            return Result("failed", check, "a frame was changed after it was published: make a new Cargo for each")
    if len({id(cargo) for cargo, _, _ in listener.heard}) < len(listener.heard):
        return Result("failed", check, "the same Cargo was published twice: make a new one for each")
    return Result("good", check)


async def _tick(lags: list[float]) -> None:
    loop = asyncio.get_running_loop()
    while True:
        before = loop.time()
        await asyncio.sleep(_TICK_S)
        lags.append(loop.time() - before - _TICK_S)


async def _failing(cls: type[Interfacer], settings: Mapping[str, Any]) -> Result:
    """Its first run fails: it is opened again."""
    check = "it goes on after an error of its device"
    interfacer = cls("test", settings, world=_Hasty())
    if not interfacer.reads:
        return Result("not tried", check, "it reads nothing")
    runs = 0
    opened = interfacer.run

    async def run() -> None:
        nonlocal runs
        runs += 1
        if runs == 1:
            raise OSError("an error, for the test")
        await opened()

    interfacer.run = run  # type: ignore[method-assign]
    runner, _ = _runner(interfacer)
    interfacer.log.disabled = True  # the error is ours
    try:
        runner.start()
        loop = asyncio.get_running_loop()
        end = loop.time() + RUN_S
        while loop.time() < end and (runs < 2 or runner.state is not State.RUNNING):  # noqa: ASYNC110 - a state to look at
            await asyncio.sleep(_TICK_S)
        state, why = runner.state, runner.last_error
        await runner.stop(0, 5.0)
    finally:
        interfacer.log.disabled = False
    if not runs:
        return Result("not tried", check, why)
    return _verdict(check, runs > 1 and state is State.RUNNING, f"after the error it did not run again: {why}")
