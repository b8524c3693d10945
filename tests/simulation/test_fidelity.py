"""The comparison of predictions with real runs: its arithmetic, and the whole of it against the mock server in real time."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio

from simulation.__main__ import main
from simulation.analysis.fidelity import COMPARED, PARTS, Fidelity, Foretold, foretell
from simulation.drivers.calibration import CalibrationPlan, Measured, calls_in, measure, merged, word_counts
from simulation.drivers.manager import mock_lm_studio, replay
from simulation.drivers.record import CallRecord
from simulation.drivers.requests import MockRequests, SizedRequests
from simulation.drivers.residency import Interval
from simulation.mock.lmstudio import MockLMStudio
from simulation.mock.serve import serve
from simulation.timing.latency import LatencyProfile, ModelSpec
from simulation.timing.profile import ModelProfile, ServerProfile, load_profile
from simulation.workloads.workload import PlannedCall, Workload
from statemachine import ProviderManagerConfig


def values(makespan: float, **others: float) -> dict[str, float]:
    return {**dict.fromkeys((*COMPARED, *PARTS), 10.0), "makespan": makespan, **others}


FIFO = Foretold("fifo", values(110.0), [values(100.0), values(125.0)])
GATED = Foretold("gated", values(55.0, switches=0.0), [values(50.0, switches=0.0), values(62.5, switches=0.0)])


def test_errors_are_against_each_run_and_the_noise_is_between_runs() -> None:
    assert FIFO.errors("makespan") == pytest.approx([0.1, -0.12])
    assert FIFO.noise("makespan") == pytest.approx([-0.2, 0.25])
    assert GATED.errors("switches") == [0.0, 0.0]
    assert len(Fidelity([FIFO, GATED]).errors()) == 2 * 2 * len(COMPARED)
    first, second = Fidelity([FIFO, GATED]).sentences()
    assert first.startswith("The median error of the predictions is 0.0%, the 95th percentile 12.0%.")
    assert second == "The makespan under gated against fifo: predicted -50.0%, real -50.0%."


def test_a_prediction_is_a_mean_over_seeds() -> None:
    model = ModelProfile("m", 10, 10.0, 1.0, load_seconds=2.0)
    calm = ServerProfile("p", (model,), "a test")
    workload = Workload("w", tuple(PlannedCall(n, "a", "m", 10, 3, (n - 1,) if n else ()) for n in range(10)))
    assert foretell(workload, calm, "fifo", 1)["makespan"] == pytest.approx(2.0 + 10 * 4.0)
    uneven = foretell(workload, ServerProfile("p", (model,), "a test", paces=(0.5, 1.5)), "fifo", 1)
    assert uneven["makespan"] == pytest.approx(42.0, rel=0.1)
    assert uneven["p95"] > 6.0


def test_measurements_add_up() -> None:
    record = CallRecord(0, "a", "m", 1, 1, 0.0, 0.0, 0.0, 1.0, 1.0, "ok")
    one = Measured([record], {2: [record]}, [Interval("m", "loading", 0.0, 1.0)])
    both = merged([one, one])
    assert (len(both.alone), len(both.together[2]), len(both.intervals)) == (2, 2, 2)


async def test_every_model_is_loaded_and_unloaded_in_one_round(autojump_clock: object) -> None:
    plan, calls = CalibrationPlan(rounds=1, slots=2), 0

    def finished() -> None:
        nonlocal calls
        calls += 1

    specs = [ModelSpec("small", unload_seconds=0.5), ModelSpec("large", unload_seconds=1.5)]
    async with mock_lm_studio(specs, LatencyProfile(jitter=0), parallel=2) as config:
        measured = await measure(["small", "large"], plan, lambda slots: config, MockRequests(), finished)
    assert calls == calls_in(plan, 2)
    unloads = {each.model: each.seconds for each in measured.intervals if each.state == "unloading"}
    assert unloads == pytest.approx({"small": 0.5, "large": 1.5})


async def test_f30_how_many_tokens_a_word_is_is_asked_of_the_server(autojump_clock: object) -> None:
    """The mock counts four characters as a token, and most of the common words are shorter than that."""
    async with mock_lm_studio([ModelSpec("m")], LatencyProfile(jitter=0)) as config:
        found = await word_counts(["m"], config)
        assert 0.7 < found["m"].tokens_per_word < 1.2
        sizes = await counted(config, SizedRequests(found))
    assert sizes == pytest.approx([100, 400], rel=0.05)


async def counted(config: ProviderManagerConfig, style: SizedRequests) -> list[int]:
    """What the server counts for prompts that are to have 100 and 400 tokens."""
    from dataclasses import replace

    from simulation.drivers.recorder import TraceRecorder

    recorder = TraceRecorder()
    providers = [replace(each, adapter=recorder.watched(each.adapter)) for each in config.available_providers]
    workload = Workload("w", (PlannedCall(0, "a", "m", 100, 1), PlannedCall(1, "a", "m", 400, 1, (0,))))
    watched = replace(config, available_providers=providers)
    await replay(workload, watched, observers=[recorder], finished=lambda: None, style=style)
    return [call.prompt_tokens for call in recorder.calls()]


@pytest.mark.timeout(300)  # seconds of processor time, which a busy machine takes minutes for
def test_the_command_against_the_mock_in_real_time(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    specs = [
        ModelSpec(
            key,
            load_seconds=0.1,
            unload_seconds=0.05,
            prefill_tokens_per_second=50_000,
            decode_tokens_per_second=4_000,
            context_length=65_536,
        )
        for key in ("first", "second")
    ]
    assert trio.run(partial(_fidelity_over_loopback, specs, tmp_path)) == 0
    out = capsys.readouterr().out
    assert "The median error of the predictions is " in out
    assert "The makespan under gated against fifo: predicted " in out
    content = json.loads((tmp_path / "fidelity.json").read_text())
    assert [len(each["real"]) for each in content["policies"]] == [1, 1]
    assert {each["policy"] for each in content["policies"]} == {"fifo", "gated"}
    profile = load_profile(tmp_path / "profile.json")
    assert profile.load_seconds("second", 1) >= 0.1
    assert len(profile.paces) == 2 * (2 * 9 + 1)
    assert {file.name for file in tmp_path.iterdir()} == {"index.html", "fidelity.json", "fidelity.png", "profile.json"}


async def _fidelity_over_loopback(specs: list[ModelSpec], out: Path) -> Any:
    async with serve(MockLMStudio(specs, LatencyProfile(jitter=0)), port=0) as url:
        server = ["--base-url", url, "--models", "first,second", "--rounds", "1"]
        workload = ["--workload", "closed", "--tickers", "3", "--sessions", "3", "--think", "0.05", "--mix", "1,1"]
        words = ["fidelity", *server, *workload, "--token-scale", "0.1", "--out", str(out)]
        return await trio.to_thread.run_sync(main, words)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "models: must name the real server's models"),
        (["--models", "a,a"], "models: must name the real server's models, each once"),
        (["--models", "a"], "base_url: must be given"),
        (["--models", "a", "--base-url", "http://127.0.0.1:1", "--server", "x"], "server: must be one of"),
        (["--models", "a", "--base-url", "http://127.0.0.1:1", "--parameter", "x=]"], "parameter: must be NAME=JSON"),
    ],
)
@pytest.mark.parametrize("command", ["fidelity", "calibrate"])
def test_bad_options_are_named(
    command: str, words: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([command, *words, "--out", str(tmp_path / "out")]) == 2
    assert message in capsys.readouterr().err


def test_calibrate_says_how_the_calls_of_a_server_that_is_away_ended(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--models", "a", "--base-url", "http://127.0.0.1:1", "--out", str(tmp_path / "profile.json")]
    assert main(["calibrate", *words]) == 2
    said = capsys.readouterr().err
    assert "got 'a', whose calls failed (28 times AdapterInstantiationError)" in said
    assert list(tmp_path.iterdir()) == []
