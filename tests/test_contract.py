"""What the hub counts on in every interfacer, over all that ship, as far as that goes without their devices."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import pytest

from emonhub import Cargo, Interfacer, Layout, number, plugins, setting
from emonhub.cli.contract import examine, raw_settings

if TYPE_CHECKING:
    from pathlib import Path

NEEDED = {
    "EmonHubExecInterfacer": {"command": "echo 10 1"},
    "EmonHubSocketInterfacer": {"port_nb": "0"},
    "EmonHubPulseCounterInterfacer": {"pulse_pin": "15"},
    "EmonHubDigitalInputInterfacer": {"pins": "11"},
}
"""Settings without which one can't be made, or would meet another test."""

LAYOUT = Layout(1, "meter", ("power",))


async def outcome(cls: type[Interfacer]) -> dict[str, str]:
    return {
        result.check: f"{result.outcome}: {result.text}"
        for result in await examine(cls, {}, run_s=0.3)
        if result.outcome == "failed"
    }


@pytest.mark.slow
@pytest.mark.parametrize("name", plugins.built_in_names())
async def test_those_that_ship_keep_to_it(name: str, tmp_path: Path) -> None:
    cls = plugins.find(name).cls
    assert cls is not None
    given = dict(NEEDED.get(name, {}))
    if "com_port" in dir(cls):
        given["com_port"] = str(tmp_path / "nowhere")
    results = await examine(cls, raw_settings(cls, given), run_s=0.3)
    assert [result for result in results if result.outcome == "failed"] == []
    assert results[0].outcome == "good"


class Good(Interfacer):
    """Keeps to it."""

    async def read(self) -> Cargo:
        await asyncio.sleep(0.01)
        return Cargo(LAYOUT, (1,), self.world.time())


class Opens(Good):
    """Opens something too early."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        with open("/dev/null"):
            pass


class Undocumented(Good):
    __doc__ = None


class Helpless(Good):
    """Has a setting that says nothing of itself."""

    step = setting(number(), 1.0, "")


class Hiding(Good):
    """Has a setting called as something else."""

    open = setting(number(), 1.0, "hides a method")  # type: ignore[assignment]


class Blocking(Good):
    """Holds up the loop."""

    async def read(self) -> Cargo:
        time.sleep(0.5)
        return await super().read()


class Restamped(Good):
    """Has times of its own."""

    async def read(self) -> Cargo:
        cargo = await super().read()
        cargo.time *= 1000
        return cargo


class Slow(Good):
    """Takes its time to close."""

    async def close(self) -> None:
        await asyncio.sleep(1.5)


class Once(Good):
    """Can be opened only once."""

    opened = False

    async def open(self) -> None:
        if self.opened:
            raise RuntimeError("it is open already")
        self.opened = True


async def test_a_good_one_passes() -> None:
    assert await outcome(Good) == {}


@pytest.mark.parametrize(
    ("cls", "check", "text"),
    [
        (Opens, "constructing it opens nothing", "/dev/null"),
        (Undocumented, "its settings are declared, and it says what it is", "docstring"),
        (Helpless, "its settings are declared, and it says what it is", "step has no help"),
        (Hiding, "its settings are declared, and it says what it is", "open hides"),
        (Blocking, "it does not hold up the others", "stood still"),
        (Restamped, "its frames have the times of their samples, and stay as they are", "Unix seconds"),
        (Slow, "it stops within a second", "it took"),
        (Once, "it goes on after an error of its device", "it is open already"),
    ],
)
@pytest.mark.slow
async def test_what_breaks_it_is_found(cls: type[Interfacer], check: str, text: str) -> None:
    found = await outcome(cls)
    assert text in found[check]
