"""The workload of a command line: the options that describe it, and what they make. Shared by the commands that run one."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

from adapters.options import check_seconds
from statemachine.checks import check_count
from statemachine.errors import ConfigurationError

from ..timing.latency import DEFAULT_MODELS, LatencyProfile
from ..workloads.overlay import model_map, overlay_sessions
from ..workloads.traces.azure import read_azure
from ..workloads.traces.weka import weka_sessions
from ..workloads.trading_graph import trading_graph
from ..workloads.workload import Workload, clipped, mapped, scaled

__all__ = [
    "add_workload_options",
    "command_line",
    "is_of_sessions",
    "make_profile",
    "make_workload",
    "workload_settings",
]

QUICK, DEEP = "qwen3.5-4b", "openai/gpt-oss-20b"
LOCAL_MODELS: Final = tuple(model.key for model in sorted(DEFAULT_MODELS, key=lambda model: model.size_bytes))
AZURE_WEIGHTS: Final = {QUICK: 2.0, DEEP: 1.0}  # as in the trading graph: four agents to two
TOKENS_PER_CHUNK: Final = 64  # tokens of one virtual sleep; no measured value depends on it


def add_workload_options(parser: argparse.ArgumentParser, *, out: str) -> None:
    """The options; ``out`` is the default folder of what the command writes."""
    add = parser.add_argument
    add("--trace", type=Path, help="Weka sessions (.tar.*, folder, .json) or Azure's .csv (default: the trading graph)")
    add(
        "--sessions",
        type=int,
        default=12,
        help="sessions of the trace that run at once; for Azure's trace, agents (default: %(default)s)",
    )
    add("--requests", type=int, help="only the first N requests of the trace, or of each session (default: all)")
    add("--max-think", type=float, default=20.0, help="longest pause in a session, seconds (default: %(default)s)")
    add(
        "--max-prompt",
        type=int,
        default=32768,
        help="longest prompt, tokens; longer ones are cut (default: %(default)s)",
    )
    add("--map", action="append", default=[], metavar="TRACED=LOCAL", help="which local model plays a traced one")
    add("--speed", type=float, default=1.0, help="divides pauses and arrival times (default: %(default)s)")
    add("--tickers", type=int, default=10, help="of the trading graph (default: %(default)s)")
    add("--seed", type=int, default=0, help="of everything random (default: %(default)s)")
    add("--out", type=Path, default=Path(out), help="folder of the report (default: %(default)s)")


def make_workload(args: argparse.Namespace, *, seed: int) -> tuple[Workload, dict[str, str]]:
    """What to run, and which local model plays which traced one. Raises ConfigurationError."""
    _check(args)
    overrides = _overrides(args.map)
    models: dict[str, str] = {}
    if args.trace is None:
        workload = trading_graph(QUICK, DEEP, tickers=args.tickers, seed=seed)
    elif not is_of_sessions(args):
        workload = read_azure(args.trace, AZURE_WEIGHTS, agents=args.sessions, requests=args.requests, seed=seed)
    else:
        sessions = weka_sessions(args.trace, max_think=args.max_think, requests=args.requests)
        workload = overlay_sessions(args.trace.name, sessions, args.sessions, seed=seed)
        models = model_map(workload.models, LOCAL_MODELS, overrides)
        workload = mapped(workload, models)
    if overrides and not models:
        raise ConfigurationError("map", "is for traces that name their models", repr(args.map[0]))
    if not workload.calls:
        raise ConfigurationError("trace", "must hold at least one request", "none")
    return _cut(scaled(workload, args.speed), args.max_prompt), models


def is_of_sessions(args: argparse.Namespace) -> bool:
    """Whether the workload is made of recorded sessions."""
    return args.trace is not None and args.trace.suffix != ".csv"


def make_profile(seed: int) -> LatencyProfile:
    """How long the local models take."""
    return LatencyProfile(seed=seed, tokens_per_chunk=TOKENS_PER_CHUNK)


def workload_settings(args: argparse.Namespace, workload: Workload, models: Mapping[str, str]) -> dict[str, str]:
    """What a report says of the workload."""
    return {
        "workload": f"{workload.name}: {len(workload.calls)} requests, {len(workload.agents)} agents",
        "models": ", ".join(workload.models),
        **{f"{traced} is played by": local for traced, local in sorted(models.items())},
        "seed": str(args.seed),
        "speed": f"{args.speed:g}",
    }


def command_line(
    command: str, add_arguments: Callable[[argparse.ArgumentParser], None], args: argparse.Namespace
) -> str:
    """The command line that does the same again: every option that is not at its default."""
    defaults = argparse.ArgumentParser()
    add_arguments(defaults)
    words = ["python", "-m", "simulation", command]
    for name, default in vars(defaults.parse_args([])).items():
        value, option = getattr(args, name), f"--{name.replace('_', '-')}"
        if value is True:
            words.append(option)
        elif value != default:
            for item in value if isinstance(value, list) else [value]:
                words += [option, str(item)]
    return shlex.join(words)


def _check(args: argparse.Namespace) -> None:
    for name in ("sessions", "max_prompt", *(["requests"] if args.requests is not None else [])):
        check_count(name, getattr(args, name))
    check_seconds("max_think", args.max_think)


def _cut(workload: Workload, tokens: int) -> Workload:
    cut = sum(call.prompt_tokens + call.cached_tokens > tokens for call in workload.calls)
    sentences = (
        [f"{cut} of {len(workload.calls)} prompts were longer than {tokens} tokens, and cut to that."] if cut else []
    )
    return replace(clipped(workload, tokens), assumptions=(*workload.assumptions, *sentences))


def _overrides(pairs: list[str]) -> dict[str, str]:
    overrides: dict[str, str] = {}
    for pair in pairs:
        traced, equals, local = pair.partition("=")
        if not equals or local not in LOCAL_MODELS:
            raise ConfigurationError("map", f"must be TRACED=LOCAL, LOCAL one of {', '.join(LOCAL_MODELS)}", repr(pair))
        overrides[traced] = local
    return overrides
