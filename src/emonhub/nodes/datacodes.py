"""Datacodes: the letters that say how a value is packed into a frame. Little endian, no padding.

    b B  8 bit   h H 16 bit   i I l L 32 bit   q Q 64 bit   f 32-bit float   d 64-bit float
    c    one byte, taken as its number         0   not packed: the frame carries numbers, not bytes

The lower-case letters are signed, the upper-case ones unsigned.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

from emonhub.errors import SettingError

PLAIN = "0"
SIZES = {code: struct.calcsize(f"<{code}") for code in "bBhHiIlLqQfd"} | {"c": 1}
FLOATS = frozenset("fd")

_MAX_DIGITS = 30
"""Of a scale: with many more, numerator and denominator would not fit into a float."""


def check_datacode(code: str) -> str:
    """The code itself. Raises SettingError when there is no such datacode."""
    if code not in SIZES and code != PLAIN:
        raise SettingError(f"{code!r} is no datacode: must be one of {' '.join(SIZES)} or 0")
    return code


def struct_code(code: str) -> str:
    """The letter that Python's struct module has for a datacode."""
    return "B" if code == "c" else code


def integer_range(code: str) -> tuple[int, int]:
    """The smallest and the largest number that a whole-number datacode holds."""
    bits = 8 * SIZES[code]
    return (0, (1 << bits) - 1) if code.isupper() or code == "c" else (-(1 << bits - 1), (1 << bits - 1) - 1)


def frame_size(codes: tuple[str, ...]) -> int:
    """Bytes of a frame packed with these datacodes."""
    return sum(SIZES[code] for code in codes)


@dataclass(frozen=True, slots=True)
class Scale:
    """A factor as an exact fraction, so that 234 at a scale of 0.1 is 23.4 and not 23.400000000000002.

    A value times `numerator` is exact, and one division by a power of ten rounds correctly.
    """

    numerator: int = 1
    denominator: int = 1

    @classmethod
    def parse(cls, text: str) -> Scale:
        """The scale that a text such as `0.1` means. Raises SettingError."""
        try:
            factor = Decimal(text.strip() if "_" not in text else "")
        except InvalidOperation:
            raise SettingError(f"{text!r} is no scale: must be a number") from None
        if not factor.is_finite() or factor == 0:
            raise SettingError(f"{text!r} is no scale: must be a finite number other than 0")
        if abs(factor.adjusted()) > _MAX_DIGITS or len(factor.as_tuple().digits) > _MAX_DIGITS:
            raise SettingError(f"{text!r} is no scale: must have at most {_MAX_DIGITS} digits")
        return cls(*factor.as_integer_ratio()) if factor == factor.to_integral_value() else cls._fraction(factor)

    @classmethod
    def _fraction(cls, factor: Decimal) -> Scale:
        _, digits, exponent = factor.as_tuple()
        assert isinstance(exponent, int)
        numerator = int("".join(map(str, digits)))
        denominator = 10**-exponent
        common = math.gcd(numerator, denominator)
        # Reduced only when that leaves a power of ten or one: dividing by it is what rounds correctly.
        if denominator // common == 1 or numerator == common:
            numerator, denominator = numerator // common, denominator // common
        return cls(-numerator if factor < 0 else numerator, denominator)

    @property
    def is_one(self) -> bool:
        """Whether values stay as they are."""
        return self.numerator == self.denominator

    def __str__(self) -> str:
        return f"{Decimal(self.numerator) / self.denominator:f}"

    def expression(self, value: str) -> str:
        """Python source for the scaled `value`."""
        times = "" if self.numerator == 1 else f"*{self.numerator}"
        over = "" if self.denominator == 1 else f"/{self.denominator}"
        return f"{value}{times}{over}"

    def up(self, value: float) -> float:
        """From the number in the frame to the number for people."""
        scaled = value * self.numerator
        return scaled if self.denominator == 1 else scaled / self.denominator

    def down(self, value: float) -> float:
        """From the number for people to the number in the frame."""
        if self.is_one:
            return value
        raw = value * self.denominator
        if isinstance(raw, int) and raw % self.numerator == 0:
            return raw // self.numerator  # a division would make a float of it: 64-bit numbers don't fit into one
        return raw / self.numerator


ONE = Scale()
