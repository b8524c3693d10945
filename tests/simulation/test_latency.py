"""Durations of the mock server, and the checks of its configuration."""

from __future__ import annotations

from dataclasses import replace

import pytest

from simulation.mock.faults import Faults
from simulation.mock.lmstudio import MockLMStudio
from simulation.timing.latency import DEFAULT_MODELS, LatencyProfile, ModelSpec, token_count
from statemachine import ConfigurationError

from ..mock.mock_server import ALPHA


def test_bad_configuration_names_the_field() -> None:
    for field, make in (
        ("key", lambda: ModelSpec("")),
        ("parallel", lambda: ModelSpec("m", parallel=0)),
        ("load_seconds", lambda: ModelSpec("m", load_seconds=-1)),
        ("decode_tokens_per_second", lambda: ModelSpec("m", decode_tokens_per_second=0)),
        ("jitter", lambda: LatencyProfile(jitter=1.5)),
        ("parallel_cost", lambda: LatencyProfile(parallel_cost=float("nan"))),
        ("tokens_per_chunk", lambda: LatencyProfile(tokens_per_chunk=0)),
        ("models", lambda: MockLMStudio([])),
        ("models", lambda: MockLMStudio([ALPHA, ALPHA])),
        ("how", lambda: Faults().break_next_stream("explode")),  # type: ignore[arg-type]  # that is the point
        ("after_chunks", lambda: Faults().break_next_stream("drop", after_chunks=-1)),
    ):
        with pytest.raises(ConfigurationError) as caught:
            make()
        assert caught.value.field == field


def test_latencies_vary_with_the_seed_within_the_jitter() -> None:
    profile = LatencyProfile(seed=3, jitter=0.2)
    times = [profile.load_seconds(ALPHA, nth) for nth in range(100)]
    assert 8 <= min(times) < 9
    assert 11 < max(times) <= 12
    assert times == [profile.load_seconds(ALPHA, nth) for nth in range(100)]
    assert times != [replace(profile, seed=4).load_seconds(ALPHA, nth) for nth in range(100)]
    assert profile.unload_seconds(ALPHA, 1) * 5 != profile.load_seconds(ALPHA, 1), "drawn apart"


def test_slots_scale_as_measured() -> None:
    profile = LatencyProfile()
    assert 1.58 <= 2 / profile.slowdown(2) <= 1.69
    assert profile.slowdown(1) == 1
    assert profile.slowdown(1, instances=2) == 2


@pytest.mark.parametrize(("tokens", "pieces"), [(0, []), (1, [1]), (2, [1, 1]), (9, [1, 4, 4]), (10, [1, 4, 4, 1])])
def test_tokens_are_divided_into_chunks(tokens: int, pieces: list[int]) -> None:
    assert list(LatencyProfile(tokens_per_chunk=4).chunks(tokens)) == pieces


def test_the_default_models_can_be_served_and_texts_are_counted() -> None:
    assert list(MockLMStudio(DEFAULT_MODELS).models) == [model.key for model in DEFAULT_MODELS]
    assert [token_count(text) for text in ("", "a", "four", "fives")] == [0, 1, 1, 2]
