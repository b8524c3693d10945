"""What every run of a workload comes to, on the mock and on a real server: the columns that both tables share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import mean
from typing import Any

from simulation.analysis.metrics import percentile

__all__ = ["Outcome", "answered", "shared_columns"]


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """One run. Times in seconds, of answered calls, from the first attempt to the whole answer; ``makespan`` to the last answer.

    ``lost``: calls that were never answered. ``loads`` and ``switches``: what the server tells. ``refused``: attempts that failed.
    """

    contender: str
    seed: int
    calls: int
    lost: int
    makespan: float
    mean: float
    p50: float
    p95: float
    loads: int
    switches: int
    refused: int


def answered(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the calls that have an answer, of those that :func:`.play.play` prints."""
    return [row for row in rows if row["finished"] is not None]


def shared_columns(rows: Sequence[dict[str, Any]], loaded: Sequence[str]) -> dict[str, Any]:
    """Return the columns of :class:`Outcome` that follow from the calls and from the models that the server loaded, in their order."""
    done = answered(rows)
    times = [row["finished"] - row["arrived"] for row in done]
    return {
        "calls": len(rows),
        "lost": len(rows) - len(done),
        "makespan": max((row["finished"] for row in done), default=0.0),
        "mean": mean(times) if times else 0.0,
        "p50": percentile(times, 50) or 0.0,
        "p95": percentile(times, 95) or 0.0,
        "loads": len(loaded),
        "switches": sum(one != other for one, other in pairwise(loaded)),
        "refused": sum(len(row["failures"]) for row in rows),
    }
