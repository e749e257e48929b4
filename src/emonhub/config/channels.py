"""Looks for data that goes nowhere: channels that nobody reads or writes, instances without channels."""

from __future__ import annotations

from typing import TYPE_CHECKING

from emonhub.interfacer import Interfacer
from emonhub.reporter import Reporter

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from emonhub.config.findings import Findings
    from emonhub.config.model import InterfacerConfig


def publishes(config: InterfacerConfig) -> tuple[str, ...]:
    """The channels that it puts something on; those of a class that never reads stay empty."""
    return tuple(config.runtime.get("pubchannels", ())) if reads(config) else ()


def subscribes(config: InterfacerConfig) -> tuple[str, ...]:
    """The channels that it takes from."""
    return tuple(config.runtime.get("subchannels", ())) if sends(config) else ()


def reads(config: InterfacerConfig) -> bool:
    """Whether it has a reading side; taken for granted of a class that is not known."""
    cls = config.cls
    return cls is None or cls.run is not Interfacer.run or cls.read is not Interfacer.read


def sends(config: InterfacerConfig) -> bool:
    """Whether it has a sending side; taken for granted of a class that is not known."""
    cls = config.cls
    return cls is None or issubclass(cls, Reporter) or cls.send is not Interfacer.send


def check_channels(findings: Findings, on: Mapping[str, InterfacerConfig], off: Mapping[str, InterfacerConfig]) -> None:
    """Warn of what goes nowhere or comes from nowhere."""
    written = _by_channel((config, publishes(config)) for config in on.values())
    read = _by_channel((config, subscribes(config)) for config in on.values())
    # Stock files let reporters publish control frames that they never have: enough for those who wait for such.
    named = _by_channel((config, config.runtime.get("pubchannels", ())) for config in on.values())
    for channel, writers in written.items():
        if channel not in read:
            readers = [c.name for c in off.values() if channel in c.runtime.get("subchannels", ())]
            why = _why(findings, channel, readers, read.keys() - written.keys())
            _warn(findings, writers, "pubchannels", f"writes to channel {channel}, which nobody reads{why}")
    for channel, readers_of in read.items():
        if channel not in named:
            writers_off = [c.name for c in off.values() if channel in c.runtime.get("pubchannels", ())]
            why = _why(findings, channel, writers_off, written.keys() - read.keys())
            _warn(findings, readers_of, "subchannels", f"reads channel {channel}, which nobody writes to{why}")
    for config in on.values():
        _check_ends(findings, config)


def _by_channel(pairs: Iterable[tuple[InterfacerConfig, Iterable[str]]]) -> dict[str, list[InterfacerConfig]]:
    found: dict[str, list[InterfacerConfig]] = {}
    for config, channels in pairs:
        for channel in channels:
            found.setdefault(channel, []).append(config)
    return found


def _why(findings: Findings, channel: str, switched_off: list[str], others: Iterable[str]) -> str:
    if switched_off:
        names = ", ".join(f"[[{name}]]" for name in switched_off)
        return f": {names} would, but is switched off (no Type)"
    similar = findings.similar(channel, others)
    return f": did you mean {similar}?" if similar else ""


def _warn(findings: Findings, configs: list[InterfacerConfig], key: str, message: str) -> None:
    first, *others = [config.name for config in configs]
    where = findings.places.get((first, key), ("interfacers", first, "runtimesettings", key))
    as_well = f" ({', '.join(f'[[{name}]]' for name in others)} as well)" if others else ""
    findings.warn(where, message + as_well)


def _check_ends(findings: Findings, config: InterfacerConfig) -> None:
    if config.cls is None:
        return
    where = ("interfacers", config.name)
    pub, sub = config.runtime.get("pubchannels", ()), config.runtime.get("subchannels", ())
    if sends(config) and not reads(config) and not sub and "subchannels" not in config.defaulted:
        findings.warn(where, "has no subchannels: nothing is ever sent; add subchannels = ToEmonCMS,", section=True)
    if reads(config) and not pub and not (sends(config) and sub) and "pubchannels" not in config.defaulted:
        findings.warn(
            where, "has no pubchannels: what it reads goes nowhere; add pubchannels = ToEmonCMS,", section=True
        )
