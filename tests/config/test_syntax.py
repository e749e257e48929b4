from __future__ import annotations

import contextlib
from typing import Any

import pytest
from configobj import ConfigObj, ConfigObjError
from hypothesis import given
from hypothesis import strategies as st

from emonhub.config.syntax import LONGEST_LINE, Tree, read, split_value


def only_problem(text: str) -> tuple[int, tuple[str, ...], str, str]:
    (problem,) = read(text).problems
    return problem.line, problem.sections, problem.key, problem.message


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("a = b", "b"),
        ("a=b", "b"),
        ("a=  b c  ", "b c"),
        ("a =", ""),
        ("a = # nothing", ""),
        ("a = b,", ["b"]),
        ("a = ,", []),
        ("a = , # none", []),
        ("a = p, q", ["p", "q"]),
        ("a = p,q,# two", ["p", "q"]),
        ("a = external temperature, b", ["external temperature", "b"]),
        ("a = C,C,%,V", ["C", "C", "%", "V"]),
        ('a = "x, y"', "x, y"),
        ('a = "x, y", z', ["x, y", "z"]),
        ("a = ''", ""),
        ("a = '', b", ["", "b"]),
        ("a = it's", "it's"),
        ('a = 5" pipe, b', ['5" pipe', "b"]),
        ("a = abc#123", "abc"),
        ('a = "abc#123"', "abc#123"),
        ('a = "abc"#123', "abc"),
        ('"a" = b', "b"),
        ("'a' = b", "b"),
        ("a = b = c", "b = c"),
        ("a = '''x, # y'''", "x, # y"),
        ('a = """x"y""" # z', 'x"y'),
    ],
)
def test_a_value(line: str, value: str | list[str]) -> None:
    assert read(line).values == {"a": value}
    assert ConfigObj([line], interpolation=False) == {"a": value}


def test_sections_nest_by_brackets_and_not_by_indentation() -> None:
    tree = read("x = 1\n[a]\n      [[b]]\ny = 2\n[[[c]]]\n  z = 3\n[[d]] # four\n[ 'e f' ]")
    assert not tree.problems
    assert tree.values == {"x": "1", "a": {"b": {"y": "2", "c": {"z": "3"}}, "d": {}}, "e f": {}}


def test_lines_of_sections_and_keys() -> None:
    text = "[a]\n# [a]\n\nk = '''\nk2 = no key\n'''\nk2 = 1\n  [['b']]\n\"k 3\" = 2"
    lines = {("a",): 1, ("a", "k"): 4, ("a", "k2"): 7, ("a", "b"): 8, ("a", "b", "k 3"): 9}
    for end in ("\n", "\r\n", "\r"):
        tree = read(text.replace("\n", end))
        assert tree.lines == lines
        assert tree.values["a"]["k"] == "\nk2 = no key\n"


@pytest.mark.parametrize(
    ("text", "line", "key", "said"),
    [
        ("[a]\nk = 1\nk = 2", 3, "k", "twice, first in line 2"),
        ("[a]\n[b]\n[a]", 3, "", "[a] is there twice, first in line 1"),
        ("[a]\n[[5]]\nk = 1\n[[5]]\nk = 2\n[[[rx]]]\nx = 1", 4, "", "[[5]] is there twice, first in line 2"),
        ("[a]\n[[[b]]]\nk = 1\n[[[[c]]]]\nk = 1", 2, "", "[[[b]]] stands directly in [a]"),
        ("[[b]]", 1, "", "[[b]] stands directly in the file"),
        ("[[a]\nk = 1", 1, "", "2 opening and 1 closing brackets"),
        ("[a]\n[[a]\nk = 1\n[[b]]", 2, "", "2 opening and 1 closing brackets"),
        ("[a\nk = 1", 1, "", "no section: brackets must be closed"),
        ("[a] b\nk = 1", 1, "", "no section: brackets must be closed"),
        ("[a]\nk", 2, "", "neither a [section] nor a key = value"),
        ("= 3", 1, "", "no name in front of the ="),
        ("k = p,q,,r", 1, "k", "nothing between two commas"),
        ("k = ,a", 1, "k", "nothing between two commas, or in front of the first"),
        ('k = "abc', 1, "k", "starts with a quote that is not closed"),
        ("k = 'abc", 1, "k", "starts with an apostrophe that is not closed"),
        ('k = "abc" def', 1, "k", "starts with a quote that is not closed"),
        ('k = a, "b', 1, "k", "starts with a quote that is not closed"),
        ('"k = 1', 1, "", "starts with a quote that is not closed"),
        ("x = 1\nk = '''abc\ny = 2", 2, "k", "''' is never closed"),
        ("k = '''abc'''d", 1, "k", "something stands behind the closing '''"),
        ("k = '''abc\ndef'''g", 1, "k", "behind the closing ''' in line 2"),
        ("k = " + LONGEST_LINE * "x", 1, "", f"longer than {LONGEST_LINE} characters"),
        ("\n".join("[" * n + "s" + "]" * n for n in range(1, 18)), 17, "", "16 are the most"),
    ],
)
def test_what_cannot_be_read_is_named_with_its_line(text: str, line: int, key: str, said: str) -> None:
    found = read(text).problems
    assert found, text
    assert (found[0].line, found[0].key) == (line, key)
    assert said in found[0].message
    if "never closed" not in said and "behind" not in said:
        assert len(found) == 1, "one slip is one problem, not one in every line that follows"


def test_every_slip_is_found_in_one_go() -> None:
    tree = read("[a]\nk = 1\nk = 2\nfoo\n[a]\nk = 1\n[b]\nx = 'y\nz = 1")
    assert [problem.line for problem in tree.problems] == [3, 4, 5, 8]
    assert tree.values["b"] == {"z": "1"}


def test_a_file_of_something_else_ends_early() -> None:
    tree = read("no key\n" * 100_000)
    assert len(tree.problems) < 100


def test_no_problem_quotes_a_value() -> None:
    for text in ("pw = 'hunter22", "pw = hunter22,,", "hunter22", "[hunter22", "'hunter22"):
        assert "hunter22" not in only_problem(text)[-1]


@pytest.mark.parametrize(
    "line",
    [
        "k = " + ",".join(f'"n{i}"' for i in range(2000)) + ',"z',
        "k = " + '",' * 9000,
        "k = " + "'''" + "''''" * 4000,
        '"' + "a" * 19_000,
        "[" * 19_000,
        "[ " * 250,
        "k" + " " * 19_000 + "x",
        "k = a" + " " * 19_000 + "'",
        "[a] " + " " * 19_000 + "x",
    ],
)
def test_no_line_takes_for_ever(line: str) -> None:
    read(line)  # exponential work would run into the time limit that every test has


def nested(tree: Tree) -> set[tuple[str, ...]]:
    """Paths of all sections and keys in the values."""

    def walk(section: dict[str, Any], path: tuple[str, ...]) -> set[tuple[str, ...]]:
        found = set()
        for name, value in section.items():
            found.add((*path, name))
            if isinstance(value, dict):
                found |= walk(value, (*path, name))
        return found

    return walk(tree.values, ())


PIECES = st.sampled_from(
    [
        "a",
        "bc",
        " ",
        "  ",
        ",",
        "=",
        "#",
        "[",
        "]",
        "'",
        '"',
        "'''",
        '"""',
        "%",
        "$",
        "°",
        "\t",
        "it's",
        "= x",
        "[s]",
        "[[t]]",
    ]
)
LINES = st.lists(st.lists(PIECES, max_size=7).map("".join), max_size=6)


@given(LINES)
def test_what_is_read_is_what_configobj_reads(lines: list[str]) -> None:
    tree = read("\n".join(lines))
    if tree.problems:
        return
    assert tree.lines.keys() == nested(tree)
    if any(line.count('"') > 1 or line.count("'") > 1 for line in lines):
        return  # ConfigObj lets quotes run on over commas and comments
    assert ConfigObj(lines, interpolation=False) == tree.values


@given(LINES)
def test_what_configobj_takes_is_taken(lines: list[str]) -> None:
    if any(quote in line for line in lines for quote in "\"'") or any(line[:1].isspace() for line in lines):
        return  # ConfigObj takes `"a",,"b"` for one text, and a blank for a key's name
    with contextlib.suppress(ConfigObjError):
        expected = ConfigObj(lines, interpolation=False)
        tree = read("\n".join(lines))
        assert not tree.problems
        assert tree.values == expected


@given(st.text())
def test_no_text_raises(text: str) -> None:
    read(text)


def test_split_value_of_a_lone_quote_behind_a_comma_is_as_it_always_was() -> None:
    assert split_value('x, "a, b') == ["x", '"a', "b"]
    assert ConfigObj(['k = x, "a, b'])["k"] == ["x", '"a', "b"]
