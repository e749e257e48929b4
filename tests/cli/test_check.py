"""The command as users run it: a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

HOUSE = Path(__file__).parents[1] / "config" / "house.conf"
COMMAND = [sys.executable, "-c", "import sys; from emonhub.cli import main; sys.exit(main())"]

PLANTED = {
    "literal": "abcdefabcdefabcdef0123456789abcd",
    "environment": "0123456789abcdef0123456789abcdef",
    "file": "https://planted-host.example",
    "address": "planted-password",
    "misspelt": "planted-misspelt-key-0123456789a",
    "too_short": "planted-too-short",
    "query": "plantedquerykey",
}


def emonhub(*arguments: object, encoding: str = "utf-8", **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *map(str, arguments)],
        env={**os.environ, "PYTHONIOENCODING": encoding, **environ},
        capture_output=True,
        encoding=encoding,
        timeout=50,
        check=False,
    )


@pytest.fixture
def conf(tmp_path: Path) -> Path:
    path = tmp_path / "emonhub.conf"
    path.write_text(HOUSE.read_text())
    return path


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_a_good_file(conf: Path) -> None:
    done = emonhub("check", conf)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("/dev/ttyAMA0 at 38400")
    assert "[[emoncmsorg]]  EmonHubEmoncmsHTTPInterfacer  ─▶  https://emoncms.org\n" in done.stdout
    assert done.stdout.endswith(f"\n{conf}: no errors, no warnings; 3 interfacers to run, 2 nodes\n")
    assert emonhub("check", conf, "--strict").returncode == 0


def test_errors_stand_first_and_in_the_order_of_the_file(conf: Path) -> None:
    edit(conf, "group = 210", "group = 999")
    edit(conf, "sendnames = 1", "sendnams = 1")
    edit(conf, "        url = https://emoncms.org\n", "")
    edit(conf, "com_port = /dev/ttyAMA0", "com_port =")
    done = emonhub("check", conf)
    assert done.returncode == 1
    lines = done.stdout.split("\n")
    assert [line.partition(": ")[0] for line in lines[:3]] == [
        "emonhub.conf:12",
        "emonhub.conf:20",
        "emonhub.conf:53",
    ]
    assert lines[0].startswith("emonhub.conf:12: error: [interfacers] [[RFM2Pi]]: com_port must be set")
    assert "did you mean sendnames?" in lines[2]
    assert "(does not run: see its error)" in done.stdout
    assert done.stdout.endswith(f"{conf}: 2 errors, 1 warning; 2 interfacers to run, 2 nodes\n")


def test_warnings_count_only_when_strict(conf: Path) -> None:
    edit(conf, "nodename = emonpi", "nodenam = emonpi")
    assert emonhub("check", conf).returncode == 0
    done = emonhub("check", conf, "--strict")
    assert done.returncode == 1
    assert "no errors" not in done.stdout
    assert "1 warning (warnings count as errors: --strict)" in done.stdout


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[hub]\nx = 'y\n[interfacers]\n", "emonhub.conf:2: error: [hub] x: starts with an apostrophe that"),
        ("[hub]\n", "emonhub.conf: error: there is no section [interfacers]"),
        ("", "emonhub.conf: error: the file is empty"),
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_read_through(conf: Path, text: str, said: str) -> None:
    conf.write_text(text)
    done = emonhub("check", conf)
    assert done.returncode == 2
    assert done.stdout.startswith(said)
    as_json = emonhub("check", conf, "--json")
    assert as_json.returncode == 2
    answer = json.loads(as_json.stdout)
    assert answer["good"] is False
    assert answer["problems"][0]["message"] in done.stdout


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    done = emonhub("check", tmp_path / "nothing.conf")
    assert done.returncode == 2
    assert done.stderr == f"emonhub: {tmp_path}/nothing.conf: the file can't be read: No such file or directory\n"
    done = emonhub("check", tmp_path / "nothing.conf", "--json")
    assert done.returncode == 2
    assert json.loads(done.stdout)["good"] is False


def test_json(conf: Path) -> None:
    edit(conf, "group = 210", "group = 999")
    done = emonhub("check", conf, "--json")
    assert done.returncode == 1
    answer: dict[str, Any] = json.loads(done.stdout)
    assert answer["file"] == str(conf)
    assert answer["good"] is False
    assert answer["nodes"] == ["5", "emonTx4"]
    assert answer["problems"] == [
        {
            "severity": "error",
            "line": 20,
            "where": ["interfacers", "RFM2Pi", "runtimesettings", "group"],
            "value": "999",
            "message": "must be a whole number from 0 to 250",
        }
    ]
    assert answer["interfacers"][0] == {
        "name": "RFM2Pi",
        "type": "EmonHubJeeInterfacer",
        "endpoint": "/dev/ttyAMA0 at 38400",
        "publishes": ["ToEmonCMS"],
        "subscribes": ["ToRFM12"],
        "state": "ready",
    }


def test_settings_in_force(conf: Path) -> None:
    edit(conf, "group = 210", "group = 999")
    for done in (emonhub("check", conf, "--settings"), emonhub("--config-file", conf, "--show-settings")):
        assert done.returncode == 1
        for line in (
            "[hub]\n    loglevel = INFO\n    autoconf = 1\n",
            "        com_port = /dev/ttyAMA0\n",
            "        pubchannels = ToEmonCMS,\n",
            "        # group = 210    (default: the value in the file is bad)\n",
            "        quiet = 1\n",
            "        interval = 300\n",
            "        # pause = off\n",
            "        apikey = ********\n",
            "[[5]]\n    nodename = emonpi\n    [[[rx]]]\n        names = power1, power2, vrms, humidity\n",
            "        scale = 0.1\n",
        ):
            assert line in done.stdout


def test_settings_shown_are_a_configuration_again(conf: Path, tmp_path: Path) -> None:
    done = emonhub("check", conf, "--settings")
    text = done.stdout[done.stdout.index("[hub]") : done.stdout.rindex(f"{conf}:")]
    text = text.replace("********", "0" * 32)
    again = tmp_path / "again.conf"
    again.write_text(text)
    assert emonhub("check", again, "--strict").stdout.split("\n\n")[0] == done.stdout.split("\n\n")[0]


def test_secrets_are_shown_nowhere(conf: Path) -> None:
    conf.with_name("address").write_text(PLANTED["file"] + "\n")
    edit(conf, "fedcba9876543210fedcba9876543210", "${env:PLANTED_KEY}")
    edit(conf, "url = https://emoncms.org", "url = ${file:address}")
    edit(conf, "apikey = 0123456789abcdef0123456789abcdef", f"apikey = {PLANTED['literal']}")
    more = f"""
[[Second]]
    Type = EmonHubEmoncmsHTTPInterfacer
    [[[init_settings]]]
    [[[runtimesettings]]]
        subchannels = ToEmonCMS,
        url = https://jo:{PLANTED["address"]}@emoncms.example/?apikey={PLANTED["query"]}
        apikey = {PLANTED["too_short"]}
        apikei = {PLANTED["misspelt"]}
        timeout = ${{env:PLANTED_KEY}}
[nodes]
"""
    edit(conf, "\n[nodes]\n", more)
    for options in ([], ["--settings"], ["--json"], ["--strict"]):
        done = emonhub("check", conf, *options, PLANTED_KEY=PLANTED["environment"])
        assert done.returncode == 1
        assert "emoncms.example" in done.stdout
        for name, secret in PLANTED.items():
            assert secret not in done.stdout + done.stderr, f"{name} is shown with {options}"
            assert secret.removeprefix("https://") not in done.stdout


@pytest.mark.parametrize("line", ["apikey = 'planted", "planted", "'planted = x", "[planted", "apikey = planted,,"])
def test_secrets_are_not_shown_in_a_file_that_cannot_be_read_through(conf: Path, line: str) -> None:
    edit(conf, "apikey = 0123456789abcdef0123456789abcdef", line)
    done = emonhub("check", conf)
    assert done.returncode == 2
    assert "planted" not in done.stdout + done.stderr


def test_no_device_and_no_network_is_touched(conf: Path, tmp_path: Path) -> None:
    guard = tmp_path / "sitecustomize.py"
    guard.write_text(
        "import sys\n"
        "def watch(event, arguments):\n"
        "    if event.startswith('socket.') or event == 'open' and str(arguments[0]).startswith('/dev/tty'):\n"
        "        sys.stderr.write(f'TOUCHED {event} {arguments}\\n')\n"
        "sys.addaudithook(watch)\n"
    )
    done = emonhub("check", conf, PYTHONPATH=str(tmp_path))
    assert (done.returncode, done.stderr) == (0, "")


def test_a_terminal_without_arrows(conf: Path) -> None:
    done = emonhub("check", conf, encoding="ascii")
    assert done.returncode == 0
    assert "[[RFM2Pi]]  EmonHubJeeInterfacer" in done.stdout


def test_a_configuration_from_a_pipe(conf: Path) -> None:
    reading, writing = os.pipe()
    with os.fdopen(writing, "w") as end:
        end.write(conf.read_text())
    done = subprocess.run(
        [*COMMAND, "check", "/dev/stdin"],
        stdin=reading,
        capture_output=True,
        encoding="utf-8",
        timeout=50,
        check=False,
    )
    os.close(reading)
    assert (done.returncode, done.stderr) == (0, "")
    assert "3 interfacers to run" in done.stdout
