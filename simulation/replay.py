"""Replay a workload through the real manager against the mock LM Studio server, in virtual time, and report on it."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final

from adapters.options import check_seconds
from statemachine.checks import check_count
from statemachine.errors import ConfigurationError

from .azure import read_azure
from .driver import mock_lm_studio, replay_in_virtual_time
from .latency import DEFAULT_MODELS, LatencyProfile
from .metrics import summarise, table
from .overlay import model_map, overlay_sessions
from .progress import progress
from .report import Origin, write_report
from .trading_graph import trading_graph
from .weka import weka_sessions
from .workload import Workload, clipped, mapped, scaled

__all__ = ["add_arguments", "run"]

QUICK, DEEP = "qwen3.5-4b", "openai/gpt-oss-20b"
LOCAL_MODELS: Final = tuple(model.key for model in sorted(DEFAULT_MODELS, key=lambda model: model.size_bytes))
AZURE_WEIGHTS: Final = {QUICK: 2.0, DEEP: 1.0}  # as in the trading graph: four agents to two
TOKENS_PER_CHUNK: Final = 64  # one virtual sleep for so many tokens; nothing that is measured depends on it


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    add = parser.add_argument
    add("--trace", type=Path, help="Weka sessions (.tar.*, folder, .json) or Azure's .csv (default: the trading graph)")
    add(
        "--sessions",
        type=int,
        default=12,
        help="of a trace: so many at once; of Azure's: agents (default: %(default)s)",
    )
    add("--requests", type=int, help="of Azure's trace the first so many, of a session likewise (default: all)")
    add("--max-think", type=float, default=20.0, help="longest pause in a session, seconds (default: %(default)s)")
    add("--max-prompt", type=int, default=32768, help="longer prompts are cut to so many tokens (default: %(default)s)")
    add("--map", action="append", default=[], metavar="TRACED=LOCAL", help="which local model plays a traced one")
    add("--speed", type=float, default=1.0, help="divides pauses and arrival times (default: %(default)s)")
    add("--tickers", type=int, default=10, help="of the trading graph (default: %(default)s)")
    add("--parallel", type=int, default=1, help="requests that a model answers at once (default: %(default)s)")
    add("--seed", type=int, default=0, help="of everything random (default: %(default)s)")
    add("--out", type=Path, default=Path("report"), help="folder of the report (default: %(default)s)")


def run(args: argparse.Namespace) -> int:
    """Replay, print the table, write the report. Returns the exit status: 2 for bad input, 1 if a request failed."""
    try:
        return _replay(args)
    except (ConfigurationError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def _replay(args: argparse.Namespace) -> int:
    for name in ("sessions", "max_prompt", "parallel", *(["requests"] if args.requests is not None else [])):
        check_count(name, getattr(args, name))
    check_seconds("max_think", args.max_think)
    args.out.mkdir(parents=True, exist_ok=True)  # before the work, in case it cannot be had
    workload, models = _workload(args)
    served = partial(mock_lm_studio, DEFAULT_MODELS, _profile(args), parallel=args.parallel)
    with progress(len(workload.calls), "requests") as finished:
        result = replay_in_virtual_time(workload, served, seed=args.seed, finished=finished)
    summary = summarise(result.records, result.intervals, result.statistics.counters.switches)
    print(table(summary))
    origin = Origin(_command(args), _settings(args, workload, models), workload.assumptions)
    print(f"report: {write_report(args.out, workload, result, summary, origin)}")
    return 1 if summary.failed else 0


def _profile(args: argparse.Namespace) -> LatencyProfile:
    return LatencyProfile(seed=args.seed, tokens_per_chunk=TOKENS_PER_CHUNK)


def _workload(args: argparse.Namespace) -> tuple[Workload, dict[str, str]]:
    """What to replay, and which local model plays which traced one."""
    overrides = _overrides(args.map)
    models: dict[str, str] = {}
    if args.trace is None:
        workload = trading_graph(QUICK, DEEP, tickers=args.tickers, seed=args.seed)
    elif args.trace.suffix == ".csv":
        workload = read_azure(args.trace, AZURE_WEIGHTS, agents=args.sessions, requests=args.requests, seed=args.seed)
    else:
        sessions = weka_sessions(args.trace, max_think=args.max_think, requests=args.requests)
        workload = overlay_sessions(args.trace.name, sessions, args.sessions, seed=args.seed)
        models = model_map(workload.models, LOCAL_MODELS, overrides)
        workload = mapped(workload, models)
    if overrides and not models:
        raise ConfigurationError("map", "is for traces that name their models", repr(args.map[0]))
    if not workload.calls:
        raise ConfigurationError("trace", "must hold at least one request", "none")
    return _cut(scaled(workload, args.speed), args.max_prompt), models


def _cut(workload: Workload, tokens: int) -> Workload:
    cut = sum(call.prompt_tokens > tokens for call in workload.calls)
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


def _settings(args: argparse.Namespace, workload: Workload, models: Mapping[str, str]) -> dict[str, str]:
    return {
        "workload": f"{workload.name}: {len(workload.calls)} requests, {len(workload.agents)} agents",
        "models": ", ".join(workload.models),
        **{f"{traced} is played by": local for traced, local in sorted(models.items())},
        "slot": f"one model at a time, {args.parallel} request{'s' if args.parallel > 1 else ''} at once, first come, first served",
        "seed": str(args.seed),
        "speed": f"{args.speed:g}",
    }


def _command(args: argparse.Namespace) -> str:
    """The command line that does the same again: every option that is not at its default."""
    defaults = argparse.ArgumentParser()
    add_arguments(defaults)
    words = ["python", "-m", "simulation", "replay"]
    for name, default in vars(defaults.parse_args([])).items():
        value = getattr(args, name)
        if value != default:
            for item in value if isinstance(value, list) else [value]:
                words += [f"--{name.replace('_', '-')}", str(item)]
    return shlex.join(words)
