"""What a sweep leaves behind: a table with confidence intervals, a heat map for each measure, and the page that shows them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from matplotlib.figure import Figure

from ..analysis.sweeping import MEASURES, Estimate, Point
from .compare_plots import load_title
from .figures import Picture, plain_text, saved
from .page import Origin, Table, write_page

__all__ = ["best_sentences", "sweep_table", "write_sweep"]

Found = Mapping[Point, Mapping[str, Estimate]]
_MAPPED: Final = ("mean", "p95")


def sweep_table(found: Found) -> Table:
    """A row for each point."""
    head = ["policy", "load time", "sessions", "slots", *MEASURES]
    rows = [
        [
            point.policy,
            "own" if point.load_time is None else f"{point.load_time:g} s",
            str(point.sessions),
            str(point.parallel),
            *(_text(values[measure]) for measure in MEASURES),
        ]
        for point, values in found.items()
    ]
    return Table("Every point: mean of the replications, with half of its 95 % confidence interval", head, rows)


def _text(estimate: Estimate) -> str:
    return f"{estimate.mean:.1f}" + ("" if estimate.half_width is None else f" ±{estimate.half_width:.1f}")


def best_sentences(found: Found, measure: str = "p95") -> list[str]:
    """Which policy has the least ``measure`` in each column of the heat map, and in how many of them each is the best."""
    wins: dict[str, int] = {}
    columns = {_column(point) for point in found}
    for column in columns:
        rivals = [point for point in found if _column(point) == column]
        best = min(rivals, key=lambda point: found[point][measure].mean)
        wins[best.policy] = wins.get(best.policy, 0) + 1
    told = ", ".join(f"{name} in {number}" for name, number in sorted(wins.items(), key=lambda each: -each[1]))
    return [f"Which policy has the least {measure} latency? Of {len(columns)} settings: {told}."]


def _column(point: Point) -> tuple[float, int, int]:
    return -1.0 if point.load_time is None else point.load_time, point.sessions, point.parallel


@plain_text()
def _pictures(folder: Path, found: Found) -> list[Picture]:
    return saved(
        folder,
        {
            f"heat_{name}.png": (f"{name} latency (s): the darker, the longer", _heat_map(found, name))
            for name in _MAPPED
        },
    )


def _heat_map(found: Found, measure: str) -> Figure:
    policies = list(dict.fromkeys(point.policy for point in found))
    columns = sorted({_column(point) for point in found})
    values = {(point.policy, _column(point)): found[point][measure].mean for point in found}
    figure = Figure(figsize=(max(9.0, 1.5 + 0.9 * len(columns)), 1.8 + 0.5 * len(policies)), layout="constrained")
    axes = figure.subplots()
    cells = [[values.get((policy, column), float("nan")) for column in columns] for policy in policies]
    axes.imshow(cells, aspect="auto", cmap="cividis_r")
    middle = (min(values.values()) + max(values.values())) / 2
    for row, line in enumerate(cells):
        for column, value in enumerate(line):
            colour = "white" if value > middle else "#111111"
            axes.text(column, row, f"{value:.0f}", ha="center", va="center", fontsize="small", color=colour)
    axes.set_yticks(range(len(policies)), policies)
    axes.set_xticks(range(len(columns)), [_label(column) for column in columns], fontsize="small")
    axes.set_xlabel("load time, sessions, slots")
    return figure


def _label(column: tuple[float, int, int]) -> str:
    load_time, sessions, parallel = column
    return f"{'own' if load_time < 0 else f'{load_time:g} s'}\n{sessions}\n{parallel}"


def write_sweep(folder: Path, found: Found, findings: Sequence[str], origin: Origin) -> Path:
    """Write the page and its pictures into ``folder``, which must exist. Returns the page's path."""
    return write_page(
        folder,
        title="Sweep",
        findings=findings,
        introduction="Times are virtual seconds, from a request's arrival to the end of its answer. All points see the same workloads"
        f" and durations, so they differ by their settings only. A load time of “own” is {load_title(None)}.",
        tables=[sweep_table(found)],
        pictures=_pictures(folder, found),
        method="Every run is of the manager's own coordinator, in virtual time, from an event heap.",
        origin=origin,
        data=("sweep.jsonl",),
    )
