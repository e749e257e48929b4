"""The hub: builds the interfacers that a configuration asks for, supervises them, applies changes as a difference."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from emonhub import logs
from emonhub.autoconf import Autoconf
from emonhub.channel import Channels
from emonhub.config.load import describe_problem, load
from emonhub.config.parse import ParseFailed
from emonhub.config.secrets import all_secrets
from emonhub.config.watch import Watcher
from emonhub.errors import SettingError
from emonhub.keeper import Keeper, Pen
from emonhub.nodes.table import Nodes
from emonhub.observers import Observers
from emonhub.presence import Presence
from emonhub.reporter import Reporter
from emonhub.supervisor import Runner, State
from emonhub.world import World

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from emonhub.config.model import Configuration, InterfacerConfig, Problem
    from emonhub.interfacer import Interfacer, Observer

log = logging.getLogger("emonhub.hub")

WATCH_S = 1.0
"""Between two looks at the file: a change is noticed within two seconds, also when it meets a look half written."""

READERS_END_S = 1.0
"""For those that read to let go of their devices at the end. What they have published by then is still delivered."""

DRAIN_S = 6.5
"""For reporters to send what they owe at the end: with closing, a stop takes less than ten seconds."""

_END_CLOSE_S = 1.0
"""For reporters to close at the end."""

_RESTART_DRAIN_S = 2.0
"""The same while the hub goes on: what is left is kept and sent by the successor."""

_SUMMARY_S = 60.0

_TEND_S = 1.0
"""What people and tools do to a reporter's folder is noticed so soon."""


@dataclass(frozen=True, slots=True)
class Refused:
    """An interfacer that can't be made, and why."""

    config: InterfacerConfig
    reason: str


def build(
    config: InterfacerConfig,
    *,
    world: World | None = None,
    nodes: Nodes | None = None,
) -> Interfacer:
    """The interfacer that a checked configuration describes; opens nothing. Raises SettingError."""
    if config.cls is None or not config.usable:
        raise SettingError("; ".join(problem.message for problem in config.errors) or "there is no such type")
    try:
        made = config.cls(config.name, config.settings, world=world, nodes=nodes)
        made.endpoint(), made.reads, made.sends
    except SettingError:
        raise
    except (Exception, SystemExit) as error:  # somebody's constructor may raise anything, and costs nobody else
        raise SettingError(f"it can't be made ({type(error).__name__}: {error})") from error
    return made


class Hub:
    """A running hub."""

    def __init__(
        self,
        path: Path,
        configuration: Configuration,
        *,
        world: World | None = None,
        load: Callable[[Path], Configuration] = load,
        on_applied: Callable[[Configuration], None] = lambda _configuration: None,
    ) -> None:
        self.path = path
        self.configuration = configuration
        self.world = world or World()
        self.nodes = Nodes()
        self.channels = Channels()
        self.runners: dict[str, Runner] = {}
        self.refused: dict[str, Refused] = {}
        self.reload_problem = ""
        self._load = load
        self._on_applied = on_applied
        self.keeper = Keeper(configuration.hub, self.world)
        self.autoconf = Autoconf(self.nodes, self.keeper.state)
        self.presence = Presence(self.nodes, configuration.hub.stale_after)
        self._observers = Observers(self.autoconf, self.presence)
        self._watcher = Watcher(path)
        self._look = asyncio.Event()
        self._stop = asyncio.Event()
        self.started = asyncio.Event()  # set when the first configuration is applied
        self._counted: dict[str, tuple[int, int]] = {}

    async def run(self) -> None:
        """Run until `stop` is called, then drain and end."""
        tasks: list[asyncio.Task[Any]] = [asyncio.create_task(self._stop.wait(), name="wait for the stop")]
        try:
            self.world.clock.on_change(self._clock_stepped)
            await self.apply(self.configuration)
            self.started.set()
            tasks.append(asyncio.create_task(self._tend(), name="tend the buffers"))
            tasks.append(asyncio.create_task(self._watch(), name="watch the configuration"))
            tasks.append(asyncio.create_task(self._sum_up(), name="summary"))
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()  # only the first ends but by an error, which ends the hub
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._shut_down()

    def observe(self, observer: Observer | None) -> None:
        """Let `observer` see what passes all interfacers from now on."""
        self._observers.guest = observer

    def stop(self) -> None:
        """Ask for the end."""
        self._stop.set()

    def look_now(self) -> None:
        """Read the configuration again whether or not the file looks changed."""
        self._look.set()

    async def reload(self) -> bool:
        """Read the file and apply what changed. Returns False for one that can't be parsed: it is refused whole."""
        try:
            configuration = self._load(self.path)
        except ParseFailed as error:
            self._refuse_file("; ".join(describe_problem(p, self.path) for p in error.problems[:3]))
            return False
        except OSError as error:
            self._refuse_file(f"{self.path} can't be read: {error.strerror}")
            return False
        if self.reload_problem:
            self.reload_problem = ""
            log.info("%s can be read again", self.path)
        await self.apply(configuration)
        return True

    async def apply(self, configuration: Configuration) -> None:
        """Make the running hub what `configuration` says; what did not change is not touched."""
        self._log_problems(configuration)
        known = self.configuration.nodes
        kept = {node: known[node] for node in configuration.bad_nodes if node in known}
        configuration = replace(configuration, nodes={**configuration.nodes, **kept})
        self.configuration = configuration
        self._watcher.expect(configuration.sources)
        self._on_applied(configuration)
        logs.apply(configuration.hub)
        logs.hide(all_secrets(configuration))
        self.presence.stale_after = configuration.hub.stale_after
        known = {**self.autoconf.unsaved, **configuration.nodes}
        if self.nodes.replace(known, autoconf=configuration.hub.autoconf):
            self.autoconf.release(runner.interfacer for runner in self.runners.values())
        wanted = configuration.interfacers
        self.refused = {name: kept for name, kept in self.refused.items() if name in wanted}
        fresh: dict[str, tuple[InterfacerConfig, Interfacer]] = {}
        for name, config in wanted.items():
            runner = self.runners.get(name)
            if runner is not None and not _must_restart(runner.config, config):
                self._update(runner, config)
            elif (interfacer := self._make(config)) is not None:
                fresh[name] = (config, interfacer)
        gone = [name for name in self.runners if name not in wanted or name in fresh]
        pens = {name: Pen() for name in gone if name in fresh and isinstance(fresh[name][1], Reporter)}
        await asyncio.gather(*(self._retire(name, pens.get(name)) for name in gone))
        # Those that take cargo first, so that nothing that is read goes past them.
        for name, (config, interfacer) in sorted(fresh.items(), key=lambda item: item[1][1].reads):
            await self._start(config, interfacer, pens.get(name))
        self.runners = {name: self.runners[name] for name in wanted if name in self.runners}

    def _make(self, config: InterfacerConfig) -> Interfacer | None:
        """The interfacer; None, and what is wrong with it told, when it can't be made: one that runs goes on then."""
        try:
            interfacer = build(config, world=self.world, nodes=self.nodes)
        except SettingError as error:
            self._refuse(config, str(error))
            return None
        interfacer.observer = self._observers
        self.refused.pop(config.name, None)
        return interfacer

    async def _start(self, config: InterfacerConfig, interfacer: Interfacer, pen: Pen | None) -> None:
        if isinstance(interfacer, Reporter):
            await self.keeper.equip(interfacer)
            if pen is not None and pen.cargos:
                interfacer.accept(pen.cargos)
        log.info("Creating %s '%s'", config.type, config.name)
        runner = self.runners[config.name] = Runner(config, interfacer, self.channels)
        runner.start()

    def _update(self, runner: Runner, config: InterfacerConfig) -> None:
        if not config.usable:
            self._refuse(config, "; ".join(problem.message for problem in config.errors))
            return
        self.refused.pop(config.name, None)
        settings = config.settings
        for name in config.defaulted:  # a bad value never replaces a good one
            settings[name] = getattr(runner.interfacer, name)
        if dict(runner.config.settings) == dict(config.settings):
            runner.config = config
            return
        try:
            changed = runner.interfacer.update(settings)
        except SettingError as error:
            self._refuse(config, str(error))
            return
        except Exception as error:  # noqa: BLE001 - likewise
            self._refuse(config, f"it did not take its new settings ({type(error).__name__}: {error})")
            return
        runner.config = config
        if changed:
            runner.rewire()
            log.info("New settings for '%s': %s", config.name, ", ".join(sorted(changed)))

    async def _retire(self, name: str, pen: Pen | None) -> None:
        """Stop one that is gone from the configuration; or is replaced, when its cargo goes into the pen meanwhile."""
        log.info("Stopping '%s'", name)
        await self.runners[name].stop(_RESTART_DRAIN_S, successor=pen)
        del self.runners[name]
        if pen is None and (frames := self.keeper.frames(name)):
            log.warning("'%s' is stopped with %d frames not delivered: kept until it runs again", name, frames)

    def _refuse(self, config: InterfacerConfig, reason: str) -> None:
        known = self.refused.get(config.name)
        self.refused[config.name] = Refused(config, reason)
        if known is None or known.reason != reason:
            still = "goes on with its old settings" if config.name in self.runners else "does not run"
            log.error("'%s' %s: %s", config.name, still, reason)

    def _refuse_file(self, why: str) -> None:
        if why != self.reload_problem:
            self.reload_problem = why
            log.error("New configuration refused, the old one goes on: %s", why)

    def _log_problems(self, configuration: Configuration) -> None:
        known: set[Problem] = set(self.configuration.problems) if configuration is not self.configuration else set()
        for problem in configuration.problems:
            if problem not in known:
                level = logging.ERROR if problem.severity == "error" else logging.WARNING
                text = describe_problem(problem, self.path)
                log.log(level, "%s", text, extra={"repeats": text})

    async def _watch(self) -> None:
        while True:
            try:
                async with asyncio.timeout(WATCH_S):
                    await self._look.wait()
            except TimeoutError:
                if not self._watcher.changed():
                    continue
            self._look.clear()
            if await self.reload():
                log.debug("Configuration read again")

    async def _sum_up(self) -> None:
        while True:
            await self.world.sleep(_SUMMARY_S)
            logs.tell_repeats()
            line = self.summary()
            if line:
                log.info("In the last minute: %s", line)

    def summary(self) -> str:
        """What every interfacer did since the last call, in one line."""
        parts = []
        for name, runner in self.runners.items():
            itf = runner.interfacer
            bad = itf.bad.total() - itf.bad["paused"]
            moved = itf.acknowledged if isinstance(itf, Reporter) else itf.received
            before = self._counted.get(name, (0, 0))
            self._counted[name] = (moved, bad)
            text = f"{name} {moved - before[0]} {'delivered' if isinstance(itf, Reporter) else 'frames'}"
            if bad > before[1]:
                text += f" ({bad - before[1]} bad)"
            if isinstance(itf, Reporter) and itf.buffer.frames:
                text += f" ({itf.buffer.frames} waiting)"
            if runner.state is not State.RUNNING:
                text += (
                    f" [{runner.state.value}: {runner.last_error}]" if runner.last_error else f" [{runner.state.value}]"
                )
            parts.append(text)
        parts.extend(f"{name} [{State.REFUSED.value}]" for name in self.refused if name not in self.runners)
        return ", ".join(parts)

    async def _shut_down(self) -> None:
        readers = [r for r in self.runners.values() if not isinstance(r.interfacer, Reporter)]
        reporters = [r for r in self.runners.values() if isinstance(r.interfacer, Reporter)]
        await asyncio.gather(*(runner.stop(0, READERS_END_S) for runner in readers))
        await asyncio.gather(*(runner.stop(DRAIN_S, _END_CLOSE_S) for runner in reporters))
        await self.keeper.put_away()
        logs.tell_repeats(all_of_them=True)
        log.info("Stopped")

    async def _tend(self) -> None:
        while True:
            await self.world.sleep(_TEND_S)
            self.world.clock.look()
            await self.keeper.tend(self._reporters())
            now = self.world.monotonic()
            self.presence.look(now, self.runners)
            interfacers = {name: runner.interfacer for name, runner in self.runners.items()}
            if await self.autoconf.tend(interfacers, self.configuration.bad_nodes, now):
                self.look_now()

    def _reporters(self) -> list[Reporter]:
        return [runner.interfacer for runner in self.runners.values() if isinstance(runner.interfacer, Reporter)]

    def _clock_stepped(self, shift_s: float, for_good: bool) -> None:
        self.keeper.correct(shift_s, for_good=for_good)
        for reporter in self._reporters():
            reporter.clock_corrected()


def _must_restart(old: InterfacerConfig, new: InterfacerConfig) -> bool:
    # A changed file of the user's own makes another class.
    return new.usable and (old.cls is not new.cls or old.type != new.type or dict(old.init) != dict(new.init))
