"""The command ``advise``: find the cheapest configuration that meets a target, and how much slower the server may be before it does not.

The grid is that of ``sweep``. Costs are servers times what a server and its memory cost. The sensitivity of the advice is found by
simulating it again with slower loads, slower reading and slower decoding.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path

from statemachine.shell.options import command_line, counts_list, option

from ..analysis.advice import FACTORS, MOST_FACTOR, STEPS, FactorSearch, Prices, Target, advised, targets_named
from ..analysis.sweeping import Estimate, Point, PointResult, estimates
from .grid_options import GridOptions, GridTask, results_of, workers_of
from .sweep import results_in_file
from .workload_options import make_workload, workload_settings

__all__ = ["Options", "run"]


@dataclass(frozen=True, kw_only=True)
class Options(GridOptions):
    """The target, the configurations to choose from, and their cost."""

    target: str = option("p95<60", "what must be met, such as p95<60,makespan<3600 (seconds)")
    policies: str = option("fifo,gated,cost_aware", "policies that may be chosen, with commas")
    slots: tuple[int, ...] | None = option((1, 2, 4), "numbers of requests at once, with commas", parse=counts_list)
    servers: tuple[int, ...] = option((1, 2), "numbers of servers, with commas", parse=counts_list)
    server_cost: float = option(1000.0, "cost of a server without memory", least=0)
    memory_cost: float = option(10.0, "cost of a GB of a server's memory", least=0)
    out: Path = option(Path("report-advise"), "folder of the results", parse=Path)


def run(options: Options) -> int:
    """Simulate, advise, write the page. Returns 1 where no point meets the target. Raises ConfigurationError, OSError."""
    from ..report.advice_report import write_advice
    from ..report.page import Origin

    targets, prices = targets_named(options.target), Prices(options.server_cost, options.memory_cost)
    points = options.points()
    made = make_workload(options, seed=options.seed, local=options.local)
    options.out.mkdir(parents=True, exist_ok=True)
    with workers_of(options) as workers:
        done = results_in_file(options.out / "sweep.jsonl", options, points, workers)
        chosen, sentences = advised(estimates(done), targets, prices)
        if chosen is not None:
            sentences += _sensitivity(workers, options, chosen, targets)
    print(*sentences, sep="\n")
    settings = {**workload_settings(options, made), "latencies": options.latencies(made), "seeds": str(options.seeds)}
    origin = Origin(command_line("advise", options), settings, made.workload.assumptions)
    print(f"report: {write_advice(options.out, done, chosen, (targets, prices), sentences, origin)}")
    return 1 if chosen is None else 0


def _sensitivity(workers: Executor, options: Options, chosen: Point, targets: Sequence[Target]) -> list[str]:
    """Find how much longer loads, reading and decoding may take, each by itself."""
    searches = {what: FactorSearch() for what in FACTORS}
    for _ in range(STEPS):
        open_ = {what: search for what, search in searches.items() if search.holds < MOST_FACTOR}
        met = _met(workers, options, chosen, targets, {what: search.factor for what, search in open_.items()})
        for what, search in open_.items():
            search.tried(met[what])
    return [search.sentence(what) for what, search in searches.items()]


def _met(
    workers: Executor, options: Options, chosen: Point, targets: Sequence[Target], factors: Mapping[str, float]
) -> dict[str, bool]:
    """Return for each of ``factors`` whether ``chosen`` meets the targets with this slow-down."""
    scales = {FACTORS[what](factor): what for what, factor in factors.items()}
    seeds = range(options.seed, options.seed + options.seeds)
    tasks = [GridTask(options, (chosen,), seed, scale) for scale in scales for seed in seeds]
    results: dict[str, list[PointResult]] = {what: [] for what in factors}
    for task, found in results_of(workers, tasks, "runs with other times"):
        results[scales[task.scale]] += found
    return {what: _all_met(estimates(found)[chosen], targets) for what, found in results.items()}


def _all_met(found: Mapping[str, Estimate], targets: Sequence[Target]) -> bool:
    return all(target.met(found) for target in targets)
