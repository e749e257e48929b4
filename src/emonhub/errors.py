"""The tree of errors. A class exists only where some caller acts differently on it."""

from __future__ import annotations


class EmonHubError(Exception):
    """Anything that emonHub raises on purpose."""


class SettingError(EmonHubError):
    """A value breaks its setting's rule. The text is the rule, in the user's words."""


class FrameError(EmonHubError):
    """A frame can't be used. `reason` is what it is counted under; the text says what is wrong with this one."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


class Undecided(FrameError):
    """A frame of a node that is not known yet: the hub keeps it, and decodes it when the node is accepted."""


class Unavailable(EmonHubError):
    """The outside thing is not there for now: a port, a server, a library. Retried quietly until it is."""

    def __init__(self, detail: str, *, retry_s: float = 1.0) -> None:
        super().__init__(detail)
        self.retry_s = retry_s
