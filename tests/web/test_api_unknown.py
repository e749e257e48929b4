"""Nodes that are heard and not known, over the API."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from emonhub.nodes.datacodes import SIZES
from emonhub.nodes.encoder import encode
from emonhub.nodes.templates import templates
from tests.web.conftest import until

if TYPE_CHECKING:
    from tests.web.conftest import Client, Site

LIKELY = {"V": 240.0, "W": 350, "Wh": 12345, "C": 18.5, "%": 55.0, "p": 77, "n": 3}


def lines(name: str, node: int, count: int, **other: float) -> list[str]:
    """Frames of a board as the radio prints them."""
    (template,) = [template for template in templates() if template.name == name]
    found = []
    for message in range(count):
        values = [
            other.get(value, 3.2 if value == "battery" else LIKELY[unit] + (message if unit == "n" else 0))
            for value, unit in zip(template.rx.names, template.rx.units, strict=True)
        ]
        data = encode(tuple(values), template.rx, datacode="h", scale=template.rx.scales[0])
        assert len(data) == sum(SIZES[code] for code in template.rx.datacodes)
        found.append(f"OK {node} {' '.join(map(str, data))} (-50)")
    return found


async def test_a_node_is_proposed_by_its_frames_and_accepted(site: Site, client: Client) -> None:
    frames = lines("emonTx4", 17, 4)
    site.reads("RFM2Pi", *frames)
    (heard,) = await client.get("/unknown")
    assert heard["source"] == "RFM2Pi"
    assert heard["node"] == 17
    assert heard["frames"] == 4
    assert heard["rssi"] == -50
    assert heard["raw"] == frames[-1]
    best = heard["candidates"][0]
    assert best["template"] == "emonTx4"
    assert best["plausible"] is True
    assert best["fits_node_id"] is True
    assert {"name": "Vrms", "unit": "V", "value": 240.0} in best["values"]
    assert [one["template"] for one in heard["candidates"] if one["plausible"]] == ["emonTx4"]
    await client.post("/unknown/accept", {"node": 17, "template": "emonTx4"})
    await until(lambda: "17" in site.hub.nodes.definitions, "the node")
    assert await client.get("/unknown") == []
    site.reads("RFM2Pi", frames[0])
    node = next(node for node in await client.get("/nodes") if node["id"] == "17")
    assert node["name"] == "emonTx4_17"
    assert node["values"][1] == {"name": "Vrms", "unit": "V", "value": 240.0}
    assert "17" not in site.path.read_text()


async def test_the_users_own_word_on_a_node_counts_more(site: Site, client: Client) -> None:
    site.reads("RFM2Pi", *lines("emonTx4", 17, 4))
    await client.post("/unknown/accept", {"node": "17", "template": "emonTx4"})
    await until(lambda: "17" in site.hub.nodes.definitions, "the node")
    site.path.write_text(site.path.read_text() + "[[17]]\n    nodename = mine\n    [[[rx]]]\n        datacode = B\n")
    site.hub.look_now()
    await until(lambda: site.hub.nodes.definitions["17"].nodename == "mine", "the user's own")


async def test_nothing_is_said_of_too_few_frames(site: Site, client: Client) -> None:
    site.reads("RFM2Pi", *lines("emonTx4", 17, 2))
    (heard,) = await client.get("/unknown")
    assert [one["plausible"] for one in heard["candidates"]] == [False] * len(heard["candidates"])
    assert "2 of 3 frames" in heard["candidates"][0]["why"]


async def test_of_several_likely_templates_none_is_chosen(site: Site, client: Client) -> None:
    """These two differ in the scale of temperatures only."""
    site.reads("RFM2Pi", *lines("emontx3_discreet", 30, 4))
    (heard,) = await client.get("/unknown")
    likely = {one["template"]: one["fits_node_id"] for one in heard["candidates"] if one["plausible"]}
    assert likely == {"emontx3_discreet": False, "emontx3_3phase": False}


async def test_unlikely_values_speak_against_a_template(site: Site, client: Client) -> None:
    site.reads("RFM2Pi", *lines("emonTx4", 17, 4, T1=-70.0))
    (heard,) = await client.get("/unknown")
    candidate = next(one for one in heard["candidates"] if one["template"] == "emonTx4")
    assert candidate["plausible"] is False
    assert candidate["why"].startswith("T1 = -70 C is unlikely in 4 of 4 frames")


async def test_a_frame_of_odd_length_counts_too(site: Site, client: Client) -> None:
    """What an unknown node sends is not always a multiple of two bytes, as its datacode would have it."""
    site.reads("RFM2Pi", "OK 21 1 2 3 (-60)", "OK 21 1 2 3 (-61)")
    (heard,) = await client.get("/unknown")
    assert (heard["node"], heard["size"], heard["frames"], heard["rssi"]) == (21, 3, 2, -61)
    assert heard["candidates"] == []


async def test_known_nodes_and_rubbish_are_not_listed(site: Site, client: Client) -> None:
    site.reads("RFM2Pi", "OK 10 100 0 215 0 (-40)", "OK 10 100 (-40)", "OK 300 1 2 3", "OK 21 999 2", "OK", "OK x 1 2")
    assert await client.get("/unknown") == []


async def test_noise_does_not_pile_up(site: Site, client: Client) -> None:
    for node in range(20, 250):
        site.reads("RFM2Pi", f"OK {node} 1 2 (-90)")
    listed = await client.get("/unknown")
    assert len(listed) == 64
    assert listed[-1]["node"] == 249


async def test_an_accepted_node_can_be_forgotten(site: Site, client: Client) -> None:
    site.reads("RFM2Pi", *lines("emonTx4", 17, 4))
    await client.post("/unknown/accept", {"node": 17, "template": "emonTx4"})
    await until(lambda: "17" in site.hub.nodes.definitions, "the node")
    await client.post("/unknown/forget", {"node": 17})
    await until(lambda: "17" not in site.hub.nodes.definitions, "its end")
    await client.post("/unknown/forget", {"node": 17}, status=404)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"node": 99, "template": "emonTx4"}, 404),
        ({"node": 17, "template": "emonth1"}, 409),
        ({"node": 17, "template": "none"}, 409),
        ({"node": "../x", "template": "emonTx4"}, 400),
        ({"node": 17}, 400),
        ({"node": None, "template": "emonTx4"}, 400),
    ],
)
async def test_what_cant_be_accepted_is_refused(
    site: Site, client: Client, body: dict[str, object], status: int
) -> None:
    site.reads("RFM2Pi", *lines("emonTx4", 17, 4))
    await client.post("/unknown/accept", body, status=status)
    assert "17" not in site.hub.nodes.definitions
