"""`/metrics` in the text format of Prometheus (https://prometheus.io/docs/instrumenting/exposition_formats/)."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from emonhub.reporter import Reporter
from emonhub.supervisor import State
from emonhub.web.view import complaints

if TYPE_CHECKING:
    from collections.abc import Iterable

    from emonhub.hub import Hub
    from emonhub.web.history import History

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

Sample = tuple[dict[str, str], float]


class _Page:
    def __init__(self) -> None:
        self.lines: list[str] = []

    def add(self, name: str, kind: str, help_text: str, samples: Iterable[Sample]) -> None:
        self.lines += [f"# HELP {name} {help_text}", f"# TYPE {name} {kind}"]
        for labels, value in samples:
            inner = ",".join(f'{key}="{_escape(text)}"' for key, text in labels.items())
            self.lines.append(f"{name}{{{inner}}} {value}" if inner else f"{name} {value}")


def render(hub: Hub, history: History) -> str:
    """The whole page."""
    page = _Page()
    page.add("emonhub_well", "gauge", "1 when nothing is wrong.", [({}, int(not complaints(hub)))])
    page.add("emonhub_clock_set", "gauge", "1 when the clock can be trusted.", [({}, int(hub.world.clock.trusted))])
    page.add("process_resident_memory_bytes", "gauge", "Memory of the process.", [({}, _memory())])
    _interfacers(page, hub)
    _reporters(page, hub)
    _nodes(page, hub, history)
    return "\n".join(page.lines) + "\n"


def _interfacers(page: _Page, hub: Hub) -> None:
    runners = list(hub.runners.items())
    page.add(
        "emonhub_interfacer_running",
        "gauge",
        "1 when the interfacer runs.",
        [({"interfacer": name}, int(runner.state is State.RUNNING)) for name, runner in runners]
        + [({"interfacer": name}, 0) for name in hub.refused if name not in hub.runners],
    )
    page.add(
        "emonhub_interfacer_restarts_total",
        "counter",
        "Restarts after a failure.",
        [({"interfacer": name}, runner.restarts) for name, runner in runners],
    )
    page.add(
        "emonhub_received_frames_total",
        "counter",
        "Frames read and decoded.",
        [({"interfacer": name}, runner.interfacer.received) for name, runner in runners],
    )
    page.add(
        "emonhub_bad_frames_total",
        "counter",
        "Frames and values that could not be used, by reason.",
        [
            ({"interfacer": name, "reason": reason}, count)
            for name, runner in runners
            for reason, count in runner.interfacer.bad.items()
        ],
    )
    page.add(
        "emonhub_live_dropped_frames_total",
        "counter",
        "Frames that a live sender had no time for, or that could not be sent.",
        [
            ({"interfacer": name}, runner.inbox.dropped + runner.missed + runner.failed_sends)
            for name, runner in runners
            if runner.interfacer.sends
        ],
    )


def _reporters(page: _Page, hub: Hub) -> None:
    reporters = [(n, r.interfacer) for n, r in hub.runners.items() if isinstance(r.interfacer, Reporter)]

    def each(value: str) -> list[Sample]:
        return [({"reporter": name}, _figure(itf, value)) for name, itf in reporters]

    page.add("emonhub_taken_frames_total", "counter", "Frames a reporter took responsibility for.", each("taken"))
    page.add("emonhub_acknowledged_frames_total", "counter", "Frames the target confirmed.", each("acknowledged"))
    page.add("emonhub_buffered_frames", "gauge", "Frames that wait.", each("frames"))
    page.add("emonhub_buffered_bytes", "gauge", "What they take.", each("bytes"))
    page.add("emonhub_buffered_oldest_timestamp_seconds", "gauge", "When the oldest was read.", each("oldest"))
    page.add(
        "emonhub_dropped_frames_total",
        "counter",
        "Frames let go, by reason.",
        [({"reporter": n, "reason": reason}, count) for n, itf in reporters for reason, count in itf.dropped.items()],
    )
    page.add("emonhub_dead_frames_total", "counter", "Frames refused for good.", each("dead"))
    page.add("emonhub_requests_total", "counter", "Attempts to deliver.", each("requests"))
    page.add(
        "emonhub_reporter_failing",
        "gauge",
        "1 while the target takes nothing.",
        [({"reporter": name}, int(bool(itf.trouble))) for name, itf in reporters],
    )


def _figure(itf: Reporter, value: str) -> float:
    if value in {"frames", "bytes"}:
        return float(getattr(itf.buffer, value))
    if value == "oldest":
        return itf.buffer.oldest_time or 0.0
    return float(getattr(itf, value))


def _nodes(page: _Page, hub: Hub, history: History) -> None:
    now = hub.world.time()

    def label(node: dict[str, Any]) -> dict[str, str]:
        return {"interfacer": node["source"], "node": node["id"], "name": node["name"]}

    nodes = history.listing(now)
    page.add(
        "emonhub_node_age_seconds", "gauge", "Since the node was heard last.", [(label(n), n["age"]) for n in nodes]
    )
    page.add("emonhub_node_stale", "gauge", "1 when it should have been.", [(label(n), int(n["stale"])) for n in nodes])
    page.add("emonhub_node_rssi_dbm", "gauge", "Signal strength.", [(label(n), n["rssi"]) for n in nodes if n["rssi"]])


def _memory() -> float:
    try:
        with open("/proc/self/statm", "rb") as file:
            return float(int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE"))
    except (OSError, ValueError, IndexError):
        return 0.0


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
