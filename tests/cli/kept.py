"""A configuration, frames that its reporters owe or keep, and the command on them."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from emonhub.buffer.choose import open_buffer
from emonhub.buffer.stored import StoredBuffer
from emonhub.cargo import Cargo, Layout
from emonhub.cli import main
from emonhub.cli.place import Place, open_place
from emonhub.world import World

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    import pytest

KEY = "0123456789abcdef0123456789abcdef"
START = 1_790_000_000.0
LAYOUTS = (
    Layout(10, "emonTx", ("P1", "Vrms"), ("W", "V")),
    Layout(11, "emonTH", ("temperature", "humidity"), ("C", "%")),
)


def cargos(count: int, *, start: float = START, step: float = 5.0) -> list[Cargo]:
    """Frames of two nodes in turn, each different."""
    return [Cargo(LAYOUTS[i % 2], (i, 240.5 + i), round(start + step * i + 0.25, 3), -40 - i % 2) for i in range(count)]


@dataclass
class Kept:
    """A state directory and a configuration with the reporters `org` and `local`."""

    path: Path
    capsys: pytest.CaptureFixture[str]

    def configure(self, org: str = "", local: str = "", *, url: str = "http://127.0.0.1:9", extra: str = "") -> None:
        (self.path / "state").mkdir(exist_ok=True)
        (self.path / "emonhub.conf").write_text(f"""
[hub]
    state_dir = {self.path}/state
[interfacers]
[[org]]
    Type = EmonHubEmoncmsHTTPInterfacer
    [[[init_settings]]]
{org}
    [[[runtimesettings]]]
        url = {url}
        apikey = {KEY}
        subchannels = ToEmonCMS,
[[local]]
    Type = EmoncmsHttpReporter
    [[[init_settings]]]
{local}
    [[[runtimesettings]]]
        url = {url}
        apikey = {KEY}
        sendnames = 1
        subchannels = ToEmonCMS,
{extra}
[nodes]
[[10]]
    nodename = emonTx
    [[[rx]]]
        names = P1, Vrms
        datacodes = h, h
        units = W, V
""")

    @property
    def conf(self) -> Path:
        return self.path / "emonhub.conf"

    @property
    def place(self) -> Place:
        return open_place(self.conf)

    def folder(self, name: str = "org") -> Path:
        return self.path / "state" / "buffer" / name

    def __call__(self, *arguments: object) -> tuple[int, str, str]:
        """Run the command. Returns its status, output and errors."""
        command, *rest = map(str, arguments)
        self.capsys.readouterr()
        try:
            status = main([command, *rest, "--config", str(self.conf)])
        except SystemExit as error:
            status = int(error.code or 0)
        found = self.capsys.readouterr()
        return status, found.out, found.err

    def good(self, *arguments: object) -> str:
        """The output of a command that must succeed, and complain of nothing."""
        status, out, err = self(*arguments)
        assert (status, err) == (0, "")
        return out

    def bad(self, status: int, *arguments: object) -> str:
        """The errors of a command that must fail so."""
        found, _, err = self(*arguments)
        assert found == status
        return err

    def owe(self, frames: Sequence[Cargo], name: str = "org", *, delivered: int = 0, killed: bool = False) -> None:
        """Have a reporter take these over, and deliver some; then the hub ends, or is killed."""

        async def go() -> None:
            place = self.place
            reporter = place.reporters[name]
            reporter.world = World(seed=1)
            buffer, folder = await open_buffer(reporter, place.state, reporter.world)
            assert isinstance(buffer, StoredBuffer)
            assert folder is not None
            reporter.equip(buffer, folder)
            reporter.accept(list(frames))
            if delivered:
                if not killed:
                    buffer.spill()
                    await until(lambda: buffer.durable)
                buffer.remove(buffer.first + delivered)
            if not killed:
                await buffer.close()
            folder.disown()

        asyncio.run(go())

    def records(self, part: Any = "all", name: str = "org") -> list[tuple[float, str]]:
        return [(frame.time, frame.record) for frame in self.place.record(name).frames(part)]


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.002)
