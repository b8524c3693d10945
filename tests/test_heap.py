"""The heap driver tells what a replay through the real manager tells, event by event; and what it does apart from that."""

from __future__ import annotations

import math
import random
from collections.abc import AsyncGenerator, AsyncIterator, MutableSequence, Sequence
from contextlib import asynccontextmanager
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio._core import _run as trio_run

from benchmarks.heap import Customers, through_simpy
from simulation import driver
from simulation.azure import read_azure
from simulation.driver import Replay, Served, mock_lm_studio, replay_in_virtual_time
from simulation.heap import HeapDriver, one_slot
from simulation.latency import DEFAULT_MODELS, LatencyProfile, ModelSpec
from simulation.metrics import summarise
from simulation.overlay import model_map, overlay_sessions
from simulation.record import Residency
from simulation.timing import FixedTiming, ProfileTiming
from simulation.trading_graph import trading_graph
from simulation.weka import weka_sessions
from simulation.workload import Call, Workload, clipped, mapped
from statemachine import (
    AdapterConfig,
    CallOptions,
    ConfigurationError,
    Message,
    ProviderConfig,
    ProviderManagerConfig,
    StreamEvent,
)
from statemachine.events import Transition
from statemachine.policy import Choice, Fifo, Waiter

TRACES = Path(__file__).parents[2] / "shared" / "traces"
WEKA = TRACES / "kv_cache_tester" / "multimodel_sessions.tar.xz"
AZURE = TRACES / "azure2023" / "AzureLLMInferenceTrace_code.csv"
needs_traces = pytest.mark.skipif(not TRACES.is_dir(), reason="the public traces are not beside the repository")

TOLERANCE = 1e-6
"""Seconds. The two add the same durations up in another order, and trio's clock rounds at every jump; nothing else differs."""

SMALL, LARGE, OTHER = "small", "large", "other"
MODELS = (  # every duration a multiple of 1/64 s, so that sums are exact and equal times are equal
    ModelSpec(SMALL, load_seconds=2, unload_seconds=0.5, prefill_tokens_per_second=64, decode_tokens_per_second=16),
    ModelSpec(LARGE, load_seconds=5, unload_seconds=1, prefill_tokens_per_second=32, decode_tokens_per_second=8),
    ModelSpec(OTHER, load_seconds=0, unload_seconds=0, prefill_tokens_per_second=64, decode_tokens_per_second=16),
)


def profile(seed: int = 0, jitter: float = 0.0) -> LatencyProfile:
    return LatencyProfile(seed=seed, jitter=jitter, tokens_per_chunk=64)


# ---- both drivers, and what they tell ----


class InOrder(random.Random):
    """For trio: tasks that are ready at the same moment run in the order in which they were made."""

    def shuffle(self, x: MutableSequence[Any]) -> None:
        x.reverse()  # it has just been sorted, and is taken from its end


def through_the_manager(
    workload: Workload, served: Served, *, seed: int = 0, in_order: bool = True
) -> tuple[Replay, list[Transition]]:
    log: list[Transition] = []

    class Recording(Residency):
        def __init__(self, origin: float) -> None:
            super().__init__(origin)
            self.began = origin

        def __call__(self, transition: Transition) -> None:
            super().__call__(transition)
            log.append(_at(transition, transition.time - self.began))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(driver, "Residency", Recording)
        if in_order:
            patch.setattr(trio_run, "_r", InOrder())
        replay = replay_in_virtual_time(workload, served, seed=seed, finished=lambda: None)
    return replay, _until_the_last_answer(log)


def from_the_heap(heap: HeapDriver, config: ProviderManagerConfig) -> tuple[Replay, list[Transition]]:
    log: list[Transition] = []
    replay = heap.replay(config, observers=[log.append])
    assert replay == heap.replay(config), "an observer changes nothing"
    return replay, _until_the_last_answer(log)


def _at(transition: Transition, time: float) -> Transition:
    return Transition(
        time,
        transition.machine,
        transition.subject,
        transition.trigger,
        transition.source,
        transition.dest,
        transition.demand,
    )


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
) -> Replay:
    served = partial(mock_lm_studio, models, latency, parallel=parallel)
    real = through_the_manager(workload, served, seed=latency.seed, in_order=in_order)
    heap = from_the_heap(HeapDriver(workload, ProfileTiming(models, latency)), one_slot(parallel=parallel))
    assert_equal(real, heap)
    return heap[0]


# ---- generated workloads ----


@st.composite
def workloads(draw: st.DrawFn) -> Workload:
    """Chains, forks and joins, open and closed, on a grid of time on which many things happen at the same moment."""
    calls: list[Call] = []
    for number in range(draw(st.integers(1, 14))):
        earlier = st.integers(0, number - 1) if number else st.nothing()
        after = draw(st.lists(earlier, max_size=2, unique=True)) if number else []
        tokens = draw(st.integers(1, 3)) * 32, draw(st.integers(1, 9)) * 16
        model = draw(st.sampled_from((SMALL, LARGE, OTHER)))
        delay = draw(st.integers(0, 24)) * 0.5
        calls.append(Call(number, f"agent {number % 3}", model, *tokens, tuple(sorted(after)), delay))
    return Workload("generated", tuple(calls))


@settings(max_examples=60, deadline=None)
@given(workloads())
def test_generated_workloads_with_many_ties(workload: Workload) -> None:
    assert_both_tell_the_same(workload, MODELS, profile())


@settings(max_examples=30, deadline=None)
@given(workloads(), st.integers(0, 99))
def test_generated_workloads_with_jitter(workload: Workload, seed: int) -> None:
    assert_both_tell_the_same(workload, MODELS, profile(seed, jitter=0.3))


def spread(count: int, seed: int) -> Workload:
    """Arrivals no two of which fall together, in chains of three."""
    rng = random.Random(seed)
    calls = []
    for number in range(count):
        model, after = rng.choice((SMALL, LARGE)), (number - 1,) if number % 3 else ()
        delay = rng.uniform(0, 5 if after else 5 * count)
        calls.append(Call(number, f"agent {number % 5}", model, rng.randint(1, 200), rng.randint(1, 300), after, delay))
    return Workload("spread", tuple(calls))


@pytest.mark.parametrize("parallel", [2, 4])
@pytest.mark.parametrize("seed", [1, 2, 3, 4])
def test_requests_that_share_an_instance_slow_each_other_down_alike(seed: int, parallel: int) -> None:
    replay = assert_both_tell_the_same(spread(45, seed), MODELS, profile(seed, jitter=0.1), parallel=parallel)
    assert any(a.granted < b.granted < a.finished for a in replay.records for b in replay.records)


def test_requests_that_begin_together_slow_each_other_down_from_the_first() -> None:
    together = tuple(Call(number, "a", SMALL, 64, 81 + number) for number in range(4))
    replay = assert_both_tell_the_same(Workload("w", together), MODELS, profile(1, jitter=0.1), parallel=3)
    assert len({record.granted for record in replay.records}) == 2


def test_requests_that_arrive_together_at_an_instance_at_work_slow_each_other_down_from_the_first() -> None:
    calls = Call(0, "a", SMALL, 64, 200), *(Call(number, "a", SMALL, 64, 80 + number, (), 5.0) for number in (1, 2))
    replay = assert_both_tell_the_same(Workload("w", calls), MODELS, profile(1, jitter=0.1), parallel=3)
    assert [record.queued_seconds for record in replay.records] == [0, 0, 0]


def test_at_the_same_moment_the_call_that_was_known_first_is_issued_first() -> None:
    first, follower, late = (
        Call(0, "a", SMALL, 64, 16),
        Call(1, "a", SMALL, 64, 16, (0,), 2.0),
        Call(2, "b", SMALL, 64, 16, (), 6.0),
    )
    replay = assert_both_tell_the_same(Workload("w", (first, follower, late)), MODELS, profile())
    assert [(record.arrived, record.queued_seconds) for record in replay.records] == [(0, 0), (6, 2), (6, 0)]


# ---- other pools, and refusals ----


class _Sleeper:
    """Takes the time of a FixedTiming, over no server at all."""

    def __init__(self, config: AdapterConfig, *, timing: FixedTiming) -> None:
        self.model = config.model_id
        self.timing = timing

    async def start(self) -> None:
        await trio.sleep(self.timing.load_seconds(self.model, 1))

    async def call(self, prompt: Sequence[Message], options: CallOptions) -> AsyncIterator[StreamEvent]:
        number = int(prompt[0]["content"].removeprefix("request "))
        await trio.sleep(self.timing.service_seconds[number])
        yield StreamEvent("token", "all of it")
        yield StreamEvent("end")


def asleep(timing: FixedTiming, *, limit: int | None = None, **rules: object) -> ProviderManagerConfig:
    provider = ProviderConfig("sleeper", partial(_Sleeper, timing=timing), is_local=limit is None, limit=limit)
    return ProviderManagerConfig([provider], **{"on_conflict": "wait", **rules})  # type: ignore[arg-type]  # checked by it


@pytest.mark.parametrize(
    ("rules", "outcomes"),
    [
        ({"limit": 3}, {"ok"}),
        ({"limit": 1, "api_instance_idle_timeout_seconds": 2.0}, {"ok"}),
        ({"limit": 2, "on_limit": "raise"}, {"ok", "ProviderLimitError"}),
        ({"max_waiting": 2}, {"ok", "QueueFullError"}),
        ({"acquire_timeout": 7.0}, {"ok", "AcquireTimeoutError"}),
        ({"start_timeout": 1.5}, {"AdapterInstantiationError"}),
        ({"on_conflict": "raise"}, {"ok", "LocalProviderConflictError", "LocalInstanceBusyError"}),
    ],
)
def test_pools_of_apis_and_refusals(rules: dict[str, object], outcomes: set[str]) -> None:
    workload, rng = spread(60, seed=9), random.Random(5)
    timing = FixedTiming([rng.uniform(0.1, 6.0) for _ in workload.calls], switch_seconds=2.0)
    config = asleep(timing, **rules)  # type: ignore[arg-type]  # as above

    @asynccontextmanager
    async def served() -> AsyncGenerator[ProviderManagerConfig, None]:
        yield config

    real, heap = through_the_manager(workload, served), from_the_heap(HeapDriver(workload, timing), config)
    assert_equal(real, heap)
    assert {record.outcome for record in heap[0].records} == outcomes
    assert heap[0].statistics.providers == real[0].statistics.providers


# ---- the trading graph and real traces ----


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("parallel", [1, 4])
def test_the_trading_graph_however_trio_schedules(seed: int, parallel: int) -> None:
    workload = trading_graph("qwen3.5-4b", "openai/gpt-oss-20b", tickers=3, seed=seed)
    replay = assert_both_tell_the_same(
        workload, DEFAULT_MODELS, profile(seed, jitter=0.1), parallel=parallel, in_order=False
    )
    assert replay.statistics.counters.switches > 0


@needs_traces
@pytest.mark.parametrize("parallel", [1, 4])
def test_sessions_of_coding_agents(parallel: int) -> None:
    sessions = islice(weka_sessions(WEKA, max_think=20.0, requests=12), 8)
    traced = overlay_sessions("sessions", sessions, 6, seed=4)
    local = model_map(traced.models, [spec.key for spec in DEFAULT_MODELS], {})
    workload = clipped(mapped(traced, local), 32_768)
    replay = assert_both_tell_the_same(workload, DEFAULT_MODELS, profile(4, jitter=0.1), parallel=parallel)
    assert replay.statistics.counters.switches > 5


@needs_traces
def test_arrivals_at_a_production_service() -> None:
    workload = read_azure(AZURE, {"qwen3.5-4b": 2.0, "openai/gpt-oss-20b": 1.0}, agents=12, requests=150, seed=3)
    replay = assert_both_tell_the_same(workload, DEFAULT_MODELS, profile(3, jitter=0.1))
    assert replay.statistics.counters.switches > 5


# ---- the heap driver by itself ----


def at_once(count: int) -> Workload:
    return Workload("w", tuple(Call(n, "a", (SMALL, LARGE)[n % 2], 64, 16) for n in range(count)))


def test_a_switch_takes_what_it_is_said_to_take() -> None:
    workload = at_once(10)
    runs = {}
    for seconds in (0.0, 6.0, 20.0):
        timing = ProfileTiming(MODELS, profile(), switch_seconds=seconds)
        runs[seconds] = HeapDriver(workload, timing).replay(one_slot())
    makespans = {seconds: max(r.finished for r in run.records) for seconds, run in runs.items()}
    assert makespans[6.0] == pytest.approx(makespans[0.0] + 10 * 6)  # the first load among them
    assert makespans[20.0] == pytest.approx(makespans[0.0] + 10 * 20)
    summary = summarise(runs[6.0].records, runs[6.0].intervals, runs[6.0].statistics.counters.switches)
    assert summary.switches == 9
    assert summary.switching_share == pytest.approx(60 / makespans[6.0])


def test_given_service_times() -> None:
    timing = FixedTiming([3.0, 1.0], switch_seconds=2.0)
    first, second = HeapDriver(at_once(2), timing).replay(one_slot()).records
    assert (first.ttft, first.total) == (5.0, 5.0)
    assert (second.queued_seconds, second.loading_seconds, second.total) == (5.0, 2.0, 8.0)


class _Newest(Fifo):
    """Last come, first served."""

    def __init__(self) -> None:
        super().__init__()
        self.tickets: set[int] = set()

    def arrived(self, waiter: Waiter) -> None:
        super().arrived(waiter)
        self.tickets.add(waiter.ticket)

    def placed(self, waiter: Waiter) -> None:
        super().placed(waiter)
        self.tickets.remove(waiter.ticket)

    def choose(self) -> Choice | None:
        return Choice(max(self.tickets), "newest") if self.tickets else None


class _Refuses(Fifo):
    """Serves nobody who has to wait."""

    def choose(self) -> Choice | None:
        return None


def order(replay: Replay) -> list[int]:
    return [record.call for record in sorted(replay.records, key=lambda record: record.granted)]


def test_the_policy_is_the_configurations_and_a_driver_runs_again_and_again() -> None:
    heap = HeapDriver(at_once(5), FixedTiming([1.0] * 5))
    assert order(heap.replay(one_slot())) == [0, 1, 2, 3, 4]
    assert order(heap.replay(one_slot(_Newest))) == [0, 4, 3, 2, 1]
    assert heap.replay(one_slot()) == heap.replay(one_slot())


def test_a_policy_that_never_chooses_is_told_of() -> None:
    heap = HeapDriver(at_once(4), FixedTiming([1.0] * 4))
    with pytest.raises(RuntimeError, match="4 calls are left"):
        heap.replay(one_slot(_Refuses))


def test_a_single_server_serves_as_simpys_does() -> None:
    pytest.importorskip("simpy", reason="SimPy is not installed")
    who = Customers.drawn(500, seed=3)
    records = who.driver().replay(one_slot()).records
    for record, visit in zip(records, through_simpy(who), strict=True):
        assert (record.arrived, record.granted, record.finished) == pytest.approx(visit, abs=TOLERANCE)
    assert sum(record.queued_seconds > 0 for record in records) > 300


def test_an_empty_workload() -> None:
    replay = HeapDriver(Workload("w", ()), FixedTiming([])).replay(one_slot())
    assert (replay.records, replay.intervals) == ((), ())


def test_bad_input_is_named() -> None:
    with pytest.raises(ConfigurationError, match=r"models.*'small'"):
        HeapDriver(at_once(1), ProfileTiming(DEFAULT_MODELS, profile()))
    with pytest.raises(ConfigurationError, match="service_seconds"):
        HeapDriver(at_once(3), FixedTiming([1.0, 1.0]))
    with pytest.raises(ConfigurationError, match=r"service_seconds\[1\].*-1"):
        FixedTiming([0.0, -1.0])
    with pytest.raises(ConfigurationError, match=r"switch_seconds.*nan"):
        FixedTiming([], switch_seconds=math.nan)
    with pytest.raises(ConfigurationError, match=r"switch_seconds.*inf"):
        ProfileTiming(MODELS, profile(), switch_seconds=math.inf)
