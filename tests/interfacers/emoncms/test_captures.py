"""From the line that a board sent to the request that its hub made of it, as both were logged."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

import pytest

from emonhub import Batch
from emonhub.interfacers.emoncms.http import EmonHubEmoncmsHTTPInterfacer
from emonhub.nodes.table import Nodes
from tests.interfacers.devices.test_captures import as_sent, configuration, expected, text_for
from tests.interfacers.harness import Port
from tests.testdata import testdata

if TYPE_CHECKING:
    from pathlib import Path

    from emonhub.cargo import Cargo

CAPTURES = {
    "node_10183": 1, "node_10371": 4, "node_10465": 1, "node_10904": 2, "node_11044": 1, "node_11977": 2,
    "node_12004": 2, "node_12108": 4, "node_5561": 2, "node_5999": 1, "node_6218": 1, "node_6400": 3,
}  # fmt: skip
"""Captures in which a frame and a request with it were logged, and how many such rows."""


def decoded(capture: str, folder: Path) -> list[Cargo]:
    found = configuration(text_for(capture), Port(folder / "tty"), folder)
    (config,) = found.interfacers.values()
    interfacer: Any = config.cls(config.name, config.settings, nodes=Nodes(found.nodes))  # type: ignore[misc]
    cargos = []
    for frame in expected(capture)["decoded"]:
        cargos += interfacer.parse([as_sent(frame["frame"])], frame.get("timestamp") or 0.0)
    return cargos


def data_of(cargo: Cargo, time: float) -> list[Any]:
    """The one row of the request that is made of a frame."""
    reporter = EmonHubEmoncmsHTTPInterfacer("emoncms", {"apikey": "0" * 32})
    request = reporter.request(Batch(1, [reporter.encoder(cargo.layout)(cargo)], [time]))
    ((row,),) = (json.loads(text) for text in parse_qs(request.body.decode())["data"])
    return list(row)


@pytest.mark.parametrize("capture", CAPTURES)
def test_the_same_frame_makes_the_same_row(capture: str, tmp_path: Path) -> None:
    requests = json.loads((testdata("emoncms_bulk") / f"{capture}.bulk.json").read_text("utf-8"))
    cargos = decoded(capture, tmp_path)
    compared = 0
    for row in (row for request in requests for row in request["data"]):
        same = [c for c in cargos if [c.layout.node, *c.values] == pytest.approx(row[1 : 2 + len(c.values)], rel=1e-12)]
        if same:
            # emoncms keeps whole seconds, and today's hub sends no others.
            assert data_of(same[0], row[0]) == pytest.approx([int(row[0]), *row[1:]], rel=1e-12)
            compared += 1
    assert compared == CAPTURES[capture]
