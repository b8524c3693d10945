"""The experiment behind the default policy: overlaid sessions and the trading graph, at several loads, under every policy."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

from statemachine.errors import ConfigurationError
from statemachine.policies.names import BASELINE, DEFAULT, NAMES, policies_named
from statemachine.shell.options import command_line, option
from statemachine.shell.workers import completed, processes

from ..analysis.comparison import PolicyComparison, compare
from ..analysis.verdicts import Cell
from ..timing.durations import BoundedTiming, MeasuredTiming, ProfileTiming
from ..timing.latency import DEFAULT_MODELS
from ..workloads.equal_agents import equal_agents
from ..workloads.overlay import model_map, overlay_sessions
from ..workloads.traces.weka import weka_sessions
from ..workloads.trading_graph import trading_graph
from ..workloads.workload import Workload, at_once, clipped, mapped
from .progress import progress
from .workload_options import DEEP, LOCAL_MODELS, QUICK, make_profile

__all__ = ["Options", "Setting", "cells_of", "run"]


class Setting(NamedTuple):
    """What is run. ``sessions``: numbers of sessions at once. Times in seconds; ``requests``: of each session (None: all)."""

    policies: str = "fifo,gated,gated:2,gated:4,affinity:8,affinity:16,cost_aware"
    sessions: tuple[int, ...] = (6, 12, 24, 32)
    load_times: tuple[float, ...] = (6.0, 20.0)
    seeds: tuple[int, ...] = tuple(range(12))
    max_think: float = 20.0
    max_prompt: int = 32768
    requests: int | None = None
    parallel: int = 1


WEIGHTS: Final = dict(zip(LOCAL_MODELS, (3.0, 2.0, 1.0), strict=True))
"""How often an equal agent calls which model."""


class _Task(NamedTuple):
    """One workload at all load times. ``kind`` is the number of sessions, or the name of what is generated."""

    kind: int | str
    seed: int


def cells_of(setting: Setting, trace: Path, *, jobs: int, finished: Callable[[], None]) -> list[Cell]:
    """Run everything over ``jobs`` processes; ``finished`` is called after each workload. Raises ConfigurationError, TraceError."""
    sessions = list(weka_sessions(trace, max_think=setting.max_think, requests=setting.requests))
    tasks = tasks_of(setting)
    found: dict[_Task, list[Cell]] = {}
    with processes(jobs, _prepare, setting, sessions) as pool:
        for task, cells in completed(pool, _run_task, tasks):
            found[task] = cells
            finished()
    return [cell for task in tasks for cell in found[task]]


def tasks_of(setting: Setting) -> list[_Task]:
    """Return the workloads, the large ones first, because they take longest."""
    kinds: list[int | str] = [*sorted(setting.sessions, reverse=True), "trading graph", "equal agents"]
    kinds += ["batch"] if setting.parallel == 1 else []  # the least makespan of several at once is not known
    return [_Task(kind, seed) for kind in kinds for seed in setting.seeds]


_prepared: dict[str, object] = {}


def _prepare(setting: Setting, sessions: Sequence[Workload]) -> None:
    """Prepare a worker process."""
    _prepared.update(setting=setting, sessions=sessions)


def _run_task(task: _Task) -> list[Cell]:
    setting, sessions = _prepared["setting"], _prepared["sessions"]
    assert isinstance(setting, Setting)
    assert isinstance(sessions, list)
    workload, timing_at = _workload(task, setting, sessions)
    policies = policies_named(setting.policies)
    found = compare(workload, policies, setting.load_times, timing_at, parallel=setting.parallel, finished=lambda: None)
    return [_cell(task, comparison) for comparison in found]


def _workload(
    task: _Task, setting: Setting, sessions: Iterable[Workload]
) -> tuple[Workload, Callable[[float | None], BoundedTiming]]:
    kind, seed = task
    if kind == "trading graph":
        return trading_graph(QUICK, DEEP, seed=seed), partial(ProfileTiming, DEFAULT_MODELS, make_profile(seed))
    if kind == "equal agents":
        return equal_agents(WEIGHTS, agents=12, calls=100, seed=seed), _measured
    if kind == "batch":
        return at_once(equal_agents(WEIGHTS, agents=30, calls=1, seed=seed)), _measured
    assert isinstance(kind, int)
    overlay = overlay_sessions(f"{kind} sessions", sessions, kind, seed=seed)
    return clipped(mapped(overlay, model_map(overlay.models, LOCAL_MODELS, {})), setting.max_prompt), _measured


def _measured(load_time: float | None) -> BoundedTiming:
    return MeasuredTiming() if load_time is None else MeasuredTiming(load_time)


def _cell(task: _Task, comparison: PolicyComparison) -> Cell:
    assert comparison.load_time is not None
    runs = {run.policy: run.numbers for run in comparison.runs}
    return Cell(str(task.kind), task.seed, comparison.load_time, comparison.free.numbers, runs)


# ---- the command ----


@dataclass(frozen=True, kw_only=True)
class Options:
    """What is run, over how many processes, and where the report goes."""

    trace: Path | None = option(None, "Weka sessions (.tar.*, folder, .json); must be given", parse=Path)
    policies: str = option(Setting().policies, f"with commas, of {NAMES}")
    policy: str = option(DEFAULT, "the policy that is judged by the criteria")
    seeds: int = option(len(Setting().seeds), "number of successive seeds", least=1, most=10_000)
    seed: int = option(0, "the first seed")
    requests: int | None = option(None, "only the first N requests of each session (default: all)", parse=int, least=1)
    parallel: int = option(1, "requests at once in the slot", least=1, most=10_000)
    jobs: int = option(os.cpu_count() or 1, "worker processes", least=1, most=1_000)
    out: Path = option(Path("report-study"), "folder of the report", parse=Path)


def run(options: Options) -> int:
    """Run the experiment, print criteria and tables, write the report. Raises ConfigurationError, OSError."""
    from ..report.page import Origin
    from ..report.study_report import study_tables, write_study

    if options.trace is None:
        raise ConfigurationError("trace", "must be given: a file or folder of sessions", "none")
    names = policies_named(options.policies)
    if not names.keys() >= {options.policy, BASELINE}:
        raise ConfigurationError("policies", f"must have {BASELINE} and {options.policy}", repr(options.policies))
    setting = Setting(
        policies=options.policies,
        seeds=tuple(range(options.seed, options.seed + options.seeds)),
        requests=options.requests,
        parallel=options.parallel,
    )
    options.out.mkdir(parents=True, exist_ok=True)  # before the work, in case it cannot be had
    with progress(len(tasks_of(setting)), "workloads") as finished:
        cells = cells_of(setting, options.trace, jobs=options.jobs, finished=finished)
    origin = Origin(command_line("study", options), _settings(setting), _ASSUMPTIONS)
    print(study_tables(cells, options.policy))
    print(f"report: {write_study(options.out, cells, options.policy, origin)}")
    return 0


def _settings(setting: Setting) -> dict[str, str]:
    return {name.replace("_", " "): str(value) for name, value in setting._asdict().items()}


_ASSUMPTIONS: Final = (
    "Sessions are drawn from the trace, and begin within a minute of each other.",
    "The trace's models are played by three local ones; each takes what was measured of one model on one server.",
    "A longer prompt is cut to the local model's context, its cached part first.",
    "The server's prompt cache keeps every session, and survives a switch.",
)
