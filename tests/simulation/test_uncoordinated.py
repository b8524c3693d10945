"""The run without coordination, and the sentences that say what coordination saves."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from simulation.__main__ import main
from simulation.analysis.findings import seconds_text
from simulation.drivers.uncoordinated import run_uncoordinated
from simulation.timing.latency import LatencyProfile, ModelSpec
from simulation.workloads.workload import PlannedCall, Workload

MODELS = [ModelSpec("small"), ModelSpec("large", size_bytes=9_000_000_000, load_seconds=9.0)]


def workload(*models: str) -> Workload:
    return Workload("w", tuple(PlannedCall(n, f"a{n}", model, 100, 60, (), 2.0 * n) for n, model in enumerate(models)))


def test_one_model_needs_no_coordination() -> None:
    found = run_uncoordinated(workload("small", "small", "small"), MODELS, LatencyProfile(jitter=0), seed=0)
    assert [record.outcome for record in found.records] == ["ok"] * 3
    assert (found.loads, found.cut) == (1, 0)


def test_two_models_cut_each_others_answers_and_the_same_seed_gives_the_same() -> None:
    models = ["small", "large"] * 4
    found = run_uncoordinated(workload(*models), MODELS, LatencyProfile(jitter=0), seed=0)
    assert found.loads > 2
    assert found.cut > 0
    assert found == run_uncoordinated(workload(*models), MODELS, LatencyProfile(jitter=0), seed=0)


def test_the_report_says_what_coordination_has_saved(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["compare", "--tickers", "2", "--policies", "fifo,gated", "--uncoordinated"]
    assert main([*words, "--out", str(tmp_path)]) == 0
    content = json.loads((tmp_path / "compare.json").read_text())
    first, second = content["findings"]
    assert first.startswith("With the policy gated all 20 requests were answered in ")
    assert f"models were loaded {content['uncoordinated']['loads']} times" in second
    assert first in capsys.readouterr().out
    assert main([*words, "--load-time", "3", "--out", str(tmp_path)]) == 2


@pytest.mark.parametrize(("seconds", "text"), [(4.21, "4.2 s"), (200, "3 min 20 s"), (7500, "2 h 5 min")])
def test_times_as_people_say_them(seconds: float, text: str) -> None:
    assert seconds_text(seconds) == text
