"""Kill -9, again and again: a process that takes frames over, delivers some, and is killed at a random moment.

    python -m tests.faults.kills FOLDER ROUNDS SEED

Each victim is a fork, so that a round takes milliseconds, and works on the files that the one before it has left. It
tells through a pipe what it has done; what it has told must be true of what the next one finds:

    A n     all frames before number n are taken over: nobody may lose them
    D n     all before n have arrived at their target, and are about to be acknowledged
    F a b   found at the start: what is owed runs from frame a to before b, without a gap
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import struct
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from emonhub.buffer.frontfiles import FrontFiles
from emonhub.buffer.journal import Journal
from emonhub.buffer.spilling import Policy
from emonhub.buffer.stored import StoredBuffer
from emonhub.world import World

MESSAGE = struct.Struct("=cQQ")
LONGEST_S = 0.2
MODES = {"journal": Policy(0.004, 0.004), "kept": Policy(0.004, 0.004, keep=True), "always": Policy(0.0, 0.0)}


def record(number: int) -> str:
    return f"17,{number},{number % 977}"


class Victim:
    def __init__(self, folder: Path, front: Path, policy: Policy, pipe: int, seed: int) -> None:
        self.folder = folder
        self.front = front
        self.policy = policy
        self.pipe = pipe
        self.random = random.Random(seed)

    def tell(self, what: bytes, first: int, end: int = 0) -> None:
        os.write(self.pipe, MESSAGE.pack(what, first, end))

    async def open(self) -> StoredBuffer:
        world = World(seed=1)
        store = Journal(
            world.disk, self.folder, "house", clock=world.clock, form="x", segment_bytes=6000,
            keep_s=3600.0 if self.policy.keep else 0.0, keep_bytes=30_000,
        )  # fmt: skip
        buffer = StoredBuffer(store, self.policy, world=world, front=FrontFiles(self.front))
        await buffer.open()
        return buffer

    async def work(self, expected: int) -> None:
        """`expected` is the next frame's number if nothing is owed."""
        buffer = await self.open()
        first, end = await self.look(buffer, expected)
        self.tell(b"F", first, end)
        while True:
            for _ in range(self.random.randrange(40)):
                count = self.random.randrange(1, 30)
                records = [record(n) for n in range(end, end + count)]
                buffer.append(records, [round(time.time(), 3)] * count, sum(map(len, records)))
                end += count
                self.tell(b"A", end)
                if self.random.random() < 0.3:
                    await asyncio.sleep(self.random.random() * 0.002)
            for _ in range(self.random.randrange(30)):
                batch = await buffer.fetch(self.random.randrange(1, 60))
                if batch is None:
                    break
                done = int(batch.records[-1].split(",")[1]) + 1
                self.tell(b"D", done)
                buffer.remove(batch.end)
            if self.random.random() < 0.1:
                await buffer.close()
                buffer = await self.open()

    async def look(self, buffer: StoredBuffer, expected: int) -> tuple[int, int]:
        numbers: list[int] = []
        while batch := await buffer.fetch(1000, len(numbers)):
            for text in batch.records:
                numbers.append(int(text.split(",")[1]))
                assert text == record(numbers[-1]), text
        assert buffer.frames == len(numbers), (buffer.frames, len(numbers))
        if not numbers:
            return expected, expected
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers))), "a gap, or not in order"
        return numbers[0], numbers[-1] + 1


class Judge:
    def __init__(self, folder: Path, mode: str, seed: int) -> None:
        self.folder = folder
        self.mode = mode
        self.random = random.Random(seed)
        self.accepted = 0
        self.delivered = 0
        self.counts: Counter[str] = Counter()
        memory = Path("/dev/shm") if Path("/dev/shm").is_dir() else folder
        self.front = Path(tempfile.mkdtemp(prefix="emonhub-kills-", dir=memory))

    def round(self, seed: int, lives_s: float | None) -> None:
        """One victim; None lets it live until it has told what it found."""
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reading)
            status = 1
            try:
                victim = Victim(self.folder / "journal", self.front, MODES[self.mode], writing, seed)
                asyncio.run(victim.work(self.accepted))
            except BaseException as error:  # noqa: BLE001 - it is told, and the round fails
                sys.stderr.write(f"seed {seed}: {type(error).__name__}: {error}\n")
            os._exit(status)
        os.close(writing)
        killed = False
        if lives_s is not None:
            time.sleep(lives_s)
            os.kill(child, signal.SIGKILL)
            killed = True
        with os.fdopen(reading, "rb") as pipe:
            while len(data := pipe.read(MESSAGE.size)) == MESSAGE.size:
                what, first, end = MESSAGE.unpack(data)
                self.hear(what, first, end, seed)
                if lives_s is None and what == b"F":
                    os.kill(child, signal.SIGKILL)
                    killed = True
        _, status = os.waitpid(child, 0)
        if not (killed and os.WIFSIGNALED(status)):
            raise AssertionError(f"victim {seed} ended by itself: {status}")
        self.counts["kills"] += 1

    def hear(self, what: bytes, first: int, end: int, seed: int) -> None:
        if what == b"F":
            self.counts["looks"] += 1
            if first > self.delivered:
                raise AssertionError(f"seed {seed}: {first - self.delivered} frames lost before {first}")
            if end < self.accepted:
                raise AssertionError(f"seed {seed}: {self.accepted - end} frames lost after {end}")
            self.counts["again"] += self.delivered - first
            self.accepted = end  # what had been taken over, but not told any more
        elif what == b"A":
            self.accepted = first
        else:
            self.delivered = max(self.delivered, first)

    def run(self, rounds: int) -> None:
        try:
            for number in range(rounds):
                self.round(self.random.randrange(1 << 30) + number, self.random.random() * LONGEST_S)
            self.round(self.random.randrange(1 << 30), None)
        finally:
            for path in self.front.glob("*"):
                path.unlink()
            self.front.rmdir()
        sys.stdout.write(
            f"{self.mode}: {self.counts['kills']} kills, {self.accepted} frames taken over, 0 lost,"
            f" {self.counts['again']} to be delivered again\n"
        )


if __name__ == "__main__":
    for mode in MODES:
        where = Path(sys.argv[1]) / mode
        where.mkdir()
        Judge(where, mode, int(sys.argv[3])).run(int(sys.argv[2]) // len(MODES))
