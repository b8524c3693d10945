"""Policies next to each other: the numbers, the bound, several seeds, and the command with its folder."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from functools import partial
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from simulation.__main__ import main
from simulation.analysis.comparison import RATIOS, PolicyComparison, Spread, compare, jain, ratios, spread
from simulation.report.compare_report import COLUMNS
from simulation.timing.durations import ProfileTiming
from simulation.timing.latency import DEFAULT_MODELS, LatencyProfile
from simulation.workloads.trading_graph import trading_graph
from simulation.workloads.workload import PlannedCall, Workload, at_once
from statemachine import ConfigurationError
from statemachine.policies import Affinity, Fifo, Gated
from statemachine.policies.names import policies_named, policy_named

QUICK, DEEP = "qwen3.5-4b", "openai/gpt-oss-20b"
EXACT = LatencyProfile(jitter=0, tokens_per_chunk=64)
ALL = policies_named("fifo,gated,gated:3,affinity,affinity:2")


def compared(
    workload: Workload, *load_times: float | None, names: str = "fifo,gated,affinity:2"
) -> list[PolicyComparison]:
    profile = LatencyProfile(seed=1, tokens_per_chunk=64)
    return compare(workload, policies_named(names), load_times, timings(profile), finished=lambda: None)


def timings(profile: LatencyProfile) -> Callable[[float | None], ProfileTiming]:
    return partial(ProfileTiming, DEFAULT_MODELS, profile)


def batch_of(turns: str) -> Workload:
    """Calls that come at once, ``q`` for the quick model and ``d`` for the deep one, of an agent each; 1 s to read and 1 s to make."""
    spoken = {"q": (QUICK, 385, 28), "d": (DEEP, 385, 48)}
    return Workload("batch", tuple(PlannedCall(i, letter, *spoken[letter]) for i, letter in enumerate(turns)))


# ---- names ----


def test_policies_have_names_and_parameters() -> None:
    assert isinstance(policy_named("fifo")(), Fifo)
    gated, affinity = policy_named("gated:4")(), policy_named("affinity:7")()
    assert isinstance(gated, Gated)
    assert isinstance(affinity, Affinity)
    assert (gated.bound.late, affinity.bound.passes) == (4, 7)
    assert policy_named("gated")().bound == Gated().bound
    assert list(policies_named("gated, fifo")) == ["gated", "fifo"]


@pytest.mark.parametrize(
    "name", ["", "lottery", "Fifo", "fifo:1", "gated:", "gated:x", "gated:-1", "gated:1.5", "gated:²"]
)
def test_an_unknown_policy_is_named(name: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        policy_named(name)
    assert f"a string of {len(name)} characters" in str(caught.value)
    assert "affinity[:PASSES], cost_aware[:MOST], fair[:EXTRA], fifo, gated[:EXTRA]" in str(caught.value)


# ---- numbers ----


def test_the_numbers_of_a_batch_that_one_can_add_up() -> None:
    workload, names = batch_of("qqdqdd"), policies_named("fifo,gated")
    (comparison,) = compare(workload, names, [10.0], timings(EXACT), finished=lambda: None)
    assert comparison.limit.exact
    assert comparison.limit.makespan == pytest.approx(2 * 10 + 6 * 2)  # two loads
    fifo, gated = comparison.runs
    assert (fifo.numbers.switches, gated.numbers.switches) == (3, 1)
    ends = 12, 14, 26, 38, 50, 52
    assert fifo.numbers.mean == pytest.approx(sum(ends) / 6)
    assert (fifo.numbers.p50, fifo.numbers.p95, fifo.numbers.p99, fifo.numbers.max) == pytest.approx((26, 52, 52, 52))
    assert fifo.numbers.makespan == pytest.approx(52)
    assert fifo.numbers.to_limit == pytest.approx(52 / 32)
    assert fifo.numbers.switching_share == pytest.approx(40 / 52)
    assert fifo.waits == pytest.approx({"d": (24 + 48 + 50) / 3, "q": (10 + 12 + 36) / 3})
    assert fifo.numbers.fairness == pytest.approx(jain([26 + 50 + 52, 12 + 14 + 38]))
    assert gated.numbers.makespan == pytest.approx(comparison.limit.makespan)
    assert gated.numbers.to_limit == pytest.approx(1)
    assert comparison.free.numbers.makespan == pytest.approx(12)
    assert comparison.free.numbers.to_limit == pytest.approx(1)


@pytest.mark.parametrize("load_time", [None, 0.0, 6.0, 20.0])
@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("batch", [False, True])
def test_no_policy_beats_the_limit(load_time: float | None, seed: int, batch: bool) -> None:
    workload = trading_graph(QUICK, DEEP, tickers=3, seed=seed)
    workload = at_once(workload) if batch else workload
    profile = LatencyProfile(seed=seed, tokens_per_chunk=64)
    (comparison,) = compare(workload, ALL, [load_time], timings(profile), finished=lambda: None)
    assert comparison.limit.exact == (batch and load_time is not None)
    assert [run.policy for run in comparison.runs] == list(ALL)
    for run in (*comparison.runs, comparison.free):
        assert run.numbers.to_limit >= 1 - 1e-9
        assert {record.outcome for record in run.replay.records} == {"ok"}
        assert 0 < run.numbers.fairness <= 1 + 1e-9


def test_a_batch_that_is_too_large_has_a_lower_bound() -> None:
    (comparison,) = compared(batch_of("qd" * 750), 6.0)
    assert not comparison.limit.exact
    assert min(run.numbers.to_limit for run in comparison.runs) >= 1 - 1e-9


def test_sub_agents_count_as_the_agent_they_work_for() -> None:
    workload = Workload(
        "w", tuple(PlannedCall(i, name, QUICK, 10, 1) for i, name in enumerate(("b", "b/x", "a", "b/x")))
    )
    (comparison,) = compared(workload, 6.0)
    waits = [record.granted - record.arrived for record in comparison.runs[0].replay.records]
    assert comparison.runs[0].waits == pytest.approx({"a": waits[2], "b": (waits[0] + waits[1] + waits[3]) / 3})
    assert list(comparison.runs[0].waits) == ["a", "b"]


def test_jains_index() -> None:
    assert jain([3.0, 3.0, 3.0]) == pytest.approx(1)
    assert jain([1.0, 0.0, 0.0, 0.0]) == pytest.approx(1 / 4)
    assert jain([1.0, 3.0]) == pytest.approx(16 / 20)


# ---- several seeds ----


def test_a_spread() -> None:
    assert spread([]) is None
    assert spread([float(value) for value in range(1, 11)]) == Spread(median=5.5, p90=9, worst=10)


def test_ratios_to_fifo_over_several_seeds() -> None:
    by_seed = [compared(trading_graph(QUICK, DEEP, tickers=3, seed=seed), 20.0)[0] for seed in range(4)]
    result = ratios(by_seed)
    assert list(result) == ["gated", "affinity:2"]
    worst = {}
    for measure in RATIOS:
        pairs = [(getattr(c.runs[2].numbers, measure), getattr(c.runs[0].numbers, measure)) for c in by_seed]
        worst[measure] = max(own / base for own, base in pairs)
    found = {measure: value.worst for measure, value in result["affinity:2"].items() if value and measure in RATIOS}
    assert found == pytest.approx(worst)
    left = result["affinity:2"]["gap left"]
    assert left is not None
    gaps = [
        1 - (c.runs[0].numbers.makespan - c.runs[2].numbers.makespan)
        / (c.runs[0].numbers.makespan - c.free.numbers.makespan)
        for c in by_seed
    ]  # fmt: skip
    assert left.worst == pytest.approx(max(gaps))
    assert left.median == pytest.approx(sum(sorted(gaps)[1:3]) / 2)


def test_there_is_no_ratio_to_nothing() -> None:
    result = ratios(compared(Workload("w", (PlannedCall(0, "a", QUICK, 10, 1),)), 0.0))
    assert result["gated"]["switches"] is None
    assert result["gated"]["gap left"] is None
    assert result["gated"]["makespan"] == Spread(1, 1, 1)


# ---- the command ----


class Links(HTMLParser):
    """What a page refers to, and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.links: set[str] = set()
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.links |= {value for name, value in attrs if name in ("href", "src") and value}

    def handle_data(self, data: str) -> None:
        self.text += data


def rows_of(table: str) -> dict[str, list[str]]:
    """The rows of a table, by what is in their first column; columns are two blanks apart at least."""
    rows = [[cell.strip() for cell in line.split("  ") if cell.strip()] for line in table.splitlines()[1:]]
    return {first: rest for first, *rest in rows}


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "out"
    arguments = ["--policies", "gated:2,affinity", "--load-time", "6,20", "--tickers", "7", "--seeds", "3"]
    assert main(["compare", *arguments, "--out", str(folder)]) == 0
    out, err = capsys.readouterr()
    assert err.splitlines()[-1] == "100 %  18 of 18 runs"
    *tables, first, second, report = out.strip().split("\n\n")
    assert first.startswith("load time 6 s: With the policy affinity all")
    assert second.startswith("load time 20 s: With the policy affinity all")
    assert report == f"report: {folder / 'index.html'}"

    content = json.loads((folder / "compare.json").read_text())
    assert content["seeds"] == 3
    assert [at["load_time"] for at in content["load_times"]] == [6, 20]
    for at, table in zip(content["load_times"], tables[:2], strict=True):
        assert_same_numbers(at, table)
    for at, table in zip(content["load_times"], tables[2:], strict=True):
        assert_same_ratios(at["ratios"], table)

    page = Links((folder / "index.html").read_text())
    assert page.links == {file.name for file in folder.iterdir()} - {"index.html"}
    for sentence in (first, second, tables[0].splitlines()[0]):
        assert sentence in page.text
    assert "--policies gated:2,affinity" in page.text


def assert_same_numbers(at: dict[str, Any], table: str) -> None:
    assert table.startswith(
        f"load time {at['load_time']:g} s, no schedule with these switches ends before {at['limit']['makespan']:.1f} s\n"
    )
    rows = rows_of(table)
    assert rows.pop("policy") == [heading for heading, _ in COLUMNS.values()]
    runs = {run["policy"]: run for run in (*at["runs"], at["free"])}
    assert list(rows) == list(runs) == ["fifo", "gated:2", "affinity", "no switch cost"]
    for policy, cells in rows.items():
        assert cells == [format(runs[policy][name], style) for name, (_, style) in COLUMNS.items()]
    for run in at["runs"]:
        assert run["to_limit"] == pytest.approx(run["makespan"] / at["limit"]["makespan"])


def assert_same_ratios(expected: dict[str, dict[str, dict[str, float]]], table: str) -> None:
    rows = rows_of(table)
    measures = rows.pop("policy")
    assert measures == [*RATIOS, "gap left"]
    assert list(rows) == list(expected) == ["gated:2", "affinity"]
    for policy, cells in rows.items():
        spreads = [expected[policy][measure] for measure in measures]
        assert cells == [" / ".join(format(s[part], ".2f") for part in ("median", "p90", "worst")) for s in spreads]


@pytest.mark.parametrize("tickers", [1, 7])
def test_the_pictures_are_there_and_not_empty(tmp_path: Path, tickers: int) -> None:
    assert main(["compare", "--tickers", str(tickers), "--out", str(tmp_path)]) == 0
    pictures = {file.name for file in tmp_path.glob("*.png")}
    some = {"latency_cdf.png", "limit.png", "residency.png", "trade_off.png", "waits.png"}
    assert pictures == (some if tickers == 1 else some | {"residency_beginning.png"})
    for name in pictures:
        with Image.open(tmp_path / name) as image:
            image.load()
            assert image.width > 500
            assert len(image.convert("RGB").getcolors(2**24) or ()) > 10


def test_the_command_in_the_report_repeats_it(tmp_path: Path) -> None:
    def runs(folder: Path) -> Any:
        return json.loads((folder / "compare.json").read_text())["load_times"]

    first, again = tmp_path / "first", tmp_path / "again"
    options = ["--tickers", "1", "--seed", "3", "--load-time", "2.5", "--policies", "affinity:1", "--at-once"]
    assert main(["compare", *options, "--out", str(first)]) == 0
    words = shlex.split(json.loads((first / "compare.json").read_text())["command"])
    assert words[:4] == ["python", "-m", "simulation", "compare"]
    assert main([*words[3:], "--out", str(again)]) == 0
    assert runs(first) == runs(again)
    assert runs(first)[0]["limit"]["exact"]
    assert main(["compare", "--tickers", "1", "--out", str(again)]) == 0
    assert runs(again)[0]["load_time"] is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ["--policies", "fifo,lottery"],
            "must be one of affinity[:PASSES], cost_aware[:MOST], fair[:EXTRA], fifo, gated[:EXTRA]; got a string of 7 characters",
        ),
        (["--policies", "gated,gated"], "must name each policy once; got a string of 5 characters"),
        (["--policies", ""], "must be one of"),
        (["--load-time", "6,fast"], "must be numbers of seconds with commas; got '6,fast'"),
        (["--load-time", "-1"], "--load-time: must be finite numbers of seconds of at least 0; got '-1'"),
        (["--load-time", "nan"], "--load-time"),
        (["--load-time", "6,6.0"], "must name each once"),
        (["--seeds", "0"], "seeds"),
        (["--tickers", "0"], "tickers"),
        (["--token-scale", "1e300"], "calls[0].prompt_tokens: must be from 1 to 1,000,000,000,000; got"),
        (["--map", "a=qwen3.5-4b"], "traces that name their models"),
    ],
)
def test_bad_options_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], message: str
) -> None:
    assert main(["compare", *options, "--out", str(tmp_path / "out")]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: ")
    assert message in err
    assert not (tmp_path / "out").exists()
