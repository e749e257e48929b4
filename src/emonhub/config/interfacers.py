"""Checks `[interfacers]`: every instance against the settings that its class declares."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from emonhub import plugins
from emonhub.config.findings import Findings, nearest, shown
from emonhub.config.model import InterfacerConfig, Problem
from emonhub.errors import SettingError
from emonhub.settings import Setting, declared, name_list

if TYPE_CHECKING:
    from collections.abc import Mapping

    from emonhub.config.syntax import Where

INIT = "init_settings"
RUNTIME = "runtimesettings"

NO_EFFECT = {
    "basetopic": "it is called node_format_basetopic or nodevar_format_basetopic now",
    "sendinterval": "it is called interval now",
    "sendstatus": "the module that it served is gone",
}
"""Keys that files have from earlier days, and what became of them."""

_CHANNELS: dict[str, Setting[Any]] = {
    name: Setting(name_list(), (), "channels") for name in ("pubchannels", "subchannels")
}
"""What is read of an interfacer whose class is not known."""


def check_interfacers(findings: Findings) -> tuple[dict[str, InterfacerConfig], dict[str, InterfacerConfig]]:
    """Those that are switched on, and those that are off (no `Type`), by name."""
    on: dict[str, InterfacerConfig] = {}
    off: dict[str, InterfacerConfig] = {}
    for name, section in findings.section(("interfacers",)).items():
        where = ("interfacers", name)
        if not isinstance(section, dict):
            findings.warn(where, "stands outside the [[sections]] of interfacers and has no effect")
            continue
        type_name = _type_name(section.get("Type"))
        if type_name:
            on[name] = _Check(findings, where, section, type_name).result()
        else:
            off[name] = _switched_off(findings, where, section)
    return on, off


def _type_name(raw: Any) -> str:
    if isinstance(raw, list):
        raw = raw[0] if len(raw) == 1 else ""
    return raw.strip() if isinstance(raw, str) else ""


def _nearest_type(name: str) -> str:
    """The type that was most likely meant. What all of them have in common says nothing."""
    by_core = {_core(known): known for known in plugins.type_names()}
    return by_core.get(nearest(_core(name), by_core), "")


def _core(type_name: str) -> str:
    return type_name.lower().removeprefix("emonhub").removesuffix("interfacer").removesuffix("reporter")


def _switched_off(findings: Findings, where: Where, section: dict[str, Any]) -> InterfacerConfig:
    for key, value in section.items():
        if key != "Type" and not isinstance(value, dict) and nearest(key, ["Type"]):
            findings.unknown((*where, key), ["Type"])
    quiet = Findings(findings.parsed, findings.folder, findings.environ)
    return _Check(quiet, where, section, "").result()


def other_spelling(name: str) -> str:
    """The section that a name such as `runtime_settings` means; empty for the right spelling, and for other names."""
    form = name.lower().replace("_", "").replace(" ", "").removesuffix("s")
    kind = {"initsetting": INIT, "runtimesetting": RUNTIME}.get(form, "")
    return "" if name == kind else kind


@dataclass(slots=True)
class _Check:
    """The check of one `[[Name]]`."""

    findings: Findings
    where: Where
    section: dict[str, Any]
    type_name: str
    errors: list[Problem] = field(default_factory=list)
    values: dict[str, dict[str, Any]] = field(default_factory=lambda: {INIT: {}, RUNTIME: {}})
    secrets: set[str] = field(default_factory=set)
    defaulted: set[str] = field(default_factory=set)

    def result(self) -> InterfacerConfig:
        cls = self._class() if self.type_name else None
        settings = declared(cls) if cls is not None else _CHANNELS
        self.secrets.update(name for name, setting in settings.items() if setting.secret)
        sections = self._sections()
        for kind, section in sections.items():
            self._check_section(kind, section, settings, cls)
        if cls is not None:
            self._check_rest(settings)
        return InterfacerConfig(
            self.where[-1],
            self.type_name,
            self.findings.line(self.where),
            cls,
            self.values[INIT],
            self.values[RUNTIME],
            frozenset(self.secrets),
            tuple(self.errors),
            frozenset(self.defaulted),
        )

    def _class(self) -> type[Any] | None:
        found = plugins.find(self.type_name)
        if found.cls is None:
            similar = "" if found.known else _nearest_type(self.type_name)
            meant = f": did you mean {similar}?" if similar else ""
            self.errors.append(
                self.findings.error((*self.where, "Type"), found.problem + meant, value=shown(self.type_name))
            )
        elif found.warning:
            self.findings.warn((*self.where, "Type"), found.warning)
        return found.cls

    def _sections(self) -> dict[str, tuple[str, dict[str, Any]]]:
        """For init and runtime: the section's name as the file spells it, and what it holds."""
        found = {}
        for kind in (INIT, RUNTIME):
            if isinstance(self.section.get(kind), dict):
                found[kind] = (kind, self.section[kind])
        for name, section in self.section.items():
            kind = other_spelling(name) if isinstance(section, dict) else ""
            if kind and kind not in found:
                found[kind] = (name, section)
                self.findings.warn((*self.where, name), f"is read as [[[{kind}]]]: write it so", section=True)
        missing = [f"[[[{kind}]]]" for kind in (INIT, RUNTIME) if kind not in found]
        if missing and not self.errors:
            what = " and no ".join(missing)
            self.findings.warn(self.where, f"has no {what}: add it, also when nothing stands in it", section=True)
        return found

    def _check_section(
        self,
        kind: str,
        section: tuple[str, dict[str, Any]],
        settings: Mapping[str, Setting[Any]],
        cls: type[Any] | None,
    ) -> None:
        spelling, values = section
        for key, raw in values.items():
            where = (*self.where, spelling, key)
            if cls is None and key not in settings:
                continue
            if isinstance(raw, dict):
                self._take_deeper(kind, where, raw, cls)
            elif key not in settings:
                self._unknown(where, settings)
            else:
                self._take(kind, where, raw, settings[key])

    def _take(self, kind: str, where: Where, raw: Any, declaration: Setting[Any]) -> None:
        key = where[-1]
        right = declaration.section
        if kind != right:
            if key in self._in_file(right):
                self.findings.warn(where, f"stands in [[[{right}]]] too, where it belongs: this one has no effect")
                return
            self.findings.warn(where, f"belongs in [[[{right}]]]; it is taken all the same")
        self.findings.places[self.where[-1], key] = where
        checked = self.findings.check(where, raw, declaration, references=key not in _CHANNELS)
        if checked.secret:
            self.secrets.add(key)
        if checked.problem is None:
            self.values[right][key] = checked.value
        elif right == INIT or declaration.vital:
            self.errors.append(checked.problem)
        else:
            self.defaulted.add(key)

    def _in_file(self, kind: str) -> dict[str, Any]:
        found = self.section.get(kind)
        return found if isinstance(found, dict) else {}

    def _take_deeper(self, kind: str, where: Where, section: dict[str, Any], cls: type[Any] | None) -> None:
        name = where[-1]
        known: frozenset[str] = getattr(cls, "sections", frozenset())
        if name in known:
            self.values[kind][name] = self._resolved(where, section, name)
        elif cls is not None:
            self.findings.unknown(where, known, section=True)

    def _resolved(self, where: Where, section: dict[str, Any], name: str) -> dict[str, Any]:
        """A deeper section with all references filled in; checking it is its class's business."""
        found: dict[str, Any] = {}
        for key, raw in section.items():
            place = (*where, key)
            if isinstance(raw, dict):
                found[key] = self._resolved(place, raw, name)
                continue
            try:
                found[key], secret = self.findings.resolve(place, raw)
                if secret:
                    self.secrets.add(name)
            except SettingError as error:
                self.errors.append(self.findings.error(place, str(error)))
        return found

    def _unknown(self, where: Where, settings: Mapping[str, Setting[Any]]) -> None:
        key = where[-1]
        if key in NO_EFFECT:
            self.findings.warn(where, f"has no effect any more: {NO_EFFECT[key]}")
        else:
            self.findings.unknown(where, settings, f"is no setting of {self.type_name}")

    def _check_rest(self, settings: Mapping[str, Setting[Any]]) -> None:
        """What stands beside the two sections."""
        for key, value in self.section.items():
            where = (*self.where, key)
            if isinstance(value, dict):
                if key not in {INIT, RUNTIME} and not other_spelling(key):
                    self.findings.unknown(where, [INIT, RUNTIME], section=True)
            elif key in settings:
                self.findings.warn(where, f"has no effect here: move it into [[[{settings[key].section}]]]")
            elif key != "Type":
                self.findings.unknown(where, ["Type"])
