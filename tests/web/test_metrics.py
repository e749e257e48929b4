"""`/metrics`, read by Prometheus' own parser."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from emonhub.cargo import Cargo, Layout
from emonhub.reporter import Reporter
from tests.web.conftest import until

if TYPE_CHECKING:
    from tests.web.conftest import Client, Site

FRAME = "OK 10 100 0 215 0 (-40)"
Samples = dict[str, dict[frozenset[tuple[str, str]], float]]


async def scrape(client: Client) -> Samples:
    parser = pytest.importorskip("prometheus_client.parser")
    async with client.session.get(f"{client.url}/metrics") as answer:
        assert answer.status == 200
        assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
        found: Samples = {}
        for family in parser.text_string_to_metric_families(await answer.text()):
            assert family.documentation
            for sample in family.samples:
                of_name = found.setdefault(sample.name, {})
                key = frozenset(sample.labels.items())
                assert key not in of_name, f"{sample.name} {sample.labels} is there twice"
                of_name[key] = sample.value
        return found


def of(samples: Samples, metric: str, /, **labels: str) -> float:
    return samples[metric][frozenset(labels.items())]


async def test_prometheus_reads_what_the_hub_did(site: Site, client: Client) -> None:
    site.reads("RFM2Pi", FRAME, FRAME, "OK 10 1 (-40)")
    reporter = site.interfacer("emoncmsorg")
    assert isinstance(reporter, Reporter)
    await until(lambda: reporter.acknowledged == 2)
    found = await scrape(client)
    assert of(found, "emonhub_received_frames_total", interfacer="RFM2Pi") == 2
    assert of(found, "emonhub_bad_frames_total", interfacer="RFM2Pi", reason="length") == 1
    assert of(found, "emonhub_acknowledged_frames_total", reporter="emoncmsorg") == 2
    assert of(found, "emonhub_buffered_frames", reporter="emoncmsorg") == 0
    assert of(found, "emonhub_node_rssi_dbm", interfacer="RFM2Pi", node="10", name="emonTx") == -40
    assert of(found, "emonhub_node_stale", interfacer="RFM2Pi", node="10", name="emonTx") == 0
    assert of(found, "emonhub_well") == 0
    assert of(found, "process_resident_memory_bytes") > 1e6


async def test_every_frame_is_accounted_for(site: Site, client: Client) -> None:
    await client.post("/reporters/emoncmsorg/pause")
    site.reads("RFM2Pi", *[FRAME] * 7)
    found = await scrape(client)

    def figure(name: str) -> float:
        return sum(found.get(name, {}).values())

    assert figure("emonhub_taken_frames_total") == 7
    assert figure("emonhub_taken_frames_total") == (
        figure("emonhub_acknowledged_frames_total")
        + figure("emonhub_buffered_frames")
        + figure("emonhub_dropped_frames_total")
        + figure("emonhub_dead_frames_total")
    )


@pytest.mark.parametrize("name", ['quote " here', "back\\slash", "line\nend", "<script>", "°µ–", "half \ud800", ""])
async def test_names_of_any_kind_can_be_read_back(site: Site, client: Client, name: str) -> None:
    itf = site.interfacer("RFM2Pi")
    site.server.site.passed(itf, [Cargo(Layout(99, name), (1.0,), site.hub.world.time())])
    found = await scrape(client)
    expected = name.replace("\ud800", "?") or "99"
    assert of(found, "emonhub_node_stale", interfacer="RFM2Pi", node="99", name=expected) == 0
