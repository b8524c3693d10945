"""A sweep: the same points give the same numbers, over one process or two, at once or in two goes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from simulation.__main__ import main
from simulation.analysis.sweeping import MEASURES, Estimate, PointResult, estimates, grid, paired_difference

WORDS = ["sweep", "--workload", "closed", "--tickers", "4", "--seeds", "2", "--jobs", "1", "--load-time", "2,8"]


def rows_of(folder: Path) -> list[dict[str, Any]]:
    lines = (folder / "sweep.jsonl").read_text().splitlines()[1:]
    return [json.loads(line) for line in lines]


def rows(folder: Path) -> list[dict[str, Any]]:
    return sorted(rows_of(folder), key=lambda row: (row["sessions"], row["load_time"], row["policy"], row["seed"]))


@pytest.mark.timeout(300)  # seconds of processor time, which a busy machine takes minutes for
def test_a_sweep_goes_on_where_it_was_and_gives_the_same_numbers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert main([*WORDS, "--jobs", "2", "--agents", "3,6", "--out", str(whole)]) == 0
    assert len(rows(whole)) == 2 * 2 * 2 * 2
    assert "The policy with the least p95 latency, in 4 settings: " in capsys.readouterr().out
    assert main([*WORDS, "--agents", "3", "--out", str(parts)]) == 0
    with (parts / "sweep.jsonl").open("a") as stream:
        stream.write('{"policy": "fi')  # killed in the middle of a line
    assert main([*WORDS, "--agents", "3,6", "--out", str(parts)]) == 0
    assert rows(parts) == rows(whole)
    assert {file.name for file in whole.iterdir()} == {"index.html", "sweep.jsonl", "heat_mean.png", "heat_p95.png"}
    before = (whole / "sweep.jsonl").read_bytes()
    assert main([*WORDS, "--agents", "3,6", "--out", str(whole)]) == 0
    assert (whole / "sweep.jsonl").read_bytes() == before, "nothing was run again"
    assert main([*WORDS, "--mix", "1,1", "--out", str(whole)]) == 2
    assert "another sweep's results" in capsys.readouterr().err


ODD: list[Any] = [[], "", None, True]


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sweep")
    assert main([*WORDS[:-2], "--seeds", "1", "--policies", "fifo", "--out", str(folder)]) == 0
    return folder


@pytest.mark.parametrize(
    ("damage", "place"),
    [
        ("garbage", ":2: must be a JSON document"),
        ("[" * 100_000, ":2: must be a JSON document"),
        ("5", ":2: must be a JSON object"),
        ("{}", ":2: makespan"),
        *(({name: value}, f":2: {name}") for name in ("mean", "servers", "policy", "seed") for value in ODD),
        ({"load_time": "x"}, ":2: load_time"),
        ({"memory": float("inf")}, ":2: memory"),
        ({"p95": 10**400}, ":2: p95"),
        ({"seed": "9" * 5000}, ":2: seed"),
    ],
)
def test_r18_a_damaged_result_is_named_with_its_line(
    damage: Any, place: str, results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    head, row = (results / "sweep.jsonl").read_text().splitlines()
    file = tmp_path / "sweep.jsonl"
    file.write_text(f"{head}\n{damage if isinstance(damage, str) else json.dumps(json.loads(row) | damage)}\n")
    capsys.readouterr()
    assert main([*WORDS[:-2], "--seeds", "1", "--policies", "fifo", "--out", str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert f"sweep.jsonl{place}" in said


def test_r18_results_that_are_no_text(results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "sweep.jsonl").write_bytes((results / "sweep.jsonl").read_bytes() + b"\xff\xfe\x00\n")
    assert main([*WORDS[:-2], "--seeds", "1", "--policies", "fifo", "--out", str(tmp_path)]) == 2
    assert "sweep.jsonl:3: must be a JSON document" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [
        ["--faults", "lightning=1"],
        ["--agents", "0"],
        ["--agents", "3"],  # the trading graph has six
        ["--slots", "1,x"],
        ["--memory", "x"],
        ["--servers", "0"],
        ["--policies", "x"],
    ],
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


@pytest.mark.timeout(300)  # seconds of processor time, which a busy machine takes minutes for
def test_memory_and_servers_are_axes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    axes = ["--policies", "fifo", "--servers", "1,2", "--memory", "13,20", "--mix", "1,1"]
    assert main([*WORDS[:-2], *axes, "--out", str(tmp_path)]) == 0
    assert "in 4 settings: fifo in 4" in capsys.readouterr().out
    switches = {(row["servers"], row["memory"]): row["switches"] for row in rows_of(tmp_path)}
    assert switches[1, 13.0] > 0, "one slot for both models"
    assert switches[1, 20.0] == switches[2, 13.0] == 0, "a slot for each"
    assert main([*WORDS, "--memory", "1", "--out", str(tmp_path / "none")]) == 2
    assert "memory: must hold the largest model" in capsys.readouterr().err


def test_a_difference_is_taken_seed_by_seed() -> None:
    one, other = grid(["fifo", "gated"], [None], [3], [1])
    results = [
        PointResult(point, seed, dict.fromkeys(MEASURES, 100.0 * seed + shift))
        for seed in range(3)
        for point, shift in ((one, 0.0), (other, 5.0 + seed / 10))
    ]
    difference = paired_difference(results, other, one, "mean")
    assert difference.mean == pytest.approx(5.1)
    assert difference.half_width is not None
    assert difference.half_width < 1, "the seeds differ by hundreds"
