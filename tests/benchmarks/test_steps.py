"""The counts of calls: the one figure of speed that no busy machine changes. Who makes a path longer sees it here."""

from __future__ import annotations

import pytest

from benchmarks.steps import Counts, count_heap, count_warm

NOT_OURS = ("trio", "SimPy", "what is served")


def _calls(counts: Counts) -> float:
    return sum(calls for part, (calls, _) in counts.items() if part not in NOT_OURS)


@pytest.mark.parametrize(("side", "most"), [("api", 52), ("local", 68), ("fresh", 74)])
def test_a_warm_acquire_and_release_makes_no_more_calls_than_it_did(side: str, most: int) -> None:
    assert 0.7 * most < _calls(count_warm(side)) <= most


def test_a_limiter_is_counted_too() -> None:
    counts = count_warm("limiter")
    assert counts.keys() == {"trio", "what is served"}
    assert counts["trio"][1] > 300


def test_a_request_in_the_heap_driver_makes_no_more_calls_than_it_did() -> None:
    assert 50 < _calls(count_heap("heap driver")) <= 84
    assert _calls(count_heap("SimPy")) == 0
