"""The command ``compare``: policies on one workload, in virtual time from an event heap."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from statemachine.policies import PolicyFactory
from statemachine.policies.names import BASELINE, NAMES, policies_named

from ..analysis.comparison import PolicyComparison, compare
from ..workloads.workload import at_once
from .options import command_line, option, seconds_list
from .progress import progress
from .timing_options import TimingOptions
from .workload_options import MadeWorkload, make_workload, workload_settings

__all__ = ["Options", "run"]


@dataclass(frozen=True, kw_only=True)
class Options(TimingOptions):
    """What is compared, on which workloads, and where the report goes."""

    policies: str = option(
        "fifo,affinity,gated,cost_aware",
        f"with commas, of {NAMES}; {BASELINE} is added, because ratios are to it",
    )
    load_time: tuple[float, ...] | None = option(
        None,
        "seconds that every switch takes, with commas, a run for each (default: each model's own load and unload)",
        parse=seconds_list,
        metavar="SECONDS",
    )
    seeds: int = option(1, "number of workloads, of successive seeds; plots show the first", least=1, most=10_000)
    at_once: bool = option(False, "all requests arrive at the start and wait for none: a batch")
    out: Path = option(Path("report-compare"), "folder of the report", parse=Path)


def run(options: Options) -> int:
    """Compare, print the tables, write the report. Raises ConfigurationError, OSError."""
    from ..report.compare_report import Compared, tables, write_comparison
    from ..report.page import Origin

    policies = policies_named(options.policies)
    policies = policies if BASELINE in policies else {**policies_named(BASELINE), **policies}
    made = _made(options, options.seed)
    workload = made.workload
    options.out.mkdir(parents=True, exist_ok=True)  # before the work, in case it cannot be had
    by_seed = _by_seed(options, made, policies)
    settings = {
        **workload_settings(options, made),
        "slot": options.slot(),
        "latencies": options.latencies(made),
    }
    origin = Origin(command_line("compare", options), settings, workload.assumptions)
    compared = Compared(workload, by_seed, origin)
    print(tables(compared))
    print(f"report: {write_comparison(options.out, compared)}")
    return 0


def _by_seed(
    options: Options, made: MadeWorkload, policies: Mapping[str, PolicyFactory]
) -> list[list[PolicyComparison]]:
    """The comparisons of each seed, the first of which is ``made``."""
    by_seed = []
    load_times: Sequence[float | None] = options.load_time or (None,)
    with progress(options.seeds * len(load_times) * len(policies), "runs") as finished:
        for seed in range(options.seed, options.seed + options.seeds):
            drawn = made if seed == options.seed else _made(options, seed)
            timing_at = options.timing_at(drawn, seed)
            by_seed.append(
                compare(drawn.workload, policies, load_times, timing_at, parallel=options.parallel, finished=finished)
            )
    return by_seed


def _made(options: Options, seed: int) -> MadeWorkload:
    made = make_workload(options, seed=seed, local=options.local)
    return made._replace(workload=at_once(made.workload)) if options.at_once else made
