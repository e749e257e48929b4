"""Nothing that was taken over is lost when the process is killed, at whatever moment."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def kills(folder: Path, rounds: int) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "tests.faults.kills", folder, str(rounds), os.environ.get("EMONHUB_SEED", "1")],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    assert sum(int(count) for count in re.findall(r"(\d+) kills", ended.stdout)) >= rounds
    assert all(int(count) > 100 for count in re.findall(r"(\d+) frames taken", ended.stdout)), ended.stdout


@pytest.mark.slow
def test_sixty_kills(tmp_path: Path) -> None:
    kills(tmp_path, 60)


@pytest.mark.full
@pytest.mark.timeout(3600)
def test_a_thousand_kills(tmp_path: Path) -> None:
    kills(tmp_path, 1000)
