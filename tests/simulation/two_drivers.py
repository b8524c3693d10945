"""The same workload through the real manager and from the heap, with the events of both."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from functools import partial

import pytest

from simulation.drivers.heap import HeapDriver, one_slot
from simulation.drivers.manager import Served, mock_lm_studio, replay_in_virtual_time
from simulation.drivers.record import Replay
from simulation.timing.durations import ProfileTiming
from simulation.timing.latency import LatencyProfile, ModelSpec
from simulation.workloads.workload import PlannedCall, Workload
from statemachine import ProviderManagerConfig
from statemachine.core.events import Transition
from statemachine.policies import CostAware, Fifo, PolicyFactory, Waiter

TOLERANCE = 1e-6
"""Seconds. The two add the same durations up in another order, and trio's clock rounds at every jump; nothing else differs."""

SMALL, LARGE, OTHER = "small", "large", "other"
MODELS = (  # every duration a multiple of 1/64 s, so that sums are exact and equal times are equal
    ModelSpec(SMALL, load_seconds=2, unload_seconds=0.5, prefill_tokens_per_second=64, decode_tokens_per_second=16),
    ModelSpec(LARGE, load_seconds=5, unload_seconds=1, prefill_tokens_per_second=32, decode_tokens_per_second=8),
    ModelSpec(OTHER, load_seconds=0, unload_seconds=0, prefill_tokens_per_second=64, decode_tokens_per_second=16),
)


class Stretching(CostAware):
    """Has seen a long turn, and takes every switch for a long one and every answer for a short one: so it lets newcomers in, and pauses."""

    def __init__(self) -> None:
        super().__init__(4)
        self._longest = 100_000

    def loaded(self, signature: str, milliseconds: int | None) -> None:
        super().loaded(signature, 8000)

    def served(self, waiter: Waiter, milliseconds: int) -> None:
        super().served(waiter, 1000)


def profile(seed: int = 0, jitter: float = 0.0) -> LatencyProfile:
    return LatencyProfile(seed=seed, jitter=jitter, tokens_per_chunk=64)


def spread(count: int, seed: int) -> Workload:
    """Arrivals no two of which fall together, in chains of three."""
    rng = random.Random(seed)
    calls = []
    for number in range(count):
        model, after = rng.choice((SMALL, LARGE)), (number - 1,) if number % 3 else ()
        delay = rng.uniform(0, 5 if after else 5 * count)
        calls.append(
            PlannedCall(number, f"agent {number % 5}", model, rng.randint(1, 200), rng.randint(1, 300), after, delay)
        )
    return Workload("spread", tuple(calls))


def through_the_manager(
    workload: Workload, served: Served, *, seed: int = 0, in_order: bool = True
) -> tuple[Replay, list[Transition]]:
    log: list[Transition] = []
    replay = replay_in_virtual_time(
        workload, served, seed=None if in_order else seed, finished=lambda: None, observers=[log.append]
    )
    return replay, _until_the_last_answer(log)


def from_the_heap(heap: HeapDriver, config: ProviderManagerConfig) -> tuple[Replay, list[Transition]]:
    log: list[Transition] = []
    replay = heap.replay(config, observers=[log.append])
    assert replay == heap.replay(config), "an observer changes nothing"
    return replay, _until_the_last_answer(log)


def _until_the_last_answer(log: list[Transition]) -> list[Transition]:
    """Without the closing of the manager, of which the heap driver has none."""
    last = max((i for i, t in enumerate(log) if t.machine == "request" and t.trigger in ENDS), default=-1)
    return log[: last + 1]


ENDS = ("release", "reject", "fail", "time_out")


def assert_equal(first: tuple[Replay, list[Transition]], second: tuple[Replay, list[Transition]]) -> None:
    """The same events in the same order, at the same times but for the tolerance; and so the same of everything else."""
    (replay, log), (other, other_log) = first, second
    assert [_what(t) for t in log] == [_what(t) for t in other_log]
    assert [t.time for t in log] == pytest.approx([t.time for t in other_log], rel=0, abs=TOLERANCE)
    assert [(r.call, r.agent, r.model, r.prompt_tokens, r.output_tokens, r.outcome) for r in replay.records] == [
        (r.call, r.agent, r.model, r.prompt_tokens, r.output_tokens, r.outcome) for r in other.records
    ]
    assert _record_times(replay) == pytest.approx(_record_times(other), rel=0, abs=TOLERANCE, nan_ok=True)
    assert [(i.model, i.state) for i in replay.intervals] == [(i.model, i.state) for i in other.intervals]
    assert [t for i in replay.intervals for t in (i.start, i.end)] == pytest.approx(
        [t for i in other.intervals for t in (i.start, i.end)], rel=0, abs=TOLERANCE
    )
    assert replay.statistics.counters == other.statistics.counters
    assert replay.statistics.slots == other.statistics.slots
    assert {name: use.calls for name, use in replay.statistics.models.items()} == {
        name: use.calls for name, use in other.statistics.models.items()
    }


def _what(transition: Transition) -> tuple[object, ...]:
    model = None if transition.demand is None else transition.demand.model
    return transition.machine, transition.subject, transition.trigger, transition.source, transition.dest, model


def _record_times(replay: Replay) -> list[float]:
    return [
        math.nan if time is None else time
        for r in replay.records
        for time in (r.arrived, r.queued_seconds, r.loading_seconds, r.ttft, r.total)
    ]


def assert_both_tell_the_same(
    workload: Workload,
    models: Sequence[ModelSpec],
    latency: LatencyProfile,
    *,
    parallel: int = 1,
    in_order: bool = True,
    policy: PolicyFactory = Fifo,
) -> Replay:
    served = partial(mock_lm_studio, models, latency, parallel=parallel, policy=policy)
    real = through_the_manager(workload, served, seed=latency.seed, in_order=in_order)
    heap = from_the_heap(HeapDriver(workload, ProfileTiming(models, latency)), one_slot(policy, parallel=parallel))
    assert_equal(real, heap)
    return heap[0]
