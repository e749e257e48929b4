"""`emonhub tap`: frames as they pass through the running hub."""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING, Any

from emonhub.cli import client
from emonhub.cli.client import clean, shown

if TYPE_CHECKING:
    from pathlib import Path


async def main(path: Path, *, node: str = "", interfacer: str = "", as_json: bool = False) -> int:
    """Print each, until the hub ends. Returns the exit status."""
    async for _, events in client.events(path, "tap"):
        for event in events:
            if _is_wanted(event, node, interfacer):
                print(json.dumps(event, ensure_ascii=False) if as_json else line(event), flush=True)
    return client.ended()


def _is_wanted(event: dict[str, Any], node: str, interfacer: str) -> bool:
    if event["event"] == "missed":
        return True
    if interfacer and event["interfacer"] != interfacer:
        return False
    return not node or node in {event.get("node"), event.get("name")}


def line(event: dict[str, Any]) -> str:
    """An event in one line, for people."""
    if event["event"] == "missed":
        return f"({event['count']} more came too fast to be shown)"
    when = datetime.fromtimestamp(event["time"]).astimezone().strftime("%H:%M:%S.%f")[:-3]
    start = f"{when}  {clean(event['interfacer'])}"
    raw = f"  [{clean(event['raw'])}]" if event["raw"] else ""
    if event["event"] == "discarded":
        return f"{start}  discarded, {clean(event['reason'])}: {clean(event['detail'])}{raw}"
    name = f"{event['node']} {event['name']}" if event["name"] != event["node"] else event["node"]
    values = ", ".join(f"{clean(n)}={shown(value)} {clean(unit)}".rstrip() for n, value, unit in event["values"])
    rssi = f"  {event['rssi']} dBm" if event["rssi"] else ""
    to = ", ".join(event["to"]) or "nobody"
    return f"{start}  {clean(name)}  {values}{rssi}  -> {clean(to)}{raw}"
