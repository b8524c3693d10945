"""The same seed gives the same bytes, on every version of Python: the digests below are those of all of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from hashlib import sha256

import pytest

from simulation.analysis.comparison import compare
from simulation.drivers.record import json_lines
from simulation.timing.durations import ProfileTiming
from simulation.timing.latency import DEFAULT_MODELS, LatencyProfile
from simulation.workloads.open_loop import open_loop
from simulation.workloads.trading_graph import trading_graph
from simulation.workloads.workload import Workload
from statemachine.policies.names import policies_named

MODELS = DEFAULT_MODELS[0].key, DEFAULT_MODELS[2].key


def graph() -> Workload:
    return trading_graph(*MODELS, tickers=3, seed=5)


def bursts() -> Workload:
    return open_loop("bursts", dict.fromkeys(MODELS, 1.0), requests=60, agents=4, rate=0.05, seed=5)


@pytest.mark.parametrize(("workload", "digest"), [(graph, "761f1fc485f02271"), (bursts, "16c45fb93d83606f")])
def test_a_comparison_is_the_same_to_the_last_bit(workload: Callable[[], Workload], digest: str) -> None:
    policies = policies_named("fifo,gated,affinity,cost_aware,fair")
    timing = partial(ProfileTiming, DEFAULT_MODELS, LatencyProfile(seed=5))
    text = ""
    for compared in compare(workload(), policies, (None, 6.0), timing, finished=lambda: None):
        for run in (compared.free, *compared.runs):
            told = {"numbers": asdict(run.numbers), "waits": dict(run.waits), "limit": asdict(compared.limit)}
            text += json_lines(run.replay.records) + json.dumps(told) + "\n"
            text += "".join(json.dumps(interval._asdict()) + "\n" for interval in run.replay.intervals)
    assert sha256(text.encode()).hexdigest()[:16] == digest
