"""The command ``replay``: a workload through the real manager and adapter, against the mock in virtual time or any real server."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import trio

from statemachine.errors import ConfigurationError
from statemachine.policies.names import DEFAULT, NAMES, policy_named
from statemachine.shell.options import command_line, option

from ..analysis.metrics import summarise, table
from ..drivers.manager import Replay, mock_lm_studio, replay, replay_in_virtual_time
from ..drivers.requests import SizedRequests
from ..drivers.servers import SERVERS, real_server
from ..timing.latency import DEFAULT_MODELS
from ..workloads.workload import Workload
from .progress import progress
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
class Options(WorkloadOptions):
    """What is replayed, on which slot, and where the report goes."""

    parallel: int = option(1, "requests that a model answers at once", least=1, most=10_000)
    policy: str = option(DEFAULT, f"who is served next: {NAMES}")
    base_url: str | None = option(None, "a real server, used in real time (default: the mock, in virtual time)")
    server: str = option("lmstudio", f"what the real server is: {', '.join(SERVERS)}")
    models: str | None = option(None, "the real server's models, small to large, with commas")
    parameter: tuple[str, ...] = option((), "a parameter of every call to a real server", metavar="NAME=JSON")
    words_per_token: float = option(1.0, "words that a real server counts as a token", least=0.01, most=10)
    out: Path = option(Path("report"), "folder of the report", parse=Path)

    @property
    def local(self) -> LocalModels:
        """The models of the server. Raises ConfigurationError."""
        if self.base_url is None:
            return MOCK_MODELS
        if not self.models:
            raise ConfigurationError("models", "must name the real server's models", repr(self.models))
        return local_models([name.strip() for name in self.models.split(",")])


def run(options: Options) -> int:
    """Replay, print the table, write the report. Returns 1 if a request failed. Raises ConfigurationError, OSError."""
    from ..report.page import Origin
    from ..report.replay_report import write_report

    made = make_workload(options, seed=options.seed, local=options.local)
    workload = made.workload
    options.out.mkdir(parents=True, exist_ok=True)  # before the work, in case it cannot be had
    result = _virtual(options, workload) if options.base_url is None else _real(options, options.base_url, workload)
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


def _real(options: Options, base_url: str, workload: Workload) -> Replay:
    config = real_server(options.server, base_url, policy_named(options.policy), parallel=options.parallel)
    style = SizedRequests(options.words_per_token, _parameters(options.parameter))
    with progress(len(workload.calls), "requests") as finished:
        return trio.run(partial(replay, workload, config, finished=finished, style=style))


def _parameters(pairs: tuple[str, ...]) -> Mapping[str, Any]:
    parameters: dict[str, Any] = {}
    for pair in pairs:
        name, _, text = pair.partition("=")
        try:
            parameters[name] = json.loads(text)
        except (ValueError, RecursionError):
            raise ConfigurationError("parameter", "must be NAME=JSON", f"{name}=...") from None
    return parameters


def _slot_settings(options: Options) -> dict[str, str]:
    requests = f"{options.parallel} request{'s' if options.parallel > 1 else ''}"
    server = {} if options.base_url is None else {"server": f"{options.server}, in real time"}
    return {**server, "slot": f"one model at a time, {requests} at once", "policy": options.policy}
