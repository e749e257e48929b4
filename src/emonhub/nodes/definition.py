"""What `[nodes]` says of one node: how its frames are packed, named and scaled."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from emonhub.errors import SettingError
from emonhub.nodes.datacodes import PLAIN, SIZES, Scale, check_datacode, frame_size
from emonhub.settings import name_list, setting, switch, text


class CodecSettings:
    """The keys of `[[[rx]]]` and `[[[tx]]]`."""

    names = setting(name_list(), (), "value names, in the order of the frame")
    datacode = setting(text(), "", "one datacode for all values; 0 = the frame carries numbers, not bytes")
    datacodes = setting(name_list(), (), "one datacode per value; wins over datacode")
    scale = setting(text(), "", "one factor for all values")
    scales = setting(name_list(), (), "one factor per value; wins over scale; values beyond the list are not scaled")
    units = setting(name_list(), (), "units, in the order of the frame")
    whitening = setting(switch(), False, "1 = every byte was XORed with 0x55 by the sender")


class NodeSettings:
    """The keys of a node's own section."""

    nodename = setting(text(), "", "the name used downstream instead of the id")
    firmware = setting(text(), "", "for people")
    hardware = setting(text(), "", "for people")


@dataclass(frozen=True, slots=True)
class Codec:
    """One direction of a node: `[[[rx]]]` or `[[[tx]]]`. Empty or None where the interfacer's default holds."""

    names: tuple[str, ...] = ()
    datacodes: tuple[str, ...] = ()
    datacode: str = ""
    scales: tuple[Scale, ...] = ()
    scale: Scale | None = None
    units: tuple[str, ...] = ()
    whitening: bool = False

    def __post_init__(self) -> None:
        for code in self.datacodes:
            if check_datacode(code) == PLAIN and len(self.datacodes) > 1:
                raise SettingError("datacode 0 means that nothing is packed: it can't be one of several")

    @property
    def packed_codes(self) -> tuple[str, ...]:
        """The datacodes of a frame of a fixed layout; none where the number of values is not fixed."""
        return () if self.datacodes == (PLAIN,) else self.datacodes

    @property
    def size(self) -> int | None:
        """Bytes of a frame, or None where the number of values is not fixed."""
        return frame_size(self.packed_codes) if self.packed_codes else None

    @property
    def counts_frames(self) -> bool:
        """Whether its first value is the sender's own count of its frames, so that missed ones can be counted."""
        return bool(self.names) and self.names[0].upper() == "MSG"

    def scales_for(self, count: int, default: Scale) -> tuple[Scale, ...]:
        """One scale for each of `count` values."""
        if self.scales:
            return (self.scales + (Scale(),) * count)[:count]
        return (self.scale or default,) * count

    def oddities(self) -> list[tuple[str, str]]:
        """(key, what looks wrong) where lists differ in length: each works, and is most likely a slip."""
        count = len(self.datacodes) or len(self.names)
        found = []
        for key, have in (("names", self.names), ("scales", self.scales), ("units", self.units)):
            if have and count and len(have) != count:
                what = "datacodes" if self.datacodes else "names"
                note = "; the rest is not scaled" if key == "scales" and len(have) < count else ""
                found.append((key, f"has {len(have)} entries for {count} {what}{note}"))
        return found


@dataclass(frozen=True, slots=True)
class NodeDefinition:
    """A node of `[nodes]`, or a template of the library. `id` is compared as text."""

    id: str
    nodename: str = ""
    rx: Codec | None = None
    tx: Codec | None = None

    @property
    def packed(self) -> bool:
        """Whether its frames carry bytes of a fixed layout."""
        return self.rx is not None and self.rx.size is not None


def codec_from(values: dict[str, Any]) -> Codec:
    """The codec that checked `[[[rx]]]` values mean. Raises SettingError."""
    datacode = values.get("datacode", "")
    if datacode:
        check_datacode(datacode)
    scale = values.get("scale", "")
    return Codec(
        names=values.get("names", ()),
        datacodes=values.get("datacodes", ()),
        datacode=datacode,
        scales=tuple(Scale.parse(part) for part in values.get("scales", ())),
        scale=Scale.parse(scale) if scale else None,
        units=values.get("units", ()),
        whitening=values.get("whitening", False),
    )


def datacode_kind() -> Any:
    """The kind of an interfacer's own `datacode` setting."""
    return _DatacodeKind()


class _DatacodeKind:
    rule = f"one of {' '.join(SIZES)} or 0"

    def __call__(self, raw: str | list[str]) -> str:
        return check_datacode(raw if isinstance(raw, str) else ",".join(raw))


def scale_kind() -> Any:
    """The kind of an interfacer's own `scale` setting."""
    return _ScaleKind()


class _ScaleKind:
    rule = "a number other than 0"

    def __call__(self, raw: str | list[str]) -> Scale:
        return Scale.parse(raw if isinstance(raw, str) else ",".join(raw))


__all__ = [
    "Codec",
    "CodecSettings",
    "NodeDefinition",
    "NodeSettings",
    "codec_from",
    "datacode_kind",
    "scale_kind",
]
