"""Settings: declared once, in the interfacer's class, with their type, default, range, unit and one line of help.

Checking a configuration, the reference, and the shown values all come from that declaration:

    class Thermometer(Interfacer):
        device = setting(text(), "/dev/thermometer", "where the thermometer is", init=True)
        period = setting(number(0.1), 10.0, "how often it is read", unit="s")

and `self.period` is a float.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeAlias, TypeVar, overload

from emonhub.errors import SettingError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

Raw: TypeAlias = str | list[str]
"""A value as emonhub.conf gives it: a text, or a list of texts where the line has a comma."""


class Kind(Protocol[T_co]):
    """Turns a raw value into a checked one."""

    rule: str
    """What is accepted, in words that finish the sentence "must be …"."""

    def __call__(self, raw: Raw) -> T_co:
        """The checked value. Raises SettingError."""
        ...


@dataclass(frozen=True, slots=True)
class Description:
    """What a form shows for a setting: `name` is text, integer, number, switch, choice, list, size or duration."""

    name: str = "text"
    choices: tuple[str, ...] = ()


class _Kind(Generic[T]):
    def __init__(self, rule: str, parse: Callable[[Raw], T], name: str = "text", choices: tuple[str, ...] = ()) -> None:
        self.rule = rule
        self.description = Description(name, choices)
        self._parse = parse

    def __call__(self, raw: Raw) -> T:
        try:
            return self._parse(raw)
        except (ValueError, KeyError) as error:
            raise SettingError(f"must be {self.rule}") from error


def _one(raw: Raw) -> str:
    """A list of one is as good as its element: `interval = 30,` has always been a common slip."""
    if isinstance(raw, str):
        return raw.strip()
    if len(raw) == 1:
        return raw[0].strip()
    raise ValueError(raw)


def text() -> Kind[str]:
    """Any text. A value that a comma made into a list is put together again."""
    return _Kind("a text", lambda raw: raw.strip() if isinstance(raw, str) else ", ".join(raw))


def integer(low: int | None = None, high: int | None = None) -> Kind[int]:
    """A whole number between `low` and `high`, both included."""

    def parse(raw: Raw) -> int:
        value = int(_one(raw), 10)
        _check_range(value, low, high)
        return value

    return _Kind(_range_rule("a whole number", low, high), parse, "integer")


def number(low: float | None = None, high: float | None = None) -> Kind[float]:
    """A finite number between `low` and `high`, both included."""

    def parse(raw: Raw) -> float:
        value = float(_one(raw))
        if value - value != 0:
            raise ValueError(raw)
        _check_range(value, low, high)
        return value

    return _Kind(_range_rule("a number", low, high), parse, "number")


_SWITCH = {
    **dict.fromkeys(("1", "true", "yes", "on"), True),
    **dict.fromkeys(("0", "false", "no", "off"), False),
}


def switch() -> Kind[bool]:
    """1/0, true/false, yes/no, on/off, in any case."""
    return _Kind("1 or 0 (also true/false, yes/no, on/off)", lambda raw: _SWITCH[_one(raw).lower()], "switch")


def choice(*allowed: str) -> Kind[str]:
    """One of some words, in any case; comes out as it is written here."""
    known = {word.lower(): word for word in allowed}
    return _Kind("one of " + ", ".join(allowed), lambda raw: known[_one(raw).lower()], "choice", allowed)


def name_list() -> Kind[tuple[str, ...]]:
    """A list of names. A single text is a list of one."""

    def parse(raw: Raw) -> tuple[str, ...]:
        parts = [raw] if isinstance(raw, str) else raw
        return tuple(part.strip() for part in parts if part.strip())

    return _Kind("a list of names, separated by commas", parse, "list")


def matching(pattern: str, rule: str) -> Kind[str]:
    """A text that matches the whole of a regular expression."""
    compiled = re.compile(pattern)

    def parse(raw: Raw) -> str:
        value = _one(raw)
        if not compiled.fullmatch(value):
            raise ValueError(raw)
        return value

    return _Kind(rule, parse)


_SIZE_UNITS = ((30, "G"), (20, "M"), (10, "k"))
_SIZE = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}


def size(low: int = 0) -> Kind[int]:
    """A number of bytes, with k, M or G (powers of 1024) after it if wanted."""

    def parse(raw: Raw) -> int:
        match = re.fullmatch(r"(\d+)\s*([kKmMgG]?)[bB]?", _one(raw))
        if not match:
            raise ValueError(raw)
        value = int(match[1]) * _SIZE[match[2].lower()]
        _check_range(value, low, None)
        return value

    return _Kind(f"a size in bytes, at least {low} (k, M, G may follow)", parse, "size")


_SECONDS = {"": 1.0, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0, "y": 31557600.0}


def duration() -> Kind[float]:
    """A length of time in seconds, with s, min, h, d, w or y after it if wanted; `ever` is without end."""

    def parse(raw: Raw) -> float:
        value = _one(raw).lower()
        if value in {"ever", "forever", "for ever"}:
            return float("inf")
        match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([a-z]*)", value)
        if not match:
            raise ValueError(raw)
        return float(match[1]) * _SECONDS[match[2]]

    return _Kind("a length of time such as 30 s, 12 h, 90 d or ever", parse, "duration")


def describe(kind: Kind[Any]) -> Description:
    """What a form shows for this kind; a kind of somebody's own is a text."""
    found = getattr(kind, "description", None)
    return found if isinstance(found, Description) else Description()


def _check_range(value: float, low: float | None, high: float | None) -> None:
    if (low is not None and value < low) or (high is not None and value > high):
        raise ValueError(value)


def _range_rule(what: str, low: float | None, high: float | None) -> str:
    if low is not None and high is not None:
        return f"{what} from {low:.12g} to {high:.12g}"
    if low is not None:
        return f"{what}, {low:.12g} or more"
    if high is not None:
        return f"{what}, {high:.12g} or less"
    return what


class Setting(Generic[T]):
    """One declared setting. On an instance the attribute is the value, on the class it is this declaration.

    init    stands in `[[[init_settings]]]`: a change restarts the interfacer
    secret  is masked wherever it is shown
    vital   with its default in place of a bad value, data would go where the user did not say: it does not run, then
    """

    name: str

    def __init__(
        self,
        kind: Kind[T],
        default: T,
        help: str,  # noqa: A002 - the word users of argparse know
        *,
        init: bool = False,
        unit: str = "",
        secret: bool = False,
        vital: bool = False,
    ) -> None:
        self.kind = kind
        self.default = default
        self.help = help
        self.init = init
        self.unit = unit
        self.secret = secret
        self.vital = vital

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    @overload
    def __get__(self, instance: None, owner: type) -> Setting[T]: ...
    @overload
    def __get__(self, instance: object, owner: type) -> T: ...
    def __get__(self, instance: object | None, owner: type) -> Setting[T] | T:
        return self if instance is None else self.default

    def but(self, default: T, help: str = "") -> Setting[T]:  # noqa: A002
        """The same setting with another default, for a subclass."""
        return Setting(
            self.kind,
            default,
            help or self.help,
            init=self.init,
            unit=self.unit,
            secret=self.secret,
            vital=self.vital,
        )

    @property
    def section(self) -> str:
        """The section of emonhub.conf that it stands in."""
        return "init_settings" if self.init else "runtimesettings"

    @property
    def default_text(self) -> str:
        """The default as emonhub.conf would have it."""
        value: Any = self.default
        if isinstance(value, bool):
            return str(int(value))
        if isinstance(value, tuple):
            return ", ".join(map(str, value))
        if isinstance(value, float):
            return "ever" if value == float("inf") else f"{value:.12g}"
        if isinstance(value, int) and describe(self.kind).name == "size":
            fitting = (f"{value >> n}{unit}" for n, unit in _SIZE_UNITS if value and not value % (1 << n))
            return next(fitting, str(value))
        return str(value)


setting = Setting


def declared(cls: type) -> dict[str, Setting[Any]]:
    """The settings of a class and its bases, by name, in the order of declaration."""
    found: dict[str, Setting[Any]] = {}
    for base in reversed(cls.__mro__):
        for name, value in vars(base).items():
            if isinstance(value, Setting):
                found[name] = value  # noqa: PERF403 - a comprehension over two loops and a test is harder to read
    return found


def apply(target: object, values: Mapping[str, Any]) -> set[str]:
    """Give `target` exactly these values, its defaults for the rest. Returns the names of those that changed."""
    changed = set()
    for name, declaration in declared(type(target)).items():
        new = values.get(name, declaration.default)
        if getattr(target, name) != new:
            changed.add(name)
        setattr(target, name, new)
    return changed
