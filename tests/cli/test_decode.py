from __future__ import annotations

from textwrap import dedent
from typing import TYPE_CHECKING

import pytest

from emonhub.cli import main
from emonhub.nodes.templates import templates

if TYPE_CHECKING:
    from pathlib import Path

CONF = """\
[hub]
[interfacers]
[nodes]
[[10]]
    nodename = shield
    [[[rx]]]
        names = power1, power2, power3, power4, vrms, temp
        datacode = h
        scales = 1, 1, 1, 1, 0.01, 0.1
        units = W, W, W, W, V, C
[[11]]
    nodename = fixed
    [[[rx]]]
        names = count, power
        datacodes = L, h
[[12]]
    nodename = text
    [[[rx]]]
        datacode = 0
        scale = 0.1
[[bad]]
    [[[rx]]]
        datacodes = x,
"""

EMONTX4 = "OK 17 81 182 1 0 18 98 80 0 251 255" + " 0" * 8 + " 7 48" + " 0" * 22 + " 34 8 48 117 48 117 0 0 0 0 (-40)"


class Terminal:
    """Runs the command; `out` and `err` are what it printed last."""

    def __init__(self, conf: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.conf = conf
        self.capsys = capsys
        self.out = self.err = ""

    def decode(self, *frame: str) -> int:
        status = main(["decode", "--config", str(self.conf), "--", *frame])
        self.out, self.err = self.capsys.readouterr()
        self.out = self.out.replace(str(self.conf), "emonhub.conf")
        return status


@pytest.fixture
def terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Terminal:
    conf = tmp_path / "emonhub.conf"
    conf.write_text(CONF)
    return Terminal(conf, capsys)


def test_all_that_can_be_said_of_a_frame(terminal: Terminal) -> None:
    assert terminal.decode("OK 10 0 0 198 239 0 0 254 255 122 95 82 3 (-69)") == 0
    assert terminal.err == ""
    assert terminal.out == dedent("""\
        node 10: 12 bytes, received at -69 dBm

        As emonhub.conf has it (shield):
                         0 0  power1 = 0 W
                     198 239  power2 = -4154 W
                         0 0  power3 = 0 W
                     254 255  power4 = -2 W
                      122 95  vrms   = 244.42 V
                        82 3  temp   = 85 C

        Templates for 12 bytes:

          emonth2 (but usually nodes 23, 24, 25, 26)
                         0 0  temperature          = 0 C
                     198 239  external temperature = -415.4 C  <- unlikely
                         0 0  humidity             = 0 %
                     254 255  battery              = -0.2 V  <- unlikely
                 122 95 82 3  pulsecount           = 55730042 p

        The others have another length:
            8 bytes  emonth1
           10 bytes  emontxshield
           24 bytes  emonpi
           26 bytes  emontx3_discreet, emontx3_3phase
           32 bytes  emonTx6_temp_pulse
           40 bytes  emonpiCM, emontx3_cm, emontx3_cm_rf69n
           46 bytes  emon_DB_6CT_1phase, emonTx6_3phase
           50 bytes  emonTx4_3phase
           52 bytes  emonTx4, EmonTx4DB_rf1, EmonTx4DB_rf2
        """)


def test_a_node_that_is_not_configured_shows_its_usual_template_first(terminal: Terminal) -> None:
    assert terminal.decode(EMONTX4) == 0
    assert "It is not in [nodes] of emonhub.conf.\n" in terminal.out
    assert "datacode h by default: -18863 1 25106 80 -5 0" in terminal.out
    order = [terminal.out.index(f"\n  {name} (") for name in ("emonTx4", "EmonTx4DB_rf1", "EmonTx4DB_rf2")]
    assert order == sorted(order)
    likely, unlikely = terminal.out.split("\n  EmonTx4DB_rf1 (but usually node 28)\n")
    assert "  emonTx4 (usually nodes 17, 18)\n" in likely
    assert "          81 182 1 0  MSG   = 112209 n\n" in likely
    assert "               34 8  T1    = 20.82 C\n" in likely
    assert "              48 117  T2    = 300 C  <- no sensor\n" in likely
    assert "missed" not in terminal.out
    assert "<- unlikely" not in likely
    assert "251 255  Vrms3  = -0.05 V  <- unlikely\n" in unlikely


def test_every_template_is_named_for_every_length(terminal: Terminal) -> None:
    for size in (3, 12, 40, 52):
        terminal.decode(f"OK 9 {'1 ' * size}")
        for template in templates():
            assert template.name in terminal.out


def test_whitening_is_shown_and_undone(terminal: Terminal) -> None:
    frame = "OK 15 1 85 85 85 247 127" + " 85" * 24 + " 101 32 101 32 101 32 84 85 85 85 (-27)"
    assert terminal.decode(frame) == 0
    shown = terminal.out.split("  emontx3_cm (usually nodes 15, 16), whitened\n")[1]
    assert shown.startswith("          1 85 85 85  MSG   = 84 n\n             247 127  Vrms  = 109.14 V\n")


@pytest.mark.parametrize(
    ("frame", "says"),
    [
        ("10 1 2 3", "does not fit: node shield: 3 bytes are no whole number of h values (2 bytes each)"),
        ("11 1 2 3", "does not fit: node fixed: 3 bytes, its datacodes L,h need 6"),
        ("10 1.5 2", "does not fit: node shield: field 1, '1.5', is no byte (0..255)"),
        ("10 x", "does not fit: node shield: field 1, 'x', is no number"),
        ("9 1", "does not fit: node 9: 1 bytes are no whole number of h values"),
    ],
)
def test_what_does_not_fit_says_why(terminal: Terminal, frame: str, says: str) -> None:
    assert terminal.decode(frame) == 1
    assert says in terminal.out


def test_numbers_as_text(terminal: Terminal) -> None:
    assert terminal.decode("12", "204.5", "-3", "nan") == 0
    assert terminal.out == dedent("""\
        node 12: 3 numbers, not all of them bytes

        As emonhub.conf has it (text):
                       204.5  1 = 20.45
                          -3  2 = -0.3
                         nan  3 = no number
        """)


@pytest.mark.parametrize(
    "frame", [("OK 11 1 0 0 0 2 0 (-0)",), ("OK", "11", "1", "0", "0", "0", "2", "0"), ("11 1 0 0 0 2 0",)]
)
def test_a_frame_may_be_one_word_or_many_with_or_without_its_frills(terminal: Terminal, frame: tuple[str, ...]) -> None:
    assert terminal.decode(*frame) == 0
    assert terminal.out.startswith("node 11: 6 bytes\n")
    assert "             1 0 0 0  count = 1\n                 2 0  power = 2\n" in terminal.out


@pytest.mark.parametrize("frame", ["", "OK", "OK 10", "OK 10 (-40)", "(-40)"])
def test_what_is_no_frame(terminal: Terminal, frame: str) -> None:
    assert terminal.decode(frame) == 2
    assert "a frame is a node id and at least one value" in terminal.err
    assert terminal.out == ""


def test_a_file_that_is_not_there(terminal: Terminal) -> None:
    terminal.conf.unlink()
    assert terminal.decode("OK 10 1 0") == 2
    assert "can't be read" in terminal.err


def test_a_file_that_can_not_be_used(terminal: Terminal) -> None:
    terminal.conf.write_text("[hub\n")
    assert terminal.decode("OK 10 1 0") == 2
    assert "emonhub.conf:1" in terminal.err


def test_long_rubbish_is_not_printed_whole(terminal: Terminal) -> None:
    assert terminal.decode("12 " + "x" * 100_000) == 1
    assert len(terminal.out) < 1000
