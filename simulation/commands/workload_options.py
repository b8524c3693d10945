"""The options that describe a workload, and the workload that they make. Shared by the commands that run one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from statemachine.errors import ConfigurationError

from ..timing.latency import DEFAULT_MODELS, LatencyProfile
from ..workloads.overlay import model_map, overlay_sessions
from ..workloads.traces.azure import read_azure
from ..workloads.traces.weka import weka_sessions
from ..workloads.trading_graph import trading_graph
from ..workloads.workload import Workload, clipped, mapped, scaled
from .options import option

__all__ = ["DEEP", "LOCAL_MODELS", "QUICK", "WorkloadOptions", "make_profile", "make_workload", "workload_settings"]

QUICK: Final = "qwen3.5-4b"
DEEP: Final = "openai/gpt-oss-20b"
LOCAL_MODELS: Final = tuple(model.key for model in sorted(DEFAULT_MODELS, key=lambda model: model.size_bytes))
AZURE_WEIGHTS: Final = {QUICK: 2.0, DEEP: 1.0}  # as in the trading graph: four agents to two
TOKENS_PER_CHUNK: Final = 64  # tokens of one virtual sleep; no measured value depends on it


@dataclass(frozen=True, kw_only=True)
class WorkloadOptions:
    """Which workload is run. A command adds its own options to these."""

    trace: Path | None = option(
        None,
        "Weka sessions (.tar.*, folder, .json) or Azure's .csv (default: the built-in trading graph)",
        parse=Path,
    )
    sessions: int = option(
        12, "sessions of the trace that run at once; for Azure's trace, agents", least=1, most=100_000
    )
    requests: int | None = option(
        None, "only the first N requests of the trace, or of each session (default: all)", parse=int, least=1
    )
    max_think: float = option(20.0, "longest pause in a session, seconds", least=0)
    max_prompt: int = option(32768, "longest prompt, tokens; longer ones are cut", least=1)
    map: tuple[str, ...] = option((), "which local model plays a model of the trace", metavar="TRACED=LOCAL")
    speed: float = option(1.0, "divides pauses and arrival times", parse=float)
    tickers: int = option(10, "tickers of the trading graph", least=1, most=100_000)
    seed: int = option(0, "seed of everything that is drawn")

    @property
    def has_sessions(self) -> bool:
        """Whether the workload is made of recorded sessions."""
        return self.trace is not None and self.trace.suffix != ".csv"


def make_workload(options: WorkloadOptions, *, seed: int) -> tuple[Workload, dict[str, str]]:
    """Return the workload, and which local model plays which traced one. Raises ConfigurationError."""
    overrides = _overrides(options.map)
    models: dict[str, str] = {}
    if options.trace is None:
        workload = trading_graph(QUICK, DEEP, tickers=options.tickers, seed=seed)
    elif not options.has_sessions:
        workload = read_azure(
            options.trace, AZURE_WEIGHTS, agents=options.sessions, requests=options.requests, seed=seed
        )
    else:
        sessions = weka_sessions(options.trace, max_think=options.max_think, requests=options.requests)
        workload = overlay_sessions(options.trace.name, sessions, options.sessions, seed=seed)
        models = model_map(workload.models, LOCAL_MODELS, overrides)
        workload = mapped(workload, models)
    if overrides and not models:
        raise ConfigurationError("map", "is for traces that name their models", repr(options.map[0]))
    if not workload.calls:
        raise ConfigurationError("trace", "must hold at least one request", "none")
    return _cut(scaled(workload, options.speed), options.max_prompt), models


def make_profile(seed: int) -> LatencyProfile:
    """How long the local models take."""
    return LatencyProfile(seed=seed, tokens_per_chunk=TOKENS_PER_CHUNK)


def workload_settings(options: WorkloadOptions, workload: Workload, models: Mapping[str, str]) -> dict[str, str]:
    """What a report says of the workload."""
    return {
        "workload": f"{workload.name}: {len(workload.calls)} requests, {len(workload.agents)} agents",
        "models": ", ".join(workload.models),
        **{f"{traced} is played by": local for traced, local in sorted(models.items())},
        "seed": str(options.seed),
        "speed": f"{options.speed:g}",
    }


def _cut(workload: Workload, tokens: int) -> Workload:
    cut = sum(call.prompt_tokens + call.cached_tokens > tokens for call in workload.calls)
    sentences = (
        [f"{cut} of {len(workload.calls)} prompts were longer than {tokens} tokens, and cut to that."] if cut else []
    )
    return replace(clipped(workload, tokens), assumptions=(*workload.assumptions, *sentences))


def _overrides(pairs: tuple[str, ...]) -> dict[str, str]:
    overrides: dict[str, str] = {}
    for pair in pairs:
        traced, equals, local = pair.partition("=")
        if not equals or local not in LOCAL_MODELS:
            raise ConfigurationError("map", f"must be TRACED=LOCAL, LOCAL one of {', '.join(LOCAL_MODELS)}", repr(pair))
        overrides[traced] = local
    return overrides
