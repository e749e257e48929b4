"""What open pages cost: CPU per frame with 20 event streams at 200 frames a second, and memory over some minutes."""

from __future__ import annotations

import selectors
import socket
import statistics
import tempfile
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from bench.frames import configuration, make_frames, reporter, source
from bench.processes import connect, free_port, hub, sink
from bench.table import Table, at_most

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bench.processes import Process

ORDER = 70

_PAGES = 20
_RATE = 200
_TOPICS = ("overview,nodes", "overview,nodes,tap,log")
_MB = 1 << 20


def measure(*, quick: bool) -> Table:
    """Without pages and with them by turns, in one hub."""
    rounds, seconds, settle = (1, 3.0, 2.0) if quick else (5, 15.0, 10.0)
    table = Table(f"Open pages: {_RATE} frames a second, one by one, to a reporter with a journal")
    with tempfile.TemporaryDirectory(prefix="emonhub-bench-") as name, sink() as target:
        folder, port, web = Path(name), free_port(), free_port()
        conf = configuration(folder / "state", source(port), reporter(target.url, interval=1), web=web)
        with hub(conf, folder) as process, connect(port) as connection, _frames(connection):
            time.sleep(settle)
            alone: list[float] = []
            costs: dict[str, list[float]] = {topics: [] for topics in _TOPICS}
            memory: list[int] = []
            for _ in range(rounds):
                alone.append(_cost(process, seconds))
                for topics in _TOPICS:
                    with _pages(web, topics):
                        time.sleep(1.0)  # for their opening to be over
                        costs[topics].append(_cost(process, seconds))
                        memory.append(process.rss)
    base = statistics.median(alone)
    table.add("CPU per frame, no page open", f"{1e6 * base:,.0f} µs")
    for topics, found in costs.items():
        cost = statistics.median(found)
        table.add(f"CPU per frame, {_PAGES} pages open ({topics})", f"{1e6 * cost:,.0f} µs")
        table.add("    more than without", *at_most(100 * (cost / base - 1), 20, "%"))
    table.add("memory (RSS) with the pages open, at last", f"{memory[-1] / _MB:,.1f} MB")
    table.add("    more than at first", *at_most((memory[-1] - memory[0]) / _MB, 1, "MB", 2))
    table.note(f"{rounds} rounds of {seconds:g} s each by turns, medians. The pages are read in another process.")
    return table


def _cost(process: Process, seconds: float) -> float:
    """CPU seconds per frame, over some time."""
    before, started = process.cpu_s, time.monotonic()
    time.sleep(seconds)
    return (process.cpu_s - before) / (_RATE * (time.monotonic() - started))


@contextmanager
def _frames(connection: socket.socket) -> Iterator[None]:
    """Send frames, one by one, at a steady pace."""
    stop = threading.Event()
    lines = make_frames(20_000).splitlines(keepends=True)

    def send() -> None:
        started, count = time.monotonic(), 0
        while not stop.is_set():
            connection.sendall(lines[count % len(lines)])
            count += 1
            stop.wait(max(0.0, started + count / _RATE - time.monotonic()))

    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


@contextmanager
def _pages(port: int, topics: str) -> Iterator[None]:
    """Pages that are open, and read all that they are told."""
    stop = threading.Event()
    with selectors.DefaultSelector() as selector:
        for _ in range(_PAGES):
            page = connect(port)
            page.sendall(f"GET /api/v1/events?topics={topics} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            selector.register(page, selectors.EVENT_READ)

        def read() -> None:
            while not stop.is_set():
                for key, _ in selector.select(0.1):
                    assert isinstance(key.fileobj, socket.socket)
                    if not key.fileobj.recv(1 << 20):
                        raise ConnectionError("the hub has closed a page")

        thread = threading.Thread(target=read)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()
            for key in list(selector.get_map().values()):
                assert isinstance(key.fileobj, socket.socket)
                key.fileobj.close()
