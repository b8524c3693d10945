"""The command ``sweep``: a grid of policies, load times, sessions, slots, servers and memory, each point with several seeds, on all cores.

Results are JSON lines, one a point and seed, written as they come. A sweep that was interrupted goes on where it was: points that are in
the file are not run again.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from statemachine.checks import shown
from statemachine.errors import ConfigurationError
from statemachine.shell.options import command_line, option

from ..analysis.sweeping import MEASURES, Point, PointResult, as_json, estimates
from ..workloads.traces.fields import TraceError, count_at, number_at, object_in, parsed_json, text_at
from .grid_options import GridOptions, results_of, tasks_of, workers_of
from .workload_options import make_workload, workload_settings

__all__ = ["Options", "results_in_file", "run"]


@dataclass(frozen=True, kw_only=True)
class Options(GridOptions):
    """The grid, the workload, and where the results go."""

    out: Path = option(Path("report-sweep"), "folder of the results", parse=Path)


def run(options: Options) -> int:
    """Run what is not in the results' file yet, print the table, write the page. Raises ConfigurationError, OSError."""
    from ..report.compare_report import aligned
    from ..report.page import Origin
    from ..report.sweep_report import best_sentences, sweep_table, write_sweep

    points = options.points()
    made = make_workload(options, seed=options.seed, local=options.local)  # bad input is told before workers start
    options.out.mkdir(parents=True, exist_ok=True)
    with workers_of(options) as workers:
        done = results_in_file(options.out / "sweep.jsonl", options, points, workers)
    found = estimates(done)
    table, findings = sweep_table(found), best_sentences(done)
    print("\n".join(aligned([table.head, *table.rows])), *findings, sep="\n\n", end="\n\n")
    settings = {**workload_settings(options, made), "latencies": options.latencies(made), "seeds": str(options.seeds)}
    origin = Origin(command_line("sweep", options), settings, made.workload.assumptions)
    print(f"report: {write_sweep(options.out, done, findings, origin)}")
    return 0


def results_in_file(file: Path, options: GridOptions, points: Sequence[Point], workers: Executor) -> list[PointResult]:
    """Return all results of ``points``, in their order. Those that are not in ``file`` are simulated and added to it.

    Raises ConfigurationError, OSError.
    """
    done = _read(file, options)
    with file.open("a", encoding="utf-8") as stream:
        for _, results in results_of(workers, tasks_of(options, points, done)):
            stream.writelines(json.dumps(as_json(result)) + "\n" for result in results)
            stream.flush()
            done += results
    places = {point: place for place, point in enumerate(points)}
    return sorted((each for each in done if each.point in places), key=lambda each: (places[each.point], each.seed))


# ---- going on where it was ----

_NO_IDENTITY: Final = {
    *(
        "policies",
        "load_time",
        "agents",
        "sessions",
        "slots",
        "parallel",
        "servers",
        "memory",
    ),  # coordinates of a point
    *("seeds", "seed", "target", "server_cost", "memory_cost"),
    *("jobs", "scheduler", "out"),
}


def _read(file: Path, options: GridOptions) -> list[PointResult]:
    """Read the results' file; a last line that was cut is left out. The first line says what the results are of."""
    about = json.dumps({"sweep": _identity(options)})
    if not file.exists():
        file.write_text(about + "\n", encoding="utf-8")
        return []
    lines = file.read_bytes().decode("utf-8", "replace").split("\n")
    if lines[0] != about:
        raise ConfigurationError(
            "out", "must be a new folder, or one of a sweep of the same workload and server", "another sweep's results"
        )
    whole = lines[:-1]
    file.write_text("".join(f"{line}\n" for line in whole), encoding="utf-8")
    return [_result(line, f"{file}:{number}:") for number, line in enumerate(whole[1:], 2)]


def _identity(options: GridOptions) -> dict[str, str]:
    """Everything that results depend on and that is no coordinate of a point."""
    return {name: str(value) for name, value in asdict(options).items() if name not in _NO_IDENTITY}


def _result(line: str, place: str) -> PointResult:
    """Read one line. Raises TraceError with its ``place``."""
    row = object_in(parsed_json(line, place.removesuffix(":")), place)
    values = {name: number_at(row, name, place) for name in MEASURES}
    load_time, memory = (
        None if row.get(name) is None else number_at(row, name, place) for name in ("load_time", "memory")
    )
    sessions, parallel, servers = (count_at(row, name, place) for name in ("sessions", "parallel", "servers"))
    point = Point(text_at(row, "policy", place), load_time, sessions, parallel, servers, memory)
    if type(seed := row.get("seed")) is not int:
        raise TraceError(f"{place} seed", "must be an integer", shown(seed))
    return PointResult(point, seed, values)
