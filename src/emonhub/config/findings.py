"""What every part of the check shares: the file that is checked, and what has been found so far."""

from __future__ import annotations

import difflib
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from emonhub.config.model import MASK, Problem
from emonhub.config.secrets import REFERENCE, conceal, expand
from emonhub.errors import SettingError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from emonhub.config.parse import Parsed
    from emonhub.config.syntax import Where
    from emonhub.settings import Raw, Setting

_LIKENESS = 0.7
"""Of two names, from 0 to 1: a letter that is wrong or missing is found, names that mean something else are not."""

_MANY = 200
"""Problems from which on no similar names are looked for: it takes its time, and the file is hardly an emonhub.conf."""

_LONGEST_NAME = 64
"""Characters of a name that similar ones are looked for."""

_LONGEST_SHOWN = 80


@dataclass(frozen=True, slots=True)
class Checked:
    """One key: its checked value and whether that is a secret; or the problem with it."""

    value: Any = None
    secret: bool = False
    problem: Problem | None = None


@dataclass(slots=True)
class Findings:
    """A file in the course of being checked.

    folder  where the paths of secrets start
    files   those that secrets were asked of
    places  where the settings of interfacers stand: (interfacer, key) to sections and key as the file spells them
    """

    parsed: Parsed
    folder: Path
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)
    problems: list[Problem] = field(default_factory=list)
    files: set[Path] = field(default_factory=set)
    places: dict[Where, Where] = field(default_factory=dict)

    def line(self, where: Where) -> int:
        """The line of a section or key, or of the innermost section around it that is known."""
        while where and where not in self.parsed.lines:
            where = where[:-1]
        return self.parsed.lines.get(where, 0)

    def error(self, where: Where, message: str, *, value: str = "", section: bool = False) -> Problem:
        """Note an error."""
        return self._note(Problem("error", self.line(where), where, value, message, section))

    def warn(self, where: Where, message: str, *, value: str = "", section: bool = False) -> None:
        """Note a warning."""
        self._note(Problem("warning", self.line(where), where, value, message, section))

    def _note(self, problem: Problem) -> Problem:
        self.problems.append(problem)
        return problem

    def check(self, where: Where, raw: Raw, declaration: Setting[Any], *, references: bool = False) -> Checked:
        """Check a key's value against the declaration of its setting; a bad one is noted as an error.

        `references` says whether `${env:…}` and `${file:…}` are filled in: what they give is a secret.
        """
        text, secret = raw, False
        try:
            if references:
                text, secret = self.resolve(where, raw)
            else:
                self._without_references(where, raw)
        except SettingError as error:
            return self._bad(where, raw, str(error), secret=declaration.secret)
        secret = secret or declaration.secret
        try:
            return Checked(declaration.kind(text), secret)
        except SettingError as error:
            # What a setting says of a value may quote it; its rule never does.
            return self._bad(where, raw, f"must be {declaration.kind.rule}" if secret else str(error), secret=secret)
        except Exception as error:  # noqa: BLE001 - somebody's own kind may raise anything, and costs nobody else
            return self._bad(where, raw, f"must be {declaration.kind.rule} ({type(error).__name__})", secret=secret)

    def _bad(self, where: Where, raw: Raw, message: str, *, secret: bool) -> Checked:
        value = MASK if secret and raw else shown(raw)
        return Checked(None, secret, self.error(where, message, value=value))

    def _without_references(self, where: Where, raw: Raw) -> None:
        if where in self.parsed.bad:
            raise SettingError(self.parsed.bad[where])
        if REFERENCE.search(raw if isinstance(raw, str) else ",".join(raw)):
            self.warn(where, "${env:…} and ${file:…} are filled in only within interfacers, and not in channel names")

    def resolve(self, where: Where, raw: Raw) -> tuple[Raw, bool]:
        """A key's value with all references filled in, and whether it holds a secret. Raises SettingError."""
        if where in self.parsed.bad:
            raise SettingError(self.parsed.bad[where])
        return expand(raw, self.folder, self.files, self.environ)

    def section(self, where: Where) -> dict[str, Any]:
        """The section that stands there; empty when there is none."""
        found: Any = self.parsed.values
        for name in where:
            found = found.get(name) if isinstance(found, dict) else None
        return found if isinstance(found, dict) else {}

    def similar(self, name: str, known: Iterable[str]) -> str:
        """The known name that was most likely meant, or nothing."""
        return nearest(name, known) if len(self.problems) < _MANY else ""

    def unknown(self, where: Where, known: Iterable[str], what: str = "", *, section: bool = False) -> None:
        """Warn of a key or section that nobody knows. Its value is not shown: it may be a misspelt password."""
        similar = self.similar(where[-1], known)
        meant = f": did you mean {similar}?" if similar else ": correct its name, or take it out"
        self.warn(where, f"{what or 'is not known'} and has no effect{meant}", section=section)


def shown(raw: Raw) -> str:
    """A value as the file gives it, for a message."""
    text = raw if isinstance(raw, str) else ", ".join(raw) if len(raw) > 1 else f"{''.join(raw)},"
    text = conceal(" ".join(text.split()))
    return text if len(text) <= _LONGEST_SHOWN else text[:_LONGEST_SHOWN] + "…"


def nearest(name: str, known: Iterable[str]) -> str:
    """The known name that is most like this one, or nothing."""
    if len(name) > _LONGEST_NAME:
        return ""
    by_form = {_form(word): word for word in known}
    form = _form(name)
    found = [known for known in by_form if sorted(known) == sorted(form)]  # letters in the wrong order, most often
    found = found or difflib.get_close_matches(form, by_form, 1, _LIKENESS)
    return by_form[found[0]] if found else ""


def _form(name: str) -> str:
    return name.lower().replace("_", "").replace("-", "").replace(" ", "")
