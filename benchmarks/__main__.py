"""Measure what the core costs and what coordination saves: ``python -m benchmarks SCENARIO ...``.

Each scenario writes JSON with the machine, the versions and the spread of its rounds; plots and tables read only that JSON.
``check`` compares ratios with committed thresholds, in two minutes.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

from . import figures, growth, machines, overhead, specification, streamed
from .field import command as field
from .field import real
from .gate import check
from .measuring.results import RESULTS
from .pages.tables import write_tables
from .simulators import command as simulators

__all__ = ["main"]


class Scenario(NamedTuple):
    """``measure`` gets the folder and, where it takes several rounds, their number."""

    measure: Callable[..., Path]
    rounds: int | None
    about: str


SCENARIOS: Final = {
    "core": Scenario(
        figures.measure, 9, "the core against its aims: acquire and release, growth, import, trigger, heap driver"
    ),
    "overhead": Scenario(
        overhead.measure, 9, "warm acquire and release, contended hand-off, against pools and limiters"
    ),
    "streamed": Scenario(streamed.measure, 9, "a streamed call against bare httpx and the official client"),
    "growth": Scenario(growth.measure, 3, "10 to 100,000 waiters, 10 to 10,000 instances, and memory"),
    "machines": Scenario(machines.measure, 9, "one trigger, against other state machines"),
    "simulators": Scenario(simulators.measure, None, "the heap driver against SimPy, ciw and salabim"),
    "checker": Scenario(specification.measure, 3, "the checker against SPIN on the same specification"),
    "field": Scenario(field.measure, 3, "one workload through every manager there is (about an hour)"),
    "real": Scenario(real.measure, 3, "the same on a real llama.cpp server (half an hour)"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what was asked for; 1 if ``check`` failed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    choices = [*SCENARIOS, "tables", "check"]
    about = "; ".join(f"{name}: {scenario.about}" for name, scenario in SCENARIOS.items())
    parser.add_argument(
        "what",
        nargs="+",
        choices=choices,
        metavar="WHAT",
        help=f"{about}; tables: write plots and pages; check: the gate",
    )
    parser.add_argument(
        "--output", type=Path, default=Path("bench-results"), help="folder for JSON (default %(default)s)"
    )
    parser.add_argument(
        "--keep", action="store_true", help="write to benchmarks/results, from which the pages are made"
    )
    parser.add_argument(
        "--rounds", type=int, help="rounds of each scenario, or seeds of the field (default: each its own)"
    )
    parser.add_argument("--only", default="", help="of field and real, contenders whose names have this in them")
    options = parser.parse_args(arguments)
    folder = RESULTS if options.keep else options.output
    for name in options.what:
        if name == "check":
            if not check():
                return 1
        elif name == "tables":
            write_tables()
        else:
            print(f"written: {_measured(SCENARIOS[name], name, folder, options)}", flush=True)
    return 0


def _measured(scenario: Scenario, name: str, folder: Path, options: argparse.Namespace) -> Path:
    measure = scenario.measure if name not in ("field", "real") else partial(scenario.measure, only=options.only)
    if scenario.rounds is None:
        return measure(folder)
    return measure(folder, options.rounds or scenario.rounds)


if __name__ == "__main__":
    sys.exit(main())
