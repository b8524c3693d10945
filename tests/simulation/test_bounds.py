"""The limits on every schedule, against schedules made by trying all orders: of whole seconds, so that sums are exact."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulation.analysis.bounds import (
    batch,
    critical_path,
    exact_makespan,
    exact_mean_completion,
    lower_bound_makespan,
    lower_bound_mean_completion,
)
from simulation.drivers.manager import mock_lm_studio, replay_in_virtual_time
from simulation.timing.latency import LatencyProfile, ModelSpec
from simulation.timing.switches import SwitchTimes
from simulation.workloads.trading_graph import trading_graph
from simulation.workloads.workload import PlannedCall, Workload
from statemachine import ConfigurationError

MODELS = ("a", "b", "c")

seconds = st.integers(0, 9).map(float)
models = st.sampled_from(MODELS)
switch_times = st.builds(
    SwitchTimes,
    st.fixed_dictionaries(dict.fromkeys(MODELS, seconds)),
    st.fixed_dictionaries(dict.fromkeys(MODELS, seconds)),
)


def made(*calls: tuple[str, tuple[int, ...], float]) -> Workload:
    """Calls of (model, after, delay)."""
    numbered = enumerate(calls)
    return Workload(
        "w", tuple(PlannedCall(i, "agent", model, 1, 1, after, delay) for i, (model, after, delay) in numbered)
    )


@st.composite
def timed(draw: st.DrawFn, *, most: int, edges: bool = True, delays: bool = True) -> tuple[Workload, dict[int, float]]:
    """A workload and how long each call of it is served."""
    calls = []
    for i in range(draw(st.integers(1, most))):
        after = draw(st.sets(st.integers(0, i - 1), max_size=2)) if edges and i else ()
        calls.append((draw(models), tuple(sorted(after)), draw(seconds) if delays else 0.0))
    return made(*calls), {i: draw(seconds) for i in range(len(calls))}


def ends(
    workload: Workload,
    service: Mapping[int, float],
    times: SwitchTimes,
    order: Sequence[int],
    *,
    resident: str | None = None,
    ahead: bool = True,
) -> list[float] | None:
    """When each call of ``order`` ends, everything begun as early as it can; None where a call comes before one that it waits for.

    ``ahead``: a model is loaded as soon as the slot is free, else when its call has arrived.
    """
    ended: dict[int, float] = {}
    free = 0.0
    for place in order:
        call = workload.calls[place]
        if not ended.keys() >= set(call.after):
            return None
        arrival = max((ended[i] for i in call.after), default=0.0) + call.delay
        if resident != call.model:
            begun = free if ahead else max(free, arrival)
            free = begun + (0.0 if resident is None else times.unload[resident]) + times.load[call.model]
            resident = call.model
        free = max(free, arrival) + service[place]
        ended[place] = free
    return list(ended.values())


def schedules(
    workload: Workload, service: Mapping[int, float], times: SwitchTimes, **options: Any
) -> Iterator[list[float]]:
    """The ends of the calls in every order there is."""
    for order in permutations(range(len(workload.calls))):
        schedule = ends(workload, service, times, order, **options)
        if schedule is not None:
            yield schedule


# ---- exact ----


@given(timed(most=5, edges=False, delays=False), switch_times, st.none() | models)
def test_no_order_of_a_batch_is_better_than_the_exact_one_and_one_is_as_good(
    case: tuple[Workload, dict[int, float]], times: SwitchTimes, resident: str | None
) -> None:
    workload, service = case
    calls = batch(workload, service)
    every = list(schedules(workload, service, times, resident=resident))
    assert exact_makespan(calls, times, resident=resident) == min(map(max, every))
    assert exact_mean_completion(calls, times, resident=resident) == min(map(sum, every)) / len(service)


def test_a_large_batch_loads_each_model_once_and_keeps_the_one_that_is_dearest_to_unload() -> None:
    times = SwitchTimes({"a": 6.0, "b": 20.0, "c": 3.0}, {"a": 1.0, "b": 4.0, "c": 2.0})
    calls = {model: [float(i % 7) for i in range(25)] for model in MODELS}
    work = sum(map(sum, calls.values()))
    assert exact_makespan(calls, times) == work + (6 + 20 + 3) + (1 + 2)
    assert exact_makespan(calls, times, resident="b") == work + (6 + 3) + (4 + 1)  # which has to go first, then


def test_the_least_mean_may_take_coming_back_to_a_model() -> None:
    times = SwitchTimes({"a": 1.0, "b": 1.0}, {"a": 0.0, "b": 0.0})
    calls = {"a": [100.0, 1.0], "b": [1.0]}
    # both calls of a first: 205; b first: 110
    assert exact_mean_completion(calls, times, resident="a") == (1 + 3 + 104) / 3
    assert exact_makespan(calls, times, resident="a") == 103


def test_nothing_to_do_takes_no_time() -> None:
    times = SwitchTimes({"a": 1.0}, {"a": 1.0})
    empty = Workload("w", ())
    assert exact_makespan({}, times, resident="a") == exact_mean_completion({"a": []}, times) == 0
    assert lower_bound_makespan(empty, {}, times) == lower_bound_mean_completion(empty, {}, times) == 0
    assert critical_path(empty, {}, times) == 0


# ---- sound ----


@given(timed(most=5), switch_times)
def test_no_order_beats_the_lower_bounds(case: tuple[Workload, dict[int, float]], times: SwitchTimes) -> None:
    every = list(schedules(*case, times))
    least = min(map(max, every))
    assert critical_path(*case, times) <= lower_bound_makespan(*case, times) <= least
    assert lower_bound_mean_completion(*case, times) <= min(map(sum, every)) / len(case[1]) + 1e-9  # a quotient


@given(timed(most=14), switch_times, st.data())
def test_no_longer_schedule_beats_the_lower_bounds(
    case: tuple[Workload, dict[int, float]], times: SwitchTimes, data: st.DataObject
) -> None:
    workload, service = case
    order: list[int] = []
    while len(order) < len(service):
        ready = [i for i in service if i not in order and set(workload.calls[i].after) <= set(order)]
        same = [i for i in ready if order and workload.calls[i].model == workload.calls[order[-1]].model]
        order.append(data.draw(st.sampled_from(same or ready)))  # few switches, or the bounds would be far away
    schedule = ends(workload, service, times, order, ahead=data.draw(st.booleans()))
    assert schedule is not None
    assert lower_bound_makespan(workload, service, times) <= max(schedule)
    assert lower_bound_mean_completion(workload, service, times) <= sum(schedule) / len(schedule) + 1e-9


def test_the_real_manager_does_not_beat_it_either() -> None:
    small = ModelSpec("small", load_seconds=6, unload_seconds=1)
    large = ModelSpec("large", load_seconds=20, unload_seconds=2)
    specs = {"small": small, "large": large}
    workload = trading_graph("small", "large", tickers=3)
    served = partial(mock_lm_studio, (small, large), LatencyProfile(jitter=0.0, tokens_per_chunk=64))
    replay = replay_in_virtual_time(workload, served, seed=0, finished=lambda: None)
    service = {
        call.id: call.prompt_tokens / specs[call.model].prefill_tokens_per_second
        + call.output_tokens / specs[call.model].decode_tokens_per_second
        for call in workload.calls
    }
    times = SwitchTimes({"small": 6.0, "large": 20.0}, {"small": 1.0, "large": 2.0})
    ended = [record.finished for record in replay.records]
    assert 0.5 < lower_bound_makespan(workload, service, times) / max(ended) <= 1.0 + 1e-9
    assert 0.5 < lower_bound_mean_completion(workload, service, times) / (sum(ended) / len(ended)) <= 1.0 + 1e-9


# ---- tight ----


@given(timed(most=8, edges=False, delays=False), switch_times)
def test_the_lower_bound_of_a_batch_is_exact(case: tuple[Workload, dict[int, float]], times: SwitchTimes) -> None:
    assert lower_bound_makespan(*case, times) == exact_makespan(batch(*case), times)


@given(st.lists(st.tuples(models, seconds, seconds), min_size=1, max_size=8), switch_times)
def test_the_critical_path_of_one_agent_is_exact(calls: list[tuple[str, float, float]], times: SwitchTimes) -> None:
    workload = made(*((model, (i - 1,) if i else (), delay) for i, (model, delay, _) in enumerate(calls)))
    service = {i: length for i, (_, _, length) in enumerate(calls)}
    schedule = _in_order(workload, service, times)
    assert critical_path(workload, service, times) == lower_bound_makespan(workload, service, times) == schedule[-1]


@given(st.lists(seconds, min_size=1, max_size=12), st.integers(0, 9).map(float), switch_times)
def test_the_lower_bounds_of_arrivals_at_one_model_are_exact(
    arrivals: list[float], length: float, times: SwitchTimes
) -> None:
    workload = made(*(("a", (), arrival) for arrival in sorted(arrivals)))
    service = dict.fromkeys(range(len(arrivals)), length)
    schedule = _in_order(workload, service, times)
    assert lower_bound_makespan(workload, service, times) == schedule[-1]
    assert lower_bound_mean_completion(workload, service, times) == sum(schedule) / len(schedule)


def _in_order(workload: Workload, service: Mapping[int, float], times: SwitchTimes) -> list[float]:
    schedule = ends(workload, service, times, range(len(service)))
    assert schedule is not None
    return schedule


def test_what_follows_late_counts_with_the_work_before_it() -> None:
    """Two agents call for 3 s, think for 10 and call for 1: the second one's thinking begins at 8, neither at 5 nor for free."""
    workload = made(("a", (), 0.0), ("a", (), 0.0), ("a", (0,), 10.0), ("a", (1,), 10.0))
    service, times = {0: 3.0, 1: 3.0, 2: 1.0, 3: 1.0}, SwitchTimes({"a": 2.0}, {"a": 0.0})
    assert critical_path(workload, service, times) == 2 + 3 + 10 + 1
    assert lower_bound_makespan(workload, service, times) == 2 + 3 + 3 + 10 + 1
    assert min(map(max, schedules(workload, service, times))) == 19


def test_switches_that_agents_need_count_with_the_work_of_all() -> None:
    """a-b-a, b-a-b and a-a-a-a, without pauses: both models have to be loaded twice, and a, b, a, b will do."""
    workload = made(
        *(("a", (), 0.0), ("b", (0,), 0.0), ("a", (1,), 0.0)),
        *(("b", (), 0.0), ("a", (3,), 0.0), ("b", (4,), 0.0)),
        *(("a", (), 0.0), ("a", (6,), 0.0), ("a", (7,), 0.0), ("a", (8,), 0.0)),
    )
    service, times = dict.fromkeys(range(10), 1.0), SwitchTimes({"a": 5.0, "b": 5.0}, {"a": 1.0, "b": 1.0})
    schedule = ends(workload, service, times, [0, 6, 7, 8, 9, 1, 3, 2, 4, 5])
    assert schedule is not None
    assert lower_bound_makespan(workload, service, times) == schedule[-1] == 10 + 4 * 5 + 3 * 1


def test_a_switch_between_calls_is_not_done_before_the_first_of_them() -> None:
    """Two calls of a arrive at 100, and after one of them b is called: idle until 100, then all of it, with b's load."""
    workload = made(("a", (), 100.0), ("b", (0,), 0.0), ("a", (), 100.0))
    service, times = dict.fromkeys(range(3), 1.0), SwitchTimes({"a": 5.0, "b": 5.0}, {"a": 0.0, "b": 0.0})
    assert critical_path(workload, service, times) == 100 + 1 + 5 + 1
    assert lower_bound_makespan(workload, service, times) == 100 + 1 + 1 + 5 + 1


def test_a_switch_and_a_pause_go_on_at_the_same_time() -> None:
    workload, service = made(("a", (), 0.0), ("b", (0,), 4.0)), {0: 1.0, 1: 1.0}
    assert critical_path(workload, service, SwitchTimes({"a": 2.0, "b": 2.0}, {"a": 1.0, "b": 1.0})) == 2 + 1 + 4 + 1
    assert critical_path(workload, service, SwitchTimes({"a": 2.0, "b": 5.0}, {"a": 1.0, "b": 1.0})) == 2 + 1 + 6 + 1


# ---- bad input ----


@pytest.mark.parametrize("value", [-1.0, math.nan, math.inf, True, "1", None])
def test_a_time_must_be_a_finite_number_of_seconds(value: Any) -> None:
    times = SwitchTimes({"a": 1.0}, {"a": 1.0})
    with pytest.raises(ConfigurationError, match=r"load\['a'\].*seconds"):
        SwitchTimes({"a": value}, {"a": 1.0})
    with pytest.raises(ConfigurationError, match=r"service\[0\].*seconds"):
        lower_bound_makespan(made(("a", (), 0.0)), {0: value}, times)
    with pytest.raises(ConfigurationError, match=r"batch\['a'\]\[1\].*seconds"):
        exact_makespan({"a": [1.0, value]}, times)


def test_every_model_and_every_call_must_have_its_times() -> None:
    times = SwitchTimes({"a": 1.0}, {"a": 1.0})
    with pytest.raises(ConfigurationError, match=r"unload.*b in one"):
        SwitchTimes({"a": 1.0, "b": 1.0}, {"a": 1.0})
    with pytest.raises(ConfigurationError, match=r"every model.*'b'"):
        exact_makespan({"a": [1.0]}, times, resident="b")
    with pytest.raises(ConfigurationError, match=r"every model.*'b'"):
        critical_path(made(("b", (), 0.0)), {0: 1.0}, times)
    with pytest.raises(ConfigurationError, match=r"service\[0\]"):
        batch(made(("a", (), 0.0)), {})


@pytest.mark.parametrize("late", [("a", (0,), 0.0), ("a", (), 1.0)])
def test_a_batch_has_all_arrived(late: tuple[str, tuple[int, ...], float]) -> None:
    with pytest.raises(ConfigurationError, match="call 1 comes later"):
        batch(made(("a", (), 0.0), late), {0: 1.0, 1: 1.0})


def test_a_batch_that_is_too_large_is_refused_at_once() -> None:
    times = SwitchTimes(dict.fromkeys(MODELS, 1.0), dict.fromkeys(MODELS, 1.0))
    with pytest.raises(ConfigurationError, match=r"batch.*states"):
        exact_makespan(dict.fromkeys(MODELS, [1.0] * 1000), times)
