from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from emonhub.config.model import Configuration

RADIO = "EmonHubJeeInterfacer"
SOCKET = "EmonHubSocketInterfacer"
EMONCMS = "EmonHubEmoncmsHTTPInterfacer"


def conf(*interfacers: tuple[str, str, str]) -> str:
    """(type, pubchannels, subchannels), named A, B, C … in order."""
    text = "[hub]\n[interfacers]\n"
    for name, (type_, pub, sub) in zip("ABCDEF", interfacers, strict=False):
        text += f"[[{name}]]\n" + (f"Type = {type_}\n" if type_ else "")
        text += "[[[init_settings]]]\n[[[runtimesettings]]]\n"
        text += (f"pubchannels = {pub}\n" if pub else "") + (f"subchannels = {sub}\n" if sub else "")
    return text


@pytest.mark.parametrize(
    "interfacers",
    [
        [(RADIO, "Out,", ""), (EMONCMS, "", "Out,")],
        [(RADIO, "Out", ""), (EMONCMS, "", "Out")],
        [(RADIO, "Out, More", "In,"), (SOCKET, "In,", ""), (EMONCMS, "", "Out, More")],
        # a reporter that never has anything to publish, in every stock file
        [(RADIO, "Out,", "In,"), (EMONCMS, "In,", "Out,")],
        # a type that is not known may read and write all that it names
        [(RADIO, "Out,", "In,"), ("Mine", "In,", "Out,")],
        # a radio that only sends
        [(RADIO, "", "In,"), (SOCKET, "In,", "")],
        # one that talks to itself
        [(RADIO, "In,", "In,")],
    ],
)
def test_nothing_to_say_of_channels_with_two_ends(
    loaded: Callable[..., Configuration], interfacers: list[tuple[str, str, str]]
) -> None:
    assert loaded(conf(*interfacers)).warnings == []


@pytest.mark.parametrize(
    ("interfacers", "where", "message"),
    [
        (
            [(RADIO, "ToEmonCSM,", ""), (SOCKET, "ToEmonCMS,", ""), (EMONCMS, "", "ToEmonCMS,")],
            ("A", "pubchannels"),
            "writes to channel ToEmonCSM, which nobody reads",
        ),
        (
            [(RADIO, "Out,", ""), (SOCKET, "Out,", "")],
            ("A", "pubchannels"),
            "writes to channel Out, which nobody reads ([[B]] as well)",
        ),
        (
            [(RADIO, "Out,", ""), ("", "", "Out,")],
            ("A", "pubchannels"),
            "writes to channel Out, which nobody reads: [[B]] would, but is switched off (no Type)",
        ),
        # a socket never sends
        (
            [(RADIO, "Out,", ""), (SOCKET, "Out,", "Out,")],
            ("A", "pubchannels"),
            "writes to channel Out, which nobody reads ([[B]] as well)",
        ),
        (
            [(RADIO, "Out,", ""), (EMONCMS, "", "Out, Extra")],
            ("B", "subchannels"),
            "reads channel Extra, which nobody writes to",
        ),
        (
            [("", "Extra,", ""), (RADIO, "Out,", ""), (EMONCMS, "", "Out, Extra")],
            ("C", "subchannels"),
            "reads channel Extra, which nobody writes to: [[A]] would, but is switched off (no Type)",
        ),
        (
            [(SOCKET, "", "")],
            ("A",),
            "has no pubchannels: what it reads goes nowhere; add pubchannels = ToEmonCMS,",
        ),
        (
            [(EMONCMS, "", "")],
            ("A",),
            "has no subchannels: nothing is ever sent; add subchannels = ToEmonCMS,",
        ),
    ],
)
def test_data_that_goes_nowhere_or_comes_from_nowhere(
    loaded: Callable[..., Configuration],
    interfacers: list[tuple[str, str, str]],
    where: tuple[str, ...],
    message: str,
) -> None:
    text = conf(*interfacers)
    (warning,) = loaded(text).warnings
    assert warning.message == message
    assert (warning.where[1], warning.where[-1]) == (where[0], where[-1])
    line = text.split("\n")[warning.line - 1]
    assert line.startswith(where[1] if len(where) > 1 else f"[[{where[0]}]]")


def test_a_channel_misspelt_on_one_side_is_found_on_both(loaded: Callable[..., Configuration]) -> None:
    warnings = loaded(conf((RADIO, "ToEmonCSM,", ""), (EMONCMS, "", "ToEmonCMS,"))).warnings
    assert [warning.message for warning in warnings] == [
        "writes to channel ToEmonCSM, which nobody reads: did you mean ToEmonCMS?",
        "reads channel ToEmonCMS, which nobody writes to: did you mean ToEmonCSM?",
    ]


def test_channels_are_found_where_the_file_has_them(loaded: Callable[..., Configuration]) -> None:
    text = conf((RADIO, "Out,", "")).replace("runtimesettings", "runtime_settings")
    found = [w for w in loaded(text).warnings if "nobody reads" in w.message]
    assert [w.line for w in found] == [text.split("\n").index("pubchannels = Out,") + 1]
