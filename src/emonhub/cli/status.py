"""`emonhub status`: is all well with the running hub, on one screen."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from emonhub.cli import EXIT_FAILED, client
from emonhub.cli.client import clean
from emonhub.cli.progress import count, length

if TYPE_CHECKING:
    from pathlib import Path


async def main(path: Path, *, as_json: bool = False) -> int:
    """Ask and print. Returns the exit status: 1 when not all is well."""
    found = await client.get(path, "overview")
    if as_json:
        print(json.dumps(found, indent=2, ensure_ascii=False))
    else:
        print("\n".join(_lines(found)))
    return 0 if found["well"] else EXIT_FAILED


def _lines(found: dict[str, Any]) -> list[str]:
    head = f"emonHub {found['version']} with {clean(found['file'])}"
    if found["well"]:
        lines = [f"{head}: all is well"]
    else:
        lines = [f"{head}: NOT all is well", *(f"  - {clean(reason)}" for reason in found["complaints"])]
    all_of_them = found["interfacers"]
    width = max((len(itf["name"]) for itf in all_of_them), default=0)
    if all_of_them:
        lines.append("")
    for itf in all_of_them:
        parts = [itf["endpoint"], _did(itf, found["time"]), itf["error"]]
        what = "; ".join(clean(part) for part in parts if part)
        lines.append(f"{clean(itf['name']):<{width}}  {itf['state']:<8}  {what}".rstrip())
    if not all_of_them:
        lines.append("no interfacers are configured")
    return lines


def _did(itf: dict[str, Any], now: float) -> str:
    reporter = itf["reporter"]
    if reporter is None:
        parts = [f"{count(itf['received'], 'frame')} read"] if itf["reads"] else []
        if itf["last_received"] is not None:
            parts.append(f"the last {length(max(0.0, now - itf['last_received']))} ago")
        bad = sum(itf["bad"].values())
        return ", ".join(parts + ([f"{bad} bad"] if bad else []))
    parts = [f"{count(reporter['acknowledged'], 'frame')} delivered"]
    if reporter["owed"]:
        age = f", the oldest {length(max(0.0, now - reporter['oldest']))} old" if reporter["oldest"] else ""
        parts.append(f"{reporter['owed']} waiting{age}")
    if reporter["time_left"] is not None:
        parts.append(f"caught up in {length(reporter['time_left'])}")
    if reporter["held_up"]:
        parts.append(reporter["held_up"])
    dropped = sum(reporter["dropped"].values())
    if dropped:
        parts.append(f"{dropped} dropped")
    if reporter["dead"]:
        parts.append(f"{reporter['dead']} refused for good")
    return ", ".join(parts + ([reporter["trouble"]] if reporter["trouble"] else []))
