"""Compare policies on one workload, in virtual time from an event heap: a table, plots, and the ratio to what no schedule can beat."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping

from adapters.options import check_seconds
from statemachine.checks import check_count
from statemachine.errors import ConfigurationError
from statemachine.policies import PolicyFactory

from ..analysis.comparison import PolicyComparison, compare
from ..analysis.policy_names import BASELINE, NAMES, policies_named
from ..report.compare_report import Compared, tables, write_comparison
from ..report.page import Origin
from ..timing.durations import BoundedTiming, MeasuredTiming, ProfileTiming
from ..timing.latency import DEFAULT_MODELS
from ..workloads.workload import Workload, at_once
from .progress import progress
from .workload_options import (
    add_workload_options,
    command_line,
    is_of_sessions,
    make_profile,
    make_workload,
    workload_settings,
)

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    add = parser.add_argument
    add(
        "--policies",
        default="fifo,affinity,gated,cost_aware",
        help=f"with commas, of {NAMES}; {BASELINE} is added, because ratios are to it (default: %(default)s)",
    )
    add(
        "--load-time",
        metavar="SECONDS[,SECONDS...]",
        help="how long every switch takes, a run for each (default: each model's own load and unload)",
    )
    add_workload_options(parser, out="report-compare")
    add(
        "--seeds",
        type=int,
        default=1,
        help="number of workloads, of successive seeds; plots show the first (default: 1)",
    )
    add("--at-once", action="store_true", help="all requests come at the start and wait for none: a batch")


def run(args: argparse.Namespace) -> int:
    """Compare, print the tables, write the report. Returns the exit status: 2 for bad input."""
    try:
        return _compare(args)
    except (ConfigurationError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def _compare(args: argparse.Namespace) -> int:
    check_count("seeds", args.seeds)
    policies = policies_named(args.policies)
    policies = policies if BASELINE in policies else {**policies_named(BASELINE), **policies}
    load_times = _load_times(args.load_time)
    workload, models = _workload(args, args.seed)
    args.out.mkdir(parents=True, exist_ok=True)  # before the work, in case it cannot be had
    by_seed = _by_seed(args, workload, policies, load_times)
    settings = {
        **workload_settings(args, workload, models),
        "slot": "one model at a time, 1 request at once",
        "latencies": "measured of one server" if is_of_sessions(args) else "the mock server's",
    }
    origin = Origin(command_line("compare", add_arguments, args), settings, workload.assumptions)
    compared = Compared(workload, by_seed, origin)
    print(tables(compared))
    print(f"report: {write_comparison(args.out, compared)}")
    return 0


def _by_seed(
    args: argparse.Namespace,
    workload: Workload,
    policies: Mapping[str, PolicyFactory],
    load_times: list[float | None],
) -> list[list[PolicyComparison]]:
    """The comparisons of each seed, the first of which has made ``workload``."""
    by_seed = []
    with progress(args.seeds * len(load_times) * len(policies), "runs") as finished:
        for seed in range(args.seed, args.seed + args.seeds):
            drawn = workload if seed == args.seed else _workload(args, seed)[0]
            by_seed.append(compare(drawn, policies, load_times, _timing_at(args, seed), finished=finished))
    return by_seed


def _workload(args: argparse.Namespace, seed: int) -> tuple[Workload, dict[str, str]]:
    workload, models = make_workload(args, seed=seed)
    return (at_once(workload) if args.at_once else workload), models


def _timing_at(args: argparse.Namespace, seed: int) -> Callable[[float | None], BoundedTiming]:
    """How long things take at each load time; None: at each model's own."""
    if is_of_sessions(args):
        return lambda load_time: MeasuredTiming() if load_time is None else MeasuredTiming(load_time)
    return lambda load_time: ProfileTiming(DEFAULT_MODELS, make_profile(seed), load_time)


def _load_times(text: str | None) -> list[float | None]:
    """The seconds of a list with commas; one None where there is no list."""
    if text is None:
        return [None]
    times: list[float | None] = []
    for word in text.split(","):
        try:
            seconds = float(word)
        except ValueError:
            raise ConfigurationError("load_time", "must be numbers of seconds with commas", repr(text)) from None
        check_seconds("load_time", seconds)
        times.append(seconds)
    if len(set(times)) < len(times):
        raise ConfigurationError("load_time", "must name each time once", repr(text))
    return times
