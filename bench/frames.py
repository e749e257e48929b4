"""The frames that are measured with: four nodes, six packed values each, as a radio board prints their bytes."""

from __future__ import annotations

import math
import random
import struct

NODES = (7, 8, 9, 10)

_HEAD = """
[hub]
loglevel = WARNING
state_dir = {state}
clock_wait = 0
[web]
port = {web}
[interfacers]
"""

_SOCKET = """
[[{name}]]
    Type = EmonHubSocketInterfacer
    [[[init_settings]]]
        port_nb = {port}
    [[[runtimesettings]]]
        pubchannels = {channel},
"""

_REPORTER = """
[[{name}]]
    Type = EmonHubEmoncmsHTTPInterfacer
    [[[init_settings]]]
        {init}
    [[[runtimesettings]]]
        subchannels = {channel},
        url = {url}
        apikey = 0123456789abcdef0123456789abcdef
        compress = 1
"""

_NODES = "[nodes]\n" + "".join(
    f"""[[{node}]]
    nodename = node{node}
    [[[rx]]]
        names = power1, power2, power3, power4, vrms, temp
        datacodes = h, h, h, h, h, h
        scales = 1, 1, 1, 1, 0.01, 0.1
        units = W, W, W, W, V, C
"""
    for node in NODES
)


def source(port: int, *, name: str = "Socket", channel: str = "ToEmonCMS", **run: object) -> str:
    """A socket interfacer's section; `run` are settings."""
    return _SOCKET.format(name=name, port=port, channel=channel) + _lines(run)


def reporter(url: str, *, name: str = "emoncms", channel: str = "ToEmonCMS", init: str = "", **run: object) -> str:
    """An emoncms reporter's section; `init` and `run` are settings."""
    return _REPORTER.format(name=name, url=url, channel=channel, init=init) + _lines(run)


def configuration(state: object, *sections: str, web: int = 0) -> str:
    """A hub with these sections of [interfacers]; `web` is the page's port."""
    return _HEAD.format(state=state, web=web) + "".join(sections) + _NODES


def _lines(settings: dict[str, object]) -> str:
    return "".join(f"        {key} = {value}\n" for key, value in settings.items())


def make_frames(count: int, seed: int = 1, *, start: float | None = None, step_s: float = 2.5) -> bytes:
    """`count` lines, with values that move as a house's do; each with its time in front where a `start` is given."""
    chance = random.Random(seed)
    lines = []
    for index in range(count):
        day = math.sin(index / 5000)
        values = (
            int(400 + 300 * day + chance.gauss(0, 20)),
            int(max(0, 2500 * day)),
            int(chance.expovariate(1 / 200)),
            -int(max(0, 1800 * day)),
            int(23950 + chance.gauss(0, 150)),
            int(190 + 15 * day),
        )
        payload = " ".join(map(str, struct.pack("<6h", *values)))
        time = "" if start is None else f"{start + index * step_s:.2f} "
        lines.append(f"{time}{NODES[index % len(NODES)]} {payload}\n")
    return "".join(lines).encode()
