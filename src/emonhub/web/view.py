"""What the hub looks like from outside: plain data, for the API, the page and the command line alike."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from emonhub import __version__
from emonhub.logs import masked
from emonhub.reporter import Reporter
from emonhub.supervisor import State

if TYPE_CHECKING:
    from emonhub.hub import Hub
    from emonhub.supervisor import Runner


def overview(hub: Hub) -> dict[str, Any]:
    """All of it: the hub, its interfacers and reporters, and what is wrong. No secret is in it."""
    reasons = complaints(hub)
    return {
        "version": __version__,
        "time": hub.world.time(),
        "well": not reasons,
        "complaints": reasons,
        "clock": {"set": hub.world.clock.trusted, "holding": hub.world.clock.holding},
        "file": str(hub.path),
        "file_problem": masked(hub.reload_problem),
        "state_dir": str(hub.keeper.state) if hub.keeper.state is not None else None,
        "interfacers": [interfacer(runner) for runner in hub.runners.values()]
        + [refused(hub, name) for name in hub.refused if name not in hub.runners],
    }


def interfacer(runner: Runner) -> dict[str, Any]:
    """One interfacer or reporter, as it is now. Times are Unix seconds, `missed` and `failed` are frames."""
    itf = runner.interfacer
    return {
        "name": runner.name,
        "type": runner.config.type,
        "kind": "reporter" if isinstance(itf, Reporter) else "interfacer",
        "state": runner.state.value,
        "error": masked(runner.last_error),
        "restarts": runner.restarts,
        "endpoint": masked(itf.endpoint()),
        "reads": itf.reads,
        "sends": itf.sends or isinstance(itf, Reporter),
        "publishes": list(itf.pubchannels),
        "subscribes": list(itf.subchannels),
        "pause": itf.pause,
        "loglevel": logging.getLevelName(itf.log.level) if itf.log.level else "",
        "received": itf.received,
        "last_received": itf.last_received,
        "bad": dict(itf.bad),
        "live": {"waiting": len(runner.inbox), "dropped": runner.inbox.dropped, "failed": runner.failed_sends}
        if itf.sends
        else None,
        "reporter": reporter(itf) if isinstance(itf, Reporter) else None,
    }


def reporter(itf: Reporter) -> dict[str, Any]:
    """What a reporter owes and what became of the rest: taken = acknowledged + owed + dropped + dead."""
    return {
        "taken": itf.taken,
        "acknowledged": itf.acknowledged,
        "owed": itf.buffer.frames,
        "owed_bytes": itf.buffer.bytes,
        "oldest": itf.buffer.oldest_time,
        "dropped": dict(itf.dropped),
        "dead": itf.dead,
        "requests": itf.requests,
        "trouble": masked(itf.trouble),
        "buffer_trouble": masked(itf.buffer.trouble),
        "held_up": itf.held_up,
        "paused": itf.folder.is_paused if itf.folder is not None else False,
        "can_pause": itf.folder is not None,
        "time_left": itf.time_left,
    }


def refused(hub: Hub, name: str) -> dict[str, Any]:
    """An interfacer that can't run as it is configured."""
    found = hub.refused[name]
    runtime = found.config.runtime
    return {
        "name": name,
        "type": found.config.type,
        "kind": "interfacer",
        "state": State.REFUSED.value,
        "error": masked(found.reason),
        "restarts": 0,
        "endpoint": "",
        "reads": True,
        "sends": True,
        "publishes": list(runtime.get("pubchannels", ())),
        "subscribes": list(runtime.get("subchannels", ())),
        "pause": "off",
        "loglevel": "",
        "received": 0,
        "last_received": None,
        "bad": {},
        "live": None,
        "reporter": None,
    }


def complaints(hub: Hub) -> list[str]:
    """Why not all is well, a sentence each; empty when it is."""
    reasons = []
    if hub.reload_problem:
        reasons.append(f"the new configuration is refused, the old one goes on: {hub.reload_problem}")
    if not hub.world.clock.trusted:
        reasons.append("the clock is not set yet")
    reasons += [f"{name} is refused: {found.reason}" for name, found in hub.refused.items()]
    for name, runner in hub.runners.items():
        itf = runner.interfacer
        if runner.state is not State.RUNNING:
            reasons.append(f"{name} is {runner.state.value}" + (f": {runner.last_error}" if runner.last_error else ""))
        if isinstance(itf, Reporter):
            reasons += [f"{name}: {trouble}" for trouble in (itf.trouble, itf.buffer.trouble) if trouble]
            if itf.dropped.total():
                reasons.append(f"{name} has dropped {itf.dropped.total()} frames: {', '.join(itf.dropped)}")
    return [masked(reason) for reason in reasons]


def ready(hub: Hub) -> list[str]:
    """What keeps the hub from doing all that it is configured to do; empty when nothing does."""
    if not hub.started.is_set():
        return ["the hub is starting"]
    return [
        f"{name} is {runner.state.value}" for name, runner in hub.runners.items() if runner.state is not State.RUNNING
    ] + [f"{name} is refused" for name in hub.refused]
