"""The ratios by which the core is judged, each with its aim and, in ``thresholds.toml``, with what the gate lets pass."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NamedTuple

from statemachine.policies import PolicyFactory

from .core import growth_of_manager, growth_of_step, import_time, machine_trigger, warm_acquire_release
from .measuring.compare import Comparison, apart
from .measuring.results import load, write
from .policies import POLICIES, growth_of_policy
from .simulators.heap import SWITCH_SECONDS, heap_driver

__all__ = ["FIGURES", "Figure", "measure", "taken"]


class Figure(NamedTuple):
    """``take`` makes the rounds in a process of its own. The ratio should be at most ``aim``; ``unit``: to what it is the ratio."""

    take: Callable[[int], Comparison | tuple[Comparison, Comparison]]
    aim: float
    unit: str


def _figures() -> dict[str, Figure]:
    limiter, simpy = "x trio.CapacityLimiter", "x SimPy's time"
    figures = {
        "warm acquire and release, API pool": Figure(lambda n: apart(warm_acquire_release, n), 2.0, limiter),
        "warm acquire and release, local slot": Figure(lambda n: apart(warm_acquire_release, n, "local"), 2.5, limiter),
        "the same, a new configuration object": Figure(lambda n: apart(warm_acquire_release, n, "fresh"), 5.0, limiter),
        "10 to 10,000 waiters, manager": Figure(_growth, 1.25, "x the limiter's own growth"),
        "10 to 10,000 waiters, step() alone": Figure(lambda n: apart(growth_of_step, n), 1.25, "x with 10"),
        "one trigger": Figure(lambda n: apart(machine_trigger, n), 0.1, "x plain transitions"),
        "import statemachine": Figure(lambda n: apart(import_time, n), 1.3, "x import trio"),
        "heap driver, one model": Figure(lambda n: apart(heap_driver, n), 1.0, simpy),
        "heap driver, with switches": Figure(
            lambda n: apart(heap_driver, n, switch_seconds=SWITCH_SECONDS), 1 / 0.6, simpy
        ),
    }
    return figures | {f"10 to 10,000 waiters, {name}": _policy(*how) for name, how in POLICIES.items()}


def _growth(rounds: int) -> tuple[Comparison, Comparison]:
    """Fewer rounds: each makes 10,000 tasks."""
    return apart(growth_of_manager, max(3, rounds // 3), operations=2000)


def _policy(make: PolicyFactory, agents: int) -> Figure:
    return Figure(lambda rounds: apart(growth_of_policy, make, agents, rounds), 1.25, "x with 10")


FIGURES: Final = _figures()


def taken(figure: Figure, rounds: int) -> tuple[float, Any]:
    """The ratio, and the comparisons behind it."""
    result = figure.take(rounds)
    if isinstance(result, Comparison):
        return result.ratio, result.as_json()
    ours, theirs = result
    return ours.ratio / theirs.ratio, {"ours, many / few": ours.as_json(), "theirs, many / few": theirs.as_json()}


def measure(folder: Path, rounds: int) -> Path:
    """Take them all and write ``core.json``."""
    before = load()
    rows = []
    for name, figure in FIGURES.items():
        ratio, details = taken(figure, rounds)
        rows.append(
            {"name": name, "ratio": round(ratio, 3), "aim": round(figure.aim, 3), "unit": figure.unit, **details}
        )
        print(f"{name:<54}{ratio:>8.3f} {figure.unit:<28} aim {figure.aim:.3g}", flush=True)
    return write(folder, "core", rows, load_before=before)
