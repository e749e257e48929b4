"""The search for bad frames: which are tried next, and when one is given up."""

from __future__ import annotations

from math import log2

import pytest

from emonhub.search import Search


@pytest.mark.parametrize("size", [2, 3, 10, 1000])
def test_halves_what_is_in_doubt_until_one_stands_alone(size: int) -> None:
    for bad in range(0, size, max(1, size // 20)):
        search = Search()
        search.refused(0, size, "no")
        first = requests = 0
        while not search.alone:
            limit, skip = search.next(first, 1000)
            if skip:
                break
            requests += 1
            if first <= bad < first + limit:
                search.refused(first, first + limit, "no")
            else:
                first += limit  # taken
        assert first == bad
        assert requests <= log2(size) + 2
        assert search.under_way
        assert search.doubts_target


def test_is_over_when_all_in_doubt_were_taken() -> None:
    search = Search()
    search.refused(10, 14, "no")
    assert search.next(10, 100) == (2, 0)
    assert search.next(14, 100) == (100, 0)
    assert not search.under_way


def test_a_frame_alone_waits_for_another_to_be_taken() -> None:
    search = Search()
    search.suspect(7, "crashed", well=False)
    assert search.next(7, 100) == (1, 1)
    search.refused(8, 9, "crashed")  # so is the one behind it
    assert search.next(7, 100) == (1, 2)
    search.well = True
    assert search.next(7, 100) == (1, 0)
    search.convicted()
    assert search.next(8, 100) == (1, 0)
    search.convicted()
    assert not search.under_way
    assert search.next(9, 100) == (100, 0)


def test_what_is_refused_without_end_is_the_targets_fault() -> None:
    search = Search(end=1, alone=5)
    assert search.hopeless(0)
    assert not search.hopeless(1)
    search.alone = 64
    assert not search.hopeless(100)
    search.alone += 1
    assert search.hopeless(100)
