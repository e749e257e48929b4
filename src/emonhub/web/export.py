"""Frames of a record as a CSV download, written by a thread as fast as the browser takes it."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Any

from aiohttp import web

from emonhub.archive import csvform

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from emonhub.archive.query import Query
    from emonhub.archive.record import Frame, Part, Record

_CHUNK = 1 << 16
_WRITE_S = 30.0
"""Longest time for a chunk to be taken: then the browser is gone, or asleep."""

_BEFORE_S = 600.0
"""Longest time until there is something: the record is read once before, to know how wide the table gets."""


class _GivenUp(Exception):
    pass


class _Pipe:
    """A text file to write to, from a thread; what is written comes out in the loop. Holds a few chunks at most."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._queue: asyncio.Queue[str | None] = asyncio.Queue(2)
        self._parts: list[str] = []
        self._size = 0
        self.given_up = False

    def write(self, text: str) -> int:
        """Take a text. Raises _GivenUp when nobody reads any more."""
        self._parts.append(text)
        self._size += len(text)
        if self._size >= _CHUNK:
            self.flush()
        return len(text)

    def flush(self) -> None:
        """Pass on what was written; waits until there is room."""
        self.step()
        if self._parts:
            asyncio.run_coroutine_threadsafe(self._queue.put("".join(self._parts)), self._loop).result(2 * _WRITE_S)
            self._parts.clear()
            self._size = 0

    def step(self) -> None:
        """Raises _GivenUp when nobody reads any more."""
        if self.given_up:
            raise _GivenUp

    async def end(self) -> None:
        """Nothing more comes."""
        await self._queue.put(None)

    async def get(self) -> str | None:
        """The next text; None at the end."""
        return await self._queue.get()

    def give_up(self) -> None:
        """Nobody reads any more."""
        self.given_up = True
        while not self._queue.empty():
            self._queue.get_nowait()


class Export:
    """One download."""

    def __init__(self, record: Record, query: Query, read_back: Callable[..., Any], part: Part) -> None:
        self._record = record
        self._query = query
        self._read_back = read_back
        self._part = part

    async def respond(self, request: web.Request, name: str) -> web.StreamResponse:
        """Answer with it."""
        pipe = _Pipe()
        writing = asyncio.create_task(self._write(pipe), name="export")
        try:
            async with asyncio.timeout(_BEFORE_S):
                text = await pipe.get()
            if text is None:
                await writing
            response = web.StreamResponse(headers={"Content-Disposition": f'attachment; filename="{_file_name(name)}"'})
            response.content_type = "text/csv"
            response.charset = "utf-8"
            async with asyncio.timeout(_WRITE_S):
                await response.prepare(request)
            while text is not None:
                async with asyncio.timeout(_WRITE_S):
                    await response.write(text.encode("utf-8", "replace"))
                text = await pipe.get()
            await writing  # what it failed of cuts the download short, so that nobody takes it for the whole
            return response
        finally:
            pipe.give_up()
            await asyncio.wait([writing])

    async def _write(self, pipe: _Pipe) -> None:
        try:
            await asyncio.to_thread(self._in_thread, pipe)
        except _GivenUp:
            return
        finally:
            if not pipe.given_up:
                await pipe.end()

    def _in_thread(self, pipe: _Pipe) -> None:
        csvform.write(self._frames, self._read_back, pipe, pipe.step)  # type: ignore[arg-type]
        pipe.flush()

    def _frames(self) -> Iterator[Frame]:
        return self._query.among(self._record.frames(self._part))


def _file_name(name: str) -> str:
    return re.sub(r"[^\w.-]", "_", name, flags=re.ASCII)[:60] + ".csv"
