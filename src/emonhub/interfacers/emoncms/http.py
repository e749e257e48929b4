"""emoncms over HTTP, bulk: `input/bulk`, confirmed, nothing lost.

A frame is written when it arrives, all but its time, and a request is those lines with their times in front:

    index form   [1669888253,17,3,240,-44]                       node id, values by position, rssi last
    names form   [1669888253,"emonTx",{"P1":3,"Vrms":240,"rssi":-44}]

Answers as emoncms 11.16 was seen to give them. Status 200 says nothing: only the body `ok` means that all was taken.
"""

from __future__ import annotations

import json
import re
import zlib
from functools import cached_property
from typing import TYPE_CHECKING
from urllib.parse import quote_from_bytes

from emonhub import (
    Batch,
    Cargo,
    Delivered,
    Encoder,
    Layout,
    Outcome,
    Rejected,
    RetryAfter,
    matching,
    setting,
    switch,
)
from emonhub.interfacers.core.http import HttpReporter, Request
from emonhub.interfacers.emoncms.progress import frames_of, inputs_from, processed
from emonhub.interfacers.emoncms.records import Reader, Writer

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

_SAFE_IN_FORM = '[]{},:"'
"""Beside letters, digits and `_.-~`, what PHP reads from a form body as it is. A `+` would become a blank."""

_TRIES_OF_A_CRASH = 4
"""A crash without a word (HTTP 500) may be the server's fault or a frame's: after this many a frame is looked for."""

_DATABASE_TROUBLE = ("RedisException", "mysqli_sql_exception", "Connection refused", "server has gone away")

_WARNINGS = re.compile(r"(?:\s*<br />\s*<b>(?:Warning|Notice|Deprecated)</b>:.*?<br />)+\s*", re.DOTALL)
"""What PHP prints in front of an answer when it is set up to show warnings. The request goes on after them."""

_INPUTS_READ = 8 << 20
"""Bytes of the list of inputs that are read at most: tens of thousands of inputs."""


class EmonHubEmoncmsHTTPInterfacer(HttpReporter):
    """Sends frames to emoncms in bulk requests, and keeps each until emoncms has said `ok` to it."""

    form = "emoncms"

    url = HttpReporter.url.but("https://emoncms.org", "address of emoncms, without /input")
    apikey = setting(
        matching(r"|\S{32}|[xX]{4}.*", "the 32 characters of an emoncms write key, or empty for none yet"),
        "",
        "write key of the emoncms account",
        secret=True,
    )
    batchsize = HttpReporter.batchsize.but(1000)
    senddata = setting(switch(), True, "0 = take no frames")
    sendnames = setting(switch(), False, "1 = send node and value names; turns compression on")
    compress = setting(switch(), False, "1 = compress requests")
    sentat = setting(
        switch(),
        False,
        "1 = let emoncms correct frame times by its own clock: only for a hub without a clock",
    )
    sendstatus = setting(switch(), False, "accepted, has no effect: the myip module is gone")

    _crashes = 0

    @cached_property
    def _reader(self) -> Reader:
        return Reader()

    @property
    def _has_key(self) -> bool:
        return len(self.apikey) == 32 and not self.apikey.lower().startswith("xxxx")

    @property
    def _key_header(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.apikey}"}

    @property
    def _base(self) -> str:
        return self.url.rstrip("/")

    def accept(self, cargos: list[Cargo]) -> None:
        if self.senddata:
            super().accept(cargos)

    def encoder(self, layout: Layout) -> Encoder:
        named = self.sendnames and bool(layout.nodename)
        node = layout.nodename if named else layout.node
        names = layout.names if self.sendnames else ()

        def odd(count: int) -> None:
            self.log.warning(
                "Node %s has %d values and %d names: its frames are sent without names",
                layout.label,
                count,
                len(names),
                extra={"repeats": layout.label},
            )

        return Writer(node, names, odd).write

    def read_back(self, record: str, time: float, notes: Mapping[str, Any]) -> Cargo | None:
        return self._reader.read(record, time, notes)

    def request(self, batch: Batch) -> Request:
        text = _join(batch).encode()
        query = f"sentat={int(self.world.time())}" if self.sentat else "time=0"
        url = f"{self._base}/input/bulk.json?{query}"
        headers = self._key_header
        if self.compress or self.sendnames:
            packed = zlib.compress(text, 1)
            if len(packed) < len(text):
                return Request(url + "&cb=1", packed, headers | {"Content-Type": "application/octet-stream"})
        form = b"data=" + quote_from_bytes(text, _SAFE_IN_FORM).encode()
        return Request(url, form, headers | {"Content-Type": "application/x-www-form-urlencoded"})

    async def deliver(self, batch: Batch) -> Outcome:
        if not self._has_key:
            return RetryAfter("no apikey is set: put the account's write key into [[[runtimesettings]]] apikey")
        started = self.world.monotonic()
        outcome = await super().deliver(batch)
        if isinstance(outcome, Delivered):
            self._crashes = 0
            taken = (self.world.monotonic() - started) * 1000
            self.log.debug(
                "acknowledged receipt with 'ok' from %s: %d frames (%.0f ms)", self.url, len(batch.records), taken
            )
        return outcome

    async def already_has(self, batch: Batch) -> int | None:
        """How many of a batch's first frames emoncms has processed already; None when that can't be told.

        For after a request that may have been processed. Told by the inputs' last times, which emoncms is asked for.
        """
        if self.sentat:
            return None  # emoncms stores other times than those of the batch
        answer = await self.ask("GET", f"{self._base}/input/get.json", headers=self._key_header, read=_INPUTS_READ)
        if isinstance(answer, RetryAfter) or answer.status != 200:
            return None
        inputs, frames = inputs_from(answer.text), frames_of(batch)
        return None if inputs is None or frames is None else processed(frames, inputs)

    def judge(self, status: int, answer: str) -> Outcome:
        answer = answer.strip()
        if status == 200:
            return _judge_body(answer)
        if status == 401:
            return RetryAfter("emoncms refuses the apikey (HTTP 401): it must be the account's write key")
        if status in {400, 413, 414, 422}:
            return Rejected(f"HTTP {status}")
        if status in {404, 405, 406}:
            return RetryAfter(
                f"no emoncms answers at {self.url} (HTTP {status}): is its path missing, such as /emoncms?"
            )
        if status == 500:
            self._crashes += 1
            if self._crashes >= _TRIES_OF_A_CRASH:
                return Rejected("HTTP 500 again and again")
        # A proxy that gave up (502, 504) and a crash (500) say nothing of what emoncms had done by then.
        return RetryAfter(f"HTTP {status}", ambiguous=status in {500, 502, 504})


class EmonHubEmoncmsReporter(EmonHubEmoncmsHTTPInterfacer):
    """The same under the name it had in 2014."""


class EmoncmsHttpReporter(EmonHubEmoncmsHTTPInterfacer):
    """The same under the name that new configurations use."""


def _join(batch: Batch) -> str:
    """The JSON of a whole batch. Whole seconds, as that is what emoncms keeps."""
    frames = []
    last, start = -1.0, ""
    for time, record in zip(batch.times, batch.records, strict=True):
        if time != last:  # frames that were read together share their time
            last, start = time, f"[{int(time)},"
        frames.append(f"{start}{record}]")
    return f"[{','.join(frames)}]"


def _judge_body(answer: str) -> Outcome:
    if not answer:
        return RetryAfter(
            "emoncms takes nothing with this apikey (empty answer): it must be the write key, not the read key"
        )
    printed = _WARNINGS.match(answer)
    said = answer[printed.end() :] if printed else answer
    if said == "ok":
        return Delivered()
    if any(word in answer for word in _DATABASE_TROUBLE):
        return RetryAfter("emoncms has lost its database", ambiguous=True)
    if "Fatal error" in answer:
        return Rejected("emoncms crashed: " + _plain(answer))
    try:
        message = json.loads(said)["message"]
    except (ValueError, KeyError, TypeError):
        return RetryAfter(f"not an answer of emoncms: {_plain(answer)}", ambiguous=True)
    return Rejected(str(message))


def _plain(page: str) -> str:
    text = " ".join(re.sub(r"<[^>]*>", " ", page).split())
    return text[:120] + ("…" if len(text) > 120 else "")
