"""Memory and CPU of a hub with one serial port, one socket and one HTTP reporter, and hardly anything to do."""

from __future__ import annotations

import os
import tempfile
import time
import tty
from pathlib import Path

from bench.frames import configuration, make_frames, reporter, source
from bench.processes import connect, free_port, hub, sink
from bench.table import Table, at_most

ORDER = 20

_SERIAL = """
[[Serial]]
    Type = EmonHubJeeInterfacer
    [[[init_settings]]]
        com_port = {port}
    [[[runtimesettings]]]
        pubchannels = ToEmonCMS,
"""

_FRAME_EVERY_S = 2.5  # four nodes, a frame of each every 10 s

_MB = 1 << 20


def measure(*, quick: bool) -> Table:
    """Let it settle, then look for a while, without the web page and with it."""
    table = Table("Idle: one serial port, one socket, one HTTP reporter with a journal, 4 nodes every 10 s")
    seconds = 3.0 if quick else 60.0
    for page, limit in ((False, 40), (True, 48)):
        memory, share = _idle(seconds, page=page)
        label = "with the web page" if page else "without a web page"
        table.add(f"memory (RSS), {label}", *at_most(memory / _MB, limit, "MB"))
        table.add(f"CPU of one core, {label}", *at_most(100 * share, 0.3, "%", 2))
    table.note(f"Over {seconds:g} s each, after the start has settled. Nobody looks at the page.")
    return table


def _idle(seconds: float, *, page: bool) -> tuple[int, float]:
    master, slave = os.openpty()
    tty.setraw(slave)
    try:
        with tempfile.TemporaryDirectory(prefix="emonhub-bench-") as name, sink() as target:
            folder, port = Path(name), free_port()
            conf = configuration(
                folder / "state",
                source(port),
                _SERIAL.format(port=os.ttyname(slave)),
                reporter(target.url, interval=30),
                web=free_port() if page else 0,
            )
            with hub(conf, folder) as process, connect(port) as connection:
                lines = make_frames(int(seconds / _FRAME_EVERY_S) + 2).splitlines(keepends=True)
                connection.sendall(lines.pop())
                target.wait_for(1)
                time.sleep(2.0)  # for what belongs to the start to be over
                before, started = process.cpu_s, time.monotonic()
                while (passed := time.monotonic() - started) < seconds:
                    connection.sendall(lines.pop())
                    time.sleep(min(_FRAME_EVERY_S, seconds - passed))
                return process.rss, (process.cpu_s - before) / (time.monotonic() - started)
    finally:
        os.close(master)
        os.close(slave)
