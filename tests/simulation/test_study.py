"""The experiment: what its numbers say, and the command with its folder."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from simulation.__main__ import main
from simulation.analysis.comparison import Numbers, compare
from simulation.analysis.verdicts import Cell, gaps_closed, ratio, verdicts
from simulation.timing.durations import MeasuredTiming
from simulation.workloads.equal_agents import equal_agents
from simulation.workloads.workload import at_once
from statemachine.policies.names import policies_named

ONE = Numbers(100.0, 1.0, 10.0, 10.0, 20.0, 30.0, 40.0, 9, 0.6, 0.99)


def cell(kind: str, gated: Numbers) -> Cell:
    return Cell(kind, 0, 20.0, replace(ONE, makespan=50.0), {"fifo": ONE, "gated": gated})


def test_verdicts_by_hand() -> None:
    good = replace(ONE, makespan=60.0, mean=7.0, p95=15.0, p99=23.9, max=31.0)
    bad = replace(ONE, makespan=110.0, mean=9.0, p95=24.0, p99=30.0, max=41.0)
    cells = [cell("6", good), cell("12", good), cell("trading graph", bad)]
    cells += [cell("batch", replace(ONE, to_limit=1.11)), cell("equal agents", replace(ONE, fairness=0.94))]
    assert ratio(cells[0], "gated", "p99") == pytest.approx(23.9 / 30)
    assert gaps_closed(cells[:3], "gated") == pytest.approx([0.8, 0.8, -0.2])
    found = [(verdict.found, verdict.met) for verdict in verdicts(cells, "gated")]
    assert found == [
        ("0.700", True),
        ("0.750", True),
        ("0.797", True),
        ("0.775", True),
        ("0.778", False),  # of nine ratios two are over 1
        ("1.200", False),
        ("0.800", True),
        ("1.110", False),
        ("0.940", False),
    ]


def test_equal_agents_are_drawn_from_the_seed() -> None:
    one, other = (equal_agents({"a": 1.0, "b": 1.0}, agents=3, calls=4, seed=seed) for seed in (0, 1))
    assert one == equal_agents({"a": 1.0, "b": 1.0}, agents=3, calls=4)
    assert one.calls != other.calls
    assert [call.after for call in one.calls] == [(), (0,), (1,), (2,), (), (4,), (5,), (6,), (), (8,), (9,), (10,)]


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    """As many sessions as the largest workload needs."""
    folder = tmp_path / "sessions"
    folder.mkdir()
    for number in range(32):
        requests = [
            {"t": t, "type": "n", "model": "big" if (t + number) % 3 else "small", "in": 500 + number, "out": 50 + t}
            | {"think_time": 2, "api_time": 1, "hash_ids": [t]}
            for t in range(4)
        ]
        session = {"id": f"s{number}", "block_size": 64, "requests": requests}
        (folder / f"s{number:02}.json").write_text(json.dumps(session))
    return folder


def test_the_command(trace: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    options = [
        "--trace",
        str(trace),
        "--seeds",
        "1",
        "--jobs",
        "1",
        "--policies",
        "fifo,gated",
        "--policy",
        "gated",
        "--out",
        str(out),
    ]
    assert main(["study", *options]) == 0
    printed = capsys.readouterr().out
    content = json.loads((out / "study.json").read_text())
    assert len(content["cells"]) == (4 + 3) * 2
    assert {cell["kind"] for cell in content["cells"]} == {
        "6",
        "12",
        "24",
        "32",
        "trading graph",
        "equal agents",
        "batch",
    }
    for verdict in content["verdicts"]:
        (line,) = (line for line in printed.splitlines() if line.startswith(verdict["wanted"]))
        assert line.split()[-2:] == [verdict["found"], "met" if verdict["met"] else "MISSED"]
    batches = [cell["runs"]["gated"]["to_limit"] for cell in content["cells"] if cell["kind"] == "batch"]
    assert max(batches) <= 1.1
    assert {file.name for file in out.iterdir()} == {"index.html", "ratios.png", "study.json", "trade_off.png"}


@pytest.mark.parametrize(
    ("options", "message"),
    [([], "trace"), (["--trace", "gone", "--seeds", "0"], "seeds"), (["--trace", "x", "--policies", "gated"], "fifo")],
)
def test_bad_options_are_named(options: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["study", *options]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("policy", ["gated", "gated:2", "cost_aware", "fair"])
@pytest.mark.parametrize("load_time", [0.5, 6.0, 20.0])
def test_a_batch_that_has_all_arrived_takes_hardly_longer_than_it_must(policy: str, load_time: float) -> None:
    for seed in range(20):
        drawn = equal_agents({"a": 3.0, "b": 2.0, "c": 1.0}, agents=20, calls=1, seed=seed)
        (found,) = compare(at_once(drawn), policies_named(policy), [load_time], _measured, finished=lambda: None)
        assert found.limit.exact
        assert found.runs[0].numbers.to_limit <= 1.1


@pytest.mark.parametrize("policy", ["gated", "cost_aware", "fair"])
def test_equal_agents_are_treated_alike(policy: str) -> None:
    for seed in range(5):
        drawn = equal_agents({"a": 3.0, "b": 2.0, "c": 1.0}, agents=8, calls=80, seed=seed)
        (found,) = compare(drawn, policies_named(policy), [6.0], _measured, finished=lambda: None)
        assert found.runs[0].numbers.fairness >= 0.95


def _measured(load_time: float | None) -> MeasuredTiming:
    assert load_time is not None
    return MeasuredTiming(load_time)
