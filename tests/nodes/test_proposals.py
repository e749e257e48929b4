"""Which templates are proposed for what is heard: every board its own, and noise none."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from emonhub.nodes.encoder import encode
from emonhub.nodes.proposals import SURE, Heard, candidates, proposed
from emonhub.nodes.templates import named_template, templates

if TYPE_CHECKING:
    from emonhub.nodes.templates import Template

LIKELY = {"V": 240.0, "W": 350, "Wh": 12345, "C": 18.5, "%": 55.0, "p": 77, "n": 3}
NAMES = [template.name for template in templates()]


def frames(template: Template, count: int, **other: float) -> list[bytes]:
    """What its board sends in a home."""
    rx = template.rx
    return [
        encode(
            tuple(
                other.get(name, 3.2 if name == "battery" else LIKELY[unit] + (number if unit == "n" else 0))
                for name, unit in zip(rx.names, rx.units, strict=True)
            ),
            rx,
        )
        for number in range(count)
    ]


def heard(node: int, data: list[bytes]) -> Heard:
    found = Heard("RFM2Pi", node)
    for number, frame in enumerate(data):
        found.take(float(number), -50, b"", frame)
    return found


def names(found: Heard) -> list[str]:
    return [one.template.name for one in proposed(candidates(found))]


@pytest.mark.parametrize("name", NAMES)
def test_every_board_is_proposed_for_its_own_node_ids(name: str) -> None:
    template = named_template(name)
    assert template is not None
    for node in template.nodeids:
        assert names(heard(node, frames(template, SURE))) == [name]


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_proposed_for_ids_that_no_board_has(name: str) -> None:
    template = named_template(name)
    assert template is not None
    found = heard(99, frames(template, SURE))
    assert names(found) == []
    assert name in [one.template.name for one in candidates(found) if one.plausible]


@pytest.mark.parametrize("count", [1, 84, 85, 1_000_000])
@pytest.mark.parametrize("name", ["emontx3_cm", "emontx3_cm_rf69n"])
def test_the_frames_themselves_tell_whether_they_are_whitened(name: str, count: int) -> None:
    template = named_template(name)
    assert template is not None
    counted = [frames(template, 1, MSG=count + n, MSG2=count + n)[0] for n in range(SURE)]
    assert names(heard(15, counted)) == [name]


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ([{"Vrms": 240.0}, {"Vrms": 90.0}] * 3, "jumps by more than 60 V"),
        ([{"T1": -70.0}] * 5, "T1 = -70 C is unlikely"),
        ([{"E1": 0}, {"E1": 100_000}] * 3, "E1 jumps"),
        ([{"MSG": 7}] * 5, "stays at 7"),
    ],
)
def test_values_speak_against_a_template(values: list[dict[str, float]], why: str) -> None:
    template = named_template("emonTx4")
    assert template is not None
    found = heard(17, [frames(template, n + 1, **other)[n] for n, other in enumerate(values)])
    assert names(found) == []
    assert any(why in one.why for one in candidates(found))


def accepted_of_noise(count: int, seed: int, *, aimed: bool) -> list[tuple[int, str]]:
    """What would be accepted of `count` random frames; `aimed` ones have a board's node id and length."""
    chance = random.Random(seed)
    sizes = sorted({(node, t.rx.size) for t in templates() for node in t.nodeids if t.rx.size})
    known: dict[int, Heard] = {}
    found = []
    for _ in range(count):
        node, size = chance.choice(sizes) if aimed else (chance.randrange(256), chance.randint(1, 66))
        one = known.setdefault(node, Heard("noise", node))
        one.take(0.0, 0, b"", chance.randbytes(size))
        if len(one.frames[-1]) == size and len(one.alike) >= SURE:
            found += [(node, sure.template.name) for sure in proposed(candidates(one))]
    return found


def test_noise_is_accepted_as_no_node() -> None:
    assert accepted_of_noise(50_000, 1, aimed=False) == []


def test_noise_of_the_right_length_and_node_id_is_accepted_as_no_node() -> None:
    assert accepted_of_noise(5_000, 2, aimed=True) == []


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10))
def test_a_million_frames_of_noise_are_accepted_as_no_node(seed: int) -> None:
    assert accepted_of_noise(100_000, 10 + seed, aimed=False) == []
