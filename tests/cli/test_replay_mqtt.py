"""`emonhub replay` from what was delivered to emoncms over HTTP into a real broker."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

from tests.cli.kept import START, Kept, cargos
from tests.fakes.mosquitto import Listener, Mosquitto

if TYPE_CHECKING:
    from pathlib import Path


async def test_into_a_broker(kept: Kept, tmp_path: Path) -> None:
    """Each in the form that this target has: names, units and times come from the record."""
    kept.configure(org="        keep = ever")
    await asyncio.to_thread(lambda: kept.owe(cargos(50), delivered=50))
    (tmp_path / "broker").mkdir()
    async with Mosquitto(tmp_path / "broker") as broker, Listener(broker.port, "emon/#") as listener:
        kept.configure(
            org="        keep = ever",
            local=f"        mqtt_host = 127.0.0.1\n        mqtt_port = {broker.port}\n        mqtt_client_id = hub",
        )
        text = kept.conf.read_text().replace("EmoncmsHttpReporter", "EmoncmsMqttReporter")
        kept.conf.write_text(text.replace("sendnames = 1", "max_rate = 0"))
        status, out, err = await asyncio.to_thread(kept, "replay", "--of", "org", "--into", "local", "--node", "emonTx")
        assert (status, err) == (0, "")
        assert "25 frames sent" in out
        await listener.until(lambda: len(listener.on("emon/emonTx")) == 25)
        messages = [json.loads(payload) for payload in listener.on("emon/emonTx")]
        assert messages[1] == {"time": START + 10.25, "P1": 2, "Vrms": 242.5, "rssi": -40}
        assert [message["P1"] for message in messages] == list(range(0, 50, 2))
