"""Records, residency and the numbers made from them, against values worked out by hand."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters import FakeAdapter
from simulation.analysis.metrics import Distribution, percentile, queue_lengths, summarise, table
from simulation.drivers.record import CallRecord, json_lines
from simulation.drivers.residency import Interval, ResidencyRecorder
from statemachine import ProviderConfig, ProviderManagerConfig, RuntimeProviderConfig, Transition
from statemachine.config.providers import Demand, PoolKey

CONFIG = ProviderManagerConfig([ProviderConfig("p", FakeAdapter, is_local=True)])
A = CONFIG.resolve(RuntimeProviderConfig("p", "model a"))
B = CONFIG.resolve(RuntimeProviderConfig("p", "model b"))


def record(
    call: int, arrived: float, queued: float, loading: float, generating: float, **changes: object
) -> CallRecord:
    granted = queued + loading
    fields = {
        "call": call,
        "agent": "agent",
        "model": "m",
        "prompt_tokens": 10,
        "output_tokens": 5,
        "arrived": arrived,
        "queued_seconds": queued,
        "loading_seconds": loading,
        "ttft": granted + generating / 2,
        "total": granted + generating,
        "outcome": "ok",
    }
    return CallRecord(**(fields | changes))  # type: ignore[arg-type]  # a dict of fields


# ---- percentiles ----


def test_percentiles_are_nearest_rank() -> None:
    values = [15.0, 20.0, 35.0, 40.0, 50.0]
    assert [percentile(values, percent) for percent in (1, 5, 20, 21, 40, 50, 95, 99, 100)] == [
        15.0,
        15.0,
        15.0,
        20.0,
        20.0,
        35.0,
        50.0,
        50.0,
        50.0,
    ]


def test_a_percentile_of_nothing_is_none_and_of_one_value_that_value() -> None:
    assert percentile([], 50) is None
    assert percentile([3.0], 1) == percentile([3.0], 99) == 3.0


@given(st.lists(st.floats(0, 1e6), min_size=1), st.integers(1, 100))
def test_a_percentile_is_the_smallest_value_that_enough_values_do_not_exceed(values: list[float], percent: int) -> None:
    found = percentile(values, percent)
    assert found in values
    assert found is not None
    assert sum(value <= found for value in values) * 100 >= percent * len(values)
    assert sum(value < found for value in values) * 100 < percent * len(values)


# ---- residency ----


def tell(residency: ResidencyRecorder, time: float, demand: Demand, instance: int, source: str, dest: str) -> None:
    residency(Transition(time, "instance", instance, "trigger", source, dest, demand))


def test_residency_from_transitions() -> None:
    residency = ResidencyRecorder(origin=100.0)
    tell(residency, 101, A, 1, "absent", "starting")
    tell(residency, 103, A, 1, "starting", "active")
    tell(residency, 104, A, 1, "active", "draining")  # still busy
    tell(residency, 106, A, 1, "draining", "stopping")
    tell(residency, 107, A, 1, "stopping", "evicted")
    tell(residency, 107, B, 2, "absent", "starting")
    tell(residency, 109, B, 2, "starting", "idle")
    tell(residency, 110, B, 2, "idle", "active")
    tell(residency, 110, B, 2, "active", "idle")  # no time passed
    assert residency.intervals(end=12.0) == (
        Interval("model a", "loading", 1, 3),
        Interval("model a", "busy", 3, 6),
        Interval("model a", "unloading", 6, 7),
        Interval("model b", "loading", 7, 9),
        Interval("model b", "resident", 9, 12),
    )


def test_residency_is_cut_off_at_the_end() -> None:
    residency = ResidencyRecorder(origin=0.0)
    tell(residency, 1, A, 1, "idle", "active")
    tell(residency, 5, A, 1, "active", "idle")
    tell(residency, 6, A, 1, "idle", "stopping")
    assert residency.intervals(end=4.0) == (Interval("model a", "busy", 1, 4),)
    assert residency.intervals(end=1.0) == ()


def test_residency_heeds_instances_only() -> None:
    residency = ResidencyRecorder(origin=0.0)
    residency(Transition(1, "request", 1, "assign", "new", "assigned", A))
    residency(Transition(1, "pool", PoolKey("slot", "local"), "saturate", "open", "saturated"))
    assert residency.intervals(end=9.0) == ()


# ---- the summary ----

RECORDS = (
    record(0, arrived=0, queued=0, loading=2, generating=4),  # 0..6
    record(1, arrived=1, queued=5, loading=0, generating=2),  # 1..8
    record(2, arrived=2, queued=6, loading=3, generating=9),  # 2..20
    record(3, arrived=3, queued=0, loading=0, generating=0, ttft=None, total=1.0, outcome="AcquireTimeoutError"),
)
INTERVALS = (
    Interval("m", "loading", 0, 2),
    Interval("m", "busy", 2, 8),
    Interval("m", "unloading", 8, 9),
    Interval("n", "loading", 9, 11),
    Interval("n", "busy", 11, 20),
)


def test_the_summary_of_a_small_replay() -> None:
    summary = summarise(RECORDS, INTERVALS, switches=1)
    assert (summary.requests, summary.failed, summary.makespan, summary.switches) == (4, 1, 20.0, 1)
    assert summary.queueing == Distribution(5, 6, 6)
    assert summary.loading == Distribution(2, 3, 3)
    assert summary.ttft == Distribution(6, 13.5, 13.5)
    assert summary.total == Distribution(7, 18, 18)
    assert summary.switching_share == pytest.approx(5 / 20)


def test_a_replay_without_requests() -> None:
    summary = summarise((), (), switches=0)
    assert (summary.requests, summary.makespan, summary.switching_share) == (0, 0, 0)
    assert summary.total == Distribution(None, None, None)
    assert "-" in table(summary)


def test_the_table_shows_every_number() -> None:
    lines = [line.split() for line in table(summarise(RECORDS, INTERVALS, switches=1)).splitlines()]
    assert lines == [
        ["requests", "4", "(1", "failed)"],
        ["makespan", "20.0", "s"],
        ["p50", "p95", "p99"],
        ["queueing", "(s)", "5.00", "6.00", "6.00"],
        ["loading", "(s)", "2.00", "3.00", "3.00"],
        ["TTFT", "(s)", "6.00", "13.50", "13.50"],
        ["total", "(s)", "7.00", "18.00", "18.00"],
        ["switches", "1"],
        ["time", "spent", "switching", "25.0%"],
    ]


def test_queue_lengths_step_up_and_down_by_model() -> None:
    records = [
        record(0, 0, 0, 2, 1),
        record(1, 1, 5, 0, 1),
        record(2, 2, 4, 3, 1, model="n"),  # leaves when the one before it does
        record(3, 2, 1, 0, 1),
    ]
    assert queue_lengths(records) == [
        (0.0, {"m": 0, "n": 0}),
        (1, {"m": 1, "n": 0}),
        (2, {"m": 2, "n": 1}),
        (3, {"m": 1, "n": 1}),
        (6, {"m": 0, "n": 0}),
    ]


def test_json_lines_hold_every_field_in_the_order_of_the_calls() -> None:
    lines = json_lines(reversed(RECORDS)).splitlines()
    rows = [json.loads(line) for line in lines]
    assert [CallRecord(**row) for row in rows] == list(RECORDS)
