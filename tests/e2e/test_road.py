"""The main road, by a hub as users run it: a radio board on a serial port, emoncms at the other end."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from tests.e2e.hub import FRAME, NAMED, Port, configuration, emoncms, radio, running, until
from tests.fakes.emoncms import FakeEmoncms

if TYPE_CHECKING:
    from pathlib import Path


async def test_from_the_radio_board_to_emoncms(conf: Path, tmp_path: Path, port: Port, server: FakeEmoncms) -> None:
    """Both forms at once, from one board, by two reporters."""
    async with FakeEmoncms() as named:
        text = configuration(tmp_path, radio(port), emoncms(server), emoncms(named, "named", sendnames=1))
        conf.write_text(text)
        async with running("run", conf) as hub:
            await hub.says("Running", 3)
            port.say(FRAME, "rubbish \x01\x02", "OK 10 1 2 3 (-40)", "OK 99 1 0 (-50)")
            await until(lambda: len(server.frames) == len(named.frames) == 2, "both frames at both servers")
            assert [(f.node, f.values) for f in server.frames] == [("10", [100, 21.5, -40]), ("99", [1, -50])]
            assert [(f.node, f.values) for f in named.frames] == [("emonTx", NAMED), ("99", [1, -50])]
            assert await hub.stop() == 0
            assert hub.count("Stopped") == 1
            assert "Traceback" not in hub.log
            assert server.write_key not in hub.log
            assert os.path.lexists(port.path)
