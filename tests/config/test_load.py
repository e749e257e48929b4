from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from emonhub import Interfacer, integer, setting, text
from emonhub.config.load import HubSettings, describe_problem, load
from emonhub.config.model import MASK, Configuration, HubConfig, Problem
from emonhub.config.parse import ParseFailed
from emonhub.config.syntax import read
from emonhub.interfacers.core.http import HttpReporter
from emonhub.interfacers.devices.jee import EmonHubJeeInterfacer
from emonhub.nodes.definition import CodecSettings, NodeSettings
from emonhub.plugins import Found, find
from emonhub.settings import declared
from tests.config.conftest import HOUSE
from tests.config.test_parse import FOLDERS, captures, whole

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from emonhub.config.syntax import Where

    Load = Callable[..., Configuration]


class Meters(Interfacer):
    """An interfacer with a deeper section and a setting that may not fall back."""

    sections = frozenset({"meters"})
    host = setting(text(), "", "where to", vital=True)
    port = setting(integer(1, 65535), 502, "its port", vital=True)


@pytest.fixture
def with_meters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("emonhub.plugins.find", lambda name: Found(Meters) if name == "Meters" else find(name))


def interfacer(lines: str, init: str = "", type_: str = "EmonHubJeeInterfacer") -> str:
    return (
        f"[hub]\n[interfacers]\n[[A]]\nType = {type_}\n[[[init_settings]]]\n{init}\n"
        f"[[[runtimesettings]]]\npubchannels = Out,\n{lines}\n[[B]]\nType = SomethingElse\n"
        "[[[init_settings]]]\n[[[runtimesettings]]]\nsubchannels = Out,\n"
    )


def problems_of(configuration: Configuration, *, about: str = "") -> list[str]:
    """What was found, in the user's words, without what is about [[B]]."""
    found = [describe_problem(p, configuration.path) for p in configuration.problems if p.where[1:2] != ("B",)]
    return [line for line in found if about in line]


def test_a_good_file_has_no_problems(loaded: Load) -> None:
    house = loaded(HOUSE)
    assert house.problems == ()
    assert house.hub == HubConfig("INFO", True, 2, 100_000, False, "")
    assert list(house.interfacers) == ["RFM2Pi", "Lines", "emoncmsorg"]
    radio = house.interfacers["RFM2Pi"]
    assert radio.cls is EmonHubJeeInterfacer
    assert radio.init == {"com_port": "/dev/ttyAMA0", "com_baud": 38400}
    assert radio.runtime == {
        "pubchannels": ("ToEmonCMS",),
        "subchannels": ("ToRFM12",),
        "group": 210,
        "frequency": "433",
        "baseid": 5,
        "calibration": "230V",
        "quiet": True,
        "interval": 300.0,
        "nodeoffset": 32,
    }
    assert house.interfacers["emoncmsorg"].shown()["apikey"] == MASK
    assert house.nodes["5"].nodename == "emonpi"
    rx, shed = house.nodes["5"].rx, house.nodes["emonTx4"]
    assert rx is not None
    assert (rx.datacodes, rx.units) == (("h", "h", "h", "L"), ("W", "W", "V", "%"))
    assert shed.rx is not None
    assert shed.rx.whitening
    assert shed.tx is not None


def test_a_problem_is_a_line_that_editors_can_jump_to(tmp_path: Path) -> None:
    where = ("interfacers", "RFM2Pi", "runtimesettings", "group")
    assert describe_problem(Problem("error", 17, where, "300", "must be small"), tmp_path / "emonhub.conf") == (
        "emonhub.conf:17: error: [interfacers] [[RFM2Pi]] [[[runtimesettings]]] group = 300: must be small"
    )
    section = Problem("warning", 4, where[:2], "", "is empty", section=True)
    assert describe_problem(section, tmp_path / "my.conf") == "my.conf:4: warning: [interfacers] [[RFM2Pi]]: is empty"
    assert describe_problem(Problem("error", 0, (), "", "no good"), tmp_path / "my.conf") == "my.conf: error: no good"


def test_a_bad_init_value_keeps_its_interfacer_from_running(loaded: Load) -> None:
    configuration = loaded(interfacer("", init="com_baud = fast"))
    config = configuration.interfacers["A"]
    assert not config.usable
    assert problems_of(configuration) == [
        (
            "emonhub.conf:6: error: [interfacers] [[A]] [[[init_settings]]] com_baud = fast: "
            "must be a whole number from 50 to 4000000"
        )
    ]


def test_a_bad_runtime_value_falls_back(loaded: Load) -> None:
    configuration = loaded(interfacer("group = 300\nbaseid = 7"))
    config = configuration.interfacers["A"]
    assert config.usable
    assert config.defaulted == {"group"}
    assert config.runtime == {"pubchannels": ("Out",), "baseid": 7}
    assert problems_of(configuration) == [
        (
            "emonhub.conf:9: error: [interfacers] [[A]] [[[runtimesettings]]] group = 300: "
            "must be a whole number from 0 to 250"
        )
    ]


def test_a_bad_address_never_falls_back_to_another(loaded: Load) -> None:
    assert HttpReporter.url.vital
    assert HttpReporter.url.but("https://else.where").vital
    configuration = loaded(interfacer("url = emoncms.org", type_="EmonHubEmoncmsHTTPInterfacer"))
    config = configuration.interfacers["A"]
    assert not config.usable
    assert config.defaulted == set()
    (found,) = problems_of(configuration, about="error")
    assert "url = emoncms.org: must be a web address" in found


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("grup = 5", ("9: warning: [interfacers] [[A]] [[[runtimesettings]]] grup: is no setting of "
         "EmonHubJeeInterfacer and has no effect: did you mean group?")),
        ("Group = 5", "did you mean group?"),
        ("sub_channels = a,", "did you mean subchannels?"),
        ("qwertz = 5", "is no setting of EmonHubJeeInterfacer and has no effect: correct its name"),
        ("com_port = /dev/x", ("9: warning: [interfacers] [[A]] [[[runtimesettings]]] com_port: belongs in "
         "[[[init_settings]]]; it is taken all the same")),
        ("sendinterval = 10", "sendinterval: has no effect any more: it is called interval now"),
        ("[[[[meters]]]]\nx = 1", "9: warning: [interfacers] [[A]] [[[runtimesettings]]] [[[[meters]]]]: is not known"),
        ("[[[more]]]\nx = 1", "9: warning: [interfacers] [[A]] [[[more]]]: is not known and has no effect"),
        ("group = %(grop)s", "9: error: [interfacers] [[A]] [[[runtimesettings]]] group = %(grop)s: %(grop)s refers"),
    ],
)  # fmt: skip
def test_what_is_odd_about_an_interfacer(loaded: Load, lines: str, said: str) -> None:
    configuration = loaded(interfacer(lines))
    assert configuration.interfacers["A"].usable
    (found,) = problems_of(configuration)
    assert said in found


def test_settings_count_in_either_section(loaded: Load) -> None:
    configuration = loaded(interfacer("com_port = /dev/b", init="group = 7\ncom_port = /dev/a\nbaseid = 99"))
    config = configuration.interfacers["A"]
    assert config.init == {"com_port": "/dev/a"}
    assert config.runtime["group"] == 7
    assert config.defaulted == {"baseid"}
    assert problems_of(configuration, about="com_port") == [
        (
            "emonhub.conf:11: warning: [interfacers] [[A]] [[[runtimesettings]]] com_port: "
            "stands in [[[init_settings]]] too, where it belongs: this one has no effect"
        )
    ]


def test_sections_may_be_missing_or_spelt_otherwise(loaded: Load) -> None:
    head = "[hub]\n[interfacers]\n[[A]]\nType = EmonHubJeeInterfacer\n"
    configuration = loaded(head)
    assert configuration.interfacers["A"].usable
    assert problems_of(configuration, about="has no [[[") == [
        (
            "emonhub.conf:3: warning: [interfacers] [[A]]: has no [[[init_settings]]] and no [[[runtimesettings]]]: "
            "add it, also when nothing stands in it"
        )
    ]
    configuration = loaded(head + "group = 5\n[[[Init_Setting]]]\n[[[runtime_settings]]]\ngroup = 7\n")
    assert configuration.interfacers["A"].runtime == {"group": 7}
    assert problems_of(configuration)[1:] == [
        "emonhub.conf:5: warning: [interfacers] [[A]] group: has no effect here: move it into [[[runtimesettings]]]",
        "emonhub.conf:6: warning: [interfacers] [[A]] [[[Init_Setting]]]: is read as [[[init_settings]]]: write it so",
        (
            "emonhub.conf:7: warning: [interfacers] [[A]] [[[runtime_settings]]]: is read as [[[runtimesettings]]]: "
            "write it so"
        ),
    ]


def test_without_type_an_interfacer_is_off_and_silent(loaded: Load) -> None:
    for line in ("", "Type =", "# Type = EmonHubJeeInterfacer"):
        text = f"[hub]\n[interfacers]\n[[A]]\n{line}\n[[[init_settings]]]\nx = 1\n[[[runtimesettings]]]\ngroup = 999\n"
        configuration = loaded(text)
        assert (configuration.interfacers, configuration.problems) == ({}, ())
    (found,) = loaded("[hub]\n[interfacers]\n[[A]]\ntype = EmonHubJeeInterfacer\n").problems
    assert (found.line, found.message) == (4, "is not known and has no effect: did you mean Type?")


def test_an_unknown_type_is_an_error_of_that_interfacer_alone(loaded: Load) -> None:
    configuration = loaded(HOUSE.replace("EmonHubSocketInterfacer", "EmonHubSokcetInterfacer"))
    lines = configuration.interfacers["Lines"]
    assert (lines.cls, lines.usable) == (None, False)
    assert problems_of(configuration) == [
        (
            "emonhub.conf:29: error: [interfacers] [[Lines]] Type = EmonHubSokcetInterfacer: "
            "there is no interfacer type EmonHubSokcetInterfacer: did you mean EmonHubSocketInterfacer?"
        )
    ]
    assert configuration.interfacers["RFM2Pi"].usable


@pytest.mark.parametrize(
    ("type_", "meant"),
    [("JeeInterfacer", "EmonHubJeeInterfacer"), ("EmonHubSerailInterfacer", "EmonHubSerialInterfacer"), ("Foo", "")],
)
def test_a_misspelt_type(loaded: Load, type_: str, meant: str) -> None:
    (found,) = loaded(interfacer("", type_=type_)).interfacers["A"].errors
    assert found.message.endswith(f"did you mean {meant}?" if meant else f"no interfacer type {type_}")


def test_a_type_whose_library_is_missing_says_so(loaded: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("emonhub.plugins.find", lambda name: Found(None, f"{name} needs a library"))
    assert loaded(interfacer("")).interfacers["A"].errors[0].message == "EmonHubJeeInterfacer needs a library"


@pytest.mark.usefixtures("with_meters")
def test_deeper_sections_are_handed_on_with_their_secrets_filled_in(loaded: Load) -> None:
    lines = "[[[[meters]]]]\nrate = 9600\n[[[[[one]]]]]\naddress = 1\npassword = ${env:PW}\nregisters = 0, 1\n"
    configuration = loaded(interfacer(lines, type_="Meters"), PW="hunter22")
    config = configuration.interfacers["A"]
    assert config.usable
    assert config.runtime["meters"] == {
        "rate": "9600",
        "one": {"address": "1", "password": "hunter22", "registers": ["0", "1"]},
    }
    assert config.shown()["meters"] == MASK
    missing = loaded(interfacer(lines, type_="Meters")).interfacers["A"]
    assert [p.where[-1] for p in missing.errors] == ["password"]


@pytest.mark.usefixtures("with_meters")
def test_vital_settings_do_not_fall_back(loaded: Load) -> None:
    config = loaded(interfacer("host = h\nport = x", type_="Meters")).interfacers["A"]
    assert not config.usable
    assert config.runtime["host"] == "h"


def test_secrets_are_filled_in_and_marked(loaded: Load, tmp_path: Path) -> None:
    (tmp_path / "address").write_text("https://secret.example\n")
    key = 32 * "7"
    lines = "url = ${file:address}\napikey = ${env:KEY}\nsubchannels = ${env:KEY},"
    configuration = loaded(interfacer(lines, type_="EmonHubEmoncmsHTTPInterfacer"), KEY=key)
    config = configuration.interfacers["A"]
    assert config.usable
    assert (config.runtime["url"], config.runtime["apikey"]) == ("https://secret.example", key)
    assert {"url", "apikey"} <= config.secrets
    assert config.shown()["url"] == MASK
    assert config.runtime["subchannels"] == ("${env:KEY}",), "names of channels are no secrets, and are shown"
    assert tmp_path / "address" in configuration.sources
    assert configuration.path in configuration.sources


def test_a_secret_that_is_missing_or_bad_is_a_problem_of_its_setting(loaded: Load) -> None:
    type_ = "EmonHubEmoncmsHTTPInterfacer"
    missing = loaded(interfacer("apikey = ${file:key}\nsubchannels = Out,", type_=type_))
    (problem,) = [p for p in missing.errors if p.where[1] == "A"]
    assert (problem.line, problem.where[-1], problem.value) == (9, "apikey", MASK)
    assert "key is not there" in problem.message
    assert missing.interfacers["A"].usable, "it keeps what it gets until the key is there"
    assert missing.path.with_name("key") in missing.sources, "so that its coming is noticed"
    bad = loaded(interfacer("timeout = ${env:T}", type_=type_), T="hunter22")
    (problem,) = [p for p in bad.errors if p.where[1] == "A"]
    assert (problem.value, problem.message) == (MASK, "must be a number, 0.05 or more")


def test_references_outside_interfacers_are_not_filled_in(loaded: Load) -> None:
    configuration = loaded("[hub]\nstate_dir = ${env:X}\n[interfacers]\n[nodes]\n[[5]]\nnodename = ${env:X}\n", X="y")
    assert [(p.line, p.severity) for p in configuration.problems] == [(2, "warning"), (6, "warning")]
    assert configuration.nodes["5"].nodename == "${env:X}"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("loglevel = LOUD", "2: error: [hub] loglevel = LOUD: must be one of DEBUG, INFO, WARNING, ERROR, CRITICAL"),
        ("autoconf = perhaps", "2: error: [hub] autoconf = perhaps: must be 1 or 0"),
        ("log_max_bytes = -1", "2: error: [hub] log_max_bytes = -1: must be a whole number, 0 or more"),
        ("autoconfig = 1", "2: warning: [hub] autoconfig: is not known and has no effect: did you mean autoconf?"),
        ("[[more]]", "2: warning: [hub] [[more]]: is not known and has no effect"),
    ],
)
def test_what_is_wrong_with_hub(loaded: Load, line: str, said: str) -> None:
    configuration = loaded(f"[hub]\n{line}\n[interfacers]\n")
    (found,) = problems_of(configuration)
    assert said in found
    assert configuration.hub == HubConfig()


def test_hub_settings_are_taken(loaded: Load) -> None:
    lines = "loglevel = debug\nautoconf = yes\nlog_backup_count = 3\nlog_max_bytes = 7\nuse_syslog = 1\nstate_dir = /s"
    configuration = loaded(f"[hub]\n{lines}\n[interfacers]\n")
    assert configuration.problems == ()
    assert configuration.hub == HubConfig("DEBUG", True, 3, 7, True, "/s")
    assert {name: s.default for name, s in declared(HubSettings).items()} == vars_of(HubConfig())


def vars_of(hub: HubConfig) -> dict[str, Any]:
    return {name: getattr(hub, name) for name in HubConfig.__dataclass_fields__}


def node(lines: str) -> str:
    return f"[hub]\n[interfacers]\n[nodes]\n[[5]]\n[[[rx]]]\n{lines}\n[[6]]\nnodename = good\n"


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("datacodes = h, z", "6: error: [nodes] [[5]] [[[rx]]] datacodes = h, z: 'z' is no datacode"),
        ("datacodes = h, 0", "6: error: [nodes] [[5]] [[[rx]]] datacodes = h, 0: datacode 0"),
        ("datacode = h, h", "[[[rx]]] datacode = h, h: is one for all values: for a list, write datacodes"),
        ("scales = 1, x", "6: error: [nodes] [[5]] [[[rx]]] scales = 1, x: 'x' is no scale"),
        ("scale = 1, 1", "is one for all values: for a list, write scales"),
        ("whitening = perhaps", "6: error: [nodes] [[5]] [[[rx]]] whitening = perhaps: must be 1 or 0"),
    ],
)  # fmt: skip
def test_a_bad_node_is_left_out(loaded: Load, lines: str, said: str) -> None:
    configuration = loaded(node(lines))
    (found,) = problems_of(configuration)
    assert said in found
    assert configuration.bad_nodes == {"5"}
    assert list(configuration.nodes) == ["6"]


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("name = a,", "6: warning: [nodes] [[5]] [[[rx]]] name: is not known and has no effect: did you mean names?"),
        ("names = a, b\ndatacodes = h,", "6: warning: [nodes] [[5]] [[[rx]]] names: has 2 entries for 1 datacodes"),
        ("vcal = 268.97", "6: warning: [nodes] [[5]] [[[rx]]] vcal: has no effect: the device is calibrated"),
        ("[[[Tx]]]", "6: warning: [nodes] [[5]] [[[Tx]]]: is not known and has no effect: did you mean tx?"),
        ("[[7]]\nnames = a,\nscale = 1", "[nodes] [[7]] names: has no effect here (nor scale): move it into [[[rx]]]"),
        ("[[7]]\nnodname = a", "[nodes] [[7]] nodname: is not known and has no effect: did you mean nodename?"),
    ],
)  # fmt: skip
def test_what_is_odd_about_a_node(loaded: Load, lines: str, said: str) -> None:
    configuration = loaded(node(lines))
    (found,) = problems_of(configuration)
    assert said in found
    assert {"5", "6"} <= configuration.nodes.keys()


def test_what_stands_outside_its_sections(loaded: Load) -> None:
    text = "stray = 1\n[hub]\n[reporters]\n[[r]]\n[nods]\n[interfacers]\nstray = 1\n[nodes]\nstray = 1\n"
    assert problems_of(loaded(text)) == [
        "emonhub.conf:1: warning: stray: is not known and has no effect: correct its name, or take it out",
        "emonhub.conf:3: warning: [reporters]: has no effect any more: reporters stand in [interfacers]",
        "emonhub.conf:5: warning: [nods]: is not known and has no effect: did you mean nodes?",
        (
            "emonhub.conf:7: warning: [interfacers] stray: stands outside the [[sections]] of interfacers and "
            "has no effect"
        ),
        "emonhub.conf:9: warning: [nodes] stray: stands outside the [[sections]] of nodes and has no effect",
    ]


def every_key() -> list[Where]:
    tree = read(HOUSE)
    return [where for where in tree.lines if not isinstance(_value(tree.values, where), dict)]


def _value(values: dict[str, Any], where: Where) -> Any:
    found: Any = values
    for name in where:
        found = found[name]
    return found


def changed_line(where: Where, new: Callable[[str], str]) -> str:
    """The house with one key's line replaced by what `new` makes of its name; nothing = deleted."""
    lines = HOUSE.split("\n")
    number = read(HOUSE).lines[where] - 1
    lines[number] = new(where[-1])
    return "\n".join(lines)


@pytest.mark.parametrize("where", every_key(), ids=".".join)
def test_a_misspelt_key_is_found_and_its_right_name_told(loaded: Load, where: Where) -> None:
    name = where[-1]
    misspelt = name[:-2] + name[-1] + name[-2] if name[-1] != name[-2] else name[1:]
    value = _value(read(HOUSE).values, where)
    text = changed_line(where, lambda _: f"{misspelt} = {', '.join(value) if isinstance(value, list) else value}")
    if "Off" in where:
        return  # switched off: nothing in it counts
    found = [p for p in loaded(text).problems if p.where == (*where[:-1], misspelt)]
    assert [p.line for p in found] == [read(HOUSE).lines[where]]
    assert f"did you mean {name}?" in found[0].message


@pytest.mark.parametrize("where", every_key(), ids=".".join)
def test_a_deleted_key_is_found_or_its_default_holds(loaded: Load, where: Where) -> None:
    before, after = loaded(HOUSE), loaded(changed_line(where, lambda _: ""))
    if after.problems or "Off" in where:
        return
    section, key = where[0], where[-1]
    assert after.hub == before.hub or section == "hub"
    assert {n: d for n, d in after.nodes.items() if n != where[1]} == {
        n: d for n, d in before.nodes.items() if n != where[1]
    }
    for name, config in before.interfacers.items():
        if name != where[1]:
            assert after.interfacers[name] == config or section == "interfacers"
        elif key == "Type":
            assert name not in after.interfacers, "switched off, as documented"
        else:
            assert config.settings.items() - after.interfacers[name].settings.items() == {(key, config.settings[key])}
            assert key in declared(config.cls or Interfacer), "its default holds"


@pytest.mark.parametrize("where", every_key(), ids=".".join)
def test_a_value_of_the_wrong_kind_is_found_or_is_a_text_like_any_other(loaded: Load, where: Where) -> None:
    configuration = loaded(changed_line(where, lambda name: f"{name} = no!such?value"))
    found = [p for p in configuration.errors if p.where == where]
    if found:
        assert found[0].line == read(HOUSE).lines[where]
        assert "no!such?value" in found[0].value or found[0].value == MASK
    else:
        free = {"pubchannels", "subchannels", "com_port", "names", "units", *declared(NodeSettings), "state_dir"}
        assert where[-1] in free or "Off" in where


def test_every_key_of_a_node_is_in_the_house() -> None:
    used = {where[-1] for where in every_key() if where[0] == "nodes"}
    assert used == declared(CodecSettings).keys() | declared(NodeSettings).keys()


@pytest.mark.parametrize("folder", FOLDERS)
def test_real_files_are_not_refused(tmp_path: Path, folder: str, caplog: pytest.LogCaptureFixture) -> None:
    for path, expected in captures(folder):
        if not expected["ok"]:
            continue
        missing = [name for name in ("hub", "interfacers") if name not in expected["config"]]
        copy = tmp_path / path.name
        copy.write_text("".join(f"[{name}]\n" for name in missing) + whole(path, expected), encoding="utf-8")
        configuration = load(copy, {})
        for problem in configuration.errors:
            assert problem.line, f"{path.name}: {problem}"
            excuse = EXCUSES.get(problem.where[-1])
            assert excuse, f"{path.name}: works today, and has an error: {problem}"
        for config in configuration.interfacers.values():
            assert config.usable or config.cls is None, f"{path.name}: [[{config.name}]] does not run: {config.errors}"
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


EXCUSES = {
    "Type": "a type that is not known here is an error of that interfacer alone",
    "apikey": "a key that its owner has blanked out, or none",
    "datacode": "a list, or False: today every frame is refused",
    "scale": "a list: today every frame fails",
}
"""Keys with values in real files that do not work today either."""


@given(data=st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_any_damage_to_a_file_is_read_or_refused(tmp_path: Path, data: st.DataObject) -> None:
    lines = HOUSE.split("\n")
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(lines) - 1))
        match data.draw(st.sampled_from(["delete", "double", "swap", "junk", "cut"])):
            case "delete":
                lines[at] = ""
            case "double":
                lines.insert(at, lines[at])
            case "swap":
                other = data.draw(st.integers(0, len(lines) - 1))
                lines[at], lines[other] = lines[other], lines[at]
            case "junk":
                lines[at] += data.draw(st.text(max_size=12))
            case "cut":
                lines[at] = lines[at][: data.draw(st.integers(0, len(lines[at])))]
    path = tmp_path / "emonhub.conf"
    path.write_bytes("\n".join(lines).encode("utf-8", "replace"))
    try:
        configuration = load(path, {})
    except ParseFailed as error:
        found = list(error.problems)
    else:
        found = list(configuration.problems)
        assert all(config.usable or config.errors for config in configuration.interfacers.values())
    assert all("\n" not in describe_problem(problem, path) for problem in found), "one line each"
