"""Latency profiles, faults, and calibration: what is predicted, what is measured, and that one finds the other."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from simulation.__main__ import main
from simulation.analysis.fitting import fit_errors, fitted_profile
from simulation.drivers.calibration import CalibrationPlan, calls_in, measure
from simulation.drivers.heap import HeapDriver, one_slot
from simulation.drivers.manager import mock_lm_studio, replay
from simulation.drivers.requests import MockRequests, SizedRequests, Wording
from simulation.mock.lmstudio import MockLMStudio
from simulation.mock.serve import serve
from simulation.timing.durations import FixedTiming
from simulation.timing.faults import FaultPlan, faults_named
from simulation.timing.latency import LatencyProfile, ModelSpec
from simulation.timing.presets import PRESETS, profile_named
from simulation.timing.profile import ModelProfile, ServerProfile, ServerTiming, load_profile, save_profile
from simulation.workloads.workload import PlannedCall, Workload
from statemachine import ConfigurationError, ProviderConfig, ProviderManagerConfig

SMALL = ModelProfile("small", 2_000, 100.0, 0.01, 0.0001, first_token_seconds=0.5, unload_seconds=1.0)
LARGE = ModelProfile("large", 8_000, 50.0, 0.02)
PROFILE = ServerProfile(
    "p", (SMALL, LARGE), "a test", engine_start_seconds=1.0, disk_bytes_per_second=1000.0, cache_bytes_per_second=4000.0
)


def test_a_load_is_cold_once_where_the_page_cache_holds_all_models() -> None:
    assert [PROFILE.load_seconds("large", nth) for nth in (1, 2)] == [9.0, 9.0]
    cached = replace(PROFILE, page_cache_bytes=10_000)
    assert [cached.load_seconds("large", nth) for nth in (1, 2, 3)] == [9.0, 3.0, 3.0]


def test_an_answer_slows_with_its_context() -> None:
    call = PlannedCall(0, "a", "small", 100, 65, cached_tokens=900)
    answer = ServerTiming(PROFILE).answer(call)
    assert answer.prefill == pytest.approx(0.5 + 1.0)
    assert sum(answer.pieces) == pytest.approx(65 * (0.01 + 0.0001 * (1000 + 65 / 2)))
    assert answer.pieces[0] == pytest.approx(0.01 + 0.0001 * (1000 + 65 / 2))


def test_a_prompt_cache_that_a_switch_loses() -> None:
    first = PlannedCall(0, "a", "small", 100, 1)
    other = PlannedCall(1, "b", "large", 10, 1, (0,))
    calls = first, other, PlannedCall(2, "a", "small", 100, 1, (1,), cached_tokens=500)
    kept = HeapDriver(Workload("w", calls), ServerTiming(PROFILE)).replay(one_slot())
    lost = HeapDriver(Workload("w", calls), ServerTiming(replace(PROFILE, keeps_prefix=False))).replay(one_slot())
    assert lost.records[2].total - kept.records[2].total == pytest.approx(500 / 100)
    together = first, PlannedCall(1, "a", "small", 100, 1, (0,), cached_tokens=500)
    warm = [
        HeapDriver(Workload("w", together), ServerTiming(replace(PROFILE, keeps_prefix=keeps))).replay(one_slot())
        for keeps in (True, False)
    ]
    assert warm[0].records == warm[1].records, "without a switch the cache is warm"


def test_f31_slots_follow_a_measured_curve() -> None:
    timing = ServerTiming(replace(PROFILE, slot_rates=(1.0, 0.7, 0.87, 1.05)))
    assert [timing.slowdown(n) for n in (1, 2, 4, 8)] == pytest.approx([1, 2 / 0.7, 4 / 1.05, 8 / 1.05])
    mock = LatencyProfile(slot_rates=(1.0, 0.7))
    assert mock.slowdown(2) == pytest.approx(2 / 0.7), "the mock server has such a curve, too"


def test_prompts_may_be_read_side_by_side_at_another_rate() -> None:
    timing = ServerTiming(replace(PROFILE, slot_rates=(1.0, 1.6), prefill_slot_rates=(1.0, 1.1)))
    assert timing.slowdown(2) == pytest.approx(2 / 1.6)
    assert timing.slowdown(2, 3, reading=True) == pytest.approx(3 * 2 / 1.1)


def test_a_measured_load_is_believed() -> None:
    measured = replace(PROFILE, models=(replace(SMALL, load_seconds=0.7), LARGE))
    assert measured.load_seconds("small", 1) == 0.7
    assert measured.load_seconds("large", 1) == PROFILE.load_seconds("large", 1)


def test_paces_come_in_blocks_of_neighbours() -> None:
    paces = tuple(1.0 + n / 100 for n in range(50))
    timing = ServerTiming(replace(PROFILE, paces=paces), seed=3)
    calm = ServerTiming(PROFILE)
    calls = [PlannedCall(n, "a", "small", 100, 1) for n in range(400)]
    drawn = [timing.answer(call).prefill / calm.answer(call).prefill for call in calls]
    places = [round((pace - 1) * 100) for pace in drawn]
    steps = [(later - earlier) % 50 for earlier, later in pairwise(places)]
    assert steps.count(1) >= 7 * len(steps) // 8, "seven of eight follow their neighbour"
    assert len(set(places)) > 40, "the blocks come from everywhere"
    assert drawn == [timing.answer(call).prefill / calm.answer(call).prefill for call in calls]
    assert drawn != [replace(timing, seed=4).answer(call).prefill / calm.answer(call).prefill for call in calls]


def test_a_profile_survives_its_file(tmp_path: Path) -> None:
    measured = replace(PROFILE, models=(replace(SMALL, load_seconds=2.0),), paces=(1.0, 0.9), prefill_slot_rates=(1.0,))
    for profile in (PROFILE, measured, *PRESETS.values()):
        save_profile(tmp_path / "p.json", profile)
        assert load_profile(tmp_path / "p.json") == profile
        assert profile_named(str(tmp_path / "p.json")) == profile


@pytest.mark.parametrize(
    "change",
    [
        lambda content: content.update(version=2),
        lambda content: content.update(surprise=1),
        lambda content: content.pop("models"),
        lambda content: content["models"][0].pop("key"),
        lambda content: content["models"][0].update(token_seconds=-1),
        lambda content: content.update(slot_rates=[2.0]),
        lambda content: content.update(slot_rates="x"),
        lambda content: content.update(prefill_slot_rates=[1.0, 0.0]),
        lambda content: content.update(paces=[1.0, -1.0]),
        lambda content: content.update(paces={"a": 1}),
        lambda content: content["models"][0].update(load_seconds="x"),
        lambda content: content.update(jitter=2),
        lambda content: content.update(disk_bytes_per_second=0),
        lambda content: content.update(models=[]),
        lambda content: content.update(models=[3]),
    ],
)
def test_a_bad_profile_is_refused(change: Callable[[dict[str, Any]], None], tmp_path: Path) -> None:
    path = tmp_path / "p.json"
    save_profile(path, PROFILE)
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    with pytest.raises(ConfigurationError):
        load_profile(path)


@pytest.mark.parametrize("content", ["", "[" * 100_000, "[]", "\ud800"])
def test_a_file_that_is_no_profile(content: str, tmp_path: Path) -> None:
    (tmp_path / "p.json").write_bytes(content.encode("utf-8", "surrogatepass"))
    with pytest.raises(ConfigurationError, match=r"p\.json"):
        load_profile(tmp_path / "p.json")
    with pytest.raises(ConfigurationError, match="llama-server-gpu"):
        profile_named("nosuch")


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_states_its_source_and_runs(name: str, tmp_path: Path) -> None:
    assert len(PRESETS[name].source) > 100
    words = ["compare", "--profile", name, "--tickers", "2", "--policies", "fifo", "--parallel", "2"]
    assert main([*words, "--out", str(tmp_path)]) == 0


# ---- faults ----


def run(faults: FaultPlan | None, calls: int = 200) -> Any:
    planned = tuple(
        PlannedCall(n, "a", ("small", "large")[n % 2], 1, 1, (n - 1,) if n else (), cached_tokens=0)
        for n in range(calls)
    )
    driver = HeapDriver(Workload("w", planned), FixedTiming([2.0] * calls, 1.0), faults=faults)
    return driver.replay(one_slot())


def test_faults_strike_as_often_as_they_are_said_to_and_are_recorded() -> None:
    found = run(FaultPlan(load=0.2))
    failed = sum(record.outcome == "AdapterInstantiationError" for record in found.records)
    assert 20 <= failed <= 60
    crashed = run(FaultPlan(crash=0.2))
    outcomes = [record.outcome for record in crashed.records]
    assert 20 <= outcomes.count("AdapterError") <= 60
    assert set(outcomes) == {"ok", "AdapterError"}
    stalled = run(FaultPlan(stall=0.2, stall_seconds=100.0))
    assert 20 <= sum(record.total > 100 for record in stalled.records) <= 60
    assert run(FaultPlan(load=0.2)).records == found.records
    assert run(FaultPlan(load=0.2, seed=1)).records != found.records
    assert run(FaultPlan()).records == run(None).records


def test_an_outage_freezes_the_server() -> None:
    plan = FaultPlan(outage_every=100.0, outage_seconds=10.0)
    assert plan.lasting(0.0, 50.0) == 50.0
    assert plan.lasting(0.0, 100.0) == 100.0
    assert plan.lasting(95.0, 10.0) == 20.0
    assert plan.lasting(105.0, 3.0) == 8.0
    assert plan.lasting(0.0, 300.0) == pytest.approx(330.0)
    assert plan.lasting(110.0, 180.0) == pytest.approx(190.0)
    calm, frozen = run(None), run(plan)
    assert frozen.records[-1].finished - calm.records[-1].finished == pytest.approx(
        10 * (frozen.records[-1].finished // 100), abs=11
    )


@pytest.mark.parametrize(
    "text", ["load", "load=x", "nosuch=1", "load=2", "crash=-1", "stall=nan", "outage_every=5,outage_seconds=5"]
)
def test_bad_faults_are_named(text: str) -> None:
    with pytest.raises(ConfigurationError):
        faults_named(text)
    assert faults_named("load=0.5, stall=0.1", 3) == FaultPlan(load=0.5, stall=0.1, seed=3)


# ---- requests of the size that the plan says ----


def test_f30_prompts_have_the_size_that_the_trace_says() -> None:
    style = SizedRequests({"m": Wording(tokens_per_word=2.0, fixed=20.0)}, {"temperature": 0})
    call = PlannedCall(7, "ann", "m", 100, 5, cached_tokens=300)
    again = PlannedCall(8, "ann", "m", 40, 5, cached_tokens=400)
    text, later = style.prompt(call).split(), style.prompt(again).split()
    assert (len(text), len(later)) == (190, 210)
    assert text[:150] == later[:150], "what is cached is what an earlier prompt began with"
    assert text[150] == "7"
    assert len(SizedRequests().prompt(call).split()) == 400, "where nothing was measured a word is a token"
    assert style.parameters(call) == {"max_tokens": 5, "temperature": 0}


def test_replay_reaches_a_real_server(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fast = [
        ModelSpec(
            key,
            load_seconds=0.05,
            unload_seconds=0,
            prefill_tokens_per_second=1e6,
            decode_tokens_per_second=1e5,
            context_length=65536,
        )
        for key in ("first", "second")
    ]
    done = trio.run(partial(_replay_over_loopback, fast, tmp_path))
    assert done == 0
    records = [json.loads(line) for line in (tmp_path / "requests.jsonl").read_text().splitlines()]
    assert {record["outcome"] for record in records} == {"ok"}
    assert {record["model"] for record in records} == {"first", "second"}
    capsys.readouterr()


async def _replay_over_loopback(models: list[ModelSpec], out: Path) -> int:
    async with serve(MockLMStudio(models, LatencyProfile(jitter=0)), port=0) as url:
        words = ["replay", "--tickers", "1", "--speed", "50", "--base-url", url, "--models", "first,second"]
        return await trio.to_thread.run_sync(main, [*words, "--parameter", "temperature=0", "--out", str(out)])


# ---- calibration ----


async def test_calibration_finds_the_figures_of_the_server(autojump_clock: MockClock) -> None:
    specs = [
        ModelSpec(
            "small", load_seconds=2.0, unload_seconds=0.5, prefill_tokens_per_second=400, decode_tokens_per_second=25
        ),
        ModelSpec(
            "large", load_seconds=9.0, unload_seconds=1.0, prefill_tokens_per_second=200, decode_tokens_per_second=10
        ),
    ]
    plan = CalibrationPlan(rounds=2, slots=3)
    done = 0

    def finished() -> None:
        nonlocal done
        done += 1

    async with mock_lm_studio(specs, LatencyProfile(jitter=0, slot_rates=(1.0, 1.5, 1.8)), parallel=3) as config:

        def config_at(slots: int) -> ProviderManagerConfig:
            (provider,) = config.available_providers
            assert isinstance(provider, ProviderConfig)
            return ProviderManagerConfig([replace(provider, parallel=slots)], on_conflict="wait")

        measured = await measure(["small", "large"], plan, config_at, MockRequests(), finished)
    profile = fitted_profile("mock", ["small", "large"], measured, source="a test")
    assert profile.model("small").prefill_tokens_per_second == pytest.approx(400, rel=0.01)
    assert profile.model("large").token_seconds == pytest.approx(0.1, rel=0.01)
    assert profile.model("large").unload_seconds == pytest.approx(1.0, rel=0.01)
    assert profile.load_seconds("large", 1) == pytest.approx(9.0, rel=0.01)
    assert profile.load_seconds("small", 1) == pytest.approx(2.0, rel=0.01)
    # the mock reads a prompt at the rate of the moment at which it begins, when some of the others have not come yet
    assert profile.prefill_slot_rates == pytest.approx((1.0, 1.5, 1.8), rel=0.15)
    assert profile.slot_rates == pytest.approx((1.0, 1.5, 1.8), rel=0.02)
    assert profile.fit["median_error"] < 0.01
    assert max(fit_errors(profile, measured.alone)) < 0.02
    assert done >= calls_in(plan, 2)


async def test_what_was_calibrated_predicts_a_run(autojump_clock: MockClock) -> None:
    """The same workload through the manager and through the heap with the fitted profile take the same time."""
    specs = [ModelSpec("small", load_seconds=2.0), ModelSpec("large", load_seconds=9.0, decode_tokens_per_second=10)]
    calls = tuple(
        PlannedCall(n, f"a{n % 3}", ("small", "large")[n % 2], 50 + 7 * n, 10 + n, (), float(n)) for n in range(20)
    )
    workload = Workload("w", calls)
    async with mock_lm_studio(specs, LatencyProfile(jitter=0)) as config:
        measured = await measure(
            ["small", "large"], CalibrationPlan(), lambda slots: config, MockRequests(), lambda: None
        )
    profile = replace(fitted_profile("mock", ["small", "large"], measured, source="x"), jitter=0.0)
    async with mock_lm_studio(specs, LatencyProfile(jitter=0)) as config:
        real = await replay(workload, config, finished=lambda: None)
    predicted = HeapDriver(workload, ServerTiming(profile)).replay(one_slot())
    makespans = [max(record.finished for record in run.records) for run in (real, predicted)]
    assert makespans[1] == pytest.approx(makespans[0], rel=0.01)
