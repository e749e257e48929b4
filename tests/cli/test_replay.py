"""`emonhub replay`: recorded frames, sent again to a fake emoncms."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from emonhub.buffer.folder import ReporterFolder
from emonhub.cargo import Cargo
from tests.cli.kept import LAYOUTS, START, Kept, cargos, until
from tests.fakes.emoncms import FakeEmoncms
from tests.fakes.emoncms_faults import server_error

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

KEEP = "        keep = ever"


@asynccontextmanager
async def emoncms(kept: Kept, **configuration: str) -> AsyncIterator[FakeEmoncms]:
    """A server that both reporters send to."""
    async with FakeEmoncms(clock=lambda: START + 1e6) as server:
        kept.configure(**{"org": KEEP, "url": server.url, **configuration})
        yield server


async def replay(kept: Kept, *options: object) -> tuple[int, str, str]:
    """Run it in a thread, as the server runs here."""
    return await asyncio.to_thread(kept, "replay", *options)


async def owe(kept: Kept, count: int, delivered: int) -> None:
    await asyncio.to_thread(lambda: kept.owe(cargos(count), delivered=delivered))


def stored(server: FakeEmoncms) -> list[tuple[int, str]]:
    return [(frame.time, frame.node) for frame in server.frames]


async def test_delivered_frames_are_sent_again(kept: Kept) -> None:
    async with emoncms(kept) as server:
        await owe(kept, 300, 200)
        status, out, err = await replay(kept, "--of", "org")
        assert (status, err) == (0, "")
        assert "200 frames of 2 nodes, read from 2026-09-2" in out
        assert "200 frames sent in 1 request" in out
        assert stored(server) == [(int(START + 5 * i), str(10 + i % 2)) for i in range(200)]
        assert len(kept.records("owed")) == 100  # what is owed stays owed


async def test_replaying_twice_leaves_feeds_as_they_are(kept: Kept) -> None:
    async with emoncms(kept) as server:
        await owe(kept, 200, 200)
        feeds = [
            server.log_to_feed(10, "1"),
            server.log_to_feed(11, "2", engine="phptimeseries"),
            server.log_to_feed("emonTx", "P1"),
        ]
        ways = (("--into", "org"), ("--into", "local", "--anew"))
        for way in ways:
            assert (await replay(kept, "--of", "org", *way))[0] == 0
        points = [feed.points() for feed in feeds]
        assert all(len(found) == 100 for found in points)
        for way in ways:
            assert (await replay(kept, "--of", "org", *way, "--batchsize", "7"))[0] == 0
        assert [feed.points() for feed in feeds] == points


async def test_into_a_reporter_with_another_form_of_the_same_kind(kept: Kept) -> None:
    """Records go as they are, unless they are to be written anew: then with the names that this target is sent."""
    async with emoncms(kept) as server:
        await owe(kept, 4, 4)
        await replay(kept, "--of", "org", "--into", "local")
        assert {node for _, node in stored(server)} == {"10", "11"}
        await replay(kept, "--of", "org", "--into", "local", "--anew")
        assert {node for _, node in stored(server)} == {"10", "11", "emonTx", "emonTH"}


async def test_into_a_target_of_another_kind(kept: Kept) -> None:
    async with emoncms(kept):
        await owe(kept, 6, 6)
        text = kept.conf.read_text()
        kept.conf.write_text(text.replace("EmoncmsHttpReporter", "EmonHubMqttReporter").replace("sendnames = 1", ""))
        status, out, _ = await replay(kept, "--of", "org", "--into", "local", "--dry-run")
        assert status == 0
        assert "6 frames of 2 nodes" in out


async def test_what_cannot_be_read_back_is_counted(kept: Kept) -> None:
    async with emoncms(kept, local=KEEP) as server:
        text = kept.conf.read_text()
        json_form = text.replace("EmoncmsHttpReporter", "EmonHubMqttReporter").replace("sendnames = 1", "form = json")
        kept.conf.write_text(json_form)
        await asyncio.to_thread(lambda: kept.owe(cargos(5), "local", delivered=5))
        status, _, err = await replay(kept, "--of", "local", "--into", "org")
        assert status == 1
        assert "5 frames can't be sent: form json can't be read back" in err
        assert server.frames == []


async def test_some_time_and_some_node(kept: Kept) -> None:
    async with emoncms(kept) as server:
        await owe(kept, 100, 100)
        await replay(kept, "--of", "org", "--from", START + 50, "--to", START + 100, "--node", "emonTH")
        assert [time for time, _ in stored(server)] == [int(START + 55 + 10 * i) for i in range(5)]


async def test_owed_frames_too(kept: Kept) -> None:
    async with emoncms(kept) as server:
        await owe(kept, 30, 20)
        await replay(kept, "--of", "org", "--into", "local", "--owed")
        assert len(server.frames) == 30


async def test_a_dry_run_sends_nothing(kept: Kept) -> None:
    async with emoncms(kept) as server:
        await owe(kept, 2500, 2500)
        status, out, _ = await replay(kept, "--of", "org", "--dry-run", "--batchsize", "100")
        assert status == 0
        assert "in about 25 requests" in out
        assert server.requests == []


async def test_a_pace_of_its_own(kept: Kept) -> None:
    async with emoncms(kept) as server:
        await owe(kept, 30, 30)
        await replay(kept, "--of", "org", "--batchsize", "10", "--interval", "0.2")
        arrivals = [request.arrived for request in server.requests]
        assert [request.frame_count for request in server.requests] == [10, 10, 10]
        assert arrivals[2] - arrivals[0] > 0.3


async def test_a_server_in_trouble_is_tried_again(kept: Kept) -> None:
    async with emoncms(kept) as server:
        await owe(kept, 20, 20)
        server.script([server_error(store=3)])
        status, out, err = await replay(kept, "--of", "org")
        assert status == 0
        assert "20 frames sent" in out
        assert "HTTP 500" in err
        assert len(set(stored(server))) == 20


async def test_what_the_server_had_before_is_not_taken_for_received_again(kept: Kept) -> None:
    """After an answer that leaves it open: its inputs show the last frame of the batch from the first time."""
    async with emoncms(kept) as server:
        await owe(kept, 20, 20)
        await replay(kept, "--of", "org")
        assert len(server.frames) == 20
        server.script([server_error(store=0)])
        status, _, _ = await replay(kept, "--of", "org")
        assert status == 0
        assert len(server.frames) == 40


async def test_a_frame_that_is_refused_costs_no_other(kept: Kept) -> None:
    async with emoncms(kept) as server:
        frames = cargos(50)
        await asyncio.to_thread(lambda: kept.owe(frames, delivered=50))
        (path,) = kept.folder().glob("*.log")
        refuse(kept, path.name, "10,20,260.5,-40", "[10],20,260.5,-40")
        status, out, err = await replay(kept, "--of", "org")
        assert status == 1
        assert "49 frames sent" in out
        assert "1 frame refused for good" in err
        assert "[10],20,260.5,-40" in err
        assert len(set(stored(server))) == 49
        assert ReporterFolder(kept.path / "state", "org").dead_letters.all() == []


def refuse(kept: Kept, name: str, old: str, new: str) -> None:
    """Put a record that emoncms will refuse into a journal file."""
    from emonhub.buffer.lines import Line, frame_lines, note_line, parse, seed  # noqa: PLC0415
    from emonhub.buffer.segments import named, pack, unpack  # noqa: PLC0415

    segment = named(name)
    assert segment is not None
    path = kept.folder() / name
    start = seed("org", segment.first)
    parts = []
    data = path.read_bytes()
    for found in parse(unpack(data, segment, "org") if segment.packed else data, start, segment.base):
        if isinstance(found, Line):
            record = found.record.replace(old, new)
            parts += frame_lines(start, found.number, segment.base, [record], [found.time], [False])
        else:
            parts.append(note_line(start, found.content))
    data = b"".join(parts)
    path.write_bytes(pack(data, segment, "org") if segment.packed else data)


async def test_refused_frames_far_apart_cost_no_others(kept: Kept) -> None:
    async with emoncms(kept) as server:
        await owe(kept, 4000, 4000)
        (path,) = kept.folder().glob("*.log*")
        for number in (0, 998, 999, 1000, 2500, 3998):
            refuse(kept, path.name, f"10,{number},", f"[10],{number},")
        status, out, err = await replay(kept, "--of", "org")
        assert status == 1
        assert "3995 frames sent" in out
        assert "5 frames refused for good" in err
        assert len(set(stored(server))) == 3995


async def test_only_one_sends_at_a_time(kept: Kept) -> None:
    async with emoncms(kept) as server:
        await owe(kept, 20, 20)
        folder = ReporterFolder(kept.path / "state", "org")
        assert folder.lock()
        replaying = asyncio.create_task(replay(kept, "--of", "org"))
        done, _ = await asyncio.wait([replaying], timeout=0.5)
        assert not done
        assert server.requests == []
        folder.unlock()
        status, _, err = await replaying
        assert status == 0
        assert "waiting until process" in err
        assert len(server.frames) == 20
        assert folder.lock()  # given back
        folder.unlock()


async def test_a_pause_keeps_no_replay_from_sending(kept: Kept) -> None:
    async with emoncms(kept) as server:
        await owe(kept, 5, 5)
        ReporterFolder(kept.path / "state", "org").paused = True
        assert (await replay(kept, "--of", "org"))[0] == 0
        assert len(server.frames) == 5


@pytest.mark.parametrize(
    ("options", "status", "said"),
    [
        (("--of", "orgg"), 2, "there is no reporter orgg"),
        (("--of", "org", "--into", "x"), 2, "there is no reporter x"),
        (("--of", "org", "--from", "2027-01-01"), 1, "there is nothing to send"),
        (("--of", "org", "--from", "noon"), 2, "'noon' is no time"),
        (("--of", "local"), 1, "local has no frames in"),
        (("--of", "org", "--batchsize", "0"), 2, "--batchsize"),
    ],
)
async def test_what_makes_no_sense(kept: Kept, options: tuple[str, ...], status: int, said: str) -> None:
    async with emoncms(kept) as server:
        await owe(kept, 5, 5)
        found, _, err = await replay(kept, *options)
        assert found == status
        assert said in err
        assert server.requests == []


async def test_a_long_record_is_sent_in_order(kept: Kept) -> None:
    """Of several files, some packed, some not, and a front."""
    async with emoncms(kept) as server:
        for part in range(3):
            frames = cargos(3000, start=START + 15_000 * part)
            await asyncio.to_thread(lambda frames=frames: kept.owe(frames, delivered=3000))  # type: ignore[misc]
        await asyncio.to_thread(lambda: kept.owe([Cargo(LAYOUTS[0], (1, 2), START + 50_000)], killed=True))
        assert (await replay(kept, "--of", "org", "--owed"))[0] == 0
        times = [time for time, _ in stored(server)]
        assert len(times) == 9001
        assert times == sorted(times)
        await until(lambda: server.requests[-1].status == 200)
