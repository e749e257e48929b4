"""emonHub: the hub of a home or building energy monitor.

What the author of an interfacer imports:

    from emonhub import Cargo, Interfacer, Layout, Reporter, setting

What is not named here is private to the project and may change with any release.
"""

from emonhub.buffer.base import Batch
from emonhub.cargo import Cargo, Layout, NodeId, Value
from emonhub.errors import EmonHubError, FrameError, SettingError, Unavailable
from emonhub.interfacer import Interfacer
from emonhub.nodes.encoder import encode
from emonhub.outcome import Delivered, DeliveredUpTo, Outcome, Rejected, RetryAfter
from emonhub.reporter import Encoder, Reporter
from emonhub.settings import choice, duration, integer, matching, name_list, number, setting, size, switch, text
from emonhub.world import World

__version__ = "3.0.0a1"

__all__ = [
    "Batch",
    "Cargo",
    "Delivered",
    "DeliveredUpTo",
    "EmonHubError",
    "Encoder",
    "FrameError",
    "Interfacer",
    "Layout",
    "NodeId",
    "Outcome",
    "Rejected",
    "Reporter",
    "RetryAfter",
    "SettingError",
    "Unavailable",
    "Value",
    "World",
    "__version__",
    "choice",
    "duration",
    "encode",
    "integer",
    "matching",
    "name_list",
    "number",
    "setting",
    "size",
    "switch",
    "text",
]
