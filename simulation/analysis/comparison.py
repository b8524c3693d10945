"""Compare policies on one workload: run it under each, and compare with the best that any schedule can do.

Every policy gets the same durations, so the differences are those of the policies.
Agents are the sessions: ``name/sub-agent`` counts as ``name``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import fsum
from statistics import mean, median

from statemachine import ProviderManagerConfig
from statemachine.errors import ConfigurationError
from statemachine.policies import Fifo, PolicyFactory
from statemachine.policies.names import BASELINE

from ..drivers.heap import HeapDriver, one_slot
from ..drivers.record import CallRecord, Replay
from ..timing.durations import BoundedTiming, ForgetfulTiming
from ..workloads.workload import Workload
from .bounds import batch, critical_path, exact_makespan, lower_bound_makespan
from .metrics import percentile, summarise

__all__ = [
    "RATIOS",
    "Limit",
    "Numbers",
    "PolicyComparison",
    "PolicyRun",
    "Spread",
    "compare",
    "jain",
    "ratios",
    "spread",
]


@dataclass(frozen=True, slots=True)
class Limit:
    """A makespan (seconds) that no schedule can beat. ``exact``: some schedule reaches it."""

    makespan: float
    exact: bool


@dataclass(frozen=True, slots=True)
class Numbers:
    """One run. Times in seconds; latencies from a request's arrival to the end of its answer, percentiles nearest-rank.

    ``to_limit``: makespan over the limit's. ``switching_share``: as in :class:`.Summary`. ``fairness``: Jain's index of
    the agents' mean slowdowns; a slowdown is a latency over what the same answer takes when the model is loaded and free.
    """

    makespan: float
    to_limit: float
    mean: float
    p50: float
    p95: float
    p99: float
    max: float
    switches: int
    switching_share: float
    fairness: float


@dataclass(frozen=True)
class PolicyRun:
    """The run under one policy. ``waits``: mean seconds from arrival to grant, by agent, in the order of their names."""

    policy: str
    numbers: Numbers
    waits: Mapping[str, float]
    replay: Replay


@dataclass(frozen=True)
class PolicyComparison:
    """The runs of all policies at one load time in seconds (None: each model has its own).

    ``free``: first come, first served, in a world where no switch takes time, compared with the limit of that world.
    """

    load_time: float | None
    limit: Limit
    free: PolicyRun
    runs: tuple[PolicyRun, ...]


def compare(
    workload: Workload,
    policies: Mapping[str, PolicyFactory],
    load_times: Sequence[float | None],
    timing_at: Callable[[float | None], BoundedTiming],
    *,
    parallel: int = 1,
    finished: Callable[[], None],
) -> list[PolicyComparison]:
    """Run ``workload`` under each policy at each load time, on a slot for ``parallel`` requests at once.

    ``timing_at``: the durations at a load time.

    ``finished`` is called after each run. Raises ConfigurationError.
    """
    free, service = _free_run(workload, timing_at(0.0), parallel)
    comparisons = []
    for load_time in load_times:
        timing = timing_at(load_time)
        limit = _limit(workload, service, timing, parallel, fixed=load_time is not None)
        heap = HeapDriver(workload, timing)
        runs = []
        for name, policy in policies.items():
            runs.append(_run(name, heap, one_slot(policy, parallel=parallel), limit, service))
            finished()
        comparisons.append(PolicyComparison(load_time, limit, free, tuple(runs)))
    return comparisons


def _free_run(workload: Workload, timing: BoundedTiming, parallel: int) -> tuple[PolicyRun, dict[int, float]]:
    """Return the run at no switch cost, and the seconds that each call takes when its model is loaded and free."""
    heap = HeapDriver(workload, timing)
    service = dict(enumerate(heap.plan.whole))
    limit = _limit(workload, service, timing, parallel, fixed=True)
    return _run("no switch cost", heap, one_slot(Fifo, parallel=parallel), limit, service), service


def _limit(
    workload: Workload, service: Mapping[int, float], timing: BoundedTiming, parallel: int, *, fixed: bool
) -> Limit:
    """Return the limit: exact if all calls come at once, switches always take equally long (``fixed``), and the batch is small enough.

    With ``parallel`` requests at once only the critical path is known to be a bound.
    """
    times = timing.least_switches(workload.models)
    if parallel > 1:
        return Limit(critical_path(workload, service, times), exact=False)
    try:
        forgotten = isinstance(timing, ForgetfulTiming) and any(call.cached_tokens for call in workload.calls)
        return Limit(exact_makespan(batch(workload, service), times), exact=fixed and not forgotten)
    except ConfigurationError:
        return Limit(lower_bound_makespan(workload, service, times), exact=False)


def _run(
    name: str, heap: HeapDriver, config: ProviderManagerConfig, limit: Limit, service: Mapping[int, float]
) -> PolicyRun:
    replay = heap.replay(config)
    return PolicyRun(name, _numbers(replay, limit, service), _waits(replay.records), replay)


def _numbers(replay: Replay, limit: Limit, service: Mapping[int, float]) -> Numbers:
    summary = summarise(replay.records, replay.intervals, replay.statistics.counters.switches)
    latencies = [record.total for record in replay.records]
    p50, p95, p99 = (percentile(latencies, percent) or 0.0 for percent in (50, 95, 99))
    slowdowns = _by_agent(replay.records, lambda record: record.total / service[record.call])
    return Numbers(
        makespan=summary.makespan,
        to_limit=summary.makespan / limit.makespan,
        mean=mean(latencies),
        p50=p50,
        p95=p95,
        p99=p99,
        max=max(latencies),
        switches=summary.switches,
        switching_share=summary.switching_share,
        fairness=jain([mean(values) for values in slowdowns.values()]),
    )


def _waits(records: Sequence[CallRecord]) -> dict[str, float]:
    return {
        agent: mean(waits)
        for agent, waits in _by_agent(records, lambda record: record.granted - record.arrived).items()
    }


def _by_agent(records: Sequence[CallRecord], value: Callable[[CallRecord], float]) -> dict[str, list[float]]:
    values: dict[str, list[float]] = {agent: [] for agent in sorted({_agent(record) for record in records})}
    for record in records:
        values[_agent(record)].append(value(record))
    return values


def _agent(record: CallRecord) -> str:
    return record.agent.partition("/")[0]


def jain(values: Sequence[float]) -> float:
    """Return Jain's fairness index: 1 if all ``values`` are equal, 1/n if one has everything (Jain, Chiu and Hawe, DEC-TR-301, 1984)."""
    return fsum(values) ** 2 / (len(values) * fsum(value**2 for value in values))


# ---- over several seeds ----

RATIOS = ("makespan", "mean", "p95", "p99", "max", "switches")
"""The numbers that are compared with those of first come, first served."""


@dataclass(frozen=True, slots=True)
class Spread:
    """The distribution of a ratio over all seeds; less is better. ``p90`` is nearest-rank."""

    median: float
    p90: float
    worst: float


def spread(values: Sequence[float]) -> Spread | None:
    """Return the spread of ``values``; None if there are none."""
    p90 = percentile(values, 90)
    return None if p90 is None else Spread(median(values), p90, max(values))


def ratios(comparisons: Sequence[PolicyComparison]) -> dict[str, dict[str, Spread | None]]:
    """Return, for each policy but the baseline, the spread of each of ``RATIOS`` and of ``gap left``, over several seeds at one load time.

    The gap is the difference of the baseline's makespan to that at no switch cost; ``gap left`` is the part of it that the policy leaves.
    A seed in which the baseline's number is 0 is left out.
    """
    names = [run.policy for run in comparisons[0].runs if run.policy != BASELINE]
    return {name: _ratios([_pair(comparison, name) for comparison in comparisons]) for name in names}


def _pair(comparison: PolicyComparison, name: str) -> tuple[Numbers, Numbers, Numbers]:
    runs = {run.policy: run.numbers for run in comparison.runs}
    return runs[name], runs[BASELINE], comparison.free.numbers


def _ratios(pairs: Sequence[tuple[Numbers, Numbers, Numbers]]) -> dict[str, Spread | None]:
    measured = {
        measure: [
            getattr(own, measure) / getattr(base, measure) for own, base, _ in pairs if getattr(base, measure) > 0
        ]
        for measure in RATIOS
    }
    measured["gap left"] = [
        (own.makespan - free.makespan) / (base.makespan - free.makespan)
        for own, base, free in pairs
        if base.makespan > free.makespan
    ]
    return {measure: spread(values) for measure, values in measured.items()}
