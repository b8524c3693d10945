"""The trading graph of the examples: six agents, two models, one backend; the same from trio, asyncio and plain code."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from examples.trading_graph import ANALYSTS, LATER, MODES, TradingGraph, main, run
from tests.bridge.world import check_threads_have_ended

from .lmstudio import A, B, fast, on_a_socket


def config(url: str) -> dict[str, str]:
    return {"llm_provider": "lmstudio", "backend_url": url, "quick_think_llm": A, "deep_think_llm": B}


def test_every_mode_gives_the_same() -> None:
    said = {}
    for mode in MODES:
        server = fast()
        with on_a_socket(server) as url:
            graph, said[mode] = run(mode, config(url), ["ACME", "XYZ"])
        assert {call.agent: call.model for call in graph.calls} == {
            **dict.fromkeys((*ANALYSTS, "trader"), A),
            **dict.fromkeys(("research manager", "risk manager"), B),
        }
        assert server.counters.peak_resident == 1
        assert server.counters.cut == 0
    assert said["trio"] == said["asyncio"] == said["plain"]
    assert all(list(answers) == [*ANALYSTS, *LATER] and all(answers.values()) for answers in said["trio"])
    check_threads_have_ended()


def test_models_are_there_after_they_were_initialized() -> None:
    async def program(url: str) -> None:
        graph = TradingGraph(config(url))
        with pytest.raises(RuntimeError, match="initialize_models"):
            graph.get_quick_thinking_model()
        async with graph.provider:
            await graph.initialize_models()
            assert graph.get_quick_thinking_model().model_id == A
            assert graph.get_deep_thinking_model().model_id == B

    asyncio.run(program("http://localhost:1"))


def test_its_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    chart = tmp_path / "folder" / "chart.png"
    with on_a_socket() as url:
        models = ["--quick-model", A, "--deep-model", B]
        assert main(["--base-url", url, *models, "--mode", "asyncio", "--gantt", str(chart), "--ticker", "ACME"]) == 0
        with pytest.raises(SystemExit):
            main(["--base-url", url, "--quick-model", A])
    assert chart.stat().st_size > 10_000
    assert "ACME: risk manager: " in capsys.readouterr().out
