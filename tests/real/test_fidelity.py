"""The simulator's predictions against the real server. The machine may be busy, so the bounds are wide; docs/validation.md has figures."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from adapters import LlamaCppAdapter
from simulation.__main__ import main
from simulation.drivers.calibration import word_counts
from simulation.drivers.manager import replay
from simulation.drivers.recorder import TraceRecorder
from simulation.drivers.requests import SizedRequests
from simulation.workloads.workload import PlannedCall, Workload
from statemachine import ProviderConfig, ProviderManagerConfig

from .agents import PROVIDER
from .conftest import MODELS, only_tiny
from .llama_server import LlamaServer

pytestmark = pytest.mark.timeout(240)


@only_tiny
async def test_f30_the_server_counts_the_tokens_that_the_plan_says(server: LlamaServer) -> None:
    recorder = TraceRecorder()

    def config(watched: bool) -> ProviderManagerConfig:
        adapter = recorder.watched(LlamaCppAdapter) if watched else LlamaCppAdapter
        provider = ProviderConfig(PROVIDER, adapter, is_local=True, base_options={"base_url": server.url})
        return ProviderManagerConfig([provider], on_conflict="wait")

    style = SizedRequests(await word_counts(MODELS, config(watched=False)))
    sizes = (100, 400, 1600)
    calls = [PlannedCall(n, "a", MODELS[n % 2], size, 7, (n - 1,) if n else ()) for n, size in enumerate(sizes)]
    watched = config(watched=True)
    await replay(Workload("w", tuple(calls)), watched, observers=[recorder], finished=lambda: None, style=style)
    assert [call.prompt_tokens for call in recorder.calls()] == pytest.approx(sizes, rel=0.1)
    assert [call.completion_tokens for call in recorder.calls()] == [7, 7, 7]


@only_tiny
@pytest.mark.parametrize("parallel", [1, 2])
def test_a_run_is_foretold(server: LlamaServer, tmp_path: Path, parallel: int) -> None:
    where = ["--base-url", server.url, "--server", "llamacpp", "--models", ",".join(MODELS)]
    workload = ["--workload", "closed", "--sessions", "4", "--tickers", "4", "--think", "0.2", "--mix", "1,1"]
    size = ["--token-scale", "0.5", "--max-prompt", "1000", "--policies", "fifo", "--rounds", "2"]
    words = ["fidelity", *where, *workload, *size, "--parallel", str(parallel), "--out", str(tmp_path)]
    assert main(words) == 0
    (fifo,) = json.loads((tmp_path / "fidelity.json").read_text())["policies"]
    real = [run["makespan"] for run in fifo["real"]]
    assert len(real) == 2
    assert min(real) / 2 < fifo["predicted"]["makespan"] < 2 * max(real)
    switches = [run["switches"] for run in fifo["real"]]
    assert min(switches) - 4 <= fifo["predicted"]["switches"] <= max(switches) + 4
    assert server.resident() == []
