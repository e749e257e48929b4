"""A small emoncms for the demo: takes bulk requests on a port of this machine, says `ok`, counts the frames."""

from __future__ import annotations

import json
import zlib

from aiohttp import web


class DemoEmoncms:
    """Takes what an emoncms reporter sends. `frames` and `requests` count it."""

    def __init__(self) -> None:
        self.frames = 0
        self.requests = 0
        self._runner: web.AppRunner | None = None

    async def start(self) -> str:
        """Listen on a free port of 127.0.0.1. Returns its address for `url`."""
        application = web.Application(client_max_size=16 << 20)
        application.router.add_post("/input/bulk.json", self._take)
        self._runner = web.AppRunner(application, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        return f"http://{host}:{port}"

    async def stop(self) -> None:
        """Stop listening."""
        if self._runner is not None:
            await self._runner.cleanup()

    async def _take(self, request: web.Request) -> web.Response:
        if "cb" in request.query:
            text = zlib.decompress(await request.read()).decode()
        else:
            text = str((await request.post())["data"])
        self.frames += len(json.loads(text))
        self.requests += 1
        return web.Response(text="ok")
