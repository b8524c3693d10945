"""The command ``python -m benchmarks WHAT ...``: measure what the core costs and what coordination saves.

Each scenario writes JSON with the machine, the versions and the spread of its rounds; plots and tables read only that JSON.
``check`` compares ratios with committed thresholds, in two minutes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

from statemachine.shell.options import argument, option

from . import figures, growth, machines, overhead, specification, steps, streamed
from .field import command as field
from .field import real
from .gate import check
from .measuring.results import RESULTS
from .pages.tables import write_tables
from .simulators import command as simulators

__all__ = ["Options", "run"]


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
    "steps": Scenario(steps.measure, None, "where a warm acquire and release goes: calls and bytecodes, counted"),
    "streamed": Scenario(streamed.measure, 9, "a streamed call against bare httpx and the official client"),
    "growth": Scenario(growth.measure, 3, "10 to 100,000 waiters, 10 to 10,000 instances, and memory"),
    "machines": Scenario(machines.measure, 9, "one trigger, against other state machines"),
    "simulators": Scenario(simulators.measure, None, "the heap driver against SimPy, ciw and salabim"),
    "checker": Scenario(specification.measure, 3, "the checker against SPIN on the same specification"),
    "field": Scenario(field.measure, 3, "one workload through every manager there is (about an hour)"),
    "real": Scenario(real.measure, 3, "the same on a real llama.cpp server (half an hour)"),
}


PAGES: Final = "tables"
GATE: Final = "check"
ABOUT: Final = "; ".join(
    [
        *(f"{name}: {scenario.about}" for name, scenario in SCENARIOS.items()),
        f"{PAGES}: write plots and pages",
        f"{GATE}: the gate",
    ]
)


def _known(name: str) -> str:
    if name not in (*SCENARIOS, PAGES, GATE):
        raise ValueError(f"must be one of {', '.join((*SCENARIOS, PAGES, GATE))}")
    return name


@dataclass(frozen=True, kw_only=True)
class Options:
    """What is measured, how often, and where the figures go."""

    what: tuple[str, ...] = argument(ABOUT, parse=_known, count="+")
    output: Path = option(Path("bench-results"), "folder for JSON", parse=Path)
    keep: bool = option(False, "write to benchmarks/results, from which the pages are made")
    rounds: int | None = option(
        None, "rounds of each scenario, or seeds of the field (default: each its own)", parse=int, least=1, most=1000
    )
    only: str = option("", "of field and real, contenders whose names have this in them")


def run(options: Options) -> int:
    """Run what was asked for. Returns the exit status: 1 if the gate failed."""
    for name in options.what:
        if name == GATE:
            if not check():
                return 1
        elif name == PAGES:
            write_tables()
        else:
            print(f"written: {_measured(name, options)}", flush=True)
    return 0


def _measured(name: str, options: Options) -> Path:
    scenario, folder = SCENARIOS[name], RESULTS if options.keep else options.output
    measure = scenario.measure if name not in ("field", "real") else partial(scenario.measure, only=options.only)
    if scenario.rounds is None:
        return measure(folder)
    return measure(folder, options.rounds or scenario.rounds)
