"""Cargo for a node that is reached by radio, as the bytes of a frame."""

from __future__ import annotations

from typing import TYPE_CHECKING

from emonhub import Cargo, FrameError, NodeId, encode

if TYPE_CHECKING:
    from emonhub import Interfacer


def packed(interfacer: Interfacer, cargo: Cargo, max_bytes: int) -> tuple[NodeId, bytes]:
    """The node that a frame is for, and its bytes. Raises FrameError for what can't be sent."""
    node = cargo.target or cargo.layout.node
    try:
        if not str(node).isdecimal() or int(node) > 255:
            raise FrameError("bad node id", "a node that is reached by radio has a number from 0 to 255")
        tx = interfacer.nodes.tx(node)
        data = encode(cargo.values, tx, datacode=interfacer.datacode, scale=interfacer.scale)
        if not 0 < len(data) <= max_bytes:
            raise FrameError("length", f"{len(data)} bytes: must be 1 to {max_bytes}")
    except FrameError as error:
        raise FrameError(f"not sent, {error.reason}", f"for node {node}: {error}") from error
    return node, data
