"""Judge a policy by an experiment on many workloads: ratios to first come, first served, and verdicts.

A ratio below 1 is better than first come, first served. Times are in seconds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final, NamedTuple

from statemachine.policies.names import BASELINE

from .comparison import Numbers

__all__ = ["MEASURES", "TAILS", "Cell", "Criterion", "batches", "equals", "gaps_closed", "mixed", "ratio", "verdicts"]

TAILS: Final = ("p95", "p99", "max")
MEASURES: Final = ("mean", *TAILS)


@dataclass(frozen=True, slots=True)
class Cell:
    """One workload at one load time. ``kind``: a number of sessions, or the name of what was generated; ``free``: without switch cost."""

    kind: str
    seed: int
    load_time: float
    free: Numbers
    runs: Mapping[str, Numbers]


class Criterion(NamedTuple):
    """One criterion: what is wanted, what was found, and whether it is met."""

    wanted: str
    found: str
    met: bool


def mixed(cells: Sequence[Cell]) -> list[Cell]:
    """Return the cells of the overlays and of the trading graph."""
    return [cell for cell in cells if cell.kind not in ("equal agents", "batch")]


def equals(cells: Sequence[Cell]) -> list[Cell]:
    """Return the cells of equal agents."""
    return [cell for cell in cells if cell.kind == "equal agents"]


def batches(cells: Sequence[Cell]) -> list[Cell]:
    """Return the cells in which all requests come at once."""
    return [cell for cell in cells if cell.kind == "batch"]


def ratio(cell: Cell, policy: str, measure: str) -> float:
    """Return the policy's ``measure`` over that of first come, first served."""
    return float(getattr(cell.runs[policy], measure) / getattr(cell.runs[BASELINE], measure))


def gaps_closed(cells: Sequence[Cell], policy: str) -> list[float]:
    """Return the part of the switching cost in the makespan that the policy saves, for each cell where switching dominates.

    These are the cells in which first come, first served switches for more than half of its time.
    """
    return [
        (cell.runs[BASELINE].makespan - cell.runs[policy].makespan)
        / (cell.runs[BASELINE].makespan - cell.free.makespan)
        for cell in cells
        if cell.runs[BASELINE].switching_share > 0.5
    ]


def verdicts(cells: Sequence[Cell], policy: str) -> list[Criterion]:
    """Judge ``policy`` by the criteria for a default policy."""
    among = mixed(cells)
    ratios = {measure: [ratio(cell, policy, measure) for cell in among] for measure in MEASURES}
    lines = [_at_most(f"median ratio of {m} below 0.8", median(ratios[m]), 0.8, strict=True) for m in MEASURES]
    tails = [value for measure in TAILS for value in ratios[measure]]
    share = sum(value <= 1 for value in tails) / len(tails)
    lines.append(_at_least("90 % of the ratios of p95, p99 and max at most 1", share, 0.9))
    lines.append(_at_most("no ratio of p95 or p99 over 1.15", max(ratios["p95"] + ratios["p99"]), 1.15))
    gaps = gaps_closed(among, policy)
    if gaps:
        text = f"where {BASELINE} switches over half of its time ({len(gaps)} cells), 75 % of the gap closed in the median cell"
        lines.append(_at_least(text, median(gaps), 0.75))
    worst = max((cell.runs[policy].to_limit for cell in batches(cells)), default=1.0)
    lines.append(_at_most("batches that have all arrived within 10 % of the least makespan", worst, 1.1))
    fairness = min((cell.runs[policy].fairness for cell in equals(cells)), default=1.0)
    lines.append(_at_least("Jain's index between equal agents at least 0.95", fairness, 0.95))
    return lines


def _at_most(wanted: str, found: float, most: float, *, strict: bool = False) -> Criterion:
    return Criterion(wanted, f"{found:.3f}", found < most if strict else found <= most)


def _at_least(wanted: str, found: float, least: float) -> Criterion:
    return Criterion(wanted, f"{found:.3f}", found >= least)
