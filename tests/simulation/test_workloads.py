"""Workloads: the form, what is done to them, and the built-in trading graph."""

from __future__ import annotations

import math
from collections.abc import Iterable

import pytest

from simulation.workloads.overlay import model_map, overlay_sessions
from simulation.workloads.trading_graph import ANALYSTS, trading_graph
from simulation.workloads.workload import PlannedCall, Workload, mapped, overlaid, scaled
from statemachine import ConfigurationError


def chain(agent: str, delays: Iterable[float]) -> Workload:
    """One agent's conversation on model ``m``."""
    calls = [
        PlannedCall(index, agent, "m", 10, 5, (index - 1,) if index else (), delay)
        for index, delay in enumerate(delays)
    ]
    return Workload(agent, tuple(calls))


@pytest.mark.parametrize(
    ("call", "field"),
    [
        (PlannedCall(1, "a", "m", 1, 1), "calls[0].id"),
        (PlannedCall(0, "a", "m", 0, 1), "calls[0].prompt_tokens"),
        (PlannedCall(0, "a", "m", 1, 0), "calls[0].output_tokens"),
        (PlannedCall(0, "a", "m", 1, 1, after=(0,)), "calls[0].after"),
        (PlannedCall(0, "a", "m", 1, 1, after=(-1,)), "calls[0].after"),
        (PlannedCall(0, "a", "m", 1, 1, delay=-1), "calls[0].delay"),
        (PlannedCall(0, "a", "m", 1, 1, delay=math.nan), "calls[0].delay"),
        (PlannedCall(0, "a", "m", 1, 1, cached_tokens=-1), "calls[0].cached_tokens"),
    ],
)
def test_a_call_that_makes_no_sense_is_refused(call: PlannedCall, field: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Workload("w", (call,))
    assert caught.value.field == field


def test_speed_divides_delays_and_leaves_the_work_alone() -> None:
    faster = scaled(chain("a", [4.0, 2.0]), 4)
    assert [call.delay for call in faster.calls] == [1.0, 0.5]
    assert [(call.prompt_tokens, call.output_tokens, call.after) for call in faster.calls] == [
        (10, 5, ()),
        (10, 5, (0,)),
    ]


@pytest.mark.parametrize("speed", [0, -1, math.inf, math.nan])
def test_speed_must_be_a_positive_number(speed: float) -> None:
    with pytest.raises(ConfigurationError, match="speed"):
        scaled(chain("a", [1.0]), speed)


def test_overlaid_parts_keep_their_edges_and_begin_when_told() -> None:
    both = overlaid("both", [chain("a", [1.0, 2.0]), chain("b", [3.0, 4.0])], [0.0, 10.0])
    assert [(call.agent, call.after, call.delay) for call in both.calls] == [
        ("a", (), 1.0),
        ("a", (0,), 2.0),
        ("b", (), 13.0),
        ("b", (2,), 4.0),
    ]
    assert both.agents == ("a", "b")


def test_mapped_models() -> None:
    assert mapped(chain("a", [0.0]), {"m": "local"}).models == ("local",)


# ---- sessions to one workload ----


def test_as_many_sessions_as_asked_for_in_the_trace_s_order() -> None:
    sessions = [chain(f"s{index:02d}", [0.0]) for index in range(30)]
    workload = overlay_sessions("w", sessions, 5, seed=1)
    assert len(workload.agents) == 5
    assert list(workload.agents) == sorted(workload.agents)
    starts = [call.delay for call in workload.calls]
    assert starts[0] == 0
    assert starts == sorted(starts)
    assert starts[-1] <= 60


def test_the_seed_chooses_the_sessions() -> None:
    sessions = [chain(f"s{index:02d}", [0.0]) for index in range(30)]
    assert overlay_sessions("w", sessions, 5, seed=1) == overlay_sessions("w", iter(sessions), 5, seed=1)
    assert len({overlay_sessions("w", sessions, 5, seed=seed).agents for seed in range(10)}) > 5


def test_every_session_has_the_same_chance() -> None:
    sessions = [chain(f"s{index}", [0.0]) for index in range(6)]
    chosen = [agent for seed in range(600) for agent in overlay_sessions("w", sessions, 2, seed=seed).agents]
    assert all(150 < chosen.count(f"s{index}") < 250 for index in range(6))  # 200 expected, standard deviation 12


def test_more_sessions_than_there_are() -> None:
    with pytest.raises(ConfigurationError, match=r"sessions.*\(2\).*got 3"):
        overlay_sessions("w", [chain("a", [0.0]), chain("b", [0.0])], 3)


def test_traced_models_are_spread_over_the_local_ones_small_to_large() -> None:
    traced = ["claude-opus-4-5", "claude-haiku-4-5", "claude-sonnet-4", "claude-opus-4-1"]
    assert model_map(traced, ["small", "large"], {}) == {
        "claude-haiku-4-5": "small",
        "claude-sonnet-4": "small",
        "claude-opus-4-1": "large",
        "claude-opus-4-5": "large",
    }


def test_an_override_wins_and_must_name_a_traced_model() -> None:
    assert model_map(["a", "b"], ["small", "large"], {"a": "large"}) == {"a": "large", "b": "large"}
    with pytest.raises(ConfigurationError, match="'c'"):
        model_map(["a", "b"], ["small", "large"], {"c": "large"})


# ---- the trading graph ----


def test_the_trading_graph_has_six_agents_on_two_models() -> None:
    graph = trading_graph("quick", "deep", tickers=3)
    coordinator_of = {call.agent: call.model for call in graph.calls}
    assert coordinator_of == {
        **dict.fromkeys((*ANALYSTS, "trader"), "quick"),
        "research manager": "deep",
        "risk manager": "deep",
    }
    assert all(coordinator_of[call.agent] == call.model for call in graph.calls)


def test_an_agent_makes_one_call_at_a_time() -> None:
    graph = trading_graph("quick", "deep", tickers=4)
    last: dict[str, int] = {}
    for call in graph.calls:
        if call.agent in last:
            assert last[call.agent] in call.after
        last[call.agent] = call.id


def test_research_waits_for_the_analysts_the_trader_for_research_and_risk_for_the_trader() -> None:
    graph = trading_graph("quick", "deep", tickers=2)
    by_id = dict(enumerate(graph.calls))

    def awaited(call: PlannedCall) -> set[str]:
        return {by_id[earlier].agent for earlier in call.after} - {call.agent}

    calls = {agent: [call for call in graph.calls if call.agent == agent] for agent in graph.agents}
    assert [awaited(call) for call in calls["research manager"]] == [set(ANALYSTS), set()] * 2
    assert [awaited(call) for call in calls["trader"]] == [{"research manager"}] * 2
    assert [awaited(call) for call in calls["risk manager"]] == [{"trader"}] * 2


def test_the_seed_makes_the_graph() -> None:
    assert trading_graph("q", "d", seed=1) == trading_graph("q", "d", seed=1)
    assert trading_graph("q", "d", seed=1) != trading_graph("q", "d", seed=2)


@pytest.mark.parametrize("tickers", [0, True, 1.5])
def test_tickers_must_be_a_count(tickers: int) -> None:
    with pytest.raises(ConfigurationError, match="tickers"):
        trading_graph("q", "d", tickers=tickers)
