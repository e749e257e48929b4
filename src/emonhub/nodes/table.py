"""The nodes that a hub knows, and each interfacer's decoders for them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from emonhub.errors import FrameError, Undecided
from emonhub.nodes.datacodes import ONE, PLAIN, Scale
from emonhub.nodes.decoder import Decoder, compile_decoder, is_number, show
from emonhub.nodes.named import Named, NamedDecoders
from emonhub.nodes.templates import fitting

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

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
        self.heard_by: dict[str, str] = {}  # by node id as text: the interfacer that heard it last by radio

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
    id that can't be used. `packed_frames` says that frames carry bytes, so that templates may be tried on them;
    `hint` is told what the user could do about a node that none of them is for.
    """

    def __init__(
        self,
        nodes: Nodes,
        note: Note,
        *,
        hint: Callable[[str], None] = lambda _text: None,
        datacode: str = PLAIN,
        scale: Scale = ONE,
        nodeoffset: int = 0,
        nodelistonly: bool = False,
        packed_frames: bool = False,
    ) -> None:
        super().__init__()
        self._nodes = nodes
        self._note = note
        self._hint = hint
        self._defaults: dict[str, Any] = {"datacode": datacode, "scale": scale}
        self._nodeoffset = nodeoffset
        self._nodelistonly = nodelistonly
        self._packed_frames = packed_frames
        self._made: dict[str, tuple[NodeDefinition, Decoder]] = {}
        self._by_id: dict[NodeId, Decoder] = {}
        self._remembered = 0
        self._named = NamedDecoders(_MAX_REMEMBERED)
        self.version = nodes.version

    def refresh(self) -> None:
        """Forget the decoders of nodes whose definition changed; those of the others keep their counters."""
        if self.version != self._nodes.version:
            self.version = self._nodes.version
            self._forget()

    def __missing__(self, token: bytes) -> Decoder:
        decoder = self[token] = self._decoder(self._node_id(token))
        return decoder

    def by_id(self, node: NodeId) -> Decoder:
        """The decoder of a node whose id is known as such (no offset is added)."""
        decoder = self._by_id.get(node)
        if decoder is None:
            decoder = self._by_id[node] = self._decoder(node)
        return decoder

    def named(self, node: NodeId, names: tuple[str, ...]) -> Named:
        """What frames of `node` mean whose values come with these names (at least one). Raises FrameError."""
        definition = self._nodes.definitions.get(str(node))
        if definition is None and self._nodelistonly:
            raise _not_listed(node)
        return self._named.find(node, names, definition, self._defaults["scale"])

    def _decoder(self, node: NodeId) -> Decoder:
        definition = self._nodes.definitions.get(str(node))
        return self._unlisted(node) if definition is None else self._kept(node, definition)

    def _kept(self, node: NodeId, definition: NodeDefinition) -> Decoder:
        """A decoder that outlives a new configuration with its counters, unless its definition has changed."""
        kept = self._made.get(definition.id)
        if kept is None or kept[0] != definition:
            kept = (definition, compile_decoder(node, definition, note=self._note, **self._defaults))
            self._made[definition.id] = kept
        return kept[1]

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

    def _unlisted(self, node: NodeId) -> Decoder:
        if self._nodelistonly:
            raise _not_listed(node)
        if self._remembered >= _MAX_REMEMBERED:
            self._forget()
        self._remembered += 1
        plain = compile_decoder(node, None, note=self._note, **self._defaults)
        if not (self._nodes.autoconf and self._packed_frames and isinstance(node, int)):
            return plain
        return self._waiting(node, plain)

    def _waiting(self, node: int, plain: Decoder) -> Decoder:
        """Refuses frames that a template may be for, until the node is accepted; decodes the others by `plain`."""
        unfit: set[int] = set()  # lengths that no template has

        def unpack(data: bytes) -> Any:
            if len(data) not in unfit:
                if any(node in template.nodeids for template in fitting(len(data))):
                    raise Undecided("not accepted yet", f"node {node} is not known yet: see emonhub nodes list")
                unfit.add(len(data))
                self._hint(_no_template(node, len(data)))
            return plain.unpack(data)

        def decode(fields: Sequence[bytes]) -> Any:
            try:
                data = bytes(map(int, fields))
            except ValueError:
                return plain.decode(fields)  # it says what is wrong with the frame
            return unpack(data) if data else plain.decode(fields)

        return Decoder(plain.layout, decode, unpack)

    def _forget(self) -> None:
        self.clear()
        self._by_id.clear()
        self._named.forget()
        self._remembered = 0


def _not_listed(node: NodeId) -> FrameError:
    return FrameError("unknown node", f"node {node} is not in [nodes], and nodelistonly is set")


def _no_template(node: int, length: int) -> str:
    same = [template.name for template in fitting(length)]
    hint = f" ({length} bytes are sent by {', '.join(same)}, with other node ids)" if same else ""
    return (
        f"node {node} sends {length} bytes, which no template has from this node{hint}: its values come without names"
        f" until [nodes] has [[{node}]]"
    )


__all__ = ["Decoders", "Nodes"]
