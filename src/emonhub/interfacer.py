"""The base of everything that talks to one outside thing.

A subclass declares its settings, says in `endpoint` what it talks to, and has some of

    async def open(self)            get the outside thing; raise Unavailable while it is not there
    async def read(self)            the next cargo, a list of it, or None: called again and again
    async def send(self, cargos)    pass cargo on, live: now or never
    async def close(self)           let go of it

`read` and `send` run as tasks of their own, so that neither waits for the other. A plain `def read(self)` may block
as long as it likes: it gets a thread of its own. What raises is restarted by the hub, with growing waits.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections import Counter
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from emonhub.blocking import ReadThread
from emonhub.cargo import Cargo
from emonhub.errors import FrameError, SettingError, Undecided
from emonhub.nodes.datacodes import ONE, PLAIN
from emonhub.nodes.definition import datacode_kind, scale_kind
from emonhub.nodes.table import Decoders, Nodes
from emonhub.settings import apply, choice, declared, integer, matching, name_list, number, setting, switch
from emonhub.world import World

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable, Mapping

LOGGER_PREFIX = "emonhub.interfacer."

_IDLE_S = 0.01
"""After an async read that found nothing: one that does not wait for its device must not take a whole core."""

_DECODING = frozenset({"datacode", "scale", "nodeoffset", "nodelistonly"})


class Observer(Protocol):
    """Sees what passes an interfacer and changes nothing; called in the loop, so it is quick and never raises."""

    def passed(self, interfacer: Interfacer, cargos: list[Cargo]) -> None:
        """These were published."""

    def discarded(self, interfacer: Interfacer, error: FrameError, raw: bytes | str) -> None:
        """This could not be used."""


class Interfacer:
    """Talks to one outside thing: reads from it, sends to it live, or both. Constructing one opens nothing."""

    sections: ClassVar[frozenset[str]] = frozenset()
    """Names of deeper sections of emonhub.conf that it takes, such as `meters`."""

    adds_nodeoffset: ClassVar[bool] = True
    """Whether `nodeoffset` is added to the node ids received; else the interfacer uses it in its own way."""

    packed_frames: ClassVar[bool] = False
    """Whether its frames carry packed bytes, as radios send them, so that node templates can be tried on them."""

    pubchannels = setting(name_list(), (), "channels that what it reads is published on")
    subchannels = setting(name_list(), (), "channels that what it sends is taken from")
    pause = setting(choice("off", "in", "out", "all"), "off", "in = publish nothing, out = send nothing, all = neither")
    interval = setting(
        number(0), 0.0, "seconds between its regular actions; 0 = as soon as there is something", unit="s"
    )
    batchsize = setting(integer(1), 1, "frames in one request at most")
    datacode = setting(datacode_kind(), PLAIN, "datacode of nodes that have none of their own")
    scale = setting(scale_kind(), ONE, "factor of nodes that have none of their own")
    nodeoffset = setting(integer(0), 0, "added to the node ids it receives")
    timestamped = setting(switch(), False, "frames start with their time in Unix seconds")
    targeted = setting(switch(), False, "the node id is followed by the node to send to")
    nodelistonly = setting(switch(), False, "drop frames of nodes that are not in [nodes]")
    loglevel = setting(
        matching(r"(?i)|DEBUG|INFO|WARNING|ERROR|CRITICAL", "DEBUG, INFO, WARNING, ERROR or CRITICAL, or empty"),
        "",
        "how much it logs; empty = as the hub does",
    )

    def __init__(
        self,
        name: str,
        settings: Mapping[str, Any] | None = None,
        *,
        world: World | None = None,
        nodes: Nodes | None = None,
    ) -> None:
        self.name = name
        self.world = world or World()
        self.nodes = nodes or Nodes()
        self.log = logging.getLogger(LOGGER_PREFIX + name)
        self.observer: Observer | None = None
        self.received = 0
        self.bad: Counter[str] = Counter()
        self.last_received: float | None = None
        self._read_thread: ReadThread | None = (
            None  # of a blocking `read`; stays after the end, for it may not have returned
        )
        self._publish: Callable[[tuple[str, ...], list[Cargo]], object] = lambda _names, _cargos: None
        apply(self, settings or {})
        self.decoders = self._make_decoders()
        self.check()

    # For subclasses to fill in

    def check(self) -> None:
        """Rules that concern several settings at once. Raises SettingError. Opens nothing."""

    def endpoint(self) -> str:
        """What it talks to, for people: `/dev/ttyAMA0 at 38400`. Opens nothing."""
        return ""

    async def open(self) -> None:
        """Get hold of the outside thing. Raises Unavailable while it is not there."""

    async def read(self) -> Cargo | Iterable[Cargo] | None:
        """The next readings. Waits for them as long as it takes."""
        raise NotImplementedError

    async def send(self, cargos: list[Cargo]) -> None:
        """Pass these on, live. What it raises is logged and counted, and the cargo is gone."""
        raise NotImplementedError

    async def close(self) -> None:
        """Let go of the outside thing. Called after every `open`, also one that failed."""

    def jobs(self) -> Iterable[Coroutine[Any, Any, None]]:
        """What is to run beside `read` and `send` while it is open. A job may end; if it raises, all is restarted."""
        return ()

    def settings_changed(self, changed: set[str]) -> None:
        """Called in a running interfacer after these runtime settings have got other values."""

    # For subclasses to use

    def publish(self, cargos: list[Cargo]) -> None:
        """Put cargo on its pubchannels. Values must be finite numbers, or None for none."""
        if not cargos:
            return
        self.received += len(cargos)
        self.last_received = cargos[-1].time
        if self.pause in {"in", "all"}:
            self.bad["paused"] += len(cargos)
            return
        if self.log.isEnabledFor(logging.DEBUG):
            for cargo in cargos:
                self._log_frame(cargo)
        self._publish(self.pubchannels, cargos)
        if self.observer is not None:
            self.observer.passed(self, cargos)

    def discard(self, error: FrameError, raw: bytes | str = b"") -> None:
        """Count and log a frame that can't be used; everything else goes on."""
        if self.observer is not None:
            self.observer.discarded(self, error, raw)
        if isinstance(error, Undecided):
            return
        self.bad[error.reason] += 1
        shown = raw[:200] if isinstance(raw, str) else raw[:200].decode("utf-8", "backslashreplace")
        more = "…" if len(raw) > len(shown) else ""
        of = f" [{shown}{more}]" if shown else ""
        self.log.warning("Discarded frame, %s: %s%s", error.reason, error, of, extra={"repeats": error.reason})

    def note_bad_value(self, reason: str, detail: str) -> None:
        """Count and log a value that had to be left out of a frame that is otherwise good."""
        self.bad[f"value {reason}"] += 1
        self.log.warning("Value left out, %s: %s", reason, detail, extra={"repeats": reason})

    # What the hub calls

    @property
    def reads(self) -> bool:
        """Whether it has a reading side."""
        return type(self).run is not Interfacer.run or type(self).read is not Interfacer.read

    @property
    def sends(self) -> bool:
        """Whether it has a live sending side."""
        return type(self).send is not Interfacer.send

    @property
    def still_reading(self) -> bool:
        """Whether a blocking `read` of before has not returned yet: until it has, there must be no other."""
        return self._read_thread is not None and self._read_thread.alive

    async def read_returned(self) -> None:
        """Wait until it has."""
        if self._read_thread is not None and self._read_thread.alive:
            await self._read_thread.wait_ended()

    def connect(self, publish: Callable[[tuple[str, ...], list[Cargo]], object]) -> None:
        """Where `publish` puts its cargo, given the channels' names."""
        self._publish = publish

    def update(self, settings: Mapping[str, Any]) -> set[str]:
        """Take over other runtime settings while running. Returns the names of those that changed.

        Raises SettingError when `check` does; the old ones then stay.
        """
        old = {name: getattr(self, name) for name in declared(type(self))}
        changed = apply(self, settings)
        try:
            self.check()
        except SettingError:
            apply(self, old)
            raise
        if changed & _DECODING:
            self.decoders = self._make_decoders()
        if changed:
            self.settings_changed(changed)
        return changed

    async def run(self) -> None:
        """The reading side, from an open outside thing until it fails: `read` again and again.

        A subclass that is told of readings rather than asking for them has its own.
        """
        if inspect.isasyncgenfunction(self.read):
            async for found in self.read():
                self.publish(self._checked((found,)))
                await asyncio.sleep(0)
        elif inspect.iscoroutinefunction(self.read):
            while True:
                found = await self.read()
                self.publish(self._checked(found))
                # A read that never waits for anything must not keep the others from their turn.
                await (self.world.sleep(_IDLE_S) if found is None else asyncio.sleep(0))
        else:
            self._read_thread = ReadThread(self.name, self.read, lambda found: self.publish(self._checked(found)))
            await self._read_thread.run()

    def _checked(self, found: Cargo | Iterable[Cargo] | None) -> list[Cargo]:
        """What somebody's `read` returned, made safe to pass on."""
        if found is None:
            return []
        good = []
        for cargo in [found] if isinstance(found, Cargo) else found:
            try:
                if not isinstance(cargo, Cargo):
                    raise FrameError("no cargo", f"read() returned {type(cargo).__name__}, not Cargo")
                cargo.values = tuple(map(self._number, cargo.values))
                good.append(cargo)
            except FrameError as error:
                self.discard(error)
        return good

    def _number(self, value: Any) -> int | float | None:
        if isinstance(value, int | float):
            if value - value == 0:
                return +value
            self.note_bad_value("not finite", f"{value} is left out")
            return None
        if value is None:
            return None
        raise FrameError("non-numeric", f"{value!r} is no number")

    def _make_decoders(self) -> Decoders:
        return Decoders(
            self.nodes,
            self.note_bad_value,
            hint=self._hint,
            datacode=self.datacode,
            scale=self.scale,
            nodeoffset=self.nodeoffset if self.adds_nodeoffset else 0,
            nodelistonly=self.nodelistonly,
            packed_frames=self.packed_frames,
        )

    def _hint(self, text: str) -> None:
        self.log.warning("%s", text, extra={"repeats": text})

    def _log_frame(self, cargo: Cargo) -> None:
        layout = cargo.layout
        named = ", ".join(f"{layout.name_of(i)}={value}" for i, value in enumerate(cargo.values))
        self.log.debug(
            "NEW FRAME : node %s%s at %.3f%s Values : %s",
            layout.node,
            f" ({layout.nodename})" if layout.nodename else "",
            cargo.time,
            f" RSSI {cargo.rssi}" if cargo.rssi else "",
            named,
        )
