"""The field's runs as one row for each contender: medians over the seeds, sums of what went wrong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

__all__ = ["Row", "rows"]

MEASURES = ("makespan", "mean", "p50", "p95", "switches", "fairness")
COUNTED = ("killed", "refused", "lost", "two_at_once", "copies", "busy_evicted")


@dataclass(frozen=True)
class Row:
    """``measures``: median, least and most over the seeds; ``counted``: means per run; ``events``: those of the first seed."""

    name: str
    kind: str
    asked: str
    calls: int
    measures: dict[str, tuple[float, float, float]]
    counted: dict[str, float]
    events: Sequence[Any]

    @property
    def answers_all(self) -> bool:
        """Whether no call was left without an answer."""
        return not self.counted["lost"]


def rows(figures: dict[str, Any]) -> list[Row]:
    """One for each contender, in the order of the run."""
    found: dict[str, list[dict[str, Any]]] = {}
    for run in figures["runs"]:
        found.setdefault(run["contender"], []).append(run)
    return [_row(name, runs, figures) for name, runs in found.items()]


def _row(name: str, runs: list[dict[str, Any]], figures: dict[str, Any]) -> Row:
    measures = {}
    for measure in MEASURES:
        values = [run[measure] for run in runs]
        measures[measure] = (median(values), min(values), max(values))
    counted = {what: round(sum(run[what] for run in runs) / len(runs), 1) for what in COUNTED}
    asked, kind = figures["asked"][name], figures["kinds"][name]
    return Row(name, kind, asked, runs[0]["calls"], measures, counted, runs[0].get("events", ()))
