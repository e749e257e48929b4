from __future__ import annotations

import pytest

from emonhub.nodes.datacodes import ONE, Scale
from emonhub.nodes.definition import Codec, NodeDefinition
from emonhub.nodes.named import Named, NamedDecoders
from emonhub.nodes.table import Decoders, Nodes


def meaning(names: tuple[str, ...], codec: Codec | None = None, scale: Scale = ONE) -> Named:
    return Named("n", names, NodeDefinition("n", "house", rx=codec), scale, None)


TENTH = Scale.parse("0.1")
CODEC = Codec(names=("a", "b", "c"), scales=(ONE, TENTH), units=("W", "V"))


@pytest.mark.parametrize(
    ("names", "codec", "shown", "values", "units"),
    [
        # Nothing is said of the node, or nothing of its values.
        (("a", "b"), None, ("a", "b"), (100, 200), ()),
        # Its own names, all or some of them, in any order: each keeps its scale and unit.
        (("a", "b", "c"), CODEC, ("a", "b", "c"), (100, 20, 300), ("W", "V", "")),
        (("b",), CODEC, ("b",), (10,), ("V",)),
        (("c", "b"), CODEC, ("c", "b"), (100, 20), ("", "V")),
        # Other names, as many: the values are renamed.
        (("x", "y", "z"), CODEC, ("a", "b", "c"), (100, 20, 300), ("W", "V", "")),
        # Other names, and not as many: those that are known keep theirs.
        (("x", "b"), CODEC, ("x", "b"), (100, 20), ("", "V")),
        # No names, but as many scales or units as there are values.
        (("x", "y"), Codec(scales=(TENTH, ONE)), ("x", "y"), (10, 200), ()),
        (("x", "y"), Codec(scale=TENTH, units=("W", "V")), ("x", "y"), (10, 20), ("W", "V")),
        (("x", "y"), Codec(scales=(TENTH,)), ("x", "y"), (100, 200), ()),
    ],
)
def test_names_scales_and_units(
    names: tuple[str, ...],
    codec: Codec | None,
    shown: tuple[str, ...],
    values: tuple[float, ...],
    units: tuple[str, ...],
) -> None:
    named = meaning(names, codec)
    assert (named.layout.names, named.layout.nodename) == (shown, "house")
    assert named.values([100, 200, 300][: len(names)]) == values
    assert named.layout.units == units


def test_whole_numbers_are_whole_and_scales_exact() -> None:
    assert [type(value) for value in meaning(("a", "b")).values((5.0, 5.5))] == [int, float]
    assert meaning(("a",), scale=TENTH).values((234,)) == (23.4,)


def test_the_interfacers_own_scale_and_what_a_new_definition_changes() -> None:
    nodes = Nodes()
    decoders = Decoders(nodes, lambda _reason, _detail: None, scale=TENTH)
    assert decoders.named("n", ("a",)).values((10,)) == (1,)
    assert decoders.named("n", ("a",)) is decoders.named("n", ("a",))
    nodes.replace({"n": NodeDefinition("n", "house", rx=Codec(scale=ONE))}, autoconf=False)
    decoders.refresh()
    found = decoders.named("n", ("a",))
    assert (found.values((10,)), found.layout.nodename) == ((10,), "house")


def test_missed_frames_are_counted_per_node_through_all_its_names() -> None:
    named = NamedDecoders(2)
    assert named.find("n", ("Msg", "a"), None).values((1, 5)) == (1, 5, 0, 0)
    assert named.find("n", ("msg", "b"), None).values((3, 5)) == (3, 5, 1, 50)
    assert named.find("m", ("MSG",), None).values((9,)) == (9, 0, 0)
    assert named.find("n", ("MSG", "c"), None).values((4, 5)) == (4, 5, 1, 33.333)
    assert named.find("n", ("a", "MSG"), None).values((4, 5)) == (4, 5)
    assert named.find("n", ("MSG", "c"), None).layout.names == ("MSG", "c", "missed", "missedprc")
