from __future__ import annotations

import itertools

import pytest

from emonhub.demo.house import Energy, House
from emonhub.demo.nodes import NODES, Frame, SimulatedNode, SimulatedNodes
from emonhub.nodes.decoder import compile_decoder

DAY_S = 86400.0
START_S = 11 * 3600.0


@pytest.fixture(scope="module")
def day() -> list[Frame]:
    """Every frame that is heard in a day."""
    return SimulatedNodes(1).due(START_S, START_S + DAY_S)


def of(node: SimulatedNode, frames: list[Frame]) -> list[Frame]:
    return [frame for frame in frames if frame[1] == node.id]


def named(name: str) -> SimulatedNode:
    return next(node for node in NODES if node.template == name)


def test_there_are_four_kinds_of_nodes_and_one_whitens() -> None:
    assert len({node.template for node in NODES}) == len({node.id for node in NODES}) == 4
    assert [node.template for node in NODES if node.codec.whitening] == ["emontx3_cm"]
    for node in NODES:
        assert node.definition.id == str(node.id)
        assert node.definition.rx == node.codec


def test_frames_come_in_time_order_at_each_nodes_pace(day: list[Frame]) -> None:
    times = [time for time, *_ in day]
    assert times == sorted(times)
    assert times[0] >= START_S
    assert times[-1] < START_S + DAY_S
    for node in NODES:
        own = [time for time, *_ in of(node, day)]
        assert own[0] < START_S + node.period_s + 4
        for before, after in itertools.pairwise(own):
            periods = (after - before) / node.period_s
            assert periods == pytest.approx(round(periods))
            assert periods >= 0.99


@pytest.mark.parametrize("node", NODES, ids=lambda node: node.template)
def test_a_decoded_frame_is_what_was_read_within_a_step_of_its_scale(node: SimulatedNode) -> None:
    house, energy = House(3), Energy()
    decoder = compile_decoder(node.id, node.definition)
    codec = node.codec
    for count in range(1, int(DAY_S / 20)):
        state = house.at(20.0 * count)
        energy.add(state)
        read = node.read(state, energy, count)
        values = decoder.unpack(node.frame(state, energy, count))
        assert len(read) == len(codec.names)
        for want, have, scale in zip(read, values, codec.scales, strict=False):
            assert have is not None
            assert abs(have - want) < scale.up(1) + 1e-9


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 5])
def test_every_value_fits_its_datacode_through_a_year(seed: int) -> None:
    house, energy = House(seed), Energy()
    for count, hour in enumerate(range(0, 365 * 24, 5), 1):
        state = house.at(3600.0 * hour)
        energy.add(state)
        for node in NODES:
            assert len(node.frame(state, energy, count)) == node.codec.size


def test_the_same_seed_sends_the_same_and_another_does_not() -> None:
    once, again, other = (SimulatedNodes(seed).due(START_S, START_S + 600) for seed in (1, 1, 2))
    assert once == again
    assert once != other


def test_how_time_is_cut_into_spans_changes_nothing() -> None:
    whole = SimulatedNodes(4).due(0.0, 900.0)
    nodes = SimulatedNodes(4)
    assert [frame for step in range(9000) for frame in nodes.due(step / 10, (step + 1) / 10)] == whole
    assert nodes.due(0.0, 900.0) == []


def test_nodes_go_on_unheard_through_a_gap() -> None:
    node = named("emonTx4")
    nodes, decoder = SimulatedNodes(4), compile_decoder(node.id, None, datacode="L")
    before = of(node, nodes.due(0.0, 60.0))
    after = of(node, nodes.due(600.0, 660.0))
    assert all(600.0 <= time < 660.0 for time, *_ in after)
    first, last = (decoder.unpack(frame[2][:4])[0] for frame in (after[0], before[-1]))
    assert first is not None
    assert last is not None
    assert first - last == pytest.approx((after[0][0] - before[-1][0]) / node.period_s)


@pytest.mark.parametrize("name", ["emontx3_cm", "emonTx4"])
def test_the_hub_counts_what_was_lost_in_the_air(name: str, day: list[Frame]) -> None:
    node = named(name)
    decoder = compile_decoder(node.id, node.definition)
    counts, missed = [], []
    for _, _, payload, _ in of(node, day):
        values = dict(zip(decoder.layout.names, decoder.unpack(payload), strict=True))
        counts.append(values["MSG"])
        missed.append(values["missed"])
    assert all(isinstance(count, int) for count in counts)
    lost = set(range(1, int(max(count or 0 for count in counts)) + 1)) - set(counts)
    assert len(counts) == len(set(counts))
    assert 0.002 < len(lost) / len(counts) < 0.01
    assert missed[-1] in {len(lost), len(lost) - 1}  # a first frame that is lost is not missed


def test_what_several_nodes_measure_agrees(day: list[Frame]) -> None:
    decoders = {node.id: compile_decoder(node.id, node.definition) for node in NODES}
    newest: dict[int, dict[str, float | None]] = {}
    energies: dict[tuple[int, str], float] = {}
    for _, node, payload, _ in day:
        decoder = decoders[node]
        values = dict(zip(decoder.layout.names, decoder.unpack(payload), strict=True))
        newest[node] = values
        for name, value in values.items():
            if name[0] == "E" or name.startswith("pulse"):
                assert value is not None
                assert value >= energies.get((node, name), 0)
                energies[node, name] = value
        if node == named("emonpi").id:
            grid, solar, use = values["power1"], values["power2"], values["power1pluspower2"]
            assert grid is not None
            assert solar is not None
            assert grid + solar == use
    emontx4 = newest[named("emonTx4").id]
    parts = [emontx4[f"E{index}"] or 0 for index in range(1, 6)]
    assert sum(parts) == pytest.approx(emontx4["E6"], abs=5)
    assert sum(parts) > 10_000
    emontx3 = newest[named("emontx3_cm").id]
    assert (emontx3["E1"] or 0) + (emontx3["E2"] or 0) == pytest.approx(emontx3["pulse"], abs=2)


def test_signal_strength_varies_around_what_is_typical(day: list[Frame]) -> None:
    for node in NODES:
        heard = [rssi for *_, rssi in of(node, day)]
        assert len(set(heard)) > 3
        assert all(abs(rssi - node.rssi_dbm) <= 4 for rssi in heard)
        assert abs(sum(heard) / len(heard) - node.rssi_dbm) < 0.5
