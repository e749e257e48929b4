"""`python -m bench [PART ...] [--quick]`: measures speed, memory and wear; prints each goal beside its figure.

Each module in `bench.parts` is a part, by its name: its docstring's first line says what it measures, `ORDER` where
it stands among the others, and `measure(*, quick)` returns a Table. To add one, add a file.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
from importlib import import_module
from pkgutil import iter_modules
from typing import TYPE_CHECKING

from bench import parts
from bench.processes import CORES

if TYPE_CHECKING:
    from types import ModuleType


def find_parts() -> dict[str, ModuleType]:
    """The parts, by name, in their order."""
    found = [import_module(f"bench.parts.{module.name}") for module in iter_modules(parts.__path__)]
    return {module.__name__.rpartition(".")[2]: module for module in sorted(found, key=lambda module: module.ORDER)}


def main(arguments: list[str] | None = None) -> int:
    """Measure the parts that are asked for."""
    found = find_parts()
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description="Measure a hub. Parts: "
        + "; ".join(f"{name}: {(module.__doc__ or '').splitlines()[0]}" for name, module in found.items()),
    )
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"one of {', '.join(found)} (default: all)")
    parser.add_argument("--quick", action="store_true", help="little data: for the shape, not the figures")
    options = parser.parse_args(arguments)
    unknown = [name for name in options.parts if name not in found]
    if unknown:
        parser.error(f"there is no part {', '.join(unknown)}: choose from {', '.join(found)}")
    print(f"Python {platform.python_version()} on {_processor()}, {len(CORES)} cores, load {os.getloadavg()[0]:.1f}")
    for name in options.parts or found:
        print(f"\n{found[name].measure(quick=options.quick).text()}", flush=True)
    return 0


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            for line in file:
                if line.startswith(("model name", "Model")):
                    return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.machine()


if __name__ == "__main__":
    sys.exit(main())
