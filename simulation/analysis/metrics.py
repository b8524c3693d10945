"""The numbers of a replay: percentiles, makespan, switches, and how the queue grew and shrank.

Percentiles are nearest-rank: the p-th percentile is the smallest value such that p % of all values are not greater. So it is a value
that occurred, the one that a plot of the CDF shows at that height. Failed requests are counted, and left out of all latencies.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from math import fsum

from ..drivers.record import CallRecord
from ..drivers.residency import Interval

__all__ = ["Distribution", "Summary", "latencies", "percentile", "queue_lengths", "summarise", "table"]


@dataclass(frozen=True, slots=True)
class Distribution:
    """Three percentiles, in seconds. All None where nothing was measured."""

    p50: float | None
    p95: float | None
    p99: float | None


@dataclass(frozen=True, slots=True)
class Summary:
    """One replay. ``makespan``: seconds from the start to the end of the last answer.

    ``switching_share`` is the part of the makespan in which the slot served no request because a model was being loaded or unloaded,
    the first load included. ``switches`` counts starts of another model than the one before, so not the first.
    """

    requests: int
    failed: int
    makespan: float
    queueing: Distribution
    loading: Distribution
    ttft: Distribution
    total: Distribution
    switches: int
    switching_share: float


def percentile(values: Sequence[float], percent: int) -> float | None:
    """Return the nearest-rank percentile of ``values``; None if there are none. ``percent`` is in 1..100."""
    if not values:
        return None
    rank = -(-len(values) * percent // 100)  # rounded up, in integers
    return sorted(values)[rank - 1]


def latencies(records: Iterable[CallRecord]) -> dict[str, list[float]]:
    """Return the latencies of the requests that succeeded, by name: queueing, loading, TTFT and total, in seconds."""
    served = [record for record in records if record.outcome == "ok"]
    return {
        "queueing": [record.queued_seconds for record in served],
        "loading": [record.loading_seconds for record in served],
        "ttft": [record.ttft for record in served if record.ttft is not None],
        "total": [record.total for record in served],
    }


def summarise(records: Sequence[CallRecord], intervals: Sequence[Interval], switches: int) -> Summary:
    """Summarise a replay on one slot. ``intervals`` must not reach beyond the makespan; those of ``Residency.intervals`` do not."""
    makespan = max((record.finished for record in records), default=0.0)
    unserving = fsum(interval.seconds for interval in intervals if interval.state in ("loading", "unloading"))
    measured = {
        name: Distribution(*(percentile(values, percent) for percent in (50, 95, 99)))
        for name, values in latencies(records).items()
    }
    return Summary(
        requests=len(records),
        failed=sum(record.outcome != "ok" for record in records),
        makespan=makespan,
        switches=switches,
        switching_share=unserving / makespan if makespan else 0.0,
        **measured,
    )


def queue_lengths(records: Iterable[CallRecord]) -> list[tuple[float, dict[str, int]]]:
    """Return the queue over time: from each time (seconds) on, how many requests of each model wait.

    A request that waits for its own load has left the queue.
    """
    changes = [
        change
        for record in records
        if record.queued_seconds > 0
        for change in ((record.arrived, record.model, 1), (record.arrived + record.queued_seconds, record.model, -1))
    ]
    waiting: dict[str, int] = dict.fromkeys((record.model for record in records), 0)
    steps = [(0.0, dict(waiting))]
    for time, group in groupby(sorted(changes), key=lambda change: change[0]):
        for _, model, change in group:
            waiting[model] += change
        steps.append((time, dict(waiting)))
    return steps


def table(summary: Summary) -> str:
    """Format the summary as text of a fixed width."""
    rows = [
        f"{'requests':<24}{summary.requests:>10}" + (f"  ({summary.failed} failed)" if summary.failed else ""),
        f"{'makespan':<24}{summary.makespan:>10.1f} s",
        f"{'':<24}{'p50':>10}{'p95':>10}{'p99':>10}",
        *(
            f"{name:<24}" + "".join(f"{_seconds(value):>10}" for value in (row.p50, row.p95, row.p99))
            for name, row in _rows(summary)
        ),
        f"{'switches':<24}{summary.switches:>10}",
        f"{'time spent switching':<24}{summary.switching_share:>10.1%}",
    ]
    return "\n".join(rows)


def _rows(summary: Summary) -> list[tuple[str, Distribution]]:
    return [
        ("queueing (s)", summary.queueing),
        ("loading (s)", summary.loading),
        ("TTFT (s)", summary.ttft),
        ("total (s)", summary.total),
    ]


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
