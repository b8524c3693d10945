"""A sweep: the same points give the same numbers, over one process or two, at once or in two goes; and what it advises."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from simulation.__main__ import main
from simulation.analysis.advice import advice
from simulation.analysis.sweeping import MEASURES, Estimate, Point, PointResult, estimates, grid

WORDS = ["sweep", "--workload", "closed", "--tickers", "4", "--seeds", "2", "--jobs", "2", "--load-time", "2,8"]


def rows(folder: Path) -> list[dict[str, Any]]:
    lines = (folder / "sweep.jsonl").read_text().splitlines()[1:]
    found = [json.loads(line) for line in lines]
    return sorted(found, key=lambda row: (row["sessions"], row["load_time"], row["policy"], row["seed"]))


def test_a_sweep_goes_on_where_it_was_and_gives_the_same_numbers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert main([*WORDS, "--agents", "3,6", "--out", str(whole)]) == 0
    assert len(rows(whole)) == 2 * 2 * 2 * 2
    assert "Which policy has the least p95 latency? Of 4 settings: " in capsys.readouterr().out
    assert main([*WORDS, "--agents", "3", "--out", str(parts)]) == 0
    with (parts / "sweep.jsonl").open("a") as stream:
        stream.write('{"policy": "fi')  # killed in the middle of a line
    assert main([*WORDS, "--agents", "3,6", "--out", str(parts)]) == 0
    assert rows(parts) == rows(whole)
    assert {file.name for file in whole.iterdir()} == {"index.html", "sweep.jsonl", "heat_mean.png", "heat_p95.png"}
    before = (whole / "sweep.jsonl").read_bytes()
    assert main([*WORDS, "--agents", "3,6", "--out", str(whole), "--target", "0.001"]) == 1
    assert "No point has a p95 below 0.0 s with its whole interval" in capsys.readouterr().out
    assert (whole / "sweep.jsonl").read_bytes() == before, "nothing was run again"
    assert main([*WORDS, "--mix", "1,1", "--out", str(whole)]) == 2
    assert "another sweep's results" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words", [["--faults", "lightning=1"], ["--agents", "0"], ["--slots", "1,x"], ["--policies", "x"]]
)
def test_bad_options_are_named(words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sweep", *words, "--out", str(tmp_path)]) == 2
    assert capsys.readouterr().err.startswith("error: ")


def test_estimates_over_replications() -> None:
    (point,) = grid(["fifo"], [None], [3], [1])
    values = [dict.fromkeys(MEASURES, value) for value in (1.0, 3.0)]
    found = estimates([PointResult(point, seed, each) for seed, each in enumerate(values)])
    assert found[point]["p95"] == pytest.approx((2.0, 12.71))
    assert estimates([PointResult(point, 0, values[0])])[point]["mean"] == Estimate(1.0, None)


def test_the_cheapest_point_that_meets_the_target_is_advised() -> None:
    points = grid(["fifo", "gated"], [5.0], [6], [1, 2])
    p95 = dict(zip(points, (90.0, 50.0, 70.0, 40.0), strict=True))
    found = {point: {"p95": Estimate(value, 5.0)} for point, value in p95.items()}
    assert advice(found, 80.0).point == Point("gated", 5.0, 6, 1)
    assert "if everything took 14% longer" in advice(found, 80.0).sentence
    assert advice(found, 72.0).point == Point("fifo", 5.0, 6, 2), "the interval of the single slot reaches beyond"
    assert advice(found, 30.0).point is None
    assert "the best, gated with 2 slots" in advice(found, 30.0).sentence
