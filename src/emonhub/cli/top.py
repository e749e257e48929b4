"""`emonhub top`: nodes and interfacers of the running hub, in a table that follows."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from emonhub.cli import EXIT_FAILED, client
from emonhub.cli.client import clean, shown
from emonhub.cli.progress import length

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import RenderableType
    from rich.table import Table

_STYLE = {"running": "green", "starting": "cyan", "waiting": "yellow", "failed": "red", "refused": "red"}


class Screen:
    """What is known of the hub, and how it is shown."""

    def __init__(self) -> None:
        self.overview: dict[str, Any] | None = None
        self.nodes: dict[tuple[str, str], dict[str, Any]] = {}

    def take(self, topic: str, content: Any) -> None:
        """Take note of news."""
        if topic == "overview":
            self.overview = content
        else:
            self.nodes |= {(node["source"], node["id"]): node for node in content}

    def render(self) -> RenderableType:
        """The whole screen."""
        from rich.console import Group  # noqa: PLC0415
        from rich.text import Text  # noqa: PLC0415

        found = self.overview
        if found is None:
            return Text("waiting for the hub …", style="dim")
        head = Text(f"emonHub {found['version']}, {clean(found['file'])}: ", style="bold")
        head.append("all is well" if found["well"] else "NOT all is well", style="green" if found["well"] else "red")
        reasons = [Text(f"  {clean(reason)}", style="yellow") for reason in found["complaints"]]
        return Group(head, *reasons, self._nodes(found["time"]), self._interfacers(found))

    def _nodes(self, now: float) -> RenderableType:
        from rich.text import Text  # noqa: PLC0415

        table = _table("node", "value", "reading", "unit", "age", "rssi", right={"reading", "age", "rssi"})
        for _, node in sorted(self.nodes.items()):
            style = "yellow" if node["stale"] else "bold"
            for index, one in enumerate(node["values"]):
                first = index == 0
                table.add_row(
                    Text(clean(node["name"]), style="bold cyan") if first else "",
                    clean(one["name"]),
                    Text(shown(one["value"]), style=style),
                    Text(clean(one["unit"]), style="dim"),
                    length(max(0.0, now - node["time"])) if first else "",
                    f"{node['rssi']}" if first and node["rssi"] else "",
                )
        return table if self.nodes else Text("\nno node has been heard\n", style="dim")

    @staticmethod
    def _interfacers(found: dict[str, Any]) -> RenderableType:
        from rich.text import Text  # noqa: PLC0415

        table = _table(
            "interfacer", "state", "read", "delivered", "waiting", "", right={"read", "delivered", "waiting"}
        )
        for itf in found["interfacers"]:
            reporter = itf["reporter"]
            trouble = itf["error"] or (reporter["trouble"] or reporter["held_up"] if reporter else "")
            table.add_row(
                clean(itf["name"]),
                Text(itf["state"], style=_STYLE.get(itf["state"], "")),
                str(itf["received"]) if itf["reads"] else "",
                str(reporter["acknowledged"]) if reporter else "",
                str(reporter["owed"]) if reporter else "",
                Text(clean(trouble), style="yellow"),
            )
        return table


def _table(*headers: str, right: set[str]) -> Table:
    from rich import box  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for header in headers:
        table.add_column(header, justify="right" if header in right else "left", no_wrap=bool(header))
    return table


async def main(path: Path) -> int:
    """Show it until the hub ends, or once where the output is no terminal. Returns the exit status."""
    try:
        from rich.console import Console  # noqa: PLC0415
        from rich.live import Live  # noqa: PLC0415
    except ImportError:
        print("emonhub top needs the library rich: pip install 'emonhub[table]'", file=sys.stderr)
        return EXIT_FAILED
    console = Console()
    screen = Screen()
    if not console.is_terminal:
        screen.take("overview", await client.get(path, "overview"))
        screen.take("nodes", await client.get(path, "nodes"))
        console.print(screen.render())
        return 0
    with Live(console=console, auto_refresh=False, screen=True) as live:
        async for topic, content in client.events(path, "overview", "nodes"):
            screen.take(topic, content)
            live.update(screen.render(), refresh=True)
    return client.ended()
