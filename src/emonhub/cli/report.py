"""What several commands print of a configuration."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from emonhub.config.load import describe_problem, load
from emonhub.config.parse import ParseFailed

if TYPE_CHECKING:
    from pathlib import Path

    from emonhub.config.model import Configuration


def load_or_explain(path: Path) -> Configuration | None:
    """The checked configuration; None, and an explanation on the standard error, when the file can't be used at all."""
    try:
        return load(path)
    except ParseFailed as error:
        for problem in error.problems:
            print(describe_problem(problem, path), file=sys.stderr)
    except OSError as error:
        print(f"emonhub: {path}: the file can't be read: {error.strerror or error}", file=sys.stderr)
    return None
