from __future__ import annotations

from typing import TYPE_CHECKING

from emonhub.config.model import MASK
from emonhub.config.wiring import WiringRow, render, wiring
from tests.config.conftest import HOUSE

if TYPE_CHECKING:
    from collections.abc import Callable

    from emonhub.config.model import Configuration

ENDPOINTS = {
    "RFM2Pi": "/dev/ttyAMA0 at 38400",
    "Lines": "TCP port 50012 on all addresses",
    "emoncmsorg": "https://emoncms.org",
}


def test_rows(loaded: Callable[..., Configuration]) -> None:
    assert wiring(loaded(HOUSE), ENDPOINTS) == [
        WiringRow("RFM2Pi", "EmonHubJeeInterfacer", "/dev/ttyAMA0 at 38400", ("ToEmonCMS",), ("ToRFM12",)),
        WiringRow("Lines", "EmonHubSocketInterfacer", "TCP port 50012 on all addresses", ("ToEmonCMS", "ToRFM12"), ()),
        # it publishes nothing, whatever its pubchannels say
        WiringRow("emoncmsorg", "EmonHubEmoncmsHTTPInterfacer", "https://emoncms.org", (), ("ToEmonCMS",)),
    ]


def test_the_picture_of_a_house(loaded: Callable[..., Configuration]) -> None:
    assert (
        "\n" + render(wiring(loaded(HOUSE), ENDPOINTS))
        == """
/dev/ttyAMA0 at 38400            ─▶  [[RFM2Pi]]  EmonHubJeeInterfacer
TCP port 50012 on all addresses  ─▶  [[Lines]]   EmonHubSocketInterfacer
  └─▶ ToEmonCMS
        └─▶ [[emoncmsorg]]  EmonHubEmoncmsHTTPInterfacer  ─▶  https://emoncms.org

TCP port 50012 on all addresses  ─▶  [[Lines]]  EmonHubSocketInterfacer
  └─▶ ToRFM12
        └─▶ [[RFM2Pi]]  EmonHubJeeInterfacer  ─▶  /dev/ttyAMA0 at 38400"""
    )


def test_the_picture_of_loose_ends() -> None:
    rows = [
        WiringRow("In", "Reader", "a port", ("One", "Two", "Lost"), ()),
        WiringRow("Bad", "Mystery", "", ("One", "Two"), ("Back",), "refused"),
        WiringRow("Out1", "Sender", "a server", (), ("One", "Two")),
        WiringRow("Output", "Sender", "another", (), ("One", "Two")),
        WiringRow("Alone", "Reader", "nothing much", (), ()),
    ]
    assert (
        "\n" + render(rows)
        == """
a port  ─▶  [[In]]   Reader
?       ─▶  [[Bad]]  Mystery  (does not run: see its error)
  └─▶ One, Two
        ├─▶ [[Out1]]    Sender  ─▶  a server
        └─▶ [[Output]]  Sender  ─▶  another

a port  ─▶  [[In]]  Reader
  └─▶ Lost
        └─▶ (nobody reads)

(nobody writes)
  └─▶ Back
        └─▶ [[Bad]]  Mystery  ─▶  ?  (does not run: see its error)

Not connected to any channel:
  [[Alone]]  Reader  ─▶  nothing much"""
    )


def test_the_picture_of_nothing(loaded: Callable[..., Configuration]) -> None:
    assert "Nothing is switched on" in render(wiring(loaded("[hub]\n[interfacers]\n[[A]]\n"), {}))


def test_what_cannot_be_made_is_refused(loaded: Callable[..., Configuration]) -> None:
    rows = wiring(loaded(HOUSE.replace("com_baud = 38400", "com_baud = fast")), {"Lines": "a port"})
    assert [(row.name, row.state) for row in rows] == [
        ("RFM2Pi", "refused"),
        ("Lines", "ready"),
        ("emoncmsorg", "refused"),
    ]


def test_secrets_stay_out_of_the_picture(loaded: Callable[..., Configuration]) -> None:
    text = HOUSE.replace("url = https://emoncms.org", "url = ${env:URL}")
    configuration = loaded(text, URL="https://hidden.example/")
    picture = render(wiring(configuration, {"emoncmsorg": "https://hidden.example", "Lines": "http://jo:pw@there"}))
    assert "hidden" not in picture
    assert "pw" not in picture
    assert f"jo:{MASK}@there" in picture
