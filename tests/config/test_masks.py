"""Secrets in the text of an emonhub.conf: masked for people, put back into what they return."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emonhub.config.masks import mask, unmask
from emonhub.config.syntax import read
from tests.testdata import testdata

TEXT = """\
[hub]
[web]
password = open sesame
token = 'a # token'
[interfacers]
[[one]]
    Type = EmonHubEmoncmsHTTPInterfacer
    [[[runtimesettings]]]
        url = http://user:in-the-url@host/?apikey=in-the-query&x=1
        apikey = 0123456789abcdef0123456789abcdef    # key of the house
        # apikey = commented-out-key
[[two]]
    Type = EmonHubEmoncmsHTTPInterfacer
    [[[runtimesettings]]]
        apikey = fedcba9876543210fedcba9876543210
        # the same as fedcba9876543210fedcba9876543210 of the cabin
[[three]]
    Type = EmonHubEmoncmsHTTPInterfacer
    [[[runtimesettings]]]
        apikey = ${env:KEY}
[[four]]
    Type = SomebodysOwn
    [[[runtimesettings]]]
        my_secret = '''over
two lines'''
        interval = 30
"""
SECRETS = [
    "open sesame",
    "a # token",
    "in-the-url",
    "in-the-query",
    "0123456789",
    "commented-out",
    "fedcba",
    "two lines",
]


def test_secrets_are_masked_and_all_else_is_shown() -> None:
    shown = mask(TEXT)
    assert [secret for secret in SECRETS if secret in shown] == []
    assert "        apikey = ********    # key of the house\n" in shown
    assert "url = http://user:********@host/?apikey=********&x=1\n" in shown
    assert "apikey = ${env:KEY}\n" in shown
    assert "# the same as ******** of the cabin\n" in shown
    assert "interval = 30\n" in shown
    assert shown.count("\n") == TEXT.count("\n")
    assert mask("x = a-known-secret-value", ["a-known-secret-value"]) == "x = ********"


def test_what_comes_back_is_what_there_was() -> None:
    assert unmask(mask(TEXT), {"": TEXT}) == (TEXT, [])


def test_what_is_changed_around_them_stays_changed() -> None:
    shown = mask(TEXT).replace("interval = 30", "interval = 5").replace("host/", "other/").replace("# key of", "# of")
    expected = TEXT.replace("interval = 30", "interval = 5").replace("host/", "other/").replace("# key of", "# of")
    assert unmask(shown, {"": TEXT}) == (expected, [])


def test_sections_may_change_places() -> None:
    shown = mask(TEXT)
    one, two = shown.index("[[one]]"), shown.index("[[two]]")
    three = shown.index("[[three]]")
    swapped = shown[:one] + shown[two:three] + shown[one:two] + shown[three:]
    text, problems = unmask(swapped, {"": TEXT})
    assert problems == []
    assert read(text).values == read(TEXT).values


def test_a_new_secret_takes_the_place_of_the_old() -> None:
    shown = mask(TEXT).replace("password = ********", "password = new")
    assert unmask(shown, {"": TEXT})[0] == TEXT.replace("open sesame", "new")


def test_the_key_of_one_account_is_never_put_into_another() -> None:
    alike = TEXT.replace("    # key of the house", "")
    shown = mask(alike).replace("[[two]]", "[[2]]")
    text, (problem,) = unmask(shown, {"": alike})
    assert text.count("        apikey = ********\n") == 1
    assert problem.where == ("interfacers", "2", "runtimesettings", "apikey")
    assert problem.line == alike[: alike.index("apikey = fedcba")].count("\n") + 1


def test_a_renamed_section_keeps_its_secret_where_that_can_be_no_other() -> None:
    shown = mask(TEXT).replace("[[four]]", "[[for]]")
    assert unmask(shown, {"": TEXT}) == (TEXT.replace("[[four]]", "[[for]]"), [])


@pytest.mark.parametrize(
    "added",
    [
        "        extra = ********\n",
        "        # ******** what?\n",
        "        url2 = http://x:********@y\n",
        "  b = ********~1-ab\n",
    ],
)
def test_a_mask_that_stands_for_nothing_is_told(added: str) -> None:
    text, (problem,) = unmask(mask(TEXT) + added, {"": TEXT})
    assert text == TEXT + added
    assert problem.line == TEXT.count("\n") + 1
    assert "write the secret itself" in problem.message


def test_an_older_versions_secret_is_its_own() -> None:
    older = TEXT.replace("open sesame", "sesame open")
    shown = mask(older, version="17-0a", now=TEXT)
    assert "password = ********~17-0a\n" in shown
    assert "token = ********\n" in shown
    assert unmask(shown, {"": TEXT, "17-0a": older}) == (older, [])
    assert [p.line for p in unmask(shown, {"": TEXT})[1]] == [3]


PIECES = [*"[]=#,'\"\n\r ab:/@*~$%{}", "apikey = ", "'''", "********", "://a:b@"]


@given(st.lists(st.sampled_from(PIECES), max_size=60).map("".join))
def test_rubbish_comes_back_too(text: str) -> None:
    assert unmask(mask(text), {"": text}) == (text, [])


def test_real_files_come_back() -> None:
    for path in sorted(testdata("emonhub_conf").rglob("*.conf")):
        text = path.read_bytes().decode("utf-8", "replace")
        assert unmask(mask(text), {"": text}) == (text, []), path


@pytest.mark.parametrize(
    "line", ["apikey" * 3000, "a.apikey = " * 1500, "# key = " + " " * 18000 + "x", "http://a:b" * 1800, "key=" * 5000]
)
def test_long_lines_take_no_time(line: str) -> None:
    """As long as a line may be, and as many as a file may have."""
    text = "\n".join([line] * 20)
    assert len(mask(text)) > 0
