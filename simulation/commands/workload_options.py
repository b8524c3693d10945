"""The options that describe a workload, and the workload that they make. Shared by the commands that run one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from math import inf
from pathlib import Path
from typing import Final, NamedTuple

from statemachine.checks import check_word
from statemachine.errors import ConfigurationError
from statemachine.shell.options import option
from statemachine.text import fit_to_show

from ..timing.latency import DEFAULT_MODELS, LatencyProfile
from ..workloads.draws import check_mix
from ..workloads.generated import GENERATED, Drawn, generated
from ..workloads.overlay import model_map, overlay_sessions
from ..workloads.traces.formats import FORMATS, read_trace
from ..workloads.traces.notes import Notes
from ..workloads.traces.sessions import Deal, sessions_of, timed_workload, within
from ..workloads.workload import Workload, clipped, mapped, resized, scaled

__all__ = [
    "DEEP",
    "LOCAL_MODELS",
    "QUICK",
    "MadeWorkload",
    "WorkloadOptions",
    "make_profile",
    "make_workload",
    "workload_settings",
]

QUICK: Final = "qwen3.5-4b"
DEEP: Final = "openai/gpt-oss-20b"
LOCAL_MODELS: Final = tuple(model.key for model in sorted(DEFAULT_MODELS, key=lambda model: model.size_bytes))
GENERATED_REQUESTS: Final = 300
TOKENS_PER_CHUNK: Final = 64  # tokens of one virtual sleep; no measured value depends on it


@dataclass(frozen=True, kw_only=True)
class WorkloadOptions:
    """Which workload is run. A command adds its own options to these."""

    trace: Path | None = option(
        None,
        f"a trace: {', '.join(FORMATS)}; plain, .gz, .xz, .tar or a folder (default: --workload)",
        parse=Path,
    )
    workload: str = option("trading", f"a generated workload: {', '.join(GENERATED)}")
    rate: float = option(0.05, "mean arrivals a second of poisson, bursts and modulated", least=0.000001)
    think: float = option(10.0, "mean pause of the closed loop, seconds", least=0.000001)
    mix: str = option("2,1", "weights of the models, small to large, where a model is drawn for each request")
    format: str | None = option(None, f"the trace's format: {', '.join(FORMATS)} (default: found out)")
    start: float = option(0.0, "begin at this time of the trace, seconds", least=0)
    length: float | None = option(None, "this much time of the trace, seconds (default: all)", parse=float, least=0)
    skip_bad_rows: bool = option(False, "count rows that can't be read, and leave them out")
    sessions: int = option(
        12, "sessions of the trace that run at once; agents, where they are drawn", least=1, most=100_000
    )
    requests: int | None = option(
        None,
        "only the first N requests of the trace, or of each session (default: all); arrivals that are drawn (300)",
        parse=int,
        least=1,
    )
    max_think: float = option(20.0, "longest pause in a session, seconds", least=0)
    max_prompt: int = option(32768, "longest prompt, tokens; longer ones are cut", least=1)
    token_scale: float = option(1.0, "multiplies the sizes of prompts and answers: for small servers", least=0.0001)
    map: tuple[str, ...] = option((), "which local model plays a model of the trace", metavar="TRACED=LOCAL")
    speed: float = option(1.0, "divides pauses and arrival times", parse=float)
    tickers: int = option(
        10,
        "tasks: tickers of the trading graph, tasks of another graph, calls of each agent in the closed loop",
        least=1,
        most=100_000,
    )
    seed: int = option(0, "seed of everything that is drawn")

    def __post_init__(self) -> None:
        check_word("workload", self.workload, tuple(GENERATED))
        if self.format is not None:
            check_word("format", self.format, tuple(FORMATS))


class MadeWorkload(NamedTuple):
    """A workload, which local model plays which traced one, and whether its sessions were recorded."""

    workload: Workload
    models: Mapping[str, str]
    recorded: bool


class LocalModels(NamedTuple):
    """The models of the server: one that is quick, one that is deep, and all of them, small to large."""

    quick: str
    deep: str
    keys: tuple[str, ...]


MOCK_MODELS: Final = LocalModels(QUICK, DEEP, LOCAL_MODELS)


def local_models(keys: Sequence[str]) -> LocalModels:
    """Return ``keys``, small to large, as local models: the first is quick, the last deep."""
    return LocalModels(keys[0], keys[-1], tuple(keys))


def make_workload(options: WorkloadOptions, *, seed: int, local: LocalModels = MOCK_MODELS) -> MadeWorkload:
    """Return what ``options`` describe, for a server with the models ``local``. Raises ConfigurationError."""
    overrides = _overrides(options.map, local)
    if options.trace is None:
        made = MadeWorkload(generated(options.workload, _drawn(options, seed, local)), {}, False)
    else:
        made = _traced(options, options.trace, overrides, seed, local)
    if overrides and not made.models:
        raise ConfigurationError("map", "is for traces that name their models", repr(options.map[0]))
    if not made.workload.calls:
        raise ConfigurationError("trace", "must hold at least one request", "none")
    workload = resized(scaled(made.workload, options.speed), options.token_scale)
    return made._replace(workload=_cut(workload, options.max_prompt))


def _drawn(options: WorkloadOptions, seed: int, local: LocalModels) -> Drawn:
    return Drawn(
        quick=local.quick,
        deep=local.deep,
        mix=_mix(options.mix, local),
        tasks=options.tickers,
        requests=options.requests or GENERATED_REQUESTS,
        agents=options.sessions,
        rate=options.rate,
        think_seconds=options.think,
        seed=seed,
    )


def _mix(text: str, local: LocalModels) -> dict[str, float]:
    """Parse the weights of a list with commas: of the quick and the deep model, or of all, small to large. Raises ConfigurationError."""
    names = (local.quick, local.deep) if text.count(",") == 1 else local.keys
    try:
        weights = [float(word) for word in text.split(",")]
        mix = dict(zip(names, weights, strict=True))
    except ValueError:
        raise ConfigurationError("mix", f"must be two or {len(local.keys)} numbers with commas", repr(text)) from None
    check_mix(mix)
    return mix


def _traced(
    options: WorkloadOptions, trace: Path, overrides: Mapping[str, str], seed: int, local: LocalModels
) -> MadeWorkload:
    notes, deal = Notes(skip_bad=options.skip_bad_rows), Deal(_mix(options.mix, local), options.sessions, seed)
    length = inf if options.length is None else options.length
    calls = within(read_trace(trace, notes, options.format), options.start, length)
    first = next(calls, None)
    calls = chain([] if first is None else [first], calls)
    name, untimed = fit_to_show(trace.name), first is not None and first.arrival_seconds is None
    if untimed:
        sessions = sessions_of(calls, deal, max_think=options.max_think, requests=options.requests)
        workload = overlay_sessions(name, sessions, options.sessions, seed=seed)
        notes.remark(f"Pauses of a session are cut to at most {options.max_think:g} s.")
    else:
        workload = timed_workload(name, calls, deal, requests=options.requests)
    named = [model for model in workload.models if model not in deal.weights or not deal.used]
    models = model_map(named, local.keys, overrides) if named else {}
    workload = mapped(workload, {**{model: model for model in workload.models}, **models})
    sentences = (*workload.assumptions, *notes.sentences(), *([deal.sentence()] if deal.used else []))
    return MadeWorkload(replace(workload, assumptions=sentences), models, untimed)


def make_profile(seed: int) -> LatencyProfile:
    """Return the latencies of the local models."""
    return LatencyProfile(seed=seed, tokens_per_chunk=TOKENS_PER_CHUNK)


def workload_settings(options: WorkloadOptions, made: MadeWorkload) -> dict[str, str]:
    """Return what a report says of the workload."""
    workload, models = made.workload, made.models
    return {
        "workload": f"{workload.name}: {len(workload.calls)} requests, {len(workload.agents)} agents",
        "models": ", ".join(workload.models),
        **{f"{traced} is played by": local for traced, local in sorted(models.items())},
        "seed": str(options.seed),
        "speed": f"{options.speed:g}",
        **({} if options.token_scale == 1 else {"sizes": f"{options.token_scale:g} times the workload's"}),
    }


def _cut(workload: Workload, tokens: int) -> Workload:
    cut = sum(call.prompt_tokens + call.cached_tokens > tokens for call in workload.calls)
    sentences = (
        [f"{cut} of {len(workload.calls)} prompts were longer than {tokens} tokens, and cut to that."] if cut else []
    )
    return replace(clipped(workload, tokens), assumptions=(*workload.assumptions, *sentences))


def _overrides(pairs: tuple[str, ...], models: LocalModels) -> dict[str, str]:
    overrides: dict[str, str] = {}
    for pair in pairs:
        traced, equals, local = pair.partition("=")
        if not equals or local not in models.keys:
            raise ConfigurationError("map", f"must be TRACED=LOCAL, LOCAL one of {', '.join(models.keys)}", repr(pair))
        overrides[traced] = local
    return overrides
