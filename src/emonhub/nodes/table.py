"""The nodes that a hub knows, and each interfacer's decoders for them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from emonhub.errors import FrameError
from emonhub.nodes.datacodes import ONE, PLAIN, Scale
from emonhub.nodes.decoder import Decoder, compile_decoder, is_number, show
from emonhub.nodes.templates import Template, definition_from, fitting

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from emonhub.cargo import NodeId
    from emonhub.nodes.decoder import Note
    from emonhub.nodes.definition import Codec, NodeDefinition

_MAX_REMEMBERED = 512
"""Decoders of nodes that nobody defined are remembered up to this many: noise makes up node ids without end."""

_WORD = re.compile(r"[A-Za-z][\w.:\- ]{0,63}", re.ASCII)


class Nodes:
    """The hub's node definitions, by id as text, shared by all interfacers.

    Replaced whole on a new configuration; `version` grows with each, so that decoders made before are noticed.
    """

    def __init__(self, definitions: Mapping[str, NodeDefinition] | None = None, *, autoconf: bool = False) -> None:
        self.definitions: dict[str, NodeDefinition] = dict(definitions or {})
        self.autoconf = autoconf
        self.version = 0

    def replace(self, definitions: Mapping[str, NodeDefinition], *, autoconf: bool) -> bool:
        """Take over other definitions. Returns whether anything changed."""
        if dict(definitions) == self.definitions and autoconf == self.autoconf:
            return False
        self.definitions = dict(definitions)
        self.autoconf = autoconf
        self.version += 1
        return True

    def rx(self, node: NodeId) -> Codec | None:
        """How frames of `node` are decoded, if that is configured."""
        definition = self.definitions.get(str(node))
        return definition.rx if definition else None

    def tx(self, node: NodeId) -> Codec | None:
        """How frames for `node` are encoded, if that is configured."""
        definition = self.definitions.get(str(node))
        return definition.tx if definition else None


class Decoders(dict[bytes, Decoder]):
    """One interfacer's decoders by node id as it stands on the wire; made when a node is first heard.

    `decoders[b"10"]` is a plain dictionary look-up from the second frame of a node on. Raises FrameError for a node
    id that can't be used. `packed_frames` says that frames carry bytes, so that templates may be tried on them.
    """

    def __init__(
        self,
        nodes: Nodes,
        note: Note,
        *,
        datacode: str = PLAIN,
        scale: Scale = ONE,
        nodeoffset: int = 0,
        nodelistonly: bool = False,
        packed_frames: bool = False,
    ) -> None:
        super().__init__()
        self._nodes = nodes
        self._note = note
        self._defaults: dict[str, Any] = {"datacode": datacode, "scale": scale}
        self._nodeoffset = nodeoffset
        self._nodelistonly = nodelistonly
        self._packed_frames = packed_frames
        self._made: dict[str, tuple[NodeDefinition, Decoder]] = {}
        self._unlisted = 0
        self.version = nodes.version

    def refresh(self) -> None:
        """Forget the decoders of nodes whose definition changed; those of the others keep their counters."""
        if self.version != self._nodes.version:
            self.version = self._nodes.version
            self._unlisted = 0
            self.clear()

    def __missing__(self, token: bytes) -> Decoder:
        node = self._node_id(token)
        definition = self._nodes.definitions.get(str(node))
        if definition is not None:
            kept = self._made.get(definition.id)
            if kept is None or kept[0] != definition:
                kept = (definition, compile_decoder(node, definition, note=self._note, **self._defaults))
                self._made[definition.id] = kept
            decoder = kept[1]
        else:
            decoder = self._unlisted_decoder(token, node)
        self[token] = decoder
        return decoder

    def by_id(self, node: NodeId) -> Decoder:
        """The decoder of a node whose id is known as such (no offset is added)."""
        offset, self._nodeoffset = self._nodeoffset, 0
        try:
            return self[str(node).encode()]
        finally:
            self._nodeoffset = offset

    def _node_id(self, token: bytes) -> NodeId:
        if token.isdigit() and len(token) < 16:
            return int(token) + self._nodeoffset
        word = token.decode("utf-8", "replace")
        if word in self._nodes.definitions:
            return word
        if not is_number(token) and _WORD.fullmatch(word):
            raise FrameError(
                "unknown node",
                f"node {word!r} is a word that is not in [nodes]: add [[{word}]] there to use it",
            )
        raise FrameError("bad node id", f"{show(token)} is no node id")

    def _unlisted_decoder(self, token: bytes, node: NodeId) -> Decoder:
        if self._nodelistonly:
            raise FrameError("unknown node", f"node {node} is not in [nodes], and nodelistonly is set")
        if self._unlisted >= _MAX_REMEMBERED:
            self.clear()
            self._unlisted = 0
        self._unlisted += 1
        plain = compile_decoder(node, None, note=self._note, **self._defaults)
        if not (self._nodes.autoconf and self._packed_frames and isinstance(node, int)):
            return plain
        return self._template_decoder(token, node)

    def _template_decoder(self, token: bytes, node: int) -> Decoder:
        """Decodes by the one template that fits, once a frame shows its length; never by a guess among several."""
        layout = compile_decoder(node, None).layout

        def settle(length: int) -> Decoder:
            matches = [t for t in fitting(length) if node in t.nodeids]
            if len(matches) != 1:
                raise FrameError("unknown node", _no_template(node, length, matches))
            decoder = compile_decoder(node, definition_from(matches[0], node), note=self._note, **self._defaults)
            self[token] = decoder
            return decoder

        def decode(fields: Sequence[bytes]) -> Any:
            return settle(len(fields)).decode(fields)

        def unpack(data: bytes) -> Any:
            return settle(len(data)).unpack(data)

        return Decoder(layout, decode, unpack)


def _no_template(node: int, length: int, matches: list[Template]) -> str:
    if matches:
        names = " or ".join(match.name for match in matches)
        return f"node {node}: {length} bytes could be {names}: copy the right one into [nodes] as [[{node}]]"
    same = [template.name for template in fitting(length)]
    hint = f"; that many bytes are sent by {', '.join(same)} with other node ids" if same else ""
    return f"node {node}: no template for {length} bytes from this node{hint}: describe it in [nodes] as [[{node}]]"


__all__ = ["Decoders", "Nodes"]
