"""Reporters over the API: paused, looked into, exported, replayed, their dead letters."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING

import pytest

from emonhub.buffer.folder import ReporterFolder
from emonhub.reporter import Reporter
from tests.web.conftest import EMONCMS, RADIO, asking, configuration, serving, until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.fakes.emoncms import FakeEmoncms
    from tests.web.conftest import Client, Site

FRAME = "OK 10 100 0 215 0 (-40)"


def reporter(site: Site, name: str = "emoncmsorg") -> Reporter:
    found = site.interfacer(name)
    assert isinstance(found, Reporter)
    return found


async def test_a_paused_reporter_keeps_what_it_owes_until_it_is_resumed(
    site: Site, client: Client, emoncms: FakeEmoncms
) -> None:
    await client.post("/reporters/emoncmsorg/pause")
    site.reads("RFM2Pi", *[FRAME] * 3)
    overview = await client.get("/overview")
    (shown,) = [itf["reporter"] for itf in overview["interfacers"] if itf["kind"] == "reporter"]
    assert shown["paused"] is True
    assert shown["owed"] == 3
    assert emoncms.frames == []
    await client.post("/reporters/emoncmsorg/resume")
    await until(lambda: len(emoncms.frames) == 3, "the delivery")


async def test_peek_shows_what_waits_decoded(site: Site, client: Client) -> None:
    await client.post("/reporters/emoncmsorg/pause")
    for power in range(5):
        site.reads("RFM2Pi", f"OK 10 {power} 0 215 0 (-40)", time=1795521600.0 + power)
    oldest = await client.get("/reporters/emoncmsorg/peek?n=2")
    newest = await client.get("/reporters/emoncmsorg/peek?n=2&last=1")
    assert [frame["time"] for frame in oldest] == [1795521600.0, 1795521601.0]
    assert [frame["values"] for frame in newest] == [
        [["power", 3, "W"], ["temp", 21.5, "C"]],
        [["power", 4, "W"], ["temp", 21.5, "C"]],
    ]
    assert newest[0]["node"] == "10"
    assert newest[0]["name"] == "emonTx"
    assert newest[0]["rssi"] == -40


async def test_the_record_is_told_exported_and_replayed(site: Site, client: Client, emoncms: FakeEmoncms) -> None:
    for power in range(5):
        site.reads("RFM2Pi", f"OK 10 {power} 0 215 0 (-40)", time=1795521600.0 + power)
    await until(lambda: reporter(site).acknowledged == 5, "the delivery")
    record = await client.get("/reporters/emoncmsorg/record")
    assert record["frames"] == 5
    assert record["to"] == 1795521604.0
    async with client.session.get(
        f"{client.url}/api/v1/reporters/emoncmsorg/export", params={"from": "1795521602", "node": "emonTx"}
    ) as answer:
        assert answer.headers["Content-Disposition"] == 'attachment; filename="emoncmsorg.csv"'
        assert answer.content_type == "text/csv"
        rows = list(csv.DictReader(io.StringIO(await answer.text())))
    assert [(row["name1"], row["value1"], row["state"]) for row in rows] == [
        ("power", str(power), "delivered") for power in (2, 3, 4)
    ]
    before = len(emoncms.frames)
    begun = await client.post("/replays", {"of": "emoncmsorg", "into": "emoncmsorg", "from": 1795521603})

    while (replay := (await client.get("/replays"))[0])["state"] == "running":
        pass
    assert replay | {"time_left": None} == {
        "id": begun["id"],
        "of": "emoncmsorg",
        "into": "emoncmsorg",
        "sent": 2,
        "refused": 0,
        "total": 2,
        "state": "done",
        "error": "",
        "time_left": None,
    }
    assert len(emoncms.frames) == before + 2
    site.reads("RFM2Pi", FRAME)
    await until(lambda: reporter(site).acknowledged == 6, "the hub's own delivery after the replay")


async def test_a_replay_that_has_nothing_to_send_says_so(site: Site, client: Client) -> None:
    await client.post("/replays", {"of": "emoncmsorg", "into": "emoncmsorg"})
    while (replay := (await client.get("/replays"))[0])["state"] == "running":
        pass
    assert replay["state"] == "failed"
    assert replay["error"] == "there is nothing to send"


async def test_a_replay_waits_for_its_turn_to_send(
    site: Site, client: Client, emoncms: FakeEmoncms, state: Path
) -> None:
    site.reads("RFM2Pi", *[FRAME] * 5, time=1795521600.0)
    await until(lambda: reporter(site).acknowledged == 5, "the delivery")
    before = len(emoncms.frames)
    other = ReporterFolder(state, "emoncmsorg")
    await until(other.lock, "the turn of somebody else")
    await client.post("/replays", {"of": "emoncmsorg", "into": "emoncmsorg"})
    while (replay := (await client.get("/replays"))[0])["error"] != "waiting for its turn to send":
        assert replay["state"] == "running"
    assert len(emoncms.frames) == before
    other.unlock()
    await until(lambda: len(emoncms.frames) == before + 5, "the replay")


async def test_a_replay_can_be_stopped(site: Site, client: Client, emoncms: FakeEmoncms) -> None:
    site.reads("RFM2Pi", *[FRAME] * 5, time=1795521600.0)
    await until(lambda: reporter(site).acknowledged == 5, "the delivery")
    before = len(emoncms.frames)
    body = {"of": "emoncmsorg", "into": "emoncmsorg", "batchsize": 1, "interval": 600}
    begun = await client.post("/replays", body)
    await until(lambda: len(emoncms.frames) > before, "the first frame")
    await client.post(f"/replays/{begun['id']}/stop")
    (replay,) = await client.get("/replays")
    assert replay["state"] == "stopped"
    assert replay["sent"] == 1
    site.reads("RFM2Pi", FRAME)
    await until(lambda: reporter(site).acknowledged == 6, "the hub's own delivery after the replay")


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        ({"of": "nobody", "into": "emoncmsorg"}, 404, "no such reporter"),
        ({"of": "emoncmsorg", "into": "RFM2Pi"}, 409, "no such reporter to send into"),
        ({"of": "emoncmsorg", "from": "soon"}, 400, "is no time"),
        ({"of": "emoncmsorg", "from": 20, "to": 10}, 400, "nothing between them"),
        ({"into": "emoncmsorg"}, 400, "of is missing"),
    ],
)
async def test_a_replay_that_cant_be_is_refused(
    client: Client, body: dict[str, object], status: int, said: str
) -> None:
    assert said in (await client.post("/replays", body, status=status))["error"]


async def test_dead_letters_are_shown_sent_again_and_dropped(site: Site, client: Client, emoncms: FakeEmoncms) -> None:
    letters = reporter(site).dead_letters
    record = "10,100,21.5"
    for time in (1795521600.0, 1795521601.0, 1795521602.0):
        letters.add(time, record, "no such feed", 1795521700.0)
    shown = await client.get("/reporters/emoncmsorg/deadletters")
    assert [(letter["id"], letter["reason"]) for letter in shown] == [(n, "no such feed") for n in (1, 2, 3)]
    assert await client.post("/reporters/emoncmsorg/deadletters/retry", {"ids": [2]}) == {"count": 1}
    await until(lambda: len(emoncms.frames) == 1, "the letter")
    assert await client.post("/reporters/emoncmsorg/deadletters/drop", {"ids": [3, 9]}) == {"count": 1}
    assert await client.post("/reporters/emoncmsorg/deadletters/drop", {"ids": None}) == {"count": 1}
    assert await client.get("/reporters/emoncmsorg/deadletters") == []


async def test_a_reporter_in_memory_says_what_it_cant(tmp_path: Path, state: Path, emoncms: FakeEmoncms) -> None:
    text = EMONCMS.format(url=emoncms.url, key=emoncms.write_key).replace("keep = 30 d", "buffer_mode = memory")
    text = text.replace("interval = 0", "interval = 3600")
    whole = configuration(state, RADIO.format(port=tmp_path / "tty"), text)
    async with serving(tmp_path / "emonhub.conf", whole) as site, asking(site) as client:
        await client.begin()
        assert "keeps nothing on disk" in (await client.post("/reporters/emoncmsorg/pause", status=409))["error"]
        await client.get("/reporters/emoncmsorg/export", status=409)
        assert (await client.get("/reporters/emoncmsorg/record"))["frames"] == 0
        site.reads("RFM2Pi", FRAME, FRAME)
        await until(lambda: reporter(site).acknowledged == 2 or reporter(site).buffer.frames == 2)
        emoncms.frames.clear()
        site.reads("RFM2Pi", FRAME)
        (frame,) = (await client.get("/reporters/emoncmsorg/peek?n=1&last=1"))[-1:]
        assert frame["name"] == "emonTx"


@pytest.mark.parametrize("path", ["peek", "record", "export", "deadletters"])
async def test_what_is_no_reporter_is_not_found(client: Client, path: str) -> None:
    await client.get(f"/reporters/RFM2Pi/{path}", status=404)
    await client.get(f"/reporters/..%2f..%2fetc/{path}", status=404)
