"""Checks `[nodes]`: how the frames of every node are packed, named and scaled."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from emonhub.config.findings import shown
from emonhub.errors import SettingError
from emonhub.nodes.definition import Codec, CodecSettings, NodeDefinition, NodeSettings, codec_from
from emonhub.settings import declared

if TYPE_CHECKING:
    from emonhub.config.findings import Findings
    from emonhub.config.syntax import Where

_NODE = declared(NodeSettings)
_CODEC = declared(CodecSettings)

NO_EFFECT = {
    "unitless": "use scales",
    "vcal": "the device is calibrated by its own settings",
    "icals": "the device is calibrated by its own settings",
    "phase_shifts": "the device is calibrated by its own settings",
}
"""Keys of rx that some files have, and what to do instead."""


def check_nodes(findings: Findings) -> tuple[dict[str, NodeDefinition], set[str]]:
    """The nodes that are good, by id, and the ids of those that are not."""
    good: dict[str, NodeDefinition] = {}
    bad = set()
    for node, section in findings.section(("nodes",)).items():
        where = ("nodes", node)
        if not isinstance(section, dict):
            findings.warn(where, "stands outside the [[sections]] of nodes and has no effect")
            continue
        definition = _check_node(findings, where, section)
        if definition is None:
            bad.add(node)
        else:
            good[node] = definition
    return good, bad


def _check_node(findings: Findings, where: Where, section: dict[str, Any]) -> NodeDefinition | None:
    sound = True
    values: dict[str, Any] = {}
    codecs: dict[str, Codec] = {}
    stray = []
    for key, raw in section.items():
        place = (*where, key)
        if isinstance(raw, dict):
            if key not in {"rx", "tx"}:
                findings.unknown(place, ["rx", "tx"], section=True)
                continue
            codec = _check_codec(findings, place, raw)
            sound = sound and codec is not None
            if codec is not None:
                codecs[key] = codec
        elif key in _NODE:
            checked = findings.check(place, raw, _NODE[key])
            sound = sound and checked.problem is None
            values[key] = checked.value
        elif key in _CODEC:
            stray.append(key)
        else:
            findings.unknown(place, _NODE)
    if stray:
        more = f" (nor {', '.join(stray[1:])})" if len(stray) > 1 else ""
        findings.warn((*where, stray[0]), f"has no effect here{more}: move it into [[[rx]]]")
    if not sound:
        return None
    return NodeDefinition(where[-1], values.get("nodename", ""), codecs.get("rx"), codecs.get("tx"))


def _check_codec(findings: Findings, where: Where, section: dict[str, Any]) -> Codec | None:
    sound = True
    values: dict[str, Any] = {}
    for key, raw in section.items():
        place = (*where, key)
        if isinstance(raw, dict):
            findings.unknown(place, [], section=True)
        elif key in NO_EFFECT:
            findings.warn(place, f"has no effect: {NO_EFFECT[key]}")
        elif key not in _CODEC:
            findings.unknown(place, _CODEC)
        else:
            checked = findings.check(place, raw, _CODEC[key])
            if checked.problem is None:
                try:
                    codec_from({key: checked.value})
                    values[key] = checked.value
                    continue
                except SettingError as error:
                    of_list = isinstance(raw, list) and f"{key}s" in _CODEC
                    message = f"is one for all values: for a list, write {key}s" if of_list else str(error)
                    findings.error(place, message, value=shown(raw))
            sound = False
    if not sound:
        return None
    codec = codec_from(values)
    for key, what in codec.oddities():
        findings.warn((*where, key), what)
    return codec
