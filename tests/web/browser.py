"""A real hub and a real browser for the tests of the page.

`House` is a hub in a process of its own. Its radio board hangs on a pseudo-terminal, its emoncms is a thread of the
test, so that a test decides which nodes send, and whether what is delivered is taken.
"""

from __future__ import annotations

import json
import os
import select
import shutil
import socket
import subprocess
import sys
import threading
import time
import tty
import urllib.request
import zlib
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import pytest

from emonhub.demo.board import RadioBoard

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from playwright.sync_api import Browser

PATIENCE_S = 30.0
"""Before a test gives up on something: much more than it takes on a slow machine."""

_PERIOD_S = 0.25
"""Between two frames of each node that is switched on."""

_ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)

POISON = "13"
"""The node whose frames the emoncms refuses for good."""

CONF = """\
# The house of the page's tests.
[hub]
    loglevel = INFO
    state_dir = {folder}/state
    clock_wait = 0
[web]
    port = {port}
{web}
[interfacers]
[[Board]]
    Type = EmonHubJeeInterfacer
    [[[init_settings]]]
        com_port = {folder}/board
        com_baud = 38400
    [[[runtimesettings]]]
        pubchannels = ToEmonCMS,
[[emoncms]]
    Type = EmonHubEmoncmsHTTPInterfacer
    [[[init_settings]]]
        keep = 1 d
    [[[runtimesettings]]]
        subchannels = ToEmonCMS,
        url = {url}
        apikey = {apikey}
        sendnames = 1
        interval = 1
[nodes]
[[10]]
    nodename = {evil}
    [[[rx]]]
        names = grid, solar
        datacodes = h, h
        units = W, W
[[11]]
    nodename = shed
    [[[rx]]]
        names = temperature, humidity
        datacodes = h, h
        scales = 0.1, 0.1
        units = C, %
"""

EVIL = "<img src=x onerror=alert(1)>"
"""The name of node 10: text for whoever shows it."""

APIKEY = "c0ffee00c0ffee00c0ffee00c0ffee00"

KNOWN = {10: b"\x10\x01\x2c\x01", 11: b"\xcd\x00\xea\x01"}
"""What the nodes send: 272 W and 300 W, 20.5 °C and 49 %."""

UNKNOWN = {23: b"\xcd\x00\x7f\x00\xf1\x01\x1e\x00\x01\x00\x00\x00"}
"""A node that the configuration does not name: an emonTH by its node id and its length."""


def chromium() -> str:
    """Where Debian's Chromium is; skips the test where there is none."""
    path = shutil.which("chromium")
    if path is None:
        pytest.skip("the page is not tested: there is no chromium (apt install chromium)")
    return path


@contextmanager
def browser() -> Iterator[Browser]:
    """A browser without a window."""
    path = chromium()
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 - only where there is a browser

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=path, args=list(_ARGUMENTS))
        try:
            yield started
        finally:
            started.close()


class Emoncms:
    """Takes bulk requests, except while it is `down`, and except those that hold a frame of the poisonous node."""

    def __init__(self) -> None:
        self.frames = 0
        self.down = False
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                self.answer(*outer.take(self.path, body))

            def do_GET(self) -> None:
                self.answer(404, "no such page")

            def answer(self, status: int, text: str) -> None:
                self.send_response(status)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text.encode())

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name in the base class
                """Nothing to say."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def take(self, path: str, body: bytes) -> tuple[int, str]:
        if self.down:
            return 503, "down"
        form = parse_qs(body.decode("latin1")) if "cb" not in urlsplit(path).query else {}
        frames = json.loads(form["data"][0] if form else zlib.decompress(body))
        if any(str(frame[1]) == POISON for frame in frames):
            return 400, "Format error"
        self.frames += len(frames)
        return 200, "ok"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class Radio:
    """A radio board on a pseudo-terminal, and the nodes that it hears: `on` is changed as a test goes."""

    def __init__(self, link: Path) -> None:
        self.on: dict[int, bytes] = dict(KNOWN)
        self._board = RadioBoard()
        self._link = link
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        link.symlink_to(os.ttyname(self._slave))
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def say(self, line: bytes) -> None:
        """Print something."""
        with self._lock:
            os.write(self._master, line)

    def _run(self) -> None:
        due = time.monotonic()
        while not self._ended.is_set():
            readable, _, _ = select.select([self._master], [], [], max(0.0, due - time.monotonic()))
            if readable:
                self.say(self._board.feed(os.read(self._master, 4096)))
            if time.monotonic() >= due:
                due = time.monotonic() + _PERIOD_S
                for node, payload in list(self.on.items()):
                    self.say(self._board.receive(node, payload, -60 - node))

    def close(self) -> None:
        self._ended.set()
        self._thread.join()
        self._link.unlink(missing_ok=True)
        os.close(self._master)
        os.close(self._slave)


class House:
    """A running hub with its surroundings."""

    def __init__(self, folder: Path, password: str = "") -> None:
        self.folder = folder
        self.emoncms = Emoncms()
        self.radio = Radio(folder / "board")
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.file = folder / "emonhub.conf"
        self.file.write_text(
            CONF.format(
                folder=folder,
                port=self.port,
                web=f"    password = {password}" if password else "",
                url=self.emoncms.url,
                apikey=APIKEY,
                evil=EVIL,
            )
        )
        self._log = (folder / "log").open("wb")
        self.start()

    def start(self) -> None:
        """Start the hub, and wait for its page."""
        self.process = subprocess.Popen(
            [sys.executable, "-m", "emonhub", "run", str(self.file)], stdout=self._log, stderr=self._log
        )
        until(self._answers, "the page of the hub")

    def stop(self) -> None:
        """End the hub."""
        self.process.terminate()
        self.process.wait(20)

    def _answers(self) -> bool:
        assert self.process.poll() is None, (self.folder / "log").read_text()
        try:
            with urllib.request.urlopen(f"{self.url}/health", timeout=2) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def ask(self, path: str) -> Any:
        """What the API answers."""
        with urllib.request.urlopen(f"{self.url}/api/v1{path}", timeout=10) as answer:
            return json.load(answer)

    def reporter(self) -> dict[str, Any]:
        """The overview of the emoncms reporter."""
        found: dict[str, Any] = next(
            itf["reporter"] for itf in self.ask("/overview")["interfacers"] if itf["name"] == "emoncms"
        )
        return found

    def close(self) -> None:
        self.stop()
        self._log.close()
        self.radio.close()
        self.emoncms.close()


@contextmanager
def house(folder: Path, password: str = "") -> Iterator[House]:
    """A hub for as long as the tests of a module take; its nodes are heard when it is handed out."""
    chromium()
    found = House(folder, password)
    try:
        if not password:
            until(lambda: len(found.ask("/nodes")) >= len(KNOWN), "its nodes")
        yield found
    finally:
        found.close()


def until(condition: Callable[[], Any], what: str) -> None:
    """Wait for something, with a deadline."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.05)


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])
