"""Lines of a Raspberry Pi's header, or of any GPIO chip that the kernel shows as /dev/gpiochip…"""

from __future__ import annotations

import errno
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from emonhub import SettingError, Unavailable, matching, setting

if TYPE_CHECKING:
    from collections.abc import Sequence

    import gpiod

HEADER = {
    3: 2, 5: 3, 7: 4, 8: 14, 10: 15, 11: 17, 12: 18, 13: 27, 15: 22, 16: 23, 18: 24, 19: 10, 21: 9, 22: 25, 23: 11,
    24: 8, 26: 7, 27: 0, 28: 1, 29: 5, 31: 6, 32: 12, 33: 13, 35: 19, 36: 16, 37: 26, 38: 20, 40: 21,
}  # fmt: skip
"""The GPIO number of each pin of the 40-pin header that has one; the 26 pins of the first boards are the same."""

_HEADER_CHIPS = ("pinctrl-bcm", "pinctrl-rp1")
"""How the labels of the chips begin whose lines are that header's."""

_OTHER_CHIP = ": set chip in [[[init_settings]]] to one of those that `gpiodetect` shows"

_LIBRARY_RETRY_S = 60.0

CHIP = setting(
    matching(r"|/dev/\S+", "the path of a GPIO chip such as /dev/gpiochip0, or empty"),
    "",
    "the GPIO chip, and the pins are its line numbers or names; empty = the header of a Raspberry Pi, by pin numbers",
    init=True,
)


class Lines(Protocol):
    """Input lines that are ours until they are released. The methods don't wait, and raise OSError."""

    def fileno(self) -> int:
        """A file descriptor that can be read when there are new edges."""
        ...

    def new_edges(self) -> int:
        """How many edges have come since the last time, on the one line."""
        ...

    def values(self) -> list[bool]:
        """Which lines are high, in the order of the pins."""
        ...

    def release(self) -> None:
        """Let go of the lines."""
        ...


class LinesOf(Protocol):
    """Gets hold of input lines. Raises Unavailable while they can't be had."""

    def __call__(
        self, chip: str, pins: Sequence[str], *, pull: str, edges: bool, debounce_s: float, rising: bool = False
    ) -> Lines:
        """`pull` is up, down or off, `edges` whether falling ones, or else the `rising` ones, are reported."""
        ...


class Output(Protocol):
    """An output line that is ours until it is released. The methods don't wait, and raise OSError."""

    def set(self, *, high: bool) -> None:
        """Make it high or low."""
        ...

    def release(self) -> None:
        """Let go of the line."""
        ...


def check_pins(chip: str, pins: Sequence[str]) -> None:
    """Raises SettingError for a pin that the header does not have."""
    for pin in pins:
        if not chip and not (pin.isascii() and pin.isdigit() and int(pin) in HEADER):
            raise SettingError(f"pin {pin} of the header is no input: must be one of {', '.join(map(str, HEADER))}")


def open_lines(
    chip: str, pins: Sequence[str], *, pull: str, edges: bool, debounce_s: float, rising: bool = False
) -> Lines:
    """Lines of this machine; see LinesOf."""
    gpiod = _library()
    path = chip or _header_chip(gpiod, _OTHER_CHIP)
    lines: list[int | str] = (
        [int(pin) if pin.isdigit() else pin for pin in pins] if chip else [HEADER[int(p)] for p in pins]
    )
    edge = gpiod.line.Edge.RISING if rising else gpiod.line.Edge.FALLING
    wanted = gpiod.LineSettings(
        direction=gpiod.line.Direction.INPUT,
        edge_detection=edge if edges else gpiod.line.Edge.NONE,
        bias={"up": gpiod.line.Bias.PULL_UP, "down": gpiod.line.Bias.PULL_DOWN, "off": gpiod.line.Bias.AS_IS}[pull],
        debounce_period=timedelta(seconds=debounce_s),
    )
    try:
        return _GpiodLines(gpiod.request_lines(path, {tuple(lines): wanted}, consumer="emonhub"), lines)
    except (OSError, ValueError) as error:
        raise Unavailable(_why(path, pins, error), retry_s=10.0) from error


def open_output(pin: str, *, high: bool) -> Output:
    """A pin of this machine's header as an output that starts `high` or low. Raises Unavailable."""
    gpiod = _library()
    path = _header_chip(gpiod)
    line = HEADER[int(pin)]
    levels = (gpiod.line.Value.INACTIVE, gpiod.line.Value.ACTIVE)
    wanted = gpiod.LineSettings(direction=gpiod.line.Direction.OUTPUT, output_value=levels[high])
    try:
        return _GpiodOutput(gpiod.request_lines(path, {line: wanted}, consumer="emonhub"), line, levels)
    except (OSError, ValueError) as error:
        raise Unavailable(_why(path, (pin,), error), retry_s=10.0) from error


def _library() -> Any:
    try:
        import gpiod  # noqa: PLC0415 - only who has pins pays for it
    except ImportError as error:
        raise Unavailable(
            "the library gpiod is not installed: pip install 'emonhub[gpio]'", retry_s=_LIBRARY_RETRY_S
        ) from error
    return gpiod


def _header_chip(library: Any, otherwise: str = "") -> str:
    for path in sorted(Path("/dev").glob("gpiochip*")):
        try:
            with library.Chip(str(path)) as chip:
                if chip.get_info().label.startswith(_HEADER_CHIPS):
                    return str(path)
        except PermissionError as error:
            raise Unavailable(_why(str(path), (), error), retry_s=10.0) from error
        except OSError:
            continue
    raise Unavailable(f"this machine has no Raspberry Pi's header{otherwise}", retry_s=_LIBRARY_RETRY_S)


def _why(path: str, pins: Sequence[str], error: Exception) -> str:
    if isinstance(error, PermissionError):
        return f"no permission to open {path}: add the hub's user to the group `gpio`"
    if isinstance(error, FileNotFoundError):
        return f"there is no {path}, or no line of that name on it: `gpioinfo` shows those that there are"
    if isinstance(error, OSError) and error.errno == errno.EBUSY:
        return f"pin {', '.join(pins)} is in use: `gpioinfo` shows by whom"
    return f"pin {', '.join(pins)} of {path} can't be had: {error}"


class _GpiodLines:
    def __init__(self, request: gpiod.LineRequest, lines: list[int | str]) -> None:
        self._request = request
        self._lines = lines
        self._counted = 0

    def fileno(self) -> int:
        return int(self._request.fd)

    def new_edges(self) -> int:
        # The kernel numbers the edges: those that no longer fitted into its queue are counted too.
        last = self._request.read_edge_events()[-1].line_seqno
        new, self._counted = last - self._counted, last
        return new

    def values(self) -> list[bool]:
        return [value.value == 1 for value in self._request.get_values(self._lines)]

    def release(self) -> None:
        self._request.release()


class _GpiodOutput:
    def __init__(self, request: gpiod.LineRequest, line: int, levels: tuple[Any, Any]) -> None:
        self._request = request
        self._line = line
        self._levels = levels

    def set(self, *, high: bool) -> None:
        self._request.set_value(self._line, self._levels[high])

    def release(self) -> None:
        self._request.release()
