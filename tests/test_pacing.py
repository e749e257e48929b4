"""How much goes into a request, and how long is waited."""

from __future__ import annotations

from random import Random

import pytest

from emonhub.pacing import BatchSize, Progress, retry_wait


def test_batches_halve_under_a_burden_and_grow_again() -> None:
    size = BatchSize()
    assert size.limit(1000) == 1000
    size.overburdened()
    size.overburdened()
    assert size.limit(1000) == 250
    size.answered(0.2)
    assert size.limit(1000) == 500
    size.answered(5.0)  # slow: no more of it
    assert size.limit(1000) == 500
    for _ in range(5):
        size.answered(0.2)
    assert size.limit(1000) == 1000


def test_a_batch_never_vanishes() -> None:
    size = BatchSize()
    for _ in range(100):
        size.overburdened()
    assert size.limit(1000) == size.limit(1) == 1
    for _ in range(10):
        size.answered(0.1)
    assert size.limit(1000) == 1000


def test_waits_double_and_are_bounded_and_vary() -> None:
    random = Random(1)
    waits = [retry_wait(failures, None, 300.0, random) for failures in range(1, 40)]
    for failures, wait in enumerate(waits, 1):
        longest = min(300.0, 2.0 ** (failures - 1))
        assert 0.75 * longest <= wait <= longest
    assert len(set(waits)) == len(waits)
    assert retry_wait(10**9, None, 300.0, random) <= 300.0


@pytest.mark.parametrize(("asked", "waited"), [(30.0, 30.0), (0.0, 0.001), (-5.0, 0.001), (1e12, 3600.0)])
def test_what_the_target_asks_for_is_obeyed_within_reason(asked: float, waited: float) -> None:
    assert retry_wait(1, asked, 300.0, Random(1)) == waited


def test_time_left() -> None:
    progress = Progress()
    for second in range(0, 120, 2):
        progress.note(float(second), 10 * second, 110 * second)
    left = progress.time_left(6000)
    assert left is not None
    assert left == pytest.approx(60, rel=0.1)
    assert progress.time_left(0) is None


def test_no_headway_is_no_time_left() -> None:
    progress = Progress()
    assert progress.time_left(100) is None
    for second in range(0, 120, 2):
        progress.note(float(second), 100 * second, 90 * second)
    assert progress.time_left(100) is None
