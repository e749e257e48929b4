"""A checked configuration, and what was found wrong with it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import builtins
    from collections.abc import Mapping
    from pathlib import Path

    from emonhub.config.watch import Looks
    from emonhub.interfacer import Interfacer
    from emonhub.nodes.definition import NodeDefinition

MASK = "********"


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with emonhub.conf, said so that it can be mended without looking anything up.

    severity    error: the part it stands in is not used; warning: it works, and is most likely not what was meant
    line        in the file, from 1; 0 when it concerns the file as a whole
    where       the sections and the key, outermost first: ("interfacers", "RFM2Pi", "runtimesettings", "group")
    value       as the file gives it, masked when it is a secret; empty where there is none
    message     the rule that is broken, and the remedy
    section     whether `where` ends with a section, and no key
    """

    severity: Literal["error", "warning"]
    line: int
    where: tuple[str, ...]
    value: str
    message: str
    section: bool = False


@dataclass(frozen=True, slots=True)
class HubConfig:
    """`[hub]`.

    stale_after of its own intervals without a frame, then a node is stale; 0 = never
    state_dir   where the hub keeps what must outlive it; empty = found automatically
    clock_wait  seconds after a start of the machine in which nothing is sent until the clock is set
    interfacers_dir  folder of the user's own interfacers; empty = `interfacers` beside emonhub.conf and in state_dir
    """

    loglevel: str = "INFO"
    autoconf: bool = False
    log_backup_count: int = 1
    log_max_bytes: int = 5_120_000
    use_syslog: bool = False
    state_dir: str = ""
    clock_wait: float = 300.0
    interfacers_dir: str = ""
    stale_after: float = 4.0


@dataclass(frozen=True, slots=True)
class WebConfig:
    """`[web]`: the page that the hub serves.

    bind      address it listens on; beyond this machine only with a password
    port      0 = no page
    password  of the page
    token     of programs that use the API
    """

    bind: str = "127.0.0.1"
    port: int = 8080
    password: str = ""
    token: str = ""


@dataclass(frozen=True, slots=True)
class InterfacerConfig:
    """One `[[Name]]` of `[interfacers]`, checked against the settings that its class declares.

    cls        None when the type is unknown or can't be imported; `errors` then says why
    init       checked values that belong into `[[[init_settings]]]`, only those that stand in the file
    runtime    the same for `[[[runtimesettings]]]`; only the channels where `cls` is None
    secrets    names of settings to be masked wherever values are shown
    errors     what keeps it from being run
    defaulted  settings with a bad value: their default holds, or what a running interfacer has; not in `errors`
    """

    name: str
    type: str
    line: int
    cls: builtins.type[Interfacer] | None
    init: Mapping[str, Any]
    runtime: Mapping[str, Any]
    secrets: frozenset[str] = frozenset()
    errors: tuple[Problem, ...] = ()
    defaulted: frozenset[str] = frozenset()

    @property
    def usable(self) -> bool:
        """Whether it can be run: no error stands against it."""
        return self.cls is not None and not self.errors

    @property
    def settings(self) -> dict[str, Any]:
        """Both sections together: what the interfacer is made from."""
        return {**self.init, **self.runtime}

    def shown(self) -> dict[str, Any]:
        """The settings for people to see: secrets masked."""
        return {key: MASK if key in self.secrets and value else value for key, value in self.settings.items()}


@dataclass(frozen=True, slots=True)
class Configuration:
    """A whole emonhub.conf, checked. An interfacer without `Type` is switched off, and is not here.

    bad_nodes  ids of nodes that are left out of `nodes` for an error: a running hub keeps what it knows of them
    sources    the files that it was read from, as they looked then
    """

    path: Path
    hub: HubConfig
    interfacers: Mapping[str, InterfacerConfig]
    nodes: Mapping[str, NodeDefinition]
    problems: tuple[Problem, ...] = field(default=())
    bad_nodes: frozenset[str] = frozenset()
    sources: Looks = field(default_factory=dict)
    web: WebConfig = field(default_factory=WebConfig)

    @property
    def errors(self) -> list[Problem]:
        return [problem for problem in self.problems if problem.severity == "error"]

    @property
    def warnings(self) -> list[Problem]:
        return [problem for problem in self.problems if problem.severity == "warning"]
