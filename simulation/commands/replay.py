"""Replay a workload through the real manager against the mock LM Studio server, in virtual time, and report on it."""

from __future__ import annotations

import argparse
import sys
from functools import partial

from statemachine.checks import check_count
from statemachine.errors import ConfigurationError

from ..analysis.metrics import summarise, table
from ..analysis.policy_names import BASELINE, NAMES, policy_named
from ..drivers.manager import mock_lm_studio, replay_in_virtual_time
from ..report.page import Origin, write_report
from ..timing.latency import DEFAULT_MODELS
from .progress import progress
from .workload_options import add_workload_options, command_line, make_profile, make_workload, workload_settings

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    add_workload_options(parser, out="report")
    add = parser.add_argument
    add("--parallel", type=int, default=1, help="requests that a model answers at once (default: %(default)s)")
    add("--policy", default=BASELINE, help=f"who is served next: {NAMES} (default: %(default)s)")


def run(args: argparse.Namespace) -> int:
    """Replay, print the table, write the report. Returns the exit status: 2 for bad input, 1 if a request failed."""
    try:
        return _replay(args)
    except (ConfigurationError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def _replay(args: argparse.Namespace) -> int:
    check_count("parallel", args.parallel)
    policy = policy_named(args.policy)
    workload, models = make_workload(args, seed=args.seed)
    args.out.mkdir(parents=True, exist_ok=True)  # before the work, in case it cannot be had
    profile = make_profile(args.seed)
    served = partial(mock_lm_studio, DEFAULT_MODELS, profile, parallel=args.parallel, policy=policy)
    with progress(len(workload.calls), "requests") as finished:
        result = replay_in_virtual_time(workload, served, seed=args.seed, finished=finished)
    summary = summarise(result.records, result.intervals, result.statistics.counters.switches)
    print(table(summary))
    settings = {**workload_settings(args, workload, models), **_slot_settings(args)}
    origin = Origin(command_line("replay", add_arguments, args), settings, workload.assumptions)
    print(f"report: {write_report(args.out, workload, result, summary, origin)}")
    return 1 if summary.failed else 0


def _slot_settings(args: argparse.Namespace) -> dict[str, str]:
    requests = f"{args.parallel} request{'s' if args.parallel > 1 else ''}"
    return {"slot": f"one model at a time, {requests} at once", "policy": args.policy}
