"""The command ``validate``: the simulator against closed formulas of queueing theory, with as many requests as one has time for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from statemachine.shell.options import option

from ..analysis.validation import CASES, validate
from .progress import progress

__all__ = ["Options", "run"]


@dataclass(frozen=True, kw_only=True)
class Options:
    """How much is simulated, and where the plot goes."""

    requests: int = option(40_000, "requests of each replication", least=1000)
    replications: int = option(10, "replications of each case", least=2, most=20)
    out: Path = option(Path("report-validate"), "folder of the plot", parse=Path)


def run(options: Options) -> int:
    """Print a table, and draw it. Returns 1 where a formula lies outside its confidence interval. Raises OSError."""
    from ..report.validation_plot import draw_validation

    found = []
    options.out.mkdir(parents=True, exist_ok=True)  # before the work, in case it cannot be had
    with progress(len(CASES), "cases") as finished:
        for case in CASES:
            found.append(validate(case, requests=options.requests, replications=options.replications))
            finished()
    width = max(len(each.name) for each in found)
    print(f"{'case'.ljust(width)}  {'formula':>9}  {'simulated':>9}  {'+-':>7}")
    for each in found:
        verdict = "" if each.holds else "  OUTSIDE"
        print(f"{each.name.ljust(width)}  {each.expected:9.4f}  {each.mean:9.4f}  {each.half_width:7.4f}{verdict}")
    print(f"plot: {draw_validation(options.out, found)}")
    return 0 if all(each.holds for each in found) else 1
