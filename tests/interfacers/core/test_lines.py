from __future__ import annotations

from itertools import pairwise
from typing import SupportsIndex

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from emonhub.interfacers.core import lines as module
from emonhub.interfacers.core.lines import MAX_LINE, LineSplitter

SMALL = 8


def expected(stream: bytes, limit: int) -> list[bytes]:
    """What the docstring promises, in one line."""
    return [line.removesuffix(b"\r") for line in stream.split(b"\n")[:-1] if len(line) <= limit]


STREAMS = st.lists(
    st.sampled_from([b"\n", b"\r\n", b"\r", b"a", b"bc", b"\x00", "é".encode(), b"12345678", b"123456789", b"x" * 30])
).map(b"".join)


@given(stream=STREAMS, cuts=st.lists(st.integers(0, 200)))
@example(stream=b"1234567\r\n1234567\r\n12345678\r\nok\n", cuts=[8])
@example(stream=b"123456789\nok\n", cuts=[])
@example(stream=b"123456789\nok\n", cuts=[9])
@example(stream=b"x" * 30 + b"\nok\n", cuts=list(range(40)))
@settings(max_examples=500)
def test_however_a_stream_is_chopped_the_lines_are_the_same(stream: bytes, cuts: list[int]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "MAX_LINE", SMALL)
        splitter = LineSplitter()
        ends = sorted({min(cut, len(stream)) for cut in cuts} | {0, len(stream)})
        found = [line for start, end in pairwise(ends) for line in splitter.feed(stream[start:end])]
        assert found == expected(stream, SMALL)
        last = stream.rsplit(b"\n", 1)[-1]
        assert splitter.rest() == (last.removesuffix(b"\r") if len(last) <= SMALL else b"")
        assert (splitter.overlong is not None) == any(len(line) > SMALL for line in stream.split(b"\n"))
        assert splitter.feed(b"next\n") == [b"next"]


def test_a_line_of_a_megabyte_is_thrown_away_whole_and_reported_once() -> None:
    splitter = LineSplitter()
    reports = 0
    found = []
    stream = b"before\r\n" + b"9 " * (1 << 19) + b"\r\nafter\r\n"
    for start in range(0, len(stream), 4096):
        found += splitter.feed(stream[start : start + 4096])
        if splitter.overlong:
            assert splitter.overlong.reason == "too long"
            splitter.overlong = None
            reports += 1
    assert (found, reports) == ([b"before", b"after"], 1)


def test_the_longest_line_is_kept() -> None:
    line = b"x" * MAX_LINE
    assert LineSplitter().feed(line + b"\n") == [line]
    assert LineSplitter().feed(line + b"x\n") == []


class Counted(bytes):
    """A byte that notes how many bytes it is put behind, when that makes new bytes of them all."""

    copied = 0

    def __radd__(self, other: bytes) -> bytes:
        Counted.copied += len(other)
        return bytes(other) + bytes(self)

    def __getitem__(self, key: SupportsIndex | slice) -> bytes:  # type: ignore[override]
        part = super().__getitem__(key)
        return part if isinstance(part, bytes) else bytes((part,))


def test_a_line_that_comes_byte_by_byte_is_not_copied_for_each() -> None:
    Counted.copied = 0
    splitter = LineSplitter()
    for _ in range(MAX_LINE):
        assert splitter.feed(Counted(b"x")) == []
    assert splitter.feed(Counted(b"\n")) == [b"x" * MAX_LINE]
    assert Counted.copied <= 2 * MAX_LINE


def test_what_was_skipped_is_no_rest() -> None:
    splitter = LineSplitter()
    splitter.feed(b"x" * (MAX_LINE + 1))
    assert splitter.rest() == b""
    assert splitter.feed(b"a\nb") == [b"a"]
    assert splitter.rest() == b"b"
    assert splitter.rest() == b""
