"""Write the report of an advice: a page with a table of the points by cost, and a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from matplotlib.figure import Figure

from ..analysis.advice import Prices, Target, ranked
from ..analysis.sweeping import Estimate, Point, PointResult, estimates
from .figures import plain_text, saved
from .heat_map import AXES, axes_that_vary
from .page import Origin, Table, write_page
from .palette import SERIES
from .sweep_report import estimate_text, point_cells

__all__ = ["write_advice"]

Found = Mapping[Point, Mapping[str, Estimate]]
Wanted = tuple[Sequence[Target], Prices]
_CAPTION: Final = (
    "The cost and the measure of each point, with 95 % confidence intervals; the dashed line is the target"
)


def _table(found: Found, wanted: Wanted, chosen: Point | None) -> Table:
    targets, prices = wanted
    axes = axes_that_vary(found)
    head = ["policy", *(AXES[axis] for axis in axes), "cost", *(target.measure for target in targets), "meets"]
    rows = [
        [
            *point_cells(point, axes),
            f"{prices.of(point):g}",
            *(estimate_text(found[point][target.measure]) for target in targets),
            "advised" if point == chosen else "yes" if all(each.met(found[point]) for each in targets) else "no",
        ]
        for point in ranked(found, prices)
    ]
    return Table("Every point, the cheapest first", head, rows)


def _picture(found: Found, wanted: Wanted, chosen: Point | None) -> Figure:
    """Plot the first target's measure over the cost; the advised point has a ring."""
    targets, prices = wanted
    measure = targets[0].measure
    figure = Figure(figsize=(9, 5), layout="constrained")
    axes = figure.subplots()
    policies = list(dict.fromkeys(point.policy for point in found))
    for index, policy in enumerate(policies):
        points = [point for point in found if point.policy == policy]
        shift = 1 + 0.015 * (index - (len(policies) - 1) / 2)  # side by side, where costs are equal
        axes.errorbar(
            [prices.of(point) * shift for point in points],
            [found[point][measure].mean for point in points],
            yerr=[found[point][measure].half_width or 0.0 for point in points],
            fmt="osd^vP*"[index % 7],
            capsize=3,
            color=SERIES[index % len(SERIES)],
            label=policy,
        )
        if chosen is not None and chosen.policy == policy:
            place = prices.of(chosen) * shift, found[chosen][measure].mean
            axes.scatter(*place, s=260, facecolors="none", edgecolors="black", linewidths=2, label="advised")
    axes.axhline(targets[0].most, color="black", linewidth=1.5, linestyle="--")
    axes.set_ylim(bottom=0)
    axes.set_xlabel("cost")
    axes.set_ylabel(f"{measure} (s)" if measure != "switches" else measure)
    axes.grid(color="#EEEEEE", zorder=0)
    figure.legend(loc="outside lower center", ncols=len(policies) + 1, frameon=False)
    return figure


@plain_text()
def write_advice(
    folder: Path,
    results: Sequence[PointResult],
    chosen: Point | None,
    wanted: Wanted,
    sentences: Sequence[str],
    origin: Origin,
) -> Path:
    """Write the page and its picture into ``folder``, which must exist. Returns the page's path."""
    found = estimates(results)
    return write_page(
        folder,
        title="The cheapest that meets the target",
        findings=sentences,
        introduction="Times are virtual seconds, from a request's arrival to the end of its answer. A target is met where the whole 95 %"
        " confidence interval of the mean over the replications is below it. Costs are servers times what a server and its memory cost.",
        tables=[_table(found, wanted, chosen)],
        pictures=saved(folder, {"advice.png": (_CAPTION, _picture(found, wanted, chosen))}),
        method="Every run is of the manager's own coordinator, in virtual time, from an event heap; all points see the same workloads."
        " How much slower the server may be is found by running the advised point again with other times.",
        origin=origin,
        data=("sweep.jsonl",),
    )
