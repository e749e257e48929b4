"""The SPI bus of a Raspberry Pi, and the radio's chip select on it."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from emonhub import Unavailable
from emonhub.interfacers.devices.gpio import Output, open_output

if TYPE_CHECKING:
    from collections.abc import Callable

DEV = "/dev"

_SPEED_HZ = 4_000_000
"""The radio stands 10 MHz; long jumper wires stand less."""

_OWN_SELECT = {"24": 0, "26": 1}
"""The header's pins that the SPI bus itself selects with, and the device that each belongs to."""

_RETRY_S = 10.0
_LIBRARY_RETRY_S = 60.0


class Bus(Protocol):
    """The way to one chip. The methods take well under a millisecond, and raise OSError."""

    def transfer(self, data: bytes) -> bytes:
        """Select the chip, send these bytes, let it go. Returns as many that came meanwhile."""
        ...

    def close(self) -> None:
        """Let go of the bus."""
        ...


class BusOf(Protocol):
    """Gets hold of a bus. Raises Unavailable while it can't be had."""

    def __call__(self, select_pin: str) -> Bus:
        """`select_pin` is the header's pin that the chip is selected with."""
        ...


def open_bus(select_pin: str) -> Bus:
    """SPI bus 0 of this machine; see BusOf.

    A pin that the bus selects with itself is left to it. Any other is driven by hand, and then the bus selects as
    well with a pin of its own, which nothing must be connected to.
    """
    try:
        import spidev  # noqa: PLC0415 - only who has such a radio pays for it
    except ImportError as error:
        raise Unavailable(
            "the library spidev is not installed: pip install 'emonhub[spi]'", retry_s=_LIBRARY_RETRY_S
        ) from error
    own = _OWN_SELECT.get(select_pin)
    if own is not None and Path(f"{DEV}/spidev0.{own}").exists():
        return _Bus(_open(spidev, own), None)
    others = [number for number in (0, 1) if Path(f"{DEV}/spidev0.{number}").exists()]
    device = _open(spidev, others[0] if others else 0)
    try:
        return _Bus(device, open_output(select_pin, high=True))
    except BaseException:
        device.close()
        raise


def _open(library: Any, number: int) -> Any:
    path = f"{DEV}/spidev0.{number}"
    device = library.SpiDev()
    try:
        device.open(0, number)
        device.max_speed_hz = _SPEED_HZ
        device.mode = 0
    except FileNotFoundError as error:
        raise Unavailable(
            f"there is no {path}: add `dtparam=spi=on` to /boot/firmware/config.txt and restart the machine",
            retry_s=_RETRY_S,
        ) from error
    except PermissionError as error:
        raise Unavailable(
            f"no permission to open {path}: add the hub's user to the group `spi`", retry_s=_RETRY_S
        ) from error
    except OSError as error:
        with suppress(OSError):
            device.close()
        raise Unavailable(f"{path} can't be used: {error}", retry_s=_RETRY_S) from error
    return device


class _Bus:
    def __init__(self, device: Any, select: Output | None) -> None:
        self._device = device
        self._select = select
        self._exchange: Callable[[list[int]], list[int]] = device.xfer2

    def transfer(self, data: bytes) -> bytes:
        if self._select is None:
            return bytes(self._exchange(list(data)))
        self._select.set(high=False)
        try:
            return bytes(self._exchange(list(data)))
        finally:
            self._select.set(high=True)

    def close(self) -> None:
        self._device.close()
        if self._select is not None:
            self._select.release()
