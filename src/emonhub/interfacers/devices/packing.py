"""Cargo for a node that is reached by radio, as the bytes of a frame."""

from __future__ import annotations

from typing import TYPE_CHECKING

from emonhub import Cargo, FrameError, NodeId, encode, number, setting

if TYPE_CHECKING:
    from collections.abc import Iterator

    from emonhub import Interfacer


TTL = setting(number(0), 60.0, "what it is to send is dropped when it is older than this; 0 = never", unit="s")


def due(interfacer: Interfacer, cargos: list[Cargo], ttl: float) -> Iterator[Cargo]:
    """What is to be sent of this, each in its turn: nothing for nodes that another interfacer has heard last, and
    nothing that has become too old by then.
    """
    for cargo in cargos:
        node = cargo.target or cargo.layout.node
        if interfacer.nodes.heard_by.get(str(node), interfacer.name) != interfacer.name:
            continue
        age = interfacer.world.time() - cargo.time
        if ttl and age > ttl:
            interfacer.discard(FrameError("not sent, too old", f"for node {node}: {age:.0f} s old"))
            continue
        yield cargo


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
