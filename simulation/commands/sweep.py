"""The command ``sweep``: a grid of policies, load times, sessions and slots, each point with several seeds, on all cores.

Results are JSON lines, one a point and seed, written as they come. A sweep that was interrupted goes on where it was: points that are in
the file are not run again. ``--target`` names the cheapest point that meets it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import NamedTuple

from statemachine.errors import ConfigurationError
from statemachine.policies.names import BASELINE, DEFAULT, NAMES, policies_named, policy_named
from statemachine.shell.options import command_line, counts_list, option, seconds_list
from statemachine.shell.workers import completed, processes

from ..analysis.advice import advice
from ..analysis.sweeping import MEASURES, Point, PointResult, as_json, estimates, grid, measures_of
from ..drivers.heap import HeapDriver, one_slot
from ..timing.faults import faults_named
from .progress import progress
from .timing_options import TimingOptions
from .workload_options import make_workload, workload_settings

__all__ = ["Options", "run"]


@dataclass(frozen=True, kw_only=True)
class Options(TimingOptions):
    """The grid, the workload, and where the results go."""

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
    seeds: int = option(5, "replications, of successive seeds", least=1, most=10_000)
    faults: str | None = option(None, "such as load=0.05,crash=0.01,stall=0.02,outage_every=3600")
    target: float | None = option(
        None, "name the cheapest point whose p95 is below this, seconds", parse=float, least=0
    )
    jobs: int = option(os.cpu_count() or 1, "worker processes", least=1, most=1000)
    out: Path = option(Path("report-sweep"), "folder of the results", parse=Path)


class _Task(NamedTuple):
    """One workload with all policies and load times: what it is made of is made once."""

    options: Options
    points: tuple[Point, ...]
    seed: int


def run(options: Options) -> int:
    """Run what is not in the results' file yet, print the table, write the page. Returns 1 where no point meets the target."""
    from ..report.compare_report import aligned
    from ..report.page import Origin
    from ..report.sweep_report import best_sentences, sweep_table, write_sweep

    points = _points(options)
    made = make_workload(options, seed=options.seed, local=options.local)  # bad input is told before workers start
    options.out.mkdir(parents=True, exist_ok=True)
    file = options.out / "sweep.jsonl"
    done = _done(file, options)
    tasks = _tasks(options, points, done)
    with (
        progress(max(1, len(tasks)), "workloads") as finished,
        processes(options.jobs, _ready) as pool,
        file.open("a", encoding="utf-8") as stream,
    ):
        for _, results in completed(pool, _run, tasks):
            stream.writelines(json.dumps(as_json(result)) + "\n" for result in results)
            stream.flush()
            done += results
            finished()
    wanted = set(points)
    done = sorted(
        (each for each in done if each.point in wanted), key=lambda each: (points.index(each.point), each.seed)
    )
    found = estimates(done)
    table = sweep_table(found)
    findings = [*best_sentences(found), *([] if options.target is None else [advice(found, options.target).sentence])]
    print("\n".join(aligned([table.head, *table.rows])), *findings, sep="\n\n", end="\n\n")
    settings = {**workload_settings(options, made), "latencies": options.latencies(made), "seeds": str(options.seeds)}
    origin = Origin(command_line("sweep", options), settings, made.workload.assumptions)
    print(f"report: {write_sweep(options.out, found, findings, origin)}")
    return 0 if options.target is None or advice(found, options.target).point is not None else 1


def _points(options: Options) -> list[Point]:
    policies = list(policies_named(options.policies))
    load_times: list[float | None] = [*(options.load_time or (None,))]
    if options.faults is not None:
        faults_named(options.faults)
    return grid(policies, load_times, options.agents or (options.sessions,), options.slots or (options.parallel,))


def _tasks(options: Options, points: list[Point], done: list[PointResult]) -> list[_Task]:
    """Points that share a workload are one task; the largest first, because they take longest."""
    known = {(result.point, result.seed) for result in done}
    tasks = []
    for sessions in sorted({point.sessions for point in points}, reverse=True):
        for seed in range(options.seed, options.seed + options.seeds):
            left = tuple(point for point in points if point.sessions == sessions and (point, seed) not in known)
            if left:
                tasks.append(_Task(options, left, seed))
    return tasks


def _ready() -> None:
    """Nothing is made ahead in a worker: a task has all it needs."""


def _run(task: _Task) -> list[PointResult]:
    options = replace(task.options, sessions=task.points[0].sessions)
    made = make_workload(options, seed=task.seed, local=options.local)
    timing_at = options.timing_at(made, task.seed)
    faults = None if options.faults is None else faults_named(options.faults, task.seed)
    results = []
    for load_time in dict.fromkeys(point.load_time for point in task.points):
        driver = HeapDriver(made.workload, timing_at(load_time), faults=faults)
        for point in (each for each in task.points if each.load_time == load_time):
            replay = driver.replay(one_slot(policy_named(point.policy), parallel=point.parallel))
            values = measures_of(replay.records, replay.statistics.counters.switches)
            results.append(PointResult(point, task.seed, values))
    return results


# ---- going on where it was ----


def _done(file: Path, options: Options) -> list[PointResult]:
    """What is in the results' file; a last line that was cut is left out. The first line says what the results are of."""
    about = json.dumps({"sweep": _identity(options)})
    if not file.exists():
        file.write_text(about + "\n", encoding="utf-8")
        return []
    lines = file.read_text(encoding="utf-8").split("\n")
    if lines[0] != about:
        raise ConfigurationError(
            "out", "must be a new folder, or one of a sweep of the same workload and server", "another sweep's results"
        )
    whole = lines[:-1]
    file.write_text("".join(f"{line}\n" for line in whole), encoding="utf-8")
    return list(_results(whole[1:]))


def _identity(options: Options) -> dict[str, str]:
    """Everything that results depend on and that is no coordinate of a point."""
    coordinates = {
        "policies",
        "load_time",
        "agents",
        "slots",
        "seeds",
        "seed",
        "sessions",
        "parallel",
        "target",
        "jobs",
        "out",
    }
    return {name: str(value) for name, value in asdict(options).items() if name not in coordinates}


def _results(lines: list[str]) -> Iterator[PointResult]:
    for line in lines:
        row = json.loads(line)
        point = Point(row["policy"], row["load_time"], row["sessions"], row["parallel"])
        yield PointResult(point, row["seed"], {measure: row[measure] for measure in MEASURES})
