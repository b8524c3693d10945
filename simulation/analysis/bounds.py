"""What no schedule can beat, even one that knows the future: exact for a batch that has all arrived, a lower bound for the rest.

The problem: one slot holds one model at a time and serves one call at a time, without interruption. Serving a call of another model
than the resident one takes an unload and a load first, during which no call is served; at the start the slot is vacant. A schedule may
load a model before anybody has asked for it, so what is sound here is sound for every policy. All times are in seconds.

Lower bounds hold where a service or a load takes at least as long as is said; where durations vary, give the least of each.
They are sums of floats, so compare with a tolerance.
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
    """The service times by model. Raises ConfigurationError unless every call arrives at the start."""
    times: dict[str, list[float]] = {}
    for call in workload.calls:
        check_duration(f"service[{call.id}]", service.get(call.id))
        if call.after or call.delay > 0:
            raise ConfigurationError("workload", "must have all arrived at the start", f"call {call.id} comes later")
        times.setdefault(call.model, []).append(service[call.id])
    return times


def exact_makespan(batch: Mapping[str, Sequence[float]], times: SwitchTimes, *, resident: str | None = None) -> float:
    """The least time in which a slot that holds ``resident`` serves all of ``batch``. Raises ConfigurationError if that is too large."""
    return _least_cost(batch, times, resident, lambda unserved: 1)


def exact_mean_completion(
    batch: Mapping[str, Sequence[float]], times: SwitchTimes, *, resident: str | None = None
) -> float:
    """The least mean time until a call of ``batch`` has been served; 0 if there is none. Raises ConfigurationError as above."""
    calls = sum(map(len, batch.values()))
    return _least_cost(batch, times, resident, lambda unserved: unserved) / max(1, calls)


def _least_cost(
    batch: Mapping[str, Sequence[float]], times: SwitchTimes, resident: str | None, weight: Callable[[int], int]
) -> float:
    """Dynamic programming over how many calls of each model have been served and which model is resident.

    A second costs ``weight(unserved)``: 1 adds up to the makespan, the unserved calls to the sum of all completion times. Within a
    model the shortest call goes first: exchanging a longer one for a shorter one of the same model that comes later leaves every
    switch and the end of that pair where they are, and lets everything between them end earlier. Idling, or a load that serves no call,
    only postpones what follows. So some schedule of the form that is searched is an optimal one.
    """
    _check_batch(batch, times, resident)
    models = list(batch)
    queues = [sorted(calls) for calls in batch.values()]
    holders = {*models, resident}
    least: dict[tuple[tuple[int, ...], str | None], float] = {}
    for served in product(*(range(len(queue), -1, -1) for queue in queues)):  # the more are served, the earlier
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
    """What the slot has to do: not before ``head``, for ``seconds``, and at least ``tail`` before the end of everything."""

    head: float
    seconds: float
    tail: float


def critical_path(workload: Workload, service: Mapping[int, float], times: SwitchTimes) -> float:
    """The longest chain of calls that wait for each other, with the first load, and with switches where they take longer than a delay.

    Sound: where a call comes after one of another model, that model was resident when it ended, so unload and load lie between the
    two, and so does the delay. A call that waits for several satisfies this for each of them, so the longest chain is unavoidable.
    """
    return max((sum(job) for job in _calls(workload, service, times)), default=0.0)


def lower_bound_makespan(workload: Workload, service: Mapping[int, float], times: SwitchTimes) -> float:
    """No schedule has answered every call earlier. It is at least the critical path. Raises ConfigurationError.

    The greater of two bounds. *Work*: every call, every unavoidable switch, and each model's last unload but one. Sound: the slot does
    one thing at a time, and a model that was loaded has been unloaded as often, or once less if it is the one resident at the end.

    *One machine*: the calls and the unavoidable switches on a machine that may interrupt them, each with the earliest start and the least
    time that remains after its end which the critical path allows. Sound: every schedule of ours is one of those, and working on whatever
    has the longest remainder is optimal there (Jackson's preemptive rule; Carlier, EJOR 11, 1982).
    """
    jobs = _calls(workload, service, times)
    jobs += _switches(workload, jobs, times)
    unloads = [times.unload[model] for model in workload.models]
    work = sum(job.seconds for job in jobs) + sum(unloads) - max(unloads, default=0.0)
    return max(work, _least_span(jobs))


def lower_bound_mean_completion(workload: Workload, service: Mapping[int, float], times: SwitchTimes) -> float:
    """No schedule has a lower mean time from the start to the end of an answer; 0 without calls. Raises ConfigurationError.

    Sound: no call starts before its earliest start by the critical path, whatever it comes after; so every schedule is also one of
    calls that arrive at those times and may be interrupted, for which the shortest remaining time first is optimal (Schrage, Operations
    Research 16, 1968). Where no call comes after another, less the mean arrival this bounds the mean latency; in a closed loop it does
    not, because arrivals depend on the schedule.
    """
    calls = _calls(workload, service, times)
    ends = _interruptible(calls, lambda remaining, job: remaining)
    return sum(end for end, _ in ends) / max(1, len(calls))


def _calls(workload: Workload, service: Mapping[int, float], times: SwitchTimes) -> list[_Job]:
    """Each call with its earliest start and what must follow it, by the longest path on either side."""
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
    """The least time between the end of ``earlier`` and the start of ``call``, which comes after it."""
    return max(call.delay, times.between(earlier.model, call.model))


def _switches(workload: Workload, jobs: Sequence[_Job], times: SwitchTimes) -> list[_Job]:
    """Loads and unloads that no schedule can do without: for each model, those of the chain of calls that needs most of its loads.

    Sound: a chain's switches lie between its calls, one after the other, so no two are the same; and those of different models differ.
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
    """Calls that come after each other and need ``model`` loaded most often. The last is a call of ``model``."""
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
    """When the last tail is over, at best, on a machine that may interrupt jobs."""
    return max((end + job.tail for end, job in _interruptible(jobs, lambda _, job: -job.tail)), default=0.0)


def _interruptible(jobs: Sequence[_Job], rank: Callable[[float, _Job], float]) -> Iterable[tuple[float, _Job]]:
    """When each job ends on one machine that always works on the job of the lowest ``rank(remaining seconds, job)``."""
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
