"""The gate has a threshold for every figure, and simulators that are compared tell the same of the same customers."""

from __future__ import annotations

import tomllib

import pytest

from benchmarks.figures import FIGURES
from benchmarks.gate import THRESHOLDS
from benchmarks.simulators.command import heap_visits
from benchmarks.simulators.customers import Customers
from benchmarks.simulators.heap import SWITCH_SECONDS, through_simpy


def test_every_figure_has_a_threshold() -> None:
    thresholds = tomllib.loads(THRESHOLDS.read_text(encoding="utf-8"))
    assert thresholds.keys() == FIGURES.keys()
    assert all(0 < most < 20 for most in thresholds.values())


@pytest.mark.parametrize("switch_seconds", [0.0, SWITCH_SECONDS])
def test_simulators_serve_the_same_customers_at_the_same_times(switch_seconds: float) -> None:
    who = Customers.drawn(500, seed=1, switch_seconds=switch_seconds)
    ours, theirs = list(heap_visits(who)), through_simpy(who)
    assert len(ours) == len(theirs) == 500
    for (came, begun, left), (their_came, their_begun, their_left) in zip(ours, theirs, strict=True):
        assert (came, begun, left) == pytest.approx((their_came, their_begun, their_left))
