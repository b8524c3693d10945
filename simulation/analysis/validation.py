"""Validate the simulator: simulate cases that have a closed formula; the formula must lie in the confidence interval.

The runs are of the heap driver with the coordinator that the manager runs, so this validates the queue of the product itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from random import Random
from statistics import fmean, stdev
from typing import Final, NamedTuple

from statemachine.policies import Affinity, Fifo, Gated, PolicyFactory

from ..drivers.heap import HeapDriver, one_slot
from ..drivers.record import CallRecord
from ..timing.durations import FixedTiming
from ..workloads.workload import PlannedCall, Workload
from .queueing import finite_source_response, md1_wait, mm1_wait, mmc_wait, polling_workload

__all__ = ["CASES", "Case", "Validated", "validate"]

# quantiles of Student's t at 99.5 %, by replications - 1: the interval holds the truth in 99 of 100 cases
_T: Final = (
    63.66,
    9.92,
    5.84,
    4.60,
    4.03,
    3.71,
    3.50,
    3.36,
    3.25,
    3.17,
    3.11,
    3.05,
    3.01,
    2.98,
    2.95,
    2.92,
    2.90,
    2.88,
    2.86,
)


@dataclass(frozen=True)
class Case:
    """One case: ``expected`` by a formula, and ``simulate(requests, seed)``, which estimates it."""

    name: str
    expected: float
    simulate: Callable[[int, int], float]


class Validated(NamedTuple):
    """The mean of the replications and half of its confidence interval, beside the formula's value."""

    name: str
    expected: float
    mean: float
    half_width: float

    @property
    def holds(self) -> bool:
        """Whether the formula lies in the interval."""
        return abs(self.mean - self.expected) <= self.half_width


def validate(case: Case, *, requests: int, replications: int) -> Validated:
    """Simulate ``case`` ``replications`` times (2 to 20) with different seeds."""
    found = [case.simulate(requests, seed) for seed in range(replications)]
    half_width = _T[replications - 2] * stdev(found) / len(found) ** 0.5
    return Validated(case.name, case.expected, fmean(found), half_width)


def _records(
    workload: Workload, services: Sequence[float], policy: PolicyFactory, parallel: int, switch: float
) -> Sequence[CallRecord]:
    timing = FixedTiming(services, switch)
    return HeapDriver(workload, timing).replay(one_slot(policy, parallel=parallel)).records


def _mean_wait(records: Sequence[CallRecord]) -> float:
    """Return the mean wait without the first tenth of the requests, in which the queue has not filled yet."""
    settled = records[len(records) // 10 :]
    return fmean(record.queued_seconds + record.loading_seconds for record in settled)


def _open(rate: float, service: Callable[[Random], float], parallel: int, requests: int, seed: int) -> float:
    rng, now = Random(seed), 0.0
    calls, services = [], []
    for number in range(requests):
        now += rng.expovariate(rate)
        calls.append(PlannedCall(number, "a", "m", 1, 1, (), now))
        services.append(service(rng))
    return _mean_wait(_records(Workload("open", tuple(calls)), services, Fifo, parallel, 0.0))


def _finite(agents: int, think: float, services: float, requests: int, seed: int) -> float:
    rng = Random(seed)
    calls: list[PlannedCall] = []
    turns = requests // agents
    for turn in range(turns):
        for agent in range(agents):
            after = (len(calls) - agents,) if turn else ()
            calls.append(PlannedCall(len(calls), f"a{agent}", "m", 1, 1, after, rng.expovariate(1 / think)))
    durations = [rng.expovariate(services) for _ in calls]
    records = _records(Workload("finite", tuple(calls)), durations, Fifo, 1, 0.0)
    return fmean(record.total for record in records[len(records) // 10 : -len(records) // 10])


def _polling(policy: PolicyFactory, load: float, switch: float, requests: int, seed: int) -> float:
    """Simulate two queues of equal load. The server alternates between them, so the order is cyclic."""
    rng, now = Random(seed), 0.0
    calls = []
    for number in range(requests):
        now += rng.expovariate(load)
        calls.append(PlannedCall(number, "a", "mn"[rng.randrange(2)], 1, 1, (), now))
    services = [rng.expovariate(1.0) for _ in calls]
    return load * _mean_wait(_records(Workload("polling", tuple(calls)), services, policy, 1, switch))


def _exponential(rng: Random) -> float:
    return rng.expovariate(1.0)


CASES: Final = (
    Case("M/M/1, load 0.7: mean wait", mm1_wait(0.7, 1.0), partial(_open, 0.7, _exponential, 1)),
    Case("M/D/1, load 0.8: mean wait", md1_wait(0.8, 1.0), partial(_open, 0.8, lambda rng: 1.0, 1)),
    Case("M/M/3, load 0.8: mean wait", mmc_wait(2.4, 1.0, 3), partial(_open, 2.4, _exponential, 3)),
    Case("M/M/1//8, think 10 s: mean response", finite_source_response(8, 10.0, 1.0), partial(_finite, 8, 10.0, 1.0)),
    Case(
        "polling, exhaustive, switch 10 s: load x wait",
        polling_workload([0.4, 0.4], 1.0, 10.0, gated=False),
        partial(_polling, partial(Affinity, 10**9), 0.8, 10.0),
    ),
    Case(
        "polling, gated, switch 10 s: load x wait",
        polling_workload([0.4, 0.4], 1.0, 10.0, gated=True),
        partial(_polling, Gated, 0.8, 10.0),
    ),
)
"""In polling the loads are so high that no queue is empty when its turn comes: the formulas do not hold for a server that stays put."""
