"""The buffers of a hub's reporters. A buffer belongs to its reporter's name, so that it outlives restarts and edits."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from emonhub.buffer.choose import leave, open_buffer, replace_buffer, traits
from emonhub.state import state_dir

if TYPE_CHECKING:
    from collections.abc import Iterable

    from emonhub.buffer.base import Buffer
    from emonhub.buffer.folder import ReporterFolder
    from emonhub.cargo import Cargo
    from emonhub.config.model import HubConfig
    from emonhub.reporter import Reporter
    from emonhub.world import World

log = logging.getLogger("emonhub.hub")


@dataclass(frozen=True, slots=True)
class Owed:
    """What is owed under a reporter's name."""

    buffer: Buffer
    folder: ReporterFolder | None
    traits: tuple[object, ...]


class Pen:
    """Holds the cargo for a reporter while it is replaced by another one with other settings."""

    def __init__(self) -> None:
        self.cargos: list[Cargo] = []

    def accept(self, cargos: list[Cargo]) -> None:
        """Keep these."""
        self.cargos += cargos


class Keeper:
    """Gives reporters their buffers, and puts them away at the end.

    state   the state directory, None where nothing can be written
    """

    def __init__(self, config: HubConfig, world: World) -> None:
        self.state = state_dir(config.state_dir, world.environ)
        self._world = world
        world.state = self.state
        self._owed: dict[str, Owed] = {}
        if self.state is not None:
            world.clock.remember(self.state / "clocks.json")
        world.clock.wait_s = config.clock_wait

    async def equip(self, reporter: Reporter) -> None:
        """Give a reporter the buffer that goes by its name, or one as its settings have it now."""
        owed = self._owed.get(reporter.name)
        if owed is None or owed.traits != traits(reporter):
            if owed is None:
                buffer, folder = await open_buffer(reporter, self.state, self._world)
            else:
                buffer, folder = await replace_buffer(owed.buffer, owed.folder, reporter, self.state, self._world)
            owed = self._owed[reporter.name] = Owed(buffer, folder, traits(reporter))
        reporter.equip(owed.buffer, owed.folder)

    def frames(self, name: str) -> int:
        """How many frames are owed under a name."""
        owed = self._owed.get(name)
        return owed.buffer.frames if owed is not None else 0

    async def tend(self, reporters: Iterable[Reporter]) -> None:
        """Each second: has somebody paused a reporter, or laid frames into its inbox?"""
        for reporter in reporters:
            if reporter.folder is not None:
                await self._look_into(reporter, reporter.folder)

    def correct(self, shift_s: float, *, for_good: bool) -> None:
        """The clock has stepped, or is set."""
        for owed in self._owed.values():
            owed.buffer.correct(shift_s, for_good=for_good)

    async def put_away(self) -> None:
        """Make safe what is still owed."""
        await asyncio.gather(*(self._put_away(name, owed) for name, owed in self._owed.items()))

    async def _look_into(self, reporter: Reporter, folder: ReporterFolder) -> None:
        if folder.look():
            reporter.log.info("Sending is paused" if folder.is_paused else "Sending is resumed")
            reporter.hurry()
        for path in folder.waiting():
            try:
                times, records = await self._world.storage.run(folder.read, path)
                reporter.take_in(times, records)
                reporter.log.info("Took in %d frames from %s", len(records), path.name)
                folder.taken_in.add(path)
                await self._world.storage.run(path.unlink)
            except OSError as error:
                reporter.log.warning("%s can't be taken in: %s", path, error, extra={"repeats": str(path)})

    @staticmethod
    async def _put_away(name: str, owed: Owed) -> None:
        await owed.buffer.close()
        frames = owed.buffer.frames
        if frames and leave(owed.buffer, owed.folder):
            log.info("'%s': %d frames are kept for the next start", name, frames)
        elif frames:
            log.warning("'%s': %d frames were not delivered and are lost with the memory", name, frames)
        if owed.folder is not None:
            owed.folder.disown()
