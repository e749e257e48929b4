"""Times, nodes, values and feeds of the fake emoncms, held against emoncms 11.16.8 as observed (§ cites)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.fakes.conftest import FORM, NOW

if TYPE_CHECKING:
    from tests.fakes.conftest import Client

WARNING = "<br />\n<b>Warning</b>:  "


# --- §3.1 time ---


@pytest.mark.parametrize(
    ("query", "data", "times"),
    [
        ("sentat=543", "[[520,1,1],[530,1,1]]", [NOW - 23, NOW - 13]),
        ("offset=543", "[[520,1,1],[530,1,1]]", [NOW - 23, NOW - 13]),
        ("time=1000", "[[0,1,1],[-10,1,1]]", [1000, 990]),
        ("time=0", "[[1600000000,1,1]]", [1_600_000_000]),
        ("", "[[1600000000,1,1],[1600000010,1,1]]", [NOW - 10, NOW]),
        ("sentat=0&time=5&offset=7", "[[1,1,1]]", [NOW + 1]),
        ("time=5&offset=0", "[[1,1,1]]", [NOW + 1]),
        ("sentat=", "[[0,1,1]]", [NOW]),
        ("sentat=abc", "[[1600000000,1,1]]", [NOW + 1_600_000_000]),
        ("time=0", "[[1.9,1,1]]", [1]),
        ("time=0", '[["1700000000",1,1],["x",1,1]]', [1_700_000_000, 0]),
        ("time=0", "[[1700000000000,1,1]]", [1_700_000_000_000]),
        ("time=0", f"[[{NOW + 400 * 86400},1,1]]", [NOW + 400 * 86400]),
    ],
)
async def test_time(client: Client, query: str, data: str, times: list[int]) -> None:
    """§3.1."""
    assert await client.bulk(data, query) == "ok"
    assert [frame.time for frame in client.server.frames] == times


# --- §3.2 nodes ---


@pytest.mark.parametrize(
    ("sent", "node"),
    [
        ("16", "16"),
        ('"16"', "16"),
        ("5.0", "5"),
        ('"05"', "05"),
        ("null", "0"),
        ('""', "0"),
        ("true", "1"),
        ("1.5", "1.5"),
        ('"a/b:c d<"', "abc d"),
        ('"Küche_1-x.y"', "Küche_1-x.y"),
        ('"%s"' % ("n" * 200), "n" * 200),
    ],
)
async def test_node(client: Client, sent: str, node: str) -> None:
    """§3.2."""
    assert await client.bulk(f"[[1,{sent},1]]") == "ok"
    assert [frame.node for frame in client.server.frames] == [node]


async def test_node_limit(client: Client) -> None:
    """§3.2: the rest of the batch is dropped, also what is for known nodes."""
    batch = [[1, f"n{n}", 1] for n in range(33)] + [[2, "n0", 1]]
    answer = await client.bulk(json.dumps(batch))
    assert answer == (
        '{"success": false, "message": "Error: Reached the maximal allowed number of different NodeIds, '
        "limit is 32. Node 'n32' was ignored.\"}"
    )
    assert len(client.server.frames) == 32
    assert await client.bulk('[[2,"n0",1]]') == "ok"


# --- §3.3 values ---


@pytest.mark.parametrize(
    ("items", "inputs"),
    [
        ("7,8.5", {"n/1": 7, "n/2": 8.5}),
        ('{"p":1},5,{"q":3},6', {"n/p": 1, "n/1": 5, "n/q": 3, "n/2": 6}),
        ('{"a/b":1,"ab":2}', {"n/ab": 2}),
        ('{"":4}', {"n/": 4}),
        ('null,"","1.5","abc",false,"3x",true', dict(zip("1234567", (0, 0, 1.5, 0, 0, 3, 1), strict=True))),
        ('{"a":null,"b":"","c":"1.5","d":"abc","e":true}', {"n/a": 0, "n/b": 0, "n/c": 1.5, "n/d": 0, "n/e": 1}),
        ('{"a":[2],"b":[]}', {"n/a": 1, "n/b": 0}),
        ("{}", {}),
        ("1e999,-2.5e+3", {"n/1": float("inf"), "n/2": -2500}),
        ('{"%s":1}' % ("x" * 300), {"n/" + "x" * 300: 1}),
    ],
)
async def test_values(client: Client, items: str, inputs: dict[str, float]) -> None:
    """§3.3, and 1e999 of §0.5."""
    assert await client.bulk(f'[[1,"n",{items}]]') == "ok"
    assert client.inputs == {name if "/" in name else f"n/{name}": value for name, value in inputs.items()}


async def test_two_thousand_values(client: Client) -> None:
    """§2."""
    assert await client.bulk(json.dumps([[1, "n", *range(2000)]])) == "ok"
    assert client.server.frames[0].values == [float(n) for n in range(2000)]


async def test_nested_object_warns_before_ok(client: Client) -> None:
    """§3.3: the value is 1; with display_errors off there is just ok."""
    answer = await client.bulk('[[1,"n",{"a":{"b":5}}]]')
    assert answer.startswith(WARNING)
    assert answer.endswith("<br />\nok")
    assert client.inputs == {"n/a": 1}
    client.server.display_errors = False
    assert await client.bulk('[[1,"n",{"a":{"b":5}}]]') == "ok"


# --- §5.1 reading inputs ---


async def test_list_and_get(client: Client) -> None:
    client.server.log_to_feed("n", "p")
    read = client.server.read_key

    async def get(path: str, query: str = "") -> Any:
        status, _, text = await client.ask(f"{path}?apikey={read}{query}", method="GET")
        assert status == 200
        return json.loads(text)

    await client.bulk('[[5,"n",{"p":1}],[3,"n",{"p":1e999,"q":2.5}]]')
    first, second = await get("/input/list.json")
    assert first == {
        "id": "1",
        "nodeid": "n",
        "name": "p",
        "description": "",
        "processList": "1:1",
        "time": 3,  # the last frame processed, not the newest
        "value": None,
    }
    assert (second["id"], second["value"]) == ("2", 2.5)
    assert (await get("/input/get"))["n"]["q"] == {"time": 3, "value": 2.5, "processList": ""}
    assert (await get("/input/get/n/q"))["value"] == 2.5
    assert (await get("/input/get", "&node=n&name=q"))["value"] == 2.5
    assert await get("/input/get/x") == "Node does not exist"
    assert await get("/input/get/n/x") == "Node variable does not exist"


async def test_get_writes_arrays_where_php_does(client: Client) -> None:
    target = f"/input/get?apikey={client.server.read_key}"
    assert (await client.ask(target, method="GET"))[2] == "[]"
    await client.bulk('[[1,0,{"0":7,"1":8}]]')
    whole = json.loads((await client.ask(target, method="GET"))[2])
    assert [entry["value"] for entry in whole[0]] == [7, 8]


# --- §5.4 feeds: engine, times sent (value = position), points stored ---


@pytest.mark.parametrize(
    ("engine", "times", "points"),
    [
        ("phpfina", [105, 112], {100: 0, 110: 1}),
        ("phpfina", [100, 100], {100: 1}),
        ("phpfina", [100, 105], {100: 1}),
        ("phpfina", [100, 130, 110], {100: 0, 110: 2, 130: 1}),
        ("phpfina", [100, 90, 110], {100: 0, 110: 2}),
        ("phpfina", [100, 100 + 49 * 3600, 110], {100: 0, 110: 2, 100 + 49 * 3600: 1}),
        ("phpfina", [100, 1_700_000_000_000, 110], {100: 0, 110: 2}),
        ("phpfina", [100, 110 + 157_680_000, 110], {100: 0, 110: 2}),
        ("phptimeseries", [105, 112], {105: 0, 112: 1}),
        ("phptimeseries", [100, 100], {100: 1}),
        ("phptimeseries", [100, 105], {100: 0, 105: 1}),
        ("phptimeseries", [100, 130, 110], {100: 0, 130: 1}),
        ("phptimeseries", [100, 130, 100], {100: 2, 130: 1}),
        ("phptimeseries", [100, 90], {100: 0}),
        ("phptimeseries", [100, 100 + 49 * 3600, 110], {100: 0, 100 + 49 * 3600: 1}),
        ("phptimeseries", [100, 1_700_000_000_000], {100: 0, 1_700_000_000_000 & 0xFFFFFFFF: 1}),
    ],
)
async def test_engines(client: Client, engine: Any, times: list[int], points: dict[int, float]) -> None:
    """§5.4: the same in one batch as in requests of their own."""
    one = client.server.log_to_feed("a", "p", engine)
    many = client.server.log_to_feed("b", "p", engine)
    assert await client.bulk(json.dumps([[t, "a", {"p": n}] for n, t in enumerate(times)])) == "ok"
    for n, t in enumerate(times):
        assert await client.bulk(json.dumps([[t, "b", {"p": n}]])) == "ok"
    assert dict(one.points()) == dict(many.points()) == points


async def test_feeds_hold_32_bits(client: Client) -> None:
    """§3.3, and null as 0 of §5.4."""
    feed = client.server.log_to_feed("n", "p")
    await client.bulk('[[100,"n",{"p":123456.789}],[110,"n",{"p":null}]]')
    assert feed.points() == [(100, 123456.7890625), (110, 0)]
    assert client.inputs == {"n/p": 0}


async def test_processing_starts_behind_the_frame_that_makes_the_input(client: Client) -> None:
    """§0.8: an input has no process list before it is there."""
    await client.bulk('[[100,"n",{"p":1}]]')
    feed = client.server.log_to_feed("n", "p")
    await client.bulk('[[110,"n",{"p":2}]]')
    assert feed.points() == [(110, 2)]


async def test_sent_twice(client: Client) -> None:
    """§0.6: harmless for a log, doubled in an accumulator."""
    log = client.server.log_to_feed("n", "p")
    kwh = client.server.power_to_kwh("n", "p")
    batch = json.dumps([[t, "n", {"p": 3600}] for t in range(0, 101, 10)])
    await client.bulk(batch)
    once = log.points()
    assert kwh.points()[-1][1] == pytest.approx(0.1)
    await client.bulk(batch)
    assert log.points() == once
    assert kwh.points()[-1][1] == pytest.approx(0.2)
    assert (client.server.stored, len(client.server.frames)) == (11, 22)


# --- what is recorded ---


async def test_record(client: Client) -> None:
    await client.bulk('[[1,"n",5],[2,"n",{"p":6}]]', "time=10")
    await client.bulk("5")
    first, second = client.server.requests
    assert (first.query, first.frame_count, first.status, first.answer) == ({"time": "10"}, 2, 200, b"ok")
    assert first.frames == [[1, "n", 5], [2, "n", {"p": 6}]]
    assert first.size == len(first.body) > 0
    assert first.headers["Content-Type"] == FORM
    assert first.arrived <= second.arrived
    assert (second.frames, second.status) == ([], 200)
    assert client.server.frames == [(11, "n", [5.0]), (12, "n", {"p": 6.0})]
