"""The trading graph on a real llama-server with two tiny models, from trio, asyncio and plain code."""

from __future__ import annotations

from examples.trading_graph import ANALYSTS, MODES, run

from .conftest import only_tiny
from .llama_server import LlamaServer


@only_tiny
def test_the_graph_swaps_only_where_it_must_and_says_the_same_in_every_mode(server: LlamaServer) -> None:
    backend = {"llm_provider": "llamacpp", "backend_url": server.url, "temperature": 0}
    said = {}
    for mode in MODES:
        before = len(server.loads())
        graph, said[mode] = run(mode, {**backend, "quick_think_llm": "model-a", "deep_think_llm": "model-b"}, ["ACME"])
        assert {call.agent for call in graph.calls[:3]} == set(ANALYSTS)
        assert all(call.answer.finish_reason for call in graph.calls)
        assert server.loads()[before:] == ["model-a", "model-b"] * 2, "the three analysts share one load"
        assert server.resident() == []
    assert said["trio"] == said["asyncio"] == said["plain"]
