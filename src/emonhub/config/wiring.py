"""Where data comes from and where it goes: the picture of a configuration."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from emonhub.config.channels import publishes, subscribes
from emonhub.config.secrets import conceal, secret_texts

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from emonhub.config.model import Configuration


@dataclass(frozen=True, slots=True)
class WiringRow:
    """One interfacer or reporter: what it talks to, what it publishes on, what it takes from."""

    name: str
    type: str
    endpoint: str
    publishes: tuple[str, ...]
    subscribes: tuple[str, ...]
    state: Literal["ready", "refused"] = "ready"


def wiring(configuration: Configuration, endpoints: Mapping[str, str]) -> list[WiringRow]:
    """A row for everything that is switched on, in the order of the file; one without an endpoint can't be run."""
    return [
        WiringRow(
            config.name,
            config.type,
            conceal(endpoints.get(config.name, ""), secret_texts(config.settings, config.secrets)),
            publishes(config),
            subscribes(config),
            "ready" if config.usable and config.name in endpoints else "refused",
        )
        for config in configuration.interfacers.values()
    ]


def render(rows: Iterable[WiringRow]) -> str:
    """The picture, a block for each set of channels with the same two ends:

    /dev/ttyAMA0 at 38400  ─▶  [[RFM2Pi]]  EmonHubJeeInterfacer
      └─▶ ToEmonCMS
            └─▶ [[emoncmsorg]]  EmonHubEmoncmsHTTPInterfacer  ─▶  https://emoncms.org
    """
    rows = list(rows)
    if not rows:
        return "Nothing is switched on: there is no interfacer with a Type."
    blocks = []
    for (sources, targets), channels in _groups(rows).items():
        blocks.append(_block([rows[i] for i in sources], channels, [rows[i] for i in targets]))
    loose = [row for row in rows if not row.publishes and not row.subscribes]
    if loose:
        blocks.append("\n".join(["Not connected to any channel:", *_columns(loose, "  ", "─▶", ends_last=True)]))
    return "\n\n".join(blocks)


def _groups(rows: list[WiringRow]) -> dict[tuple[tuple[int, ...], tuple[int, ...]], list[str]]:
    found: dict[tuple[tuple[int, ...], tuple[int, ...]], list[str]] = {}
    for channel in dict.fromkeys(c for row in rows for c in (*row.publishes, *row.subscribes)):
        sources = tuple(i for i, row in enumerate(rows) if channel in row.publishes)
        targets = tuple(i for i, row in enumerate(rows) if channel in row.subscribes)
        found.setdefault((sources, targets), []).append(channel)
    return found


def _block(sources: list[WiringRow], channels: list[str], targets: list[WiringRow]) -> str:
    lines = _columns(sources, "", "─▶", ends_last=False) if sources else ["(nobody writes)"]
    lines.append(f"  └─▶ {', '.join(channels)}")
    if not targets:
        lines.append("        └─▶ (nobody reads)")
    for number, line in enumerate(_columns(targets, "", "─▶", ends_last=True)):
        branch = "└─▶" if number == len(targets) - 1 else "├─▶"
        lines.append(f"        {branch} {line}")
    return "\n".join(lines)


def _columns(rows: list[WiringRow], indent: str, arrow: str, *, ends_last: bool) -> list[str]:
    ends = [row.endpoint or "?" for row in rows]
    names = [f"[[{row.name}]]" for row in rows]
    types = [row.type for row in rows]
    lines = []
    for row, end, name, kind in zip(rows, _padded(ends), _padded(names), _padded(types), strict=True):
        note = "" if row.state == "ready" else "  (does not run: see its error)"
        line = f"{name}  {kind}  {arrow}  {end}" if ends_last else f"{end}  {arrow}  {name}  {kind}"
        lines.append(indent + line.rstrip() + note)
    return lines


def _padded(texts: list[str]) -> list[str]:
    width = max(map(len, texts), default=0)
    return [text.ljust(width) for text in texts]
