"""The frames that are measured with: four nodes, six packed values each, as a radio board prints their bytes."""

from __future__ import annotations

import math
import random
import struct

NODES = (7, 8, 9, 10)

CONFIG = """
[hub]
loglevel = WARNING
[interfacers]
[[Socket]]
    Type = EmonHubSocketInterfacer
    [[[init_settings]]]
        port_nb = {port}
    [[[runtimesettings]]]
        pubchannels = ToEmonCMS,
[[emoncms]]
    Type = EmonHubEmoncmsHTTPInterfacer
    [[[init_settings]]]
    [[[runtimesettings]]]
        subchannels = ToEmonCMS,
        url = {url}
        apikey = 0123456789abcdef0123456789abcdef
        compress = 1
        interval = {interval}
        batchsize = 1000
[nodes]
""" + "".join(
    f"""[[{node}]]
    nodename = node{node}
    [[[rx]]]
        names = power1, power2, power3, power4, vrms, temperature
        datacodes = h, h, h, h, h, h
        scales = 1, 1, 1, 1, 0.01, 0.1
        units = W, W, W, W, V, C
"""
    for node in NODES
)


def make_frames(count: int, seed: int = 1) -> bytes:
    """`count` lines, with values that move as a house's do."""
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
        lines.append(f"{NODES[index % len(NODES)]} {payload}\n")
    return "".join(lines).encode()
