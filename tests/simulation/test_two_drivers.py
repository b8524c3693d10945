"""The heap driver tells what a replay through the real manager tells, event by event."""

from __future__ import annotations

import random
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from itertools import islice
from pathlib import Path

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from simulation.drivers.heap import HeapDriver
from simulation.timing.durations import FixedTiming
from simulation.timing.latency import DEFAULT_MODELS
from simulation.workloads.overlay import model_map, overlay_sessions
from simulation.workloads.traces.weka import weka_sessions
from simulation.workloads.trading_graph import trading_graph
from simulation.workloads.workload import PlannedCall, Workload, clipped, mapped
from statemachine import (
    AdapterConfig,
    CallOptions,
    Message,
    ProviderConfig,
    ProviderManagerConfig,
    StreamEvent,
)
from statemachine.policies import CostAware, Fair, Fifo, PolicyFactory
from statemachine.policies.names import policy_named

from .traced import azure_workload
from .two_drivers import (
    LARGE,
    MODELS,
    OTHER,
    SMALL,
    Stretching,
    assert_both_tell_the_same,
    assert_equal,
    from_the_heap,
    profile,
    spread,
    through_the_manager,
)

TRACES = Path(__file__).parents[3] / "shared" / "traces"
WEKA = TRACES / "kv_cache_tester" / "multimodel_sessions.tar.xz"
AZURE = TRACES / "azure2023" / "AzureLLMInferenceTrace_code.csv"
needs_traces = pytest.mark.skipif(not TRACES.is_dir(), reason="the public traces are not beside the repository")


# ---- generated workloads ----


@st.composite
def workloads(draw: st.DrawFn) -> Workload:
    """Chains, forks and joins, open and closed, on a grid of time on which many things happen at the same moment."""
    calls: list[PlannedCall] = []
    for number in range(draw(st.integers(1, 14))):
        earlier = st.integers(0, number - 1) if number else st.nothing()
        after = draw(st.lists(earlier, max_size=2, unique=True)) if number else []
        tokens = draw(st.integers(1, 3)) * 32, draw(st.integers(1, 9)) * 16
        model = draw(st.sampled_from((SMALL, LARGE, OTHER)))
        delay = draw(st.integers(0, 24)) * 0.5
        calls.append(PlannedCall(number, f"agent {number % 3}", model, *tokens, tuple(sorted(after)), delay))
    return Workload("generated", tuple(calls))


@settings(max_examples=60, deadline=None)
@given(workloads())
def test_generated_workloads_with_many_ties(workload: Workload) -> None:
    assert_both_tell_the_same(workload, MODELS, profile())


@pytest.mark.parametrize("name", ["gated", "gated:2", "affinity:3", "fair", "cost_aware"])
@settings(max_examples=20, deadline=None)
@given(workload=workloads())
def test_other_policies(name: str, workload: Workload) -> None:
    assert_both_tell_the_same(workload, MODELS, profile(), policy=policy_named(name))


@settings(max_examples=25, deadline=None)
@given(workloads())
def test_pauses(workload: Workload) -> None:
    assert_both_tell_the_same(workload, MODELS, profile(), policy=Stretching)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_pauses_with_jitter(seed: int) -> None:
    ended: list[int] = []

    class Noting(Stretching):
        def paused(self, milliseconds: int) -> None:
            super().paused(milliseconds)
            ended.append(milliseconds)

    workload, latency = spread(60, seed), profile(seed, jitter=0.1)
    assert_both_tell_the_same(workload, MODELS, latency, policy=Noting)
    assert any(milliseconds > 1000 for milliseconds in ended)


@settings(max_examples=30, deadline=None)
@given(workloads(), st.integers(0, 99))
def test_generated_workloads_with_jitter(workload: Workload, seed: int) -> None:
    assert_both_tell_the_same(workload, MODELS, profile(seed, jitter=0.3))


@pytest.mark.parametrize("parallel", [2, 4])
@pytest.mark.parametrize("seed", [1, 2, 3, 4])
def test_requests_that_share_an_instance_slow_each_other_down_alike(seed: int, parallel: int) -> None:
    replay = assert_both_tell_the_same(spread(45, seed), MODELS, profile(seed, jitter=0.1), parallel=parallel)
    assert any(a.granted < b.granted < a.finished for a in replay.records for b in replay.records)


def test_requests_that_begin_together_slow_each_other_down_from_the_first() -> None:
    together = tuple(PlannedCall(number, "a", SMALL, 64, 81 + number) for number in range(4))
    replay = assert_both_tell_the_same(Workload("w", together), MODELS, profile(1, jitter=0.1), parallel=3)
    assert len({record.granted for record in replay.records}) == 2


def test_requests_that_arrive_together_at_an_instance_at_work_slow_each_other_down_from_the_first() -> None:
    calls = (
        PlannedCall(0, "a", SMALL, 64, 200),
        *(PlannedCall(number, "a", SMALL, 64, 80 + number, (), 5.0) for number in (1, 2)),
    )
    replay = assert_both_tell_the_same(Workload("w", calls), MODELS, profile(1, jitter=0.1), parallel=3)
    assert [record.queued_seconds for record in replay.records] == [0, 0, 0]


def test_at_the_same_moment_the_call_that_was_known_first_is_issued_first() -> None:
    first, follower, late = (
        PlannedCall(0, "a", SMALL, 64, 16),
        PlannedCall(1, "a", SMALL, 64, 16, (0,), 2.0),
        PlannedCall(2, "b", SMALL, 64, 16, (), 6.0),
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
@pytest.mark.parametrize(
    ("parallel", "policy"), [(1, Fifo), (4, Fifo), (1, Stretching), (4, Stretching), (1, CostAware), (1, Fair)]
)
def test_sessions_of_coding_agents(parallel: int, policy: PolicyFactory) -> None:
    sessions = islice(weka_sessions(WEKA, max_think=20.0, requests=12), 8)
    traced = overlay_sessions("sessions", sessions, 6, seed=4)
    local = model_map(traced.models, [spec.key for spec in DEFAULT_MODELS], {})
    workload = clipped(mapped(traced, local), 32_768)
    replay = assert_both_tell_the_same(
        workload, DEFAULT_MODELS, profile(4, jitter=0.1), parallel=parallel, policy=policy
    )
    assert replay.statistics.counters.switches > 5


@needs_traces
def test_arrivals_at_a_production_service() -> None:
    workload = azure_workload(AZURE, {"qwen3.5-4b": 2.0, "openai/gpt-oss-20b": 1.0}, agents=12, requests=150, seed=3)
    replay = assert_both_tell_the_same(workload, DEFAULT_MODELS, profile(3, jitter=0.1))
    assert replay.statistics.counters.switches > 5
