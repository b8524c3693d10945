"""The command ``replay``: a workload through the real manager and adapter, against the mock in virtual time or any real server."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import trio

from statemachine.policies.names import DEFAULT, NAMES, policy_named
from statemachine.shell.options import command_line, option

from ..analysis.metrics import summarise, table
from ..drivers.manager import mock_lm_studio, replay, replay_in_virtual_time
from ..drivers.record import Replay
from ..timing.latency import DEFAULT_MODELS
from ..workloads.workload import Workload
from .progress import progress
from .server_options import ServerOptions
from .workload_options import (
    MOCK_MODELS,
    LocalModels,
    WorkloadOptions,
    local_models,
    make_profile,
    make_workload,
    workload_settings,
)

__all__ = ["Options", "run"]


@dataclass(frozen=True, kw_only=True)
class Options(WorkloadOptions, ServerOptions):
    """What is replayed, on which slot, and where the report goes."""

    parallel: int = option(1, "requests that a model answers at once", least=1, most=10_000)
    policy: str = option(DEFAULT, f"who is served next: {NAMES}")
    base_url: str | None = option(None, "a real server, used in real time (default: the mock, in virtual time)")
    out: Path = option(Path("report"), "folder of the report", parse=Path)

    @property
    def local(self) -> LocalModels:
        """The models of the server. Raises ConfigurationError."""
        return MOCK_MODELS if self.base_url is None else local_models(self.keys)


def run(options: Options) -> int:
    """Replay, print the table, write the report. Returns 1 if a request failed. Raises ConfigurationError, OSError."""
    from ..report.page import Origin
    from ..report.replay_report import write_report

    made = make_workload(options, seed=options.seed, local=options.local)
    workload = made.workload
    options.out.mkdir(parents=True, exist_ok=True)  # before the work, in case it cannot be had
    result = _virtual(options, workload) if options.base_url is None else _real(options, workload)
    summary = summarise(result.records, result.intervals, result.statistics.counters.switches)
    print(table(summary))
    settings = {**workload_settings(options, made), **_slot_settings(options)}
    origin = Origin(command_line("replay", options), settings, workload.assumptions)
    print(f"report: {write_report(options.out, workload, result, summary, origin)}")
    return 1 if summary.failed else 0


def _virtual(options: Options, workload: Workload) -> Replay:
    policy, profile = policy_named(options.policy), make_profile(options.seed)
    served = partial(mock_lm_studio, DEFAULT_MODELS, profile, parallel=options.parallel, policy=policy)
    with progress(len(workload.calls), "requests") as finished:
        return replay_in_virtual_time(workload, served, seed=options.seed, finished=finished)


def _real(options: Options, workload: Workload) -> Replay:
    config, style = options.config(policy_named(options.policy), options.parallel), options.style()
    with progress(len(workload.calls), "requests") as finished:
        return trio.run(partial(replay, workload, config, finished=finished, style=style))


def _slot_settings(options: Options) -> dict[str, str]:
    requests = f"{options.parallel} request{'s' if options.parallel > 1 else ''}"
    server = {} if options.base_url is None else {"server": f"{options.server}, in real time"}
    return {**server, "slot": f"one model at a time, {requests} at once", "policy": options.policy}
