"""How commands reach a running hub: its API over the Unix socket in its state directory.

Only the hub's own user and root may open that.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import aiohttp

from emonhub.cli import DEFAULT_FILE, EXIT_FAILED
from emonhub.config.parse import ParseFailed, parse
from emonhub.errors import EmonHubError
from emonhub.state import candidates, socket_path

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

_ANSWER_S = 10.0
_QUIET_S = 30.0
"""A hub sends something at least each five seconds."""

_LONGEST_EVENT = 16 << 20
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


class NoHub(EmonHubError):
    """No hub answers: the text says where, and what to do."""


def socket_of(config: Path | None, state: Path | None) -> Path:
    """The socket of the hub with this configuration or state directory. Raises NoHub where there can be none."""
    folders = [state] if state is not None else candidates(configured(config or DEFAULT_FILE), os.environ)
    paths = [path for path in map(socket_path, folders) if path is not None]
    if not paths:
        raise NoHub(f"the name of the state directory {folders[0]} is too long for a socket in it: set state_dir")
    return next((path for path in paths if path.exists()), paths[0])


def configured(config: Path) -> str:
    """`state_dir` of a configuration, as far as that can be read."""
    try:
        found = parse(config.read_bytes()).values["hub"].get("state_dir", "")
    except (OSError, ParseFailed):
        return ""
    return found if isinstance(found, str) else ", ".join(found)


@asynccontextmanager
async def _session(path: Path) -> AsyncIterator[aiohttp.ClientSession]:
    connector = aiohttp.UnixConnector(str(path))
    try:
        async with aiohttp.ClientSession(
            "http://localhost", connector=connector, read_bufsize=_LONGEST_EVENT
        ) as session:
            yield session
    except (aiohttp.ClientConnectorError, FileNotFoundError, PermissionError, TimeoutError) as error:
        raise NoHub(_no_hub(path, error)) from error


def _no_hub(path: Path, error: Exception) -> str:
    if "ermission" in str(error) or isinstance(error, PermissionError):
        return f"{path} is the hub's own: use sudo, or be the user that the hub runs as"
    if isinstance(error, TimeoutError):
        return f"the hub at {path} does not answer: see its log (journalctl -u emonhub)"
    return (
        f"no hub answers at {path}: is it running (systemctl status emonhub)? If it is, with port = 0 in [web], it"
        " serves no API; if its state is kept elsewhere, name that with --state-dir, or its configuration with --config"
    )


async def get(path: Path, what: str) -> Any:
    """What the API answers to a GET. Raises NoHub."""
    async with _session(path) as session, asyncio.timeout(_ANSWER_S), session.get(f"/api/v1/{what}") as answer:
        said = await answer.json()
        if answer.status != 200:
            raise NoHub(f"the hub at {path} answers {answer.status}: {said.get('error', '')}")
        return said


async def events(path: Path, *topics: str) -> AsyncIterator[tuple[str, Any]]:
    """Topic and content of what is live, until the hub ends. Raises NoHub."""
    timeout = aiohttp.ClientTimeout(total=None, sock_read=_QUIET_S, sock_connect=_ANSWER_S)
    wanted = f"/api/v1/events?topics={','.join(topics)}"
    async with _session(path) as session, session.get(wanted, timeout=timeout) as answer:
        if answer.status != 200:
            raise NoHub(f"the hub at {path} answers {answer.status}: {(await answer.json()).get('error', '')}")
        topic = ""
        try:
            async for line in answer.content:
                if line.startswith(b"event: "):
                    topic = line[7:].strip().decode()
                elif line.startswith(b"data: "):
                    yield topic, json.loads(line[6:])
        except aiohttp.ClientError:
            return


def clean(text: str) -> str:
    """A text that came from outside, for a terminal: nothing in it moves the cursor or ends the line."""
    return _CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), text)


def shown(value: float | None) -> str:
    """A value, for people."""
    if value is None:
        return "–"
    return f"{value:.4g}" if isinstance(value, float) and abs(value) < 1000 else f"{value:.10g}"


def ended() -> int:
    """Say that the hub has ended. Returns the exit status."""
    print("emonhub: the hub has ended", file=sys.stderr)
    return EXIT_FAILED
