"""The tightest straight loop that does a hub's work on frames, without a hub: what the hub's speed is held against.

Split, unpack, scale, format, join, compress, a request's body for every 1000 frames; all from memory into memory.
"""

from __future__ import annotations

import struct
import sys
import time
import zlib

CHUNK = 1 << 16
BATCH = 1000

BYTE = {str(number).encode(): number for number in range(256)}


def straight_loop(data: bytes) -> tuple[int, float]:
    """Frames done and CPU seconds taken, for the frames of `bench.frames`."""
    byte = BYTE.__getitem__
    unpack = struct.Struct("<hhhhhh").unpack
    frames = 0
    waiting: list[str] = []
    rest = b""
    started = time.process_time()
    for start in range(0, len(data), CHUNK):
        lines = (rest + data[start : start + CHUNK]).split(b"\n")
        rest = lines.pop()
        now = time.time()
        for line in lines:
            fields = line.split()
            p1, p2, p3, p4, volts, temperature = unpack(bytes(map(byte, fields[1:])))
            waiting.append(
                "[%d,%d,%s,%s,%s,%s,%s,%s]"  # noqa: UP031 - the fastest form there is
                % (now, int(fields[0]), p1, p2, p3, p4, volts / 100, temperature / 10)
            )
        frames += len(lines)
        while len(waiting) >= BATCH:
            zlib.compress(f"[{','.join(waiting[:BATCH])}]".encode(), 1)
            del waiting[:BATCH]
    if waiting:
        zlib.compress(f"[{','.join(waiting)}]".encode(), 1)
    return frames, time.process_time() - started


if __name__ == "__main__":
    from bench.frames import make_frames

    print(*straight_loop(make_frames(int(sys.argv[1]))))
