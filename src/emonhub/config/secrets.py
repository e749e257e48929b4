"""Secrets that are kept out of emonhub.conf, and kept out of sight.

apikey = ${env:EMONCMS_KEY}              from the environment
mqtt_passwd = ${file:mqtt.secret}        from a file; a path that is not absolute starts at emonhub.conf's folder
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any

from emonhub.config.model import MASK
from emonhub.errors import SettingError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from emonhub.config.model import Configuration
    from emonhub.settings import Raw

REFERENCE = re.compile(r"\$\{(env|file):([^{}]*)\}")
_USERINFO = re.compile(r"(?<=://)([^/@\s:]*):[^/@\s]*(?=@)")
_KEY_IN_QUERY = re.compile(r"(?i)((?:apikey|key|token|passw(?:or)?d)=)[^&\s]+")

_SHORTEST_HIDDEN = 4
"""Characters. What is shorter is no secret, and would be found in the middle of other words."""

_LONGEST_FILE = 1 << 16
"""Bytes. A secret is a line; what is longer is the wrong file."""


def expand(raw: Raw, folder: Path, files: set[Path], environ: Mapping[str, str] = os.environ) -> tuple[Raw, bool]:
    """A value with its references filled in, and whether there were any; the files asked are added to `files`.

    Raises SettingError for one that leads nowhere.
    """
    if isinstance(raw, list):
        parts = [_expand_text(part, folder, files, environ) for part in raw]
        return [text for text, _ in parts], any(secret for _, secret in parts)
    return _expand_text(raw, folder, files, environ)


def secret_texts(values: Mapping[str, Any], names: Iterable[str]) -> list[str]:
    """The texts that these settings hold, in every form in which they may turn up in a message."""
    found: set[str] = set()
    for name in names:
        _collect(values.get(name), found)
    for text in list(found):
        found.add(text.rstrip("/"))
        if "://" in text:
            found.add(text.partition("://")[2].partition("/")[0].rpartition("@")[2])
    return sorted((text for text in found if len(text) >= _SHORTEST_HIDDEN), key=len, reverse=True)


def all_secrets(configuration: Configuration) -> list[str]:
    """The texts that a whole configuration holds secret, passwords in web addresses among them."""
    found = []
    for config in configuration.interfacers.values():
        settings = config.settings
        found += secret_texts(settings, config.secrets)
        for text in filter(lambda value: isinstance(value, str), settings.values()):
            found += [text[start:end] for start, end in secret_ranges(text)]
    return found + [text for text in (configuration.web.password, configuration.web.token) if text]


def _collect(value: Any, found: set[str]) -> None:
    if isinstance(value, dict):
        for part in value.values():
            _collect(part, found)
    elif isinstance(value, list | tuple):
        for part in value:
            _collect(part, found)
    elif value is not None and not isinstance(value, bool):
        found.add(str(value))


def conceal(text: str, secrets: Iterable[str] = ()) -> str:
    """A text for people to see: without these secrets, the password in a web address, the key in its query."""
    for secret in secrets:
        text = text.replace(secret, MASK)
    return _KEY_IN_QUERY.sub(rf"\1{MASK}", _USERINFO.sub(rf"\1:{MASK}", text))


def secret_ranges(text: str) -> list[tuple[int, int]]:
    """Where the secrets stand that `conceal` finds by itself: from, to."""
    found = [(match.end(1) + 1, match.end()) for match in _USERINFO.finditer(text)]
    return found + [(match.end(1), match.end()) for match in _KEY_IN_QUERY.finditer(text)]


def _expand_text(text: str, folder: Path, files: set[Path], environ: Mapping[str, str]) -> tuple[str, bool]:
    if "${" not in text:
        return text, False

    def fill(match: re.Match[str]) -> str:
        source, name = match[1], match[2].strip()
        return _from_file(name, folder, files) if source == "file" else _from_environment(name, environ)

    expanded, count = REFERENCE.subn(fill, text)
    return expanded, count > 0


def _from_environment(name: str, environ: Mapping[str, str]) -> str:
    try:
        return environ[name]
    except KeyError:
        raise SettingError(
            f"the environment has no variable {name}: set it where the hub is started (Environment= in its unit file)"
        ) from None


def _from_file(name: str, folder: Path, files: set[Path]) -> str:
    path = folder / name
    try:
        files.add(path)
        if not path.is_file():
            what = "is no ordinary file" if path.exists() else "is not there"
            raise SettingError(f"the file {path} {what}: put the value into it, or correct the path")
        with path.open("rb") as file:
            data = file.read(_LONGEST_FILE + 1)
        if len(data) > _LONGEST_FILE:
            raise SettingError(f"the file {path} is too long for a setting: is it the right one?")
        return data.decode().rstrip("\r\n")
    except OSError as error:
        raise SettingError(f"the file {path} can't be read: {error.strerror or error}") from error
    except ValueError as error:
        raise SettingError(f"the file {path} holds no text: is it the right one?") from error
