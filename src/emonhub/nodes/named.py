"""Frames whose values come with their names, as devices print them that say `power:100,vrms:240.1`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from emonhub.cargo import Layout, NodeId
from emonhub.nodes.datacodes import ONE, Scale
from emonhub.nodes.decoder import compile_scaling, missed_counter, with_missed
from emonhub.nodes.definition import Codec, NodeDefinition

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from emonhub.nodes.decoder import Values


class Named:
    """What a node's frames with this set of names mean, made once for all of them.

    The `names` of the node's definition rename the values when there are as many; where they are the device's own
    names, each value has the scale and the unit of its name, also in a frame that lacks some.
    """

    __slots__ = ("_count", "_scale", "layout")

    def __init__(
        self,
        node: NodeId,
        names: tuple[str, ...],
        definition: NodeDefinition | None,
        default_scale: Scale,
        counter: Callable[[Values], Values] | None,
    ) -> None:
        codec = (definition.rx if definition else None) or Codec()
        shown, places = _places(names, codec)
        known = max([*(place for place in places if place is not None), -1]) + 1
        scales = codec.scales_for(known, default_scale)
        rest = codec.scale or default_scale
        self._scale = compile_scaling([rest if place is None else scales[place] for place in places])
        units = tuple(codec.units[p] if p is not None and p < len(codec.units) else "" for p in places)
        self.layout = Layout(node, definition.nodename if definition else "", shown, units if any(units) else ())
        self._count = counter if shown[0].upper() == "MSG" else None
        if self._count is not None:
            self.layout = with_missed(self.layout, len(shown))

    def values(self, sent: Sequence[float]) -> Values:
        """The frame's values from the numbers that were sent, in the order of the names."""
        values = tuple(sent) if self._scale is None else self._scale(*sent)
        values = tuple([int(v) if isinstance(v, float) and v.is_integer() else v for v in values])
        return values if self._count is None else self._count(values)


def _places(names: tuple[str, ...], codec: Codec) -> tuple[tuple[str, ...], list[int | None]]:
    """The names as shown, and where in the definition's lists each value's entries stand."""
    if codec.names and not set(names) <= set(codec.names):
        if len(codec.names) == len(names):
            return codec.names, list(range(len(names)))
        return names, [codec.names.index(name) if name in codec.names else None for name in names]
    if codec.names:
        return names, [codec.names.index(name) for name in names]
    fits = len(names) in {len(codec.scales), len(codec.units)}
    return names, [index if fits else None for index in range(len(names))]


class NamedDecoders:
    """One interfacer's meanings of such frames, by node and set of names; at most `limit` are remembered.

    A node's count of missed frames goes on whatever names a frame has.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._made: dict[tuple[NodeId, tuple[str, ...]], Named] = {}
        self._counters: dict[NodeId, Callable[[Values], Values]] = {}

    def find(
        self, node: NodeId, names: tuple[str, ...], definition: NodeDefinition | None, scale: Scale = ONE
    ) -> Named:
        """What frames of `node` with these names mean."""
        found = self._made.get((node, names))
        if found is None:
            if len(self._made) >= self._limit:
                self._made.clear()
            if node not in self._counters:
                self._counters[node] = missed_counter()
            found = self._made[node, names] = Named(node, names, definition, scale, self._counters[node])
        return found

    def forget(self) -> None:
        """Definitions have changed. The counts of missed frames go on."""
        self._made.clear()


__all__ = ["Named", "NamedDecoders"]
