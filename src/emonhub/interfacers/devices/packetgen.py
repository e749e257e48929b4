"""Control packets that are put together on a page of emoncms, in its module PacketGen, and asked for over HTTP.

    GET <url>/packetgen/getpacket.json?apikey=…      [{"value": 1, "type": 2}, {"value": 1850, "type": 1}]
    GET <url>/packetgen/getinterval.json?apikey=…    "5"

A `type` is 0 for a byte, 1 for a whole number of 16 bits, 2 for yes or no.
"""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

from emonhub import Cargo, FrameError, Interfacer, Layout, SettingError, Unavailable, matching, setting, switch

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterable

    import aiohttp

_TIMEOUT_S = 60.0
"""For one request, from connecting to the last byte of the answer."""

_MOST_READ = 1 << 16
"""Bytes of an answer that are read: what a radio can send is a thousandth of it."""

_FIRST_INTERVAL_S = 5.0
_INTERVALS_S = (1.0, 86400.0)

_NODE = 0
"""Of the frames: a broadcast, unless they have a target."""

_TYPES = {0: ("byte", -128, 255, "B"), 1: ("int16", -(1 << 15), (1 << 15) - 1, "h"), 2: ("bool", 0, 1, "B")}


class EmonHubPacketGenInterfacer(Interfacer):
    """Asks emoncms for the control packet as often as emoncms says, and publishes it for a radio to send.

    How the radio packs the values is said by the `[[[tx]]]` datacodes of the node that they are for.
    """

    url = setting(
        matching(r"https?://[^\s/]+\S*", "a web address with http:// or https://"),
        "http://localhost/emoncms",
        "address of emoncms",
        vital=True,
    )
    apikey = setting(
        matching(r"|(?i:x{4,})|[0-9a-zA-Z]{32}", "an apikey of 32 letters and digits, or empty"),
        "",
        "read key of the emoncms account",
        secret=True,
    )
    interval = Interfacer.interval.but(5.0, "seconds between questions for how often the packet is to be sent")
    targeted = setting(switch(), False, "the first value of the packet is the node to send to")

    _session: aiohttp.ClientSession | None = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._every_s = _FIRST_INTERVAL_S
        self._layout = Layout(_NODE)

    def check(self) -> None:
        if self.interval <= 0:
            raise SettingError("interval must be more than 0 seconds")

    def endpoint(self) -> str:
        return self.url

    async def open(self) -> None:
        if len(self.apikey) != 32 or self.apikey.lower().startswith("xxxx"):
            raise Unavailable("no apikey is set: put the account's read key into [[[runtimesettings]]] apikey")
        import aiohttp  # noqa: PLC0415 - only who asks over HTTP pays for it

        self._session = aiohttp.ClientSession(
            connector=self.world.http_connector(limit=1), timeout=aiohttp.ClientTimeout(total=None), trust_env=True
        )

    async def close(self) -> None:
        if self._session is not None:
            session, self._session = self._session, None
            await session.close()

    def jobs(self) -> Iterable[Coroutine[Any, Any, None]]:
        return (self._follow_interval(),)

    async def run(self) -> None:
        while True:
            answer = await self._ask("getpacket")
            try:
                if cargo := self._packet(answer):
                    self.publish([cargo])
            except FrameError as error:
                self.discard(error, answer)
            await self.world.sleep(self._every_s)

    def _packet(self, answer: str) -> Cargo | None:
        """The frame that an answer means, None for an empty packet. Raises FrameError."""
        try:
            entries = [(int(entry["value"]), int(entry["type"])) for entry in json.loads(answer)]
        except (ValueError, TypeError, KeyError, OverflowError, RecursionError) as error:
            raise FrameError("bad answer", f"it is no list of values and types ({type(error).__name__})") from None
        values = []
        for position, (value, type_) in enumerate(entries, 1):
            name, low, high, _ = _TYPES.get(type_, (f"{type_}, which nobody knows", 1, 0, ""))
            if not low <= value <= high:
                raise FrameError("out of range", f"value {position}, {value}, does not fit its type {name}")
            values.append(value)
        codes = [_TYPES[type_][3] for _, type_ in entries]
        target = 0
        if self.targeted and values:
            target = values.pop(0)
            del codes[0]
        if not values:
            return None
        if self.nodes.tx(target or _NODE) is None:
            self._hint(
                f"the packet for node {target} has no datacodes: put [[{target}]] with [[[tx]]] into [nodes], and"
                f" there datacodes = {', '.join(codes)}{',' if len(codes) == 1 else ''}"
            )
        return Cargo(self._layout, tuple(values), self.world.time(), target=target)

    async def _follow_interval(self) -> None:
        while True:
            try:
                answer = await self._ask("getinterval")
                seconds = float(answer.strip().strip('"'))
                if not _INTERVALS_S[0] <= seconds <= _INTERVALS_S[1]:
                    raise ValueError
                self._every_s = seconds
            except ValueError:
                self.log.warning(
                    "emoncms gives no interval; it stays at %g s", self._every_s, extra={"repeats": "ival"}
                )
            await self.world.sleep(self.interval)

    async def _ask(self, what: str) -> str:
        """The start of what emoncms answers. Raises Unavailable."""
        import aiohttp  # noqa: PLC0415

        assert self._session is not None
        url = f"{self.url.rstrip('/')}/packetgen/{what}.json"
        try:
            async with (
                asyncio.timeout(_TIMEOUT_S),
                self._session.get(url, params={"apikey": self.apikey}, allow_redirects=False) as response,
            ):
                if response.status != 200:
                    raise Unavailable(_why(url, response.status), retry_s=self._every_s)
                return (await response.content.read(_MOST_READ)).decode("utf-8", "replace")
        except TimeoutError:
            reason = f"no answer within {_TIMEOUT_S:g} s"
        except aiohttp.ClientConnectorError as error:
            reason = f"can't connect to {error.host}:{error.port} ({error.os_error.strerror or error.os_error})"
        except (aiohttp.ClientError, OSError) as error:
            reason = type(error).__name__  # its text may have the key in it
        raise Unavailable(f"{url}: {reason}", retry_s=self._every_s)


def _why(url: str, status: int) -> str:
    if status in {401, 403}:
        return "emoncms refuses the apikey: it must be the read key of the account"
    if 300 <= status < 400:
        return f"{url} redirects: set url to where emoncms is"
    return f"{url}: HTTP {status}; is the module PacketGen installed in emoncms?"
