"""The options that span a grid of settings, and the tasks that simulate it on all cores. Shared by ``sweep`` and ``advise``.

Points that share a workload are one task, whose results are the same wherever it runs.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final, NamedTuple

from statemachine.errors import ConfigurationError
from statemachine.policies.names import BASELINE, DEFAULT, NAMES, policies_named, policy_named
from statemachine.shell.options import counts_list, numbers_list, option, seconds_list
from statemachine.shell.workers import completed, processes

from ..analysis.deployment import Machines, deployed
from ..analysis.sweeping import Point, PointResult, grid, measures_of
from ..drivers.heap import HeapDriver
from ..timing.faults import faults_named
from ..timing.scaled import Scale, scaled
from ..workloads.generated import WITH_AGENTS
from .cluster import cluster
from .progress import progress
from .timing_options import TimingOptions
from .workload_options import MadeWorkload, make_workload

__all__ = ["GridOptions", "GridTask", "results_of", "run_task", "tasks_of", "workers_of"]

GB: Final = 1e9
TASK_POINTS: Final = 8


@dataclass(frozen=True, kw_only=True)
class GridOptions(TimingOptions):
    """The axes of the grid, and how it is computed."""

    policies: str = option(f"{BASELINE},{DEFAULT}", f"with commas, of {NAMES}")
    load_time: tuple[float, ...] | None = option(
        None, "seconds that every switch takes, with commas (default: each model's own)", parse=seconds_list
    )
    agents: tuple[int, ...] | None = option(
        None, "numbers of sessions, or of agents, with commas (default: --sessions)", parse=counts_list
    )
    slots: tuple[int, ...] | None = option(
        None, "numbers of requests at once, with commas (default: --parallel)", parse=counts_list
    )
    servers: tuple[int, ...] = option((1,), "numbers of servers, with commas", parse=counts_list)
    memory: tuple[float, ...] | None = option(
        None,
        "GB of memory of a server, with commas: models that fit are kept side by side (default: one model at a time)",
        parse=numbers_list,
    )
    request_memory: float = option(0.5, "GB that the context of one request takes, with --memory", least=0)
    seeds: int = option(5, "replications, of successive seeds", least=1, most=10_000)
    faults: str | None = option(None, "such as load=0.05,crash=0.01,stall=0.02,outage_every=3600")
    jobs: int = option(os.cpu_count() or 1, "worker processes", least=1, most=1000)
    scheduler: str | None = option(
        None, "the scheduler of a Dask cluster, such as tcp://127.0.0.1:8786 (default: processes of this machine)"
    )

    def points(self) -> list[Point]:
        """Return the grid without the points that do not fit into their memory. Raises ConfigurationError where none does."""
        if self.faults is not None:
            faults_named(self.faults)
        if self.agents is not None and self.trace is None and self.workload not in WITH_AGENTS:
            rule = f"is for traces and for {', '.join(WITH_AGENTS)}: a graph has agents of its own"
            raise ConfigurationError("agents", rule, repr(self.workload))
        every = grid(
            list(policies_named(self.policies)),
            self.load_time or (None,),
            self.agents or (self.sessions,),
            self.slots or (self.parallel,),
            self.servers,
            self.memory or (None,),
        )
        fitting = [point for point in every if self.machines(point).fits]
        if not fitting:
            raise ConfigurationError("memory", "must hold the largest model and its requests", repr(self.memory))
        return fitting

    def machines(self, point: Point) -> Machines:
        """Return the servers of ``point``. Raises ConfigurationError."""
        memory = None if point.memory is None else point.memory * GB
        return Machines(point.servers, memory, point.parallel, self.model_bytes, self.request_memory * GB)


class GridTask(NamedTuple):
    """Points of one workload and one seed, with times that are multiples of the server's: what the workload is made of is made once."""

    options: GridOptions
    points: tuple[Point, ...]
    seed: int
    scale: Scale = Scale()


def tasks_of(options: GridOptions, points: Sequence[Point], done: Sequence[PointResult]) -> list[GridTask]:
    """Return the tasks that are not ``done`` yet; the largest workloads first, because they take longest."""
    known = {(result.point, result.seed) for result in done}
    tasks = []
    for sessions in sorted({point.sessions for point in points}, reverse=True):
        for seed in range(options.seed, options.seed + options.seeds):
            left = [point for point in points if point.sessions == sessions and (point, seed) not in known]
            tasks += [GridTask(options, tuple(part), seed) for part in _parts(left)]
    return tasks


def _parts(points: Sequence[Point]) -> Iterator[Sequence[Point]]:
    return (points[place : place + TASK_POINTS] for place in range(0, len(points), TASK_POINTS))


def workers_of(options: GridOptions) -> AbstractContextManager[Executor]:
    """Open what simulates: processes of this machine, or the cluster. Raises ConfigurationError."""
    return processes(options.jobs) if options.scheduler is None else cluster(options.scheduler)


def results_of(
    workers: Executor, tasks: Sequence[GridTask], unit: str = "points"
) -> Iterator[tuple[GridTask, list[PointResult]]]:
    """Simulate ``tasks``, and yield each with its results as they come, with a bar of what is done. Raises ConfigurationError."""
    if tasks:
        with progress(sum(len(task.points) for task in tasks), unit) as finished:
            for task, results in completed(workers, run_task, tasks):
                yield task, results
                for _ in task.points:
                    finished()


@lru_cache(2)
def _made(options: GridOptions, seed: int) -> MadeWorkload:
    """Make the workload of a task, which its next one often shares: reading a trace takes longer than a run."""
    return make_workload(options, seed=seed, local=options.local)


def run_task(task: GridTask) -> list[PointResult]:
    """Simulate all points of a task. Raises ConfigurationError."""
    options = replace(task.options, sessions=task.points[0].sessions)
    made = _made(options, task.seed)
    timing_at = options.timing_at(made, task.seed)
    faults = None if options.faults is None else faults_named(options.faults, task.seed)
    results = []
    for load_time in dict.fromkeys(point.load_time for point in task.points):
        driver = HeapDriver(made.workload, scaled(timing_at(load_time), task.scale), faults=faults)
        for point in (each for each in task.points if each.load_time == load_time):
            policy = policy_named(point.policy)
            config, routing = deployed(made.workload, driver.plan.whole, options.machines(point), policy)
            replay = driver.replay(config, routing=routing)
            values = measures_of(replay.records, replay.statistics.counters.switches)
            results.append(PointResult(point, task.seed, values))
    return results
