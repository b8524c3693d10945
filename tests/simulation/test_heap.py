"""The heap driver by itself. That it tells what a replay through the manager tells is for test_two_drivers.py."""

from __future__ import annotations

import math

import pytest

from adapters import FakeAdapter
from benchmarks.simulators.customers import Customers
from benchmarks.simulators.heap import SWITCH_SECONDS, driver, through_simpy
from simulation.analysis.metrics import summarise
from simulation.drivers.heap import HeapDriver, one_slot
from simulation.drivers.record import CallRecord, Replay
from simulation.drivers.routing import Routing
from simulation.timing.durations import FixedTiming, MeasuredTiming, ProfileTiming
from simulation.timing.latency import DEFAULT_MODELS
from simulation.timing.profile import ModelProfile, ServerProfile, ServerTiming
from simulation.workloads.workload import PlannedCall, Workload
from statemachine import ConfigurationError, ProviderConfig, ProviderManagerConfig
from statemachine.policies import Choice, Fifo, Waiter

from .two_drivers import LARGE, MODELS, SMALL, TOLERANCE, profile


def at_once(count: int) -> Workload:
    return Workload("w", tuple(PlannedCall(n, "a", (SMALL, LARGE)[n % 2], 64, 16) for n in range(count)))


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


def test_measured_times() -> None:
    """The fit, for a call that has 2128 tokens read and 98,000 in the cache, and makes 100."""
    call = PlannedCall(0, "a", SMALL, 2128, 100, cached_tokens=100_000 - 2128)
    (record,) = HeapDriver(Workload("w", (call,)), MeasuredTiming(6.0)).replay(one_slot()).records
    token = 0.00863 + 0.0079
    assert record.ttft == pytest.approx(6 + 0.66 + 1 + token)
    assert record.total == pytest.approx(6 + 0.66 + 1 + 100 * token)


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
    """Never serves a request that has to wait."""

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


@pytest.mark.parametrize(("switch_seconds", "least_switches"), [(0.0, 0), (SWITCH_SECONDS, 200)])
def test_a_single_server_serves_as_simpys_does(switch_seconds: float, least_switches: int) -> None:
    pytest.importorskip("simpy", reason="SimPy is not installed")
    who = Customers.drawn(500, seed=3, switch_seconds=switch_seconds)
    replay = driver(who).replay(one_slot())
    for record, visit in zip(replay.records, through_simpy(who), strict=True):
        assert (record.arrived, record.granted, record.finished) == pytest.approx(visit, abs=TOLERANCE)
    assert sum(record.queued_seconds > 0 for record in replay.records) > 300
    assert replay.statistics.counters.switches >= least_switches


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
    with pytest.raises(ConfigurationError, match="switch_seconds"):
        MeasuredTiming(-1.0)


def test_a_run_can_be_taken_step_by_step_or_up_to_a_time() -> None:
    driver = HeapDriver(at_once(20), ProfileTiming(MODELS, profile(), switch_seconds=6.0))
    whole = driver.replay(one_slot())
    stepped, parts = driver.begin(one_slot()), driver.begin(one_slot())
    moments = []
    while stepped.left:
        stepped.step()
        moments.append(stepped.now)
    assert moments == sorted(moments)
    parts.run(until=10.0)
    assert parts.now == 10.0
    at_ten = parts.left
    parts.run(until=30.0)
    assert parts.left < at_ten
    parts.run()
    finished = [record.finished for record in whole.records]
    assert [record.finished for record in stepped.result().records] == finished
    assert [record.finished for record in parts.result().records] == finished
    stepped.step()  # nothing is left: nothing happens
    assert stepped.now == moments[-1]


# ---- several slots ----


def two_slots(machines: dict[str, int]) -> list[CallRecord]:
    """Two calls of two models at once, each on a slot of its own; an answer takes 4 s alone, a load 1 s."""
    calls = (PlannedCall(0, "a", "m", 40, 1), PlannedCall(1, "b", "n", 40, 1))
    models = tuple(ModelProfile(name, 1, 10.0, 0.0, load_seconds=1.0) for name in ("m", "n"))
    timing = ServerTiming(ServerProfile("p", models, "a test"))
    providers = [ProviderConfig(name, FakeAdapter, is_local=True) for name in ("one", "two")]
    config = ProviderManagerConfig(providers, on_conflict="wait", local_scope="endpoint")
    run = HeapDriver(Workload("w", calls), timing).replay(config, routing=Routing(["one", "two"], machines))
    assert run.statistics.counters.switches == 0
    return list(run.records)


@pytest.mark.parametrize(("machines", "seconds"), [({}, 5.0), ({"one": 0, "two": 1}, 5.0), ({"one": 0, "two": 0}, 9.0)])
def test_slots_on_one_machine_share_it_and_those_on_two_do_not(machines: dict[str, int], seconds: float) -> None:
    assert [record.total for record in two_slots(machines)] == pytest.approx([seconds, seconds])
