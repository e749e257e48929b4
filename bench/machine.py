"""`python -m bench.machine FOLDER run FILE`: emonhub as on a machine of its own, also inside a container.

In a container, files in memory go when it goes, so a hub keeps none there. Here it keeps them in FOLDER.
"""

from __future__ import annotations

import sys
from pathlib import Path
from unittest import mock

from emonhub.cli import main

if __name__ == "__main__":
    memory = Path(sys.argv[1])

    def memory_dir(word: str) -> Path:
        folder = memory / word
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    with mock.patch("emonhub.buffer.choose.memory_dir", memory_dir):
        sys.exit(main(sys.argv[2:]))
