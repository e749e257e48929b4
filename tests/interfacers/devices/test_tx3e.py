from __future__ import annotations

from typing import Any

import pytest

from emonhub.interfacers.devices.tx3e import EmonHubTx3eInterfacer
from tests.interfacers.harness import Port, QuickWorld, running


def tx3e(port: Port, **values: Any) -> EmonHubTx3eInterfacer:
    settings = {"com_port": str(port.path), "pubchannels": ("out",), **values}
    return EmonHubTx3eInterfacer("emonTx3", settings, world=QuickWorld())


@pytest.mark.parametrize(
    ("values", "node"), [({}, 0), ({"nodeoffset": 12}, 12), ({"nodeoffset": 12, "nodename": "tx"}, "tx")]
)
async def test_its_node_is_its_name_or_else_its_number(port: Port, values: dict[str, Any], node: int | str) -> None:
    async with running(tx3e(port, **values)) as hub:
        await port.print(b"MSG:1,Vrms:240.1,P1:100,pulse:0\r\n")
        await hub.has((node, 1, 240.1, 100, 0, 0, 0))


async def test_a_line_in_pieces(port: Port) -> None:
    async with running(tx3e(port)) as hub:
        for byte in b"MSG:1,Vrms:240.1\r\nMSG:2,Vrms:240.2\r\n":
            await port.print(bytes((byte,)))
        await hub.has((0, 1, 240.1, 0, 0), (0, 2, 240.2, 0, 0))
