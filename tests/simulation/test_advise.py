"""Advice: the cheapest point that meets a target with its whole interval, and how much slower the server may be."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from simulation.__main__ import main
from simulation.analysis.advice import MOST_FACTOR, STEPS, FactorSearch, Prices, Target, advised, ranked, targets_named
from simulation.analysis.sweeping import Estimate, Point, grid
from simulation.drivers.heap import HeapDriver, one_slot
from simulation.timing.durations import FixedTiming
from simulation.timing.profile import ModelProfile, ServerProfile, ServerTiming
from simulation.timing.scaled import Scale, scaled
from simulation.workloads.workload import PlannedCall, Workload
from statemachine import ConfigurationError

PRICES = Prices(server=100.0, memory=1.0)
POINTS = grid(["fifo", "gated"], [5.0], [6], [1, 2], [1, 2])


def found(*p95: float) -> dict[Point, dict[str, Estimate]]:
    return {point: {"p95": Estimate(value, 5.0)} for point, value in zip(POINTS, p95, strict=True)}


def test_the_cheapest_point_that_meets_the_target_is_advised() -> None:
    # fifo: 1 slot on 1 and 2 servers, 2 slots on 1 and 2; gated: the same
    estimates = found(90.0, 60.0, 70.0, 30.0, 50.0, 40.0, 45.0, 20.0)
    chosen, sentences = advised(estimates, [Target("p95", 80.0)], PRICES)
    assert chosen == Point("gated", 5.0, 6, 1, 1), "fewer slots count before the order of the policies"
    assert sentences[0].startswith(
        "The cheapest point with a p95 below 1 min 20 s is 1 server, 1 slot in each model, policy gated"
    )
    chosen, sentences = advised(estimates, [Target("p95", 43.0)], PRICES)
    assert chosen == Point("fifo", 5.0, 6, 2, 2), "the interval of 40 s reaches beyond"
    assert sentences[1].startswith("The best that costs less is 1 server, 2 slots in each model, policy gated")
    chosen, sentences = advised(estimates, [Target("p95", 10.0)], PRICES)
    assert chosen is None
    assert "the best, 2 servers, 2 slots in each model, policy gated" in sentences[0]


def test_memory_and_servers_cost() -> None:
    points = grid(["fifo"], [None], [6], [1], [1, 2], [16.0, 150.0])
    order = ranked({point: {} for point in points}, PRICES)
    assert [(point.servers, point.memory) for point in order] == [(1, 16.0), (2, 16.0), (1, 150.0), (2, 150.0)]


def test_all_targets_must_be_met() -> None:
    assert targets_named("p95<60, makespan<3600") == (Target("p95", 60.0), Target("makespan", 3600.0))
    (point,) = grid(["fifo"], [None], [6], [1])
    estimates = {point: {"p95": Estimate(50.0, None), "makespan": Estimate(4000.0, None)}}
    assert advised(estimates, targets_named("p95<60"), PRICES)[0] == point
    assert advised(estimates, targets_named("p95<60,makespan<3600"), PRICES)[0] is None


@pytest.mark.parametrize("text", ["", "p95", "p95<", "p95<x", "p94<60", "p95<-1", "p95<inf", "p95<60,"])
def test_a_target_that_makes_no_sense_is_named(text: str) -> None:
    with pytest.raises(ConfigurationError, match="target: must be MEASURE<NUMBER"):
        targets_named(text)


@pytest.mark.parametrize("limit", [1.3, 2.0, 7.0])
def test_the_breaking_factor_is_found_to_5_percent(limit: float) -> None:
    search = FactorSearch()
    for _ in range(STEPS):
        search.tried(search.factor < limit)
    assert search.holds < limit <= search.breaks <= search.holds * 1.1
    assert f"took {search.breaks:.2f} times as long" in search.sentence("loads took")


def test_what_never_breaks_is_told() -> None:
    search = FactorSearch()
    search.tried(True)
    assert search.holds == MOST_FACTOR
    assert "holds even if loads took 16 times as long" in search.sentence("loads took")


def test_times_are_multiplied_one_kind_at_a_time() -> None:
    model = ModelProfile("m", 10, 10.0, 1.0, load_seconds=2.0, unload_seconds=0.5)
    other = ModelProfile("n", 10, 10.0, 1.0, load_seconds=2.0, unload_seconds=0.5)
    timing = ServerTiming(ServerProfile("p", (model, other), "a test", keeps_prefix=False))
    calls = (
        PlannedCall(0, "a", "m", 10, 3),
        PlannedCall(1, "a", "n", 10, 3, (0,)),
        PlannedCall(2, "a", "m", 10, 3, (1,), cached_tokens=20),
    )
    workload = Workload("w", calls)

    def makespan(scale: Scale) -> float:
        run = HeapDriver(workload, scaled(timing, scale)).replay(one_slot())
        return max(record.finished for record in run.records)

    loads, reading, making = 3 * 2.0 + 2 * 0.5, (30 + 20) / 10, 9.0  # the cached prompt is lost in the switch
    assert makespan(Scale()) == pytest.approx(loads + reading + making)
    assert makespan(Scale(load=3)) == pytest.approx(3 * loads + reading + making)
    assert makespan(Scale(prefill=3)) == pytest.approx(loads + 3 * reading + making)
    assert makespan(Scale(decode=3)) == pytest.approx(loads + reading + 3 * making)
    assert scaled(timing, Scale(load=2)).least_switches(["m"]).load == {"m": 4.0}
    fixed = HeapDriver(workload, scaled(FixedTiming([1.0] * 3), Scale(decode=2))).replay(one_slot())  # type: ignore[arg-type]
    assert max(record.finished for record in fixed.records) == 6.0


@pytest.mark.timeout(300)  # seconds of processor time, which a busy machine takes minutes for
def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    axes = ["--policies", "gated", "--slots", "1,2", "--servers", "1", "--seeds", "2", "--jobs", "1"]
    words = ["advise", "--workload", "closed", "--tickers", "2", "--sessions", "3", *axes, "--out", str(tmp_path)]
    assert main([*words, "--target", "p95<100000,makespan<10000"]) == 0
    out = capsys.readouterr().out
    assert "The cheapest point with a p95 below 27 h 46 min and makespan below 2 h 46 min is 1 server, 1 slot" in out
    factors = [float(factor) for factor in re.findall(r"would be missed if .* took ([\d.]+) times as long", out)]
    assert len(factors) + out.count("The advice holds even if") == 3
    assert all(1 < factor <= MOST_FACTOR for factor in factors)
    assert main([*words, "--target", "p95<0.001"]) == 1
    assert "No point has a p95 below 0.0 s" in capsys.readouterr().out
    assert "No point has a p95" in (tmp_path / "index.html").read_text()


def test_a_bad_target_is_named_before_any_work(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["advise", "--target", "speed<60", "--out", str(tmp_path / "new")]) == 2
    assert "target: must be MEASURE<NUMBER" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()
