"""Generated workloads: drawn from a seed, with the rates, the variation and the shapes that they promise."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import islice, pairwise
from random import Random
from statistics import fmean, pstdev

import pytest

from simulation.__main__ import main
from simulation.workloads.closed_loop import closed_loop
from simulation.workloads.generated import GENERATED, Drawn, generated
from simulation.workloads.open_loop import burst_times, modulated_times, open_loop, poisson_times
from statemachine import ConfigurationError

DRAWN = Drawn("quick", "deep", {"quick": 2.0, "deep": 1.0}, tasks=6, requests=50)


@pytest.mark.parametrize("name", GENERATED)
def test_the_seed_decides_and_the_source_is_told(name: str) -> None:
    workload = generated(name, DRAWN)
    assert workload == generated(name, DRAWN)
    assert workload != generated(name, replace(DRAWN, seed=1))
    assert set(workload.models) == {"quick", "deep"}
    assert re.search(r"\(.*(19|20)\d\d\)|Khinchin", workload.assumptions[0]), "its source"


@pytest.mark.parametrize("name", ["plan_execute", "orchestrator", "debate"])
def test_an_agent_of_a_graph_makes_one_call_at_a_time(name: str) -> None:
    calls = generated(name, DRAWN).calls

    def before(number: int) -> set[int]:
        return set(calls[number].after).union(*(before(each) for each in calls[number].after))

    for agent in {call.agent for call in calls}:
        own = [call.id for call in calls if call.agent == agent]
        assert all(earlier in before(later) for earlier, later in pairwise(own))


def test_sub_agents_run_side_by_side_and_are_waited_for() -> None:
    calls = generated("orchestrator", replace(DRAWN, tasks=1)).calls
    first = [call for call in calls if call.after == (0,)]
    assert 3 <= len(first) <= 5
    joins = [call for call in calls if len(call.after) > 2]
    assert all(call.model == "deep" for call in joins)
    assert len(joins) == 2


@pytest.mark.parametrize(("times", "variation"), [(poisson_times, 1.0), (burst_times, 3.0)])
def test_arrivals_have_their_rate_and_variation(
    times: Callable[[float, Random], Iterator[float]], variation: float
) -> None:
    gaps = [later - earlier for earlier, later in pairwise(islice(times(2.0, Random(7)), 40_000))]
    assert fmean(gaps) == pytest.approx(0.5, rel=0.05)
    assert pstdev(gaps) / fmean(gaps) == pytest.approx(variation, rel=0.06)


def test_a_modulated_process_keeps_its_mean_rate_and_has_rushes() -> None:
    times = list(islice(modulated_times(2.0, Random(7), rush=9.0, stay_seconds=100.0), 60_000))
    assert len(times) / times[-1] == pytest.approx(2.0, rel=0.1)
    minutes = [0] * (int(times[-1] // 60) + 1)
    for time in times:
        minutes[int(time // 60)] += 1
    assert pstdev(minutes) ** 2 / fmean(minutes) > 10, "a Poisson process has 1"


def test_models_are_mixed_by_weight() -> None:
    calls = open_loop("poisson", {"a": 3.0, "b": 1.0}, rate=1.0, requests=4000).calls
    assert sum(call.model == "a" for call in calls) / len(calls) == pytest.approx(0.75, abs=0.03)


@pytest.mark.parametrize(
    ("arguments", "field"),
    [({"rate": 0.0}, "rate"), ({"requests": 0}, "requests"), ({"mix": {}}, "mix"), ({"mix": {"a": -1.0}}, "mix")],
)
def test_what_makes_no_sense_is_named(arguments: dict[str, object], field: str) -> None:
    kept: dict[str, object] = {"mix": {"a": 1.0}, "rate": 1.0, "requests": 1}
    with pytest.raises(ConfigurationError, match=field):
        open_loop("poisson", **(kept | arguments))  # type: ignore[arg-type]  # that is the point
    with pytest.raises(ConfigurationError, match="think_seconds"):
        closed_loop({"a": 1.0}, agents=1, calls=1, think_seconds=float("nan"))


def test_the_command_line_names_them(tmp_path: object, capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        main(["compare", "--workload", "debate", "--tickers", "2", "--policies", "fifo", "--out", f"{tmp_path}/a"]) == 0
    )
    assert main(["compare", "--workload", "lottery", "--out", f"{tmp_path}/b"]) == 2
    assert "workload: must be one of 'trading'" in capsys.readouterr().err
    assert main(["compare", "--mix", "1,x", "--out", f"{tmp_path}/c"]) == 2
    assert "mix: must be two or 3 numbers" in capsys.readouterr().err
