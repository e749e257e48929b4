"""Every [nodes] that people have published packs what it unpacks."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st

from emonhub.config.load import load
from emonhub.errors import FrameError
from tests.nodes.test_encoder import assert_round_trip
from tests.testdata import testdata

if TYPE_CHECKING:
    from pathlib import Path

    from emonhub.nodes.definition import Codec


def codecs(folder: Path) -> dict[str, Codec]:
    """Each layout once, under where it was found; what the definitions of one file have in common is tried once."""
    found: dict[Codec, str] = {}
    for parsed in sorted(testdata("").glob("emonhub_conf*/*.configobj.json")):
        reference = json.loads(parsed.read_text("utf-8"))
        name = parsed.name.removesuffix(".configobj.json")
        source = next(path for path in (parsed.with_name(name), parsed.with_name(name + ".conf")) if path.exists())
        if not reference["ok"]:
            continue
        text = source.read_text("utf-8", errors="replace")
        if reference["wrapped_in"]:
            text = f"[{reference['wrapped_in']}]\n{text}"
        path = folder / "emonhub.conf"
        present = {*reference["config"], reference["wrapped_in"]}
        missing = "".join(f"[{top}]\n" for top in ("hub", "interfacers") if top not in present)
        path.write_text(missing + text, "utf-8")
        for id_, definition in load(path).nodes.items():
            for codec in (definition.rx, definition.tx):
                if codec is not None:
                    found.setdefault(codec, f"{name} [[{id_}]]")
    return {name: codec for codec, name in found.items()}


def test_they_pack_what_they_unpack(tmp_path: Path) -> None:
    found = codecs(tmp_path)
    assert len(found) >= 50
    for name, codec in found.items():
        if "0" not in (*codec.datacodes, codec.datacode):  # with it numbers come as text: nothing is packed
            assert_packs_what_it_unpacks(name, codec)


def assert_packs_what_it_unpacks(name: str, codec: Codec) -> None:
    size = codec.size or 4 * max(len(codec.scales), 3)  # 4 bytes are whole numbers of any datacode in use

    @settings(max_examples=10)
    @given(st.binary(min_size=size, max_size=size))
    def check(data: bytes) -> None:
        try:
            assert_round_trip(codec if codec.datacodes or codec.datacode else replace(codec, datacode="h"), data)
        except (AssertionError, FrameError) as error:
            raise AssertionError(name) from error

    check()
