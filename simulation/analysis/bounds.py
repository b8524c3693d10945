"""Bounds that no schedule can beat, even one that knows the future: exact for a batch that has all arrived, a lower bound otherwise.

The problem: one slot holds one model and serves one call at a time, without interruption. A call for another model than the loaded one
needs an unload and a load first, and no call is served during these. At the start the slot is vacant. A schedule may load a model before
a call asks for it, so the bounds hold for every policy. All times are in seconds.

A lower bound holds if no service and no load takes less than the given time; where durations vary, give the least of each. Bounds are
sums of floats, so compare with a tolerance.

Example: two calls for ``a`` and one for ``b``, 10 s each, and 5 s for a load, none for an unload. The best order is a, a, b: 5 + 10 + 10
+ 5 + 10 = 40 s.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from heapq import heappop, heappush
from itertools import product
from typing import Final, NamedTuple

from statemachine.errors import ConfigurationError

from ..timing.switches import SwitchTimes, check_duration
from ..workloads.workload import PlannedCall, Workload

__all__ = [
    "STATES_LIMIT",
    "batch",
    "critical_path",
    "exact_makespan",
    "exact_mean_completion",
    "lower_bound_makespan",
    "lower_bound_mean_completion",
]

STATES_LIMIT: Final = 500_000
"""Most combinations of served calls and resident model that an exact schedule looks at: some seconds of work."""


# ---- exact, for a batch that has all arrived ----


def batch(workload: Workload, service: Mapping[int, float]) -> dict[str, list[float]]:
    """Return the service times of each model's calls. Raises ConfigurationError unless every call arrives at the start."""
    times: dict[str, list[float]] = {}
    for call in workload.calls:
        check_duration(f"service[{call.id}]", service.get(call.id))
        if call.after or call.delay > 0:
            raise ConfigurationError("workload", "must have all arrived at the start", f"call {call.id} comes later")
        times.setdefault(call.model, []).append(service[call.id])
    return times


def exact_makespan(batch: Mapping[str, Sequence[float]], times: SwitchTimes, *, resident: str | None = None) -> float:
    """Return the least time in which a slot that holds ``resident`` can serve all of ``batch``.

    Raises ConfigurationError for a batch that is too large to be searched.
    """
    return _least_cost(batch, times, resident, lambda unserved: 1)


def exact_mean_completion(
    batch: Mapping[str, Sequence[float]], times: SwitchTimes, *, resident: str | None = None
) -> float:
    """Return the least mean time until a call of ``batch`` has been served; 0 for an empty batch. Raises ConfigurationError as above."""
    calls = sum(map(len, batch.values()))
    return _least_cost(batch, times, resident, lambda unserved: unserved) / max(1, calls)


def _least_cost(
    batch: Mapping[str, Sequence[float]], times: SwitchTimes, resident: str | None, weight: Callable[[int], int]
) -> float:
    """Find the least cost by dynamic programming over how many calls of each model have been served, and which model is loaded.

    A second costs ``weight(unserved)``: a weight of 1 adds up to the makespan, the number of unserved calls to the sum of all completion
    times. Within a model the shortest call goes first: if a longer call comes before a shorter one of the same model, exchanging the two
    leaves every switch and the end of the pair as they are, and lets everything between them end earlier. Idle time, or a load that
    serves no call, only postpones what follows. So one of the schedules that are searched is optimal.
    """
    _check_batch(batch, times, resident)
    models = list(batch)
    queues = [sorted(calls) for calls in batch.values()]
    holders = {*models, resident}
    least: dict[tuple[tuple[int, ...], str | None], float] = {}
    # from the end, where all are served, to the beginning
    for served in product(*(range(len(queue), -1, -1) for queue in queues)):
        second = weight(sum(map(len, queues)) - sum(served))
        steps = [
            (model, queue[count], (*served[:i], count + 1, *served[i + 1 :]))
            for i, (model, queue, count) in enumerate(zip(models, queues, served, strict=True))
            if count < len(queue)
        ]
        for held in holders:
            least[served, held] = min(
                (second * (times.between(held, model) + call) + least[then, model] for model, call, then in steps),
                default=0.0,
            )
    return least[(0,) * len(models), resident]


# ---- lower bounds, for any workload ----


class _Job(NamedTuple):
    """A piece of work for the slot: it starts at ``head`` or later, takes ``seconds``, and ends at least ``tail`` before the end of all."""

    head: float
    seconds: float
    tail: float


def critical_path(workload: Workload, service: Mapping[int, float], times: SwitchTimes) -> float:
    """Return the length of the longest chain of calls that wait for each other, with the first load and the switches on the way.

    Why it is a bound: if a call follows one of another model, that model was loaded when the first call ended. So both the unload with
    the load and the delay lie between the two, and the longer of them counts. A call that waits for several others waits for each of
    them, so the longest chain cannot be avoided.
    """
    return max((math.fsum(job) for job in _calls(workload, service, times)), default=0.0)


def lower_bound_makespan(workload: Workload, service: Mapping[int, float], times: SwitchTimes) -> float:
    """Return a time before which no schedule has answered every call: at least the critical path. Raises ConfigurationError.

    It is the greater of two bounds.

    *Work*: the sum of every call, every unavoidable switch, and the last unload of each model but one. Why it is a bound: the slot does
    one thing at a time, and a model is unloaded as often as it is loaded, or once less if it is the one that is loaded at the end.

    *One machine*: the calls and the unavoidable switches on a machine that may interrupt them. Each has the earliest start and the least
    remaining time after its end that the critical path allows. Why it is a bound: every schedule of the slot is a schedule of that machine,
    and there it is optimal to work on the job with the longest remainder (Jackson's preemptive rule; Carlier, EJOR 11, 1982).
    """
    jobs = _calls(workload, service, times)
    jobs += _switches(workload, jobs, times)
    unloads = [times.unload[model] for model in workload.models]
    work = math.fsum(job.seconds for job in jobs) + math.fsum(unloads) - max(unloads, default=0.0)
    return max(work, _least_span(jobs))


def lower_bound_mean_completion(workload: Workload, service: Mapping[int, float], times: SwitchTimes) -> float:
    """Return a lower bound of the mean time from the start of the run to the end of an answer; 0 without calls.

    Why it is a bound: no call starts before its earliest start by the critical path. So every schedule is also one of calls that arrive
    at these times and may be interrupted, for which shortest remaining time first is optimal (Schrage, Operations Research 16, 1968).
    Minus the mean arrival it bounds the mean latency, if no call waits for another. In a closed loop it does not, because there arrivals
    depend on the schedule. Raises ConfigurationError.
    """
    calls = _calls(workload, service, times)
    ends = _interruptible(calls, lambda remaining, job: remaining)
    return math.fsum(end for end, _ in ends) / max(1, len(calls))


def _calls(workload: Workload, service: Mapping[int, float], times: SwitchTimes) -> list[_Job]:
    """Return each call as a job: its earliest start and its least remainder are the longest paths before and after it."""
    _check_service(workload, service, times)
    calls = workload.calls
    heads = [0.0] * len(calls)
    tails = [0.0] * len(calls)
    for call in calls:
        first = 0.0 if call.after else call.delay
        ready = (heads[i] + service[i] + _lag(calls[i], call, times) for i in call.after)
        heads[call.id] = max(first, times.load[call.model], *ready)
    for call in reversed(calls):
        rest = service[call.id] + tails[call.id]
        for i in call.after:
            tails[i] = max(tails[i], _lag(calls[i], call, times) + rest)
    return [_Job(heads[i], service[i], tails[i]) for i in range(len(calls))]


def _lag(earlier: PlannedCall, call: PlannedCall, times: SwitchTimes) -> float:
    """Return the least time between the end of ``earlier`` and the start of ``call``, which comes after it."""
    return max(call.delay, times.between(earlier.model, call.model))


def _switches(workload: Workload, jobs: Sequence[_Job], times: SwitchTimes) -> list[_Job]:
    """Return loads and unloads that no schedule can avoid: for each model, those of the chain of calls that needs most of its loads.

    They are all different: the switches of a chain lie between its calls, one after the other, and chains of two models share none.
    """
    calls, switches = workload.calls, []
    for model in workload.models:
        resident, free = None, 0.0
        for place in _chain_of_most_loads(calls, model):
            wanted, rest = calls[place].model, jobs[place].seconds + jobs[place].tail
            if wanted == model != resident:
                switches.append(_Job(free, times.load[model], rest))
            elif resident == model != wanted:
                switches.append(_Job(free, times.unload[model], rest))
            resident, free = wanted, jobs[place].head + jobs[place].seconds
    return switches


def _chain_of_most_loads(calls: Sequence[PlannedCall], model: str) -> list[int]:
    """Return the chain of calls, one after the other, that needs ``model`` loaded most often. The last is a call of ``model``."""
    loads = [0] * len(calls)
    before: list[int | None] = [None] * len(calls)
    for call in calls:
        needed = call.model == model
        routes = [(loads[i] + (needed and calls[i].model != model), i) for i in call.after]
        loads[call.id], before[call.id] = max(routes, default=(int(needed), None))
    place: int | None = loads.index(max(loads))
    chain: list[int] = []
    while place is not None:
        chain.append(place)
        place = before[place]
    return chain[::-1]


def _least_span(jobs: Sequence[_Job]) -> float:
    """Return the least time at which the last tail is over on a machine that may interrupt jobs."""
    return max((end + job.tail for end, job in _interruptible(jobs, lambda _, job: -job.tail)), default=0.0)


def _interruptible(jobs: Sequence[_Job], rank: Callable[[float, _Job], float]) -> Iterable[tuple[float, _Job]]:
    """Yield the end of each job on a machine that always works on the job with the lowest ``rank(remaining seconds, job)``."""
    coming = sorted(jobs, reverse=True)
    ready: list[tuple[float, int, float, _Job]] = []
    now = 0.0
    while coming or ready:
        if not ready:
            now = max(now, coming[-1].head)
        while coming and coming[-1].head <= now:
            job = coming.pop()
            heappush(ready, (rank(job.seconds, job), len(coming), job.seconds, job))
        _, number, remaining, job = heappop(ready)
        if coming and coming[-1].head < now + remaining:
            remaining -= coming[-1].head - now
            now = coming[-1].head
            heappush(ready, (rank(remaining, job), number, remaining, job))
        else:
            now += remaining
            yield now, job


# ---- checks ----


def _check_models(models: Iterable[str], times: SwitchTimes) -> None:
    for model in models:
        if model not in times.load:
            raise ConfigurationError("load", f"must have every model ({', '.join(times.load)})", repr(model))


def _check_batch(batch: Mapping[str, Sequence[float]], times: SwitchTimes, resident: str | None) -> None:
    _check_models(batch if resident is None else [*batch, resident], times)
    for model, calls in batch.items():
        for index, seconds in enumerate(calls):
            check_duration(f"batch[{model!r}][{index}]", seconds)
    states = math.prod(len(calls) + 1 for calls in batch.values()) * len({*batch, resident})
    if states > STATES_LIMIT:
        raise ConfigurationError("batch", f"must not have more than {STATES_LIMIT} states", repr(states))


def _check_service(workload: Workload, service: Mapping[int, float], times: SwitchTimes) -> None:
    _check_models(workload.models, times)
    for call in workload.calls:
        check_duration(f"service[{call.id}]", service.get(call.id))
