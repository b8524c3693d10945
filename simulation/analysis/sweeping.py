"""The points of a grid, each simulated with several seeds, and the estimates from these replications.

All points of one seed see the same workload and the same durations (common random numbers), so that they differ by their settings only.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import product
from statistics import fmean, stdev
from typing import Any, Final, NamedTuple

from ..drivers.record import CallRecord
from .metrics import percentile

__all__ = [
    "MEASURES",
    "Estimate",
    "Point",
    "PointResult",
    "as_json",
    "estimates",
    "grid",
    "measures_of",
    "paired_difference",
]

MEASURES: Final = ("makespan", "mean", "p50", "p95", "p99", "switches")

# Student's t at 97.5 %, by replications - 1; 2 beyond
_T: Final = (12.71, 4.30, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26)


@dataclass(frozen=True, slots=True)
class Point:
    """One setting of the grid. ``load_time``: seconds of a switch (None: each model's own).

    ``memory``: GB of each of the ``servers`` (None: for one model at a time).
    """

    policy: str
    load_time: float | None
    sessions: int
    parallel: int
    servers: int = 1
    memory: float | None = None

    def key(self) -> str:
        """Return a text that no other point has."""
        return repr(tuple(asdict(self).values()))


class PointResult(NamedTuple):
    """The result of one point with one seed: a value for each of ``MEASURES``, times in seconds."""

    point: Point
    seed: int
    values: Mapping[str, float]


class Estimate(NamedTuple):
    """The mean over the replications, and half the width of its 95 % confidence interval (None: there is one replication only)."""

    mean: float
    half_width: float | None


def grid(
    policies: Sequence[str],
    load_times: Sequence[float | None],
    sessions: Sequence[int],
    parallel: Sequence[int],
    servers: Sequence[int] = (1,),
    memory: Sequence[float | None] = (None,),
) -> list[Point]:
    """Return every combination of the settings."""
    return [Point(*each) for each in product(policies, load_times, sessions, parallel, servers, memory)]


def measures_of(records: Sequence[CallRecord], switches: int) -> dict[str, float]:
    """Compute the ``MEASURES`` of a run."""
    latencies = [record.total for record in records]
    p50, p95, p99 = (percentile(latencies, percent) or 0.0 for percent in (50, 95, 99))
    makespan = max((record.finished for record in records), default=0.0)
    mean = fmean(latencies) if latencies else 0.0
    return {"makespan": makespan, "mean": mean, "p50": p50, "p95": p95, "p99": p99, "switches": float(switches)}


def estimates(results: Iterable[PointResult]) -> dict[Point, dict[str, Estimate]]:
    """Estimate each measure of each point from its replications, in the order of the points."""
    by_point: dict[Point, list[Mapping[str, float]]] = {}
    for result in results:
        by_point.setdefault(result.point, []).append(result.values)
    return {
        point: {measure: _estimate([values[measure] for values in found]) for measure in MEASURES}
        for point, found in by_point.items()
    }


def paired_difference(results: Iterable[PointResult], one: Point, other: Point, measure: str) -> Estimate:
    """Estimate by how much ``one`` exceeds ``other``. Differences are taken seed by seed: what both runs of a seed share cancels out."""
    values = {(each.point, each.seed): each.values[measure] for each in results if each.point in (one, other)}
    seeds = sorted({seed for _, seed in values})
    return _estimate([values[one, seed] - values[other, seed] for seed in seeds])


def _estimate(values: Sequence[float]) -> Estimate:
    if len(values) < 2:
        return Estimate(values[0], None)
    quantile = _T[len(values) - 2] if len(values) - 2 < len(_T) else 2.0
    return Estimate(fmean(values), quantile * stdev(values) / len(values) ** 0.5)


def as_json(result: PointResult) -> dict[str, Any]:
    """Return a result as a line of the results' file."""
    return {**asdict(result.point), "seed": result.seed, **result.values}
