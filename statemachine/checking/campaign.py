"""Search many scenarios, several at a time, each with bounded memory and with progress on a terminal."""

from __future__ import annotations

import gc
import pkgutil
import resource
import sys
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from functools import partial

from ..core.coordinator import Coordinator
from ..shell.workers import completed, processes
from .checker import Result, check
from .division import GARBAGE, divided
from .report import ScenarioReport, report_of
from .scenario import Move, State
from .scenarios import LARGE, STANDARD
from .system import CoordinatorSystem

__all__ = ["explore"]


def explore(
    scenarios: Sequence[str], *, jobs: int = 1, make: str | None = None, most_states: int, most_bytes: int
) -> list[ScenarioReport]:
    """Explore each of ``scenarios``, and return their reports in the same order.

    ``make``: the name of another class of coordinator, such as a mutant, as ``"module:class"``. ``most_bytes``: how much memory one
    process may use. With several ``jobs`` each scenario has a process and its memory to itself; the states of a single one are divided
    among processes.
    """
    search = partial(_search, make=make, most_states=most_states, most_bytes=most_bytes)
    if jobs == 1 or len(scenarios) == 1:
        return [search(name, jobs=jobs) for name in scenarios]
    with processes(jobs, tasks_each=1) as pool:
        reports = dict(completed(pool, search, scenarios))
    return [reports[name] for name in scenarios]


def _search(name: str, *, make: str | None, most_states: int, most_bytes: int, jobs: int = 1) -> ScenarioReport:
    """Explore one scenario, with the coordinator called ``make``."""
    gc.set_threshold(GARBAGE)
    make_system = partial(_system, name, make)
    watch = partial(_watch, name, most_bytes, sys.stderr.isatty())
    with divided(make_system, jobs) if jobs > 1 else nullcontext() as frontier:
        result = check(make_system(), liveness=True, most_states=most_states, watch=watch, frontier=frontier)
    return report_of(name, result, _coordinator(make))


def _system(name: str, make: str | None) -> CoordinatorSystem:
    (scenario,) = (s for s in (*STANDARD, *LARGE) if s.name == name)
    return CoordinatorSystem(scenario, _coordinator(make))


def _coordinator(make: str | None) -> Callable[..., Coordinator]:
    found: Callable[..., Coordinator] = pkgutil.resolve_name(make) if make else Coordinator
    return found


def _watch(name: str, most_bytes: int, terminal: bool, result: Result[State, Move]) -> bool:
    """Show how far the search has come, and return whether there is memory to go on."""
    if terminal:
        print(f"\r{name}: {result.states} states, depth {result.depth}", end="\033[K", file=sys.stderr)
    return _peak_bytes() < most_bytes


def _peak_bytes() -> int:
    """Return the most memory that this process has ever had in use."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
