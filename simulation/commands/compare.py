"""The command ``compare``: policies on one workload, in virtual time from an event heap."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from statemachine.errors import ConfigurationError
from statemachine.policies import PolicyFactory
from statemachine.policies.names import BASELINE, NAMES, policies_named
from statemachine.shell.options import command_line, option, seconds_list

from ..analysis.comparison import PolicyComparison, compare
from ..drivers.uncoordinated import Uncoordinated, run_uncoordinated
from ..timing.latency import DEFAULT_MODELS
from ..workloads.workload import at_once
from .progress import progress
from .timing_options import TimingOptions
from .workload_options import MadeWorkload, make_profile, make_workload, workload_settings

__all__ = ["Options", "run"]

CONTEXT_TOKENS: Final = 65_536  # of the server without a manager: no prompt is refused for its length


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
    uncoordinated: bool = option(
        False, "also run without the manager: every agent calls the mock server, which loads and evicts just in time"
    )
    out: Path = option(Path("report-compare"), "folder of the report", parse=Path)


def run(options: Options) -> int:
    """Compare, print the tables, write the report. Raises ConfigurationError, OSError."""
    from ..report.compare_report import Compared, findings, tables, write_comparison
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
    compared = Compared(workload, by_seed, origin, _uncoordinated(options, made))
    print(tables(compared), *findings(compared), sep="\n\n", end="\n\n")
    print(f"report: {write_comparison(options.out, compared)}")
    return 0


def _uncoordinated(options: Options, made: MadeWorkload) -> Uncoordinated | None:
    """Run without coordination, where it was asked for. Raises ConfigurationError."""
    if not options.uncoordinated:
        return None
    if options.profile is not None or options.load_time is not None or made.recorded:
        raise ConfigurationError("uncoordinated", "is for the mock server's own latencies", "others")
    models = [replace(model, parallel=options.parallel, context_length=CONTEXT_TOKENS) for model in DEFAULT_MODELS]
    return run_uncoordinated(made.workload, models, make_profile(options.seed), seed=options.seed)


def _by_seed(
    options: Options, made: MadeWorkload, policies: Mapping[str, PolicyFactory]
) -> list[list[PolicyComparison]]:
    """Compare the policies for each seed; the first is that of ``made``."""
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
