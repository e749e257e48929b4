"""Settings put into the text of an emonhub.conf, and nothing else touched."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emonhub import plugins
from emonhub.config.edit import edit
from emonhub.config.load import check
from emonhub.config.spans import spans
from emonhub.config.syntax import read
from emonhub.errors import SettingError
from emonhub.settings import declared
from tests.testdata import testdata

HTTP = "EmonHubEmoncmsHTTPInterfacer"
SETTINGS = declared(plugins.find(HTTP).cls or object)

TEXT = """\
# My house
[hub]
loglevel = INFO

[interfacers]

  [[emoncmsorg]]            # the account
      Type = EmonHubEmoncmsHTTPInterfacer
      [[[init_settings]]]
      [[[runtimesettings]]]
          pubchannels = ToRFM12,
          subchannels = ToEmonCMS,
          url   =   https://emoncms.org   # where to
          apikey = "a,b#c"
          # batchsize = 100
          interval = 30# every half minute

  [[other]]
      Type = EmonHubEmoncmsHTTPInterfacer
      [[[init_settings]]]
      [[[runtimesettings]]]
          interval = 30

########## nodes ##########
[nodes]
"""


def put(text: str = TEXT, name: str = "emoncmsorg", type_name: str = "", **values: str | None) -> str:
    return edit(text, name, values, SETTINGS, type_name)


def changes(before: str, after: str) -> tuple[list[str], list[str]]:
    """Lines that are gone, and lines that have come."""
    old, new = before.splitlines(keepends=True), after.splitlines(keepends=True)
    return [line for line in old if line not in new], [line for line in new if line not in old]


def test_a_value_is_replaced_in_its_place() -> None:
    assert put(url="http://pi") == TEXT.replace("https://emoncms.org", "http://pi")
    assert put(interval="5") == TEXT.replace("interval = 30# every", "interval = 5# every")


def test_the_same_value_changes_nothing() -> None:
    assert put(interval="30", url="https://emoncms.org", subchannels="ToEmonCMS") == TEXT


def test_a_new_setting_stands_behind_the_others_or_behind_its_example() -> None:
    assert put(max_rate="7") == TEXT.replace("half minute\n", "half minute\n          max_rate = 7\n")
    assert put(batchsize="50") == TEXT.replace("batchsize = 100\n", "batchsize = 100\n          batchsize = 50\n")


def test_a_setting_goes_into_its_own_section() -> None:
    expected = TEXT.replace("[[[init_settings]]]\n", "[[[init_settings]]]\n          keep = 90 d\n", 1)
    assert put(keep="90 d") == expected


def test_a_default_takes_the_line_out_and_leaves_its_comment() -> None:
    assert put(apikey=None) == TEXT.replace('          apikey = "a,b#c"\n', "")
    assert put(url=None) == TEXT.replace("url   =   https://emoncms.org   # where to", "# where to")
    assert put(max_rate=None) == TEXT


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("plain", "plain"),
        ("a, b", '"a, b"'),
        ("with # hash", '"with # hash"'),
        ('say "x", y', "'say \"x\", y'"),
        ("'quoted'", "\"'quoted'\""),
        ("", '""'),
        ("${env:KEY}", "${env:KEY}"),
    ],
)
def test_a_text_is_quoted_where_it_must_be(value: str, written: str) -> None:
    assert changes(TEXT, put(apikey=value))[1] == [f"          apikey = {written}\n"]


@pytest.mark.parametrize(("value", "written"), [("A", "A,"), ("A, B", "A, B"), ("A,", "A,"), ("", ",")])
def test_a_list_stays_one(value: str, written: str) -> None:
    assert changes(TEXT, put(subchannels=value))[1] == [f"          subchannels = {written}\n"]


def test_a_setting_in_the_wrong_place_is_changed_where_it_stands() -> None:
    text = TEXT.replace("[[[init_settings]]]\n", "[[[init_settings]]]\n          max_rate = 1\n", 1)
    assert put(text, max_rate="2") == text.replace("max_rate = 1", "max_rate = 2")
    assert put(text, max_rate=None) == TEXT


def test_another_spelling_of_a_section_is_understood() -> None:
    text = TEXT.replace("[[[runtimesettings]]]", "[[[runtime_settings]]]")
    assert put(text, interval="5") == text.replace("interval = 30#", "interval = 5#")
    assert "[[[runtimesettings]]]" not in put(text, max_rate="5")


def test_a_missing_section_is_added() -> None:
    text = "[hub]\n[interfacers]\n[[a]]\n    Type = EmonHubEmoncmsHTTPInterfacer\n[nodes]"
    assert put(text, "a", keep="1 d", interval="3") == (
        "[hub]\n[interfacers]\n[[a]]\n    Type = EmonHubEmoncmsHTTPInterfacer\n"
        "    [[[init_settings]]]\n        keep = 1 d\n    [[[runtimesettings]]]\n        interval = 3\n[nodes]"
    )


def test_a_new_interfacer_is_added_in_the_style_of_the_others() -> None:
    gone, come = changes(TEXT, put(name="third", type_name=HTTP, interval="7"))
    assert gone == []
    assert "".join(come) == "  [[third]]\n          interval = 7\n"
    text = put(name="third", type_name=HTTP, interval="7")
    at = text.index("  [[third]]")
    assert text[at:].startswith(
        "  [[third]]\n      Type = EmonHubEmoncmsHTTPInterfacer\n      [[[init_settings]]]\n"
        "      [[[runtimesettings]]]\n          interval = 7\n\n########## nodes"
    )
    assert text[:at].endswith("          interval = 30\n\n")


def test_one_that_is_switched_off_can_be_switched_on() -> None:
    text = TEXT.replace("      Type = EmonHubEmoncmsHTTPInterfacer\n", "", 1)
    assert put(text, type_name=HTTP, interval="30") == TEXT


def test_line_ends_stay_as_they_are() -> None:
    text = TEXT.replace("\n", "\r\n")
    edited = put(text, max_rate="7", keep="1 d", interval="5")
    assert edited.replace("\r\n", "").count("\n") == 0
    assert edited.replace("\r\n", "\n") == put(max_rate="7", keep="1 d", interval="5")


def test_a_file_without_a_last_line_end_gets_none_in_the_middle() -> None:
    text = TEXT[: TEXT.index("  [[other]]")].rstrip()
    assert put(text, max_rate="7") == text + "\n          max_rate = 7"


@pytest.mark.parametrize(
    ("values", "name", "type_name", "said"),
    [
        ({"nonsense": "1"}, "emoncmsorg", "", "nonsense is no setting"),
        ({}, "nobody", "", "to add it, name its type"),
        ({}, "a]]b", HTTP, "a name has letters"),
        ({"apikey": "a\nb"}, "emoncmsorg", "", "must be one line"),
        ({"apikey": "a\u2028b"}, "emoncmsorg", "", "must be one line"),
        ({"apikey": "'\"'''\"\"\"', #"}, "emoncmsorg", "", "quotes of all kinds"),
    ],
)
def test_what_cant_be_is_refused(values: dict[str, str | None], name: str, type_name: str, said: str) -> None:
    with pytest.raises(SettingError, match=".*" + said.replace("(", r"\(")):
        edit(TEXT, name, values, SETTINGS, type_name)


def test_a_file_that_cant_be_read_is_not_edited() -> None:
    with pytest.raises(SettingError, match=r"line 2: .*mend this first"):
        put("[hub]\nrubbish\n[interfacers]\n")


WORDS = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Zl", "Zp"]), max_size=20)


@given(key=WORDS, interval=st.integers(0, 10**6), channels=st.lists(st.from_regex(r"[A-Za-z]\w{0,8}", fullmatch=True)))
def test_whatever_is_written_is_read_back_and_nothing_else_is_touched(
    key: str, interval: int, channels: list[str]
) -> None:
    try:
        text = put(apikey=key, interval=str(interval), subchannels=", ".join(channels))
    except SettingError:
        assert '"' in key or "'" in key or not key.isprintable()
        return
    values = read(text).values["interfacers"]["emoncmsorg"]["runtimesettings"]
    assert values["apikey"] == key.strip()
    assert values["interval"] == str(interval)
    assert values["subchannels"] == channels
    gone, _ = changes(TEXT, text)
    assert [line for line in gone if not any(k in line for k in ("apikey", "interval = 30#", "subchannels"))] == []


def test_real_files_lose_nothing() -> None:
    """Every file that people have shown: one setting of each interfacer put in and taken out again."""
    edited = 0
    for path in sorted(testdata("emonhub_conf").rglob("*.conf")):
        text = path.read_bytes().decode("utf-8", "replace")
        if read(text).problems or not {"hub", "interfacers"} <= set(read(text).values):
            continue
        assert "".join(text[span.start : span.end] for span in spans(text)) == text
        for name, config in check(text.encode(), Path("emonhub.conf"), {}).interfacers.items():
            settings = declared(config.cls) if config.cls else {}
            if "batchsize" not in settings or "batchsize" in config.runtime or not config.runtime:
                continue
            with_it = edit(text, name, {"batchsize": "77"}, settings)
            assert changes(text, with_it)[0] in ([], [text.splitlines(keepends=True)[-1]])
            assert edit(with_it, name, {"batchsize": None}, settings).rstrip() == text.rstrip()
            edited += 1
    assert edited > 20
