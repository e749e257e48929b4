"""Types, nodes, and how much is logged, over the API; and that the documentation knows all of it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from emonhub import plugins
from emonhub.settings import declared
from tests.web.conftest import until

if TYPE_CHECKING:
    from tests.web.conftest import Client, Site

DOCS = (Path(__file__).parents[2] / "docs" / "api.md").read_text("utf-8")
FRAME = "OK 10 100 0 215 0 (-40)"


async def test_every_type_is_told_with_all_its_settings(client: Client) -> None:
    found = {one["type"]: one for one in await client.get("/types")}
    assert sorted(found) == plugins.type_names()
    for name, one in found.items():
        cls = plugins.find(name).cls
        assert cls is not None
        assert [setting["name"] for setting in one["settings"]] == list(declared(cls))
        assert one["doc"]
    http = found["EmonHubEmoncmsHTTPInterfacer"]
    assert http["kind"] == "reporter"
    assert found["EmonHubJeeInterfacer"]["kind"] == "interfacer"
    settings = {setting["name"]: setting for setting in http["settings"]}
    assert settings["apikey"]["secret"] is True
    assert settings["interval"] == {
        "name": "interval",
        "section": "runtimesettings",
        "kind": "number",
        "choices": [],
        "default": "30",
        "help": "seconds between posts; 0 = at once. A full batch never waits",
        "unit": "s",
        "secret": False,
        "rule": "a number, 0 or more",
    }
    assert settings["buffer_mode"]["choices"] == ["auto", "journal", "hybrid", "memory", "sql"]
    assert settings["buffer_mode"]["section"] == "init_settings"
    kinds = {name: (setting["kind"], setting["default"]) for name, setting in settings.items()}
    assert kinds["subchannels"] == ("list", "")
    assert kinds["min_free"] == ("size", "64M")
    assert kinds["keep"] == ("duration", "0")


async def test_every_default_is_a_value_that_the_setting_takes(client: Client) -> None:
    """A form that is saved as it was shown must change nothing."""
    for one in await client.get("/types"):
        cls = plugins.find(one["type"]).cls
        assert cls is not None
        for name, setting in declared(cls).items():
            default = setting.default_text
            if default or setting.default in ("", ()):
                raw = [part for part in default.split(", ") if part] if isinstance(setting.default, tuple) else default
                if not (setting.vital and not default):
                    assert setting.kind(raw) == setting.default, f"{one['type']}.{name}"


async def test_a_nodes_last_hour_can_be_had(site: Site, client: Client) -> None:
    for number in range(3):
        site.reads("RFM2Pi", f"OK 10 {number} 0 215 0 (-40)", time=1795521600.0 + 10 * number)
    found = await client.get("/nodes/RFM2Pi/10/history")
    assert found["times"] == [1795521600.0, 1795521610.0, 1795521620.0]
    assert found["series"][0] == {"name": "power", "unit": "W", "values": [0, 1, 2]}
    await client.get("/nodes/RFM2Pi/11/history", status=404)


async def test_more_can_be_logged_for_now(site: Site, client: Client) -> None:
    async def level() -> str:
        overview = await client.get("/overview")
        return str(next(itf["loglevel"] for itf in overview["interfacers"] if itf["name"] == "RFM2Pi"))

    assert await level() == ""
    await client.put("/loglevel", {"interfacer": "RFM2Pi", "level": "DEBUG"})
    assert await level() == "DEBUG"
    site.reads("RFM2Pi", FRAME)
    assert any(line["level"] == "DEBUG" and line["interfacer"] == "RFM2Pi" for line in await client.get("/log"))
    await client.put("/loglevel", {"interfacer": "RFM2Pi", "level": ""})
    assert await level() == ""
    await client.put("/loglevel", {"interfacer": "nobody", "level": ""}, status=404)
    await client.put("/loglevel", {"interfacer": "RFM2Pi", "level": "LOUD"}, status=400)


async def test_the_hub_goes_on_with_less_log_until_the_next_configuration(site: Site, client: Client) -> None:
    await client.put("/loglevel", {"interfacer": "", "level": "ERROR"})
    assert not site.interfacer("RFM2Pi").log.isEnabledFor(30)
    site.hub.look_now()
    await until(lambda: site.interfacer("RFM2Pi").log.isEnabledFor(30), "the configured level")


async def test_every_endpoint_and_every_metric_is_in_the_documentation(site: Site, client: Client) -> None:
    site.reads("RFM2Pi", FRAME)
    document = await client.get("/openapi.json")
    for path, item in document["paths"].items():
        for method in item:
            assert re.search(rf"`{method.upper()} {re.escape(path)}[`?\s]", DOCS), f"{method.upper()} {path}"
    async with client.session.get(f"{client.url}/metrics") as answer:
        names = re.findall(r"# TYPE (\w+)", await answer.text())
    assert [name for name in names if f"`{name}`" not in DOCS] == []
