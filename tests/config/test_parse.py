from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from configobj import ConfigObj
from hypothesis import given
from hypothesis import strategies as st

from emonhub.config.parse import BIGGEST_FILE, ParseFailed, parse
from emonhub.config.syntax import read
from tests.config.conftest import HOUSE
from tests.testdata import testdata

if TYPE_CHECKING:
    from pathlib import Path

HEAD = "[hub]\n[interfacers]\n"
FOLDERS = ("emonhub_conf", "emonhub_conf_nodes", "emonhub_conf_snippets")


def refused(data: bytes) -> str:
    with pytest.raises(ParseFailed) as caught:
        parse(data)
    return f"{caught.value.problems[0].line}: {caught.value.problems[0].message}"


def read_or_refused(data: bytes) -> bool:
    """Whether the file is read, or refused for a reason that is told; anything else raises."""
    try:
        parse(data)
    except ParseFailed as error:
        return bool(error.problems) and all(problem.message for problem in error.problems)
    return True


def captures(folder: str) -> list[tuple[Path, dict[str, Any]]]:
    """The files of a folder, each with what ConfigObj makes of it."""
    found = []
    for path in sorted(testdata(folder).glob("*.conf")):
        beside = [path.with_name(path.name + ".configobj.json"), path.with_suffix(".configobj.json")]
        found.append((path, json.loads(next(p for p in beside if p.exists()).read_text())))
    assert found
    return found


def whole(path: Path, expected: dict[str, Any]) -> str:
    """The text of a capture; a fragment gets the heading that it belongs under."""
    text = path.read_bytes().decode("utf-8-sig")
    return f"[{expected['wrapped_in']}]\n{text}" if expected.get("wrapped_in") else text


@pytest.mark.parametrize("folder", FOLDERS)
def test_real_files_are_read_as_configobj_reads_them(folder: str) -> None:
    for path, expected in captures(folder):
        tree = read(whole(path, expected))
        if expected["ok"]:
            assert (tree.problems, tree.values) == ([], expected["config"]), path.name
        else:
            assert tree.problems, f"{path.name}: ConfigObj refuses it: {expected['error']}"


@pytest.mark.parametrize("folder", FOLDERS)
def test_lines_of_real_files_are_those_of_their_text(folder: str) -> None:
    for path, expected in captures(folder):
        if not expected["ok"]:
            continue
        text = whole(path, expected)
        for encoded in (text.encode(), text.replace("\n", "\r\n").encode(), b"\xef\xbb\xbf" + text.encode()):
            tree = read(encoded.decode("utf-8-sig"))
            lines = text.split("\n")
            for where, number in tree.lines.items():
                assert where[-1] in lines[number - 1], f"{path.name}: {where} is not in line {number}"
            starts = [line.split("#")[0] for line in lines if line.strip() and not line.strip().startswith("#")]
            assert len(tree.lines) == len(starts), f"{path.name}: every line with something in it has its entry"


def test_how_a_file_may_be_stored() -> None:
    text = HEAD + "[nodes]\n[[5]]\n[[[rx]]]\nunits = °C, µg, %\n"
    expected = parse(text.encode())
    assert expected.values["nodes"]["5"]["rx"]["units"] == ["°C", "µg", "%"]
    assert not expected.problems
    for data in (b"\xef\xbb\xbf" + text.encode(), text.replace("\n", "\r\n").encode(), text.encode("utf-16")):
        assert parse(data) == expected
    old = parse(text.encode("latin-1"))
    assert old.values == expected.values
    (warning,) = old.problems
    assert (warning.severity, warning.line) == ("warning", 6)
    assert "Latin-1" in warning.message


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "0: the file is empty"),
        (b"\n# nothing\n\n", "0: the file is empty"),
        (b"[hub]\nloglevel = INFO\n", "0: there is no section [interfacers]"),
        (b"[interfacers]\n", "0: there is no section [hub]"),
        (b"[nodes]\n", "0: there is no section [hub] and [interfacers]"),
        (b"hub = 1\n[interfacers]\n", "0: there is no section [hub]"),
        (b"[hub]\n\0\0\0\0", "2: there are zero bytes"),
        (b"[hub]\n[interfacers]\nx = \xff\x01", "3: there are bytes that are no text"),
        (b"\x7fELF\x02\x01\x01\x00", "1: there are zero bytes"),
        (b"#" * (BIGGEST_FILE + 1), "0: the file has more than 1 MiB"),
    ],
)
def test_what_is_no_emonhub_conf_is_refused(data: bytes, said: str) -> None:
    assert refused(data).startswith(said)


@pytest.mark.parametrize("cut", range(1, len(HOUSE), 37))
def test_a_file_half_written_is_read_or_refused_with_a_reason(cut: int) -> None:
    assert read_or_refused(HOUSE[:cut].encode())


def test_references_to_other_keys() -> None:
    text = (
        "top = t\n[DEFAULT]\nhost = h\n[hub]\n[interfacers]\nbase = b/%(top)s\n"
        "[[A]]\nx = 1\nurl = http://%(host)s/%(base)s?%(x)s%\nlist = %(x)s, 100%, %(x)s%(x)s\n[[B]]\nx = %(A)s\n"
    )
    parsed = parse(text.encode())
    assert parsed.values["interfacers"]["A"]["url"] == "http://h/b/t?1%"
    assert parsed.values["interfacers"]["A"]["list"] == ["1", "100%", "11"]
    assert parsed.bad == {("interfacers", "B", "x"): parsed.bad["interfacers", "B", "x"]}
    expected = ConfigObj(text.split("\n"))["interfacers"]["A"]
    assert (expected["url"], expected["list"]) == ("http://h/b/t?1%", ["1", "100%", "11"])


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("x = %(y)s", "%(y)s refers to a key that is not there"),
        ("x = a, %(y)s", "%(y)s refers to a key that is not there"),
        ("x = %(x)s", "%(x)s leads back to itself"),
        ("y = %(x)s\nx = %(y)s", "leads back to itself"),
        ("y = 1, 2\nx = %(y)s", "%(y)s is a list"),
        ("\n".join([f"a{n} = %(a{n + 1})s" for n in range(5000)] + ["x = %(a0)s"]), "too many other keys"),
        (
            "\n".join([f"a{n} = %(a{n + 1})s%(a{n + 1})s" for n in range(15)] + ["a15 = z", "x = %(a0)s"]),
            "too many other keys",
        ),
        ("y = " + "z" * 15_000 + "\nx = %(y)s%(y)s", "too long"),
    ],
)
def test_references_that_lead_nowhere(lines: str, said: str) -> None:
    parsed = parse((HEAD + lines).encode())
    assert said in parsed.bad["interfacers", "x"]


@given(st.binary())
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    for whole_file in (data, HEAD.encode() + data):
        assert read_or_refused(whole_file)


@given(st.data())
def test_a_good_file_with_damage_is_read_or_refused(data: st.DataObject) -> None:
    damaged = bytearray(HOUSE.encode())
    for _ in range(data.draw(st.integers(1, 5))):
        start = data.draw(st.integers(0, len(damaged)))
        damaged[start : start + data.draw(st.integers(0, 20))] = data.draw(st.binary(max_size=20))
    assert read_or_refused(bytes(damaged))
