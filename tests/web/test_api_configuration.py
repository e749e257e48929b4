"""emonhub.conf over the API: shown, checked, edited, saved, taken back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.web.conftest import until

if TYPE_CHECKING:
    from tests.fakes.emoncms import FakeEmoncms
    from tests.web.conftest import Client, Site


async def test_the_text_is_shown_with_its_secrets_masked(site: Site, client: Client, emoncms: FakeEmoncms) -> None:
    found = await client.get("/configuration")
    assert emoncms.write_key not in found["text"]
    assert "        apikey = ********    # read and write\n" in found["text"]
    assert found["text"].replace("********", emoncms.write_key) == site.path.read_text()
    assert found["writable"] is True
    assert found["file"] == str(site.path)
    assert found["problems"] == []


async def test_what_is_saved_is_applied_and_the_secret_is_put_back(
    site: Site, client: Client, emoncms: FakeEmoncms
) -> None:
    found = await client.get("/configuration")
    text = found["text"].replace("interval = 0", "interval = 7")
    saved = await client.put("/configuration", {"text": text, "version": found["version"]})
    assert saved["problems"] == []
    assert saved["version"] != found["version"]
    assert f"apikey = {emoncms.write_key}    # read" in site.path.read_text()
    await until(lambda: site.interfacer("emoncmsorg").interval == 7, "the new interval")
    assert (await client.get("/configuration"))["version"] == saved["version"]


async def test_saving_over_somebody_elses_change_is_refused(site: Site, client: Client) -> None:
    found = await client.get("/configuration")
    theirs = site.path.read_text().replace("interval = 0", "interval = 9")
    site.path.write_text(theirs)
    said = await client.put("/configuration", found | {"text": found["text"] + "# mine\n"}, status=409)
    assert site.path.read_text() == theirs
    assert said["version"] == (await client.get("/configuration"))["version"]
    assert "changed" in said["error"]


async def test_a_text_that_cant_be_used_is_refused_at_its_line(site: Site, client: Client) -> None:
    found = await client.get("/configuration")
    before = site.path.read_text()
    bad = found["text"].replace("[[[runtimesettings]]]", "[[[runtimesettings]]", 1)
    line = bad[: bad.index("[[[runtimesettings]]\n")].count("\n") + 1
    checked = await client.post("/configuration/check", {"text": bad})
    assert checked["good"] is False
    assert checked["problems"][0]["line"] == line
    said = await client.put("/configuration", {"text": bad, "version": found["version"]}, status=422)
    assert said["problems"] == checked["problems"]
    assert site.path.read_text() == before


async def test_checking_says_what_is_wrong_and_saves_nothing(site: Site, client: Client) -> None:
    before = site.path.read_text()
    text = (await client.get("/configuration"))["text"].replace("interval = 0", "intervall = soon")
    checked = await client.post("/configuration/check", {"text": text})
    assert checked["good"] is True
    (problem,) = checked["problems"]
    assert problem["where"] == ["interfacers", "emoncmsorg", "runtimesettings", "intervall"]
    assert "did you mean interval" in problem["message"]
    assert problem["text"].startswith(f"emonhub.conf:{problem['line']}: warning: ")
    assert site.path.read_text() == before


async def test_a_mask_that_stands_for_nothing_is_refused(site: Site, client: Client) -> None:
    found = await client.get("/configuration")
    text = found["text"].replace("interval = 0", "url2 = ********")
    checked = await client.post("/configuration/check", {"text": text})
    assert checked["good"] is False
    assert "write the secret itself" in checked["problems"][0]["message"]
    await client.put("/configuration", {"text": text, "version": found["version"]}, status=422)


async def test_the_last_five_versions_are_kept_and_can_be_taken_back(
    site: Site, client: Client, emoncms: FakeEmoncms
) -> None:
    first = site.path.read_bytes()
    for interval in range(1, 8):
        found = await client.get("/configuration")
        text = "\n".join(
            f"        interval = {interval}" if "interval =" in line else line for line in found["text"].split("\n")
        )
        await client.put("/configuration", {"text": text, "version": found["version"]})
    versions = await client.get("/configuration/versions")
    assert len(versions) == 5
    assert [version["time"] for version in versions] == sorted((v["time"] for v in versions), reverse=True)
    intervals = [(await client.get(f"/configuration/versions/{version['id']}"))["text"] for version in versions]
    assert [text.count(f"interval = {i}\n") for text, i in zip(intervals, (6, 5, 4, 3, 2), strict=True)] == [1] * 5
    assert all(emoncms.write_key not in text for text in intervals)
    now = await client.get("/configuration")
    await client.put("/configuration", {"text": intervals[-1], "version": now["version"]})
    assert site.path.read_bytes() == first.replace(b"interval = 0", b"interval = 2")


async def test_an_old_secret_is_taken_back_too(site: Site, client: Client, emoncms: FakeEmoncms) -> None:
    found = await client.get("/configuration")
    wrong = found["text"].replace("********", "f" * 32)
    await client.put("/configuration", {"text": wrong, "version": found["version"]})
    (version,) = await client.get("/configuration/versions")
    old = (await client.get(f"/configuration/versions/{version['id']}"))["text"]
    assert emoncms.write_key not in old
    assert f"apikey = ********~{version['id']}  " in old
    now = await client.get("/configuration")
    await client.put("/configuration", {"text": old, "version": now["version"]})
    assert f"apikey = {emoncms.write_key}    # read and write" in site.path.read_text()


@pytest.mark.parametrize("id_", ["../emonhub", "..%2f..%2femonhub", "1-00000000", "1", "%00"])
async def test_there_is_no_way_to_other_files(client: Client, id_: str) -> None:
    said = await client.get(f"/configuration/versions/{id_}", status=404)
    assert set(said) == {"error"}


async def test_form_values_are_put_into_the_text(client: Client) -> None:
    text = (await client.get("/configuration"))["text"]
    body = {"text": text, "interfacer": "emoncmsorg", "settings": {"interval": "30", "batchsize": "50", "keep": None}}
    edited = (await client.post("/configuration/edit", body))["text"]
    expected = text.replace("interval = 0\n", "interval = 30\n        batchsize = 50\n").replace(
        "        keep = 30 d\n", ""
    )
    assert edited == expected


async def test_a_new_interfacer_is_put_into_the_text(client: Client) -> None:
    text = (await client.get("/configuration"))["text"]
    body = {"text": text, "interfacer": "tcp", "type": "EmonHubSocketInterfacer", "settings": {"port_nb": "5011"}}
    edited = (await client.post("/configuration/edit", body))["text"]
    checked = await client.post("/configuration/check", {"text": edited})
    assert checked["good"]
    assert "[[tcp]]\n" in edited
    assert "port_nb = 5011\n" in edited
    assert edited.index("[[tcp]]") < edited.index("[nodes]")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"interfacer": "nobody"}, "there is no [[nobody]]"),
        ({"settings": {"nonsense": "1"}}, "nonsense is no setting"),
        ({"type": "NoSuchType"}, "there is no interfacer type"),
        ({"text": "[hub\n"}, "there is no [[emoncmsorg]]"),
        ({"settings": {"interval": "1\n2"}}, "must be one line"),
    ],
)
async def test_an_edit_that_cant_be_made_says_why(client: Client, change: dict[str, object], said: str) -> None:
    text = (await client.get("/configuration"))["text"]
    body = {"text": text, "interfacer": "emoncmsorg", "settings": {}} | change
    assert said in (await client.post("/configuration/edit", body, status=422))["error"]
