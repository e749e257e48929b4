"""The law that holds for every reporter at any time, whatever has gone wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from emonhub.reporter import Reporter


def assert_conserved(reporter: Reporter) -> None:
    """What it took responsibility for has been acknowledged, waits, was dropped for a reason, or is a dead letter."""
    accounted = reporter.acknowledged + reporter.buffer.frames + reporter.dropped.total() + reporter.dead
    assert reporter.taken == accounted, (
        f"'{reporter.name}' took {reporter.taken} frames: {reporter.acknowledged} acknowledged,"
        f" {reporter.buffer.frames} waiting, dropped {dict(reporter.dropped)}, {reporter.dead} dead"
    )
