from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from emonhub.config.model import MASK
from emonhub.config.secrets import conceal, expand, secret_texts
from emonhub.errors import SettingError

if TYPE_CHECKING:
    from pathlib import Path


def test_values_come_from_the_environment_and_from_files(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("s3cret, # and more\r\n")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "other").write_text("øre")
    files: set[Path] = set()
    environ = {"USER_NAME": "jo", "EMPTY": ""}

    assert expand("plain $x {y} %", tmp_path, files, environ) == ("plain $x {y} %", False)
    assert expand("${env:USER_NAME}", tmp_path, files, environ) == ("jo", True)
    assert expand("a${env:USER_NAME}b${env:EMPTY}", tmp_path, files, environ) == ("ajob", True)
    assert expand("${file:key}", tmp_path, files, environ) == ("s3cret, # and more", True)
    assert expand(f"${{file:{tmp_path}/sub/other}}", tmp_path, files, environ) == ("øre", True)
    assert expand(["x", "${env:USER_NAME}"], tmp_path, files, environ) == (["x", "jo"], True)
    assert expand(["x", "y"], tmp_path, files, environ) == (["x", "y"], False)
    assert files == {tmp_path / "key", tmp_path / "sub" / "other"}


def test_what_a_secret_holds_is_not_filled_in_again(tmp_path: Path) -> None:
    assert expand("${env:A}", tmp_path, set(), {"A": "${env:B}", "B": "b"}) == ("${env:B}", True)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("${env:NOT_THERE}", "no variable NOT_THERE"),
        ("${file:missing}", "missing is not there"),
        ("${file:folder}", "folder is no ordinary file"),
        ("${file:pipe}", "pipe is no ordinary file"),
        ("${file:binary}", "binary holds no text"),
        ("${file:long}", "long is too long"),
        ("${file:a\0b}", "is not there"),
        ("${file:" + "x" * 5000 + "}", "can't be read"),
    ],
)
def test_what_leads_nowhere_says_so(tmp_path: Path, value: str, said: str) -> None:
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "long").write_text("x" * 100_000)
    with pytest.raises(SettingError, match=said):
        expand(value, tmp_path, set(), {})


def test_secrets_are_concealed_in_every_form() -> None:
    values = {"apikey": "abcdef", "url": "https://jo:pw@host.example/path/", "n": 5, "topics": ("secretone", "x")}
    secrets = secret_texts(values, ["apikey", "url", "n", "topics", "absent"])
    shown = conceal("abcdef on https://jo:pw@host.example/path/input, host.example, 5, secretone", secrets)
    assert shown == f"{MASK} on {MASK}input, {MASK}, 5, {MASK}"


def test_passwords_in_addresses_are_concealed_always() -> None:
    assert conceal("https://jo:pa55@host/x") == f"https://jo:{MASK}@host/x"
    assert conceal("http://host/get.json?apikey=0123&node=1") == f"http://host/get.json?apikey={MASK}&node=1"
    assert conceal("https://host:8080/a@b") == "https://host:8080/a@b"
