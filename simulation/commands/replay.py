"""The command ``replay``: a workload through the real manager and adapter against the mock server, in virtual time."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

from statemachine.policies.names import DEFAULT, NAMES, policy_named

from ..analysis.metrics import summarise, table
from ..drivers.manager import mock_lm_studio, replay_in_virtual_time
from ..timing.latency import DEFAULT_MODELS
from .options import command_line, option
from .progress import progress
from .workload_options import WorkloadOptions, make_profile, make_workload, workload_settings

__all__ = ["Options", "run"]


@dataclass(frozen=True, kw_only=True)
class Options(WorkloadOptions):
    """What is replayed, on which slot, and where the report goes."""

    parallel: int = option(1, "requests that a model answers at once", least=1, most=10_000)
    policy: str = option(DEFAULT, f"who is served next: {NAMES}")
    out: Path = option(Path("report"), "folder of the report", parse=Path)


def run(options: Options) -> int:
    """Replay, print the table, write the report. Returns 1 if a request failed. Raises ConfigurationError, OSError."""
    from ..report.page import Origin, write_report

    policy = policy_named(options.policy)
    made = make_workload(options, seed=options.seed)
    workload = made.workload
    options.out.mkdir(parents=True, exist_ok=True)  # before the work, in case it cannot be had
    profile = make_profile(options.seed)
    served = partial(mock_lm_studio, DEFAULT_MODELS, profile, parallel=options.parallel, policy=policy)
    with progress(len(workload.calls), "requests") as finished:
        result = replay_in_virtual_time(workload, served, seed=options.seed, finished=finished)
    summary = summarise(result.records, result.intervals, result.statistics.counters.switches)
    print(table(summary))
    settings = {**workload_settings(options, made), **_slot_settings(options)}
    origin = Origin(command_line("replay", options), settings, workload.assumptions)
    print(f"report: {write_report(options.out, workload, result, summary, origin)}")
    return 1 if summary.failed else 0


def _slot_settings(options: Options) -> dict[str, str]:
    requests = f"{options.parallel} request{'s' if options.parallel > 1 else ''}"
    return {"slot": f"one model at a time, {requests} at once", "policy": options.policy}
