"""Draw the pictures of the study: how the ratios are spread, and what fewer switches cost in the tail."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Final

from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from statemachine.policies.names import BASELINE

from ..analysis.verdicts import MEASURES, Cell, ratio
from .figures import PageFigure, plain_text, saved
from .palette import SERIES

__all__ = ["draw_study"]

_SPREAD: Final = (
    f"Latencies as ratios to {BASELINE}, over all cells, up to 1.8 (box: quartiles, whiskers: 5 % and 95 %)"
)
_TRADE: Final = (
    f"Makespan against the tail, as ratios to {BASELINE}: a curve's marks are the medians of 6, 12, ... sessions"
)
_FREE: Final = "no switch cost"


@plain_text()
def draw_study(folder: Path, cells: Sequence[Cell]) -> list[PageFigure]:
    """Write every picture into ``folder``, which must exist. Returns them for a page."""
    figures = {"ratios.png": (_SPREAD, _spreads(cells)), "trade_off.png": (_TRADE, _trade_offs(cells))}
    return saved(folder, figures)


def _names(cells: Sequence[Cell]) -> list[str]:
    return [name for name in cells[0].runs if name != BASELINE]


def _free(cell: Cell, measure: str) -> float:
    return float(getattr(cell.free, measure) / getattr(cell.runs[BASELINE], measure))


def _spreads(cells: Sequence[Cell]) -> Figure:
    """Draw a panel for each measure with a box for each policy."""
    names = [*_names(cells), _FREE]
    figure = Figure(figsize=(13, 1.8 + 0.42 * len(names)), layout="constrained")
    panels = figure.subplots(1, len(MEASURES), sharey=True)
    for axes, measure in zip(panels, MEASURES, strict=True):
        values = [[ratio(cell, name, measure) for cell in cells] for name in names[:-1]]
        values.append([_free(cell, measure) for cell in cells])
        boxes = axes.boxplot(values, orientation="horizontal", whis=(5, 95), showfliers=True, patch_artist=True)
        for index, box in enumerate(boxes["boxes"]):
            box.set_facecolor("#CCCCCC" if names[index] == _FREE else SERIES[index % len(SERIES)])
        for line in boxes["medians"]:
            line.set_color("black")
        axes.axvline(1, color="black", linewidth=1)
        axes.axvline(0.8, color="black", linewidth=1, linestyle=":")
        axes.set_xlabel(measure)
        axes.set_xlim(0.3, 1.8)
        axes.grid(axis="x", color="#EEEEEE")
        axes.set_axisbelow(True)
    panels[0].set_yticks(range(1, len(names) + 1), names)
    panels[0].invert_yaxis()
    figure.suptitle(_SPREAD)
    return figure


def _trade_offs(cells: Sequence[Cell]) -> Figure:
    """Draw a panel for each load time with a curve for each policy and a mark for each number of sessions."""
    load_times = sorted({cell.load_time for cell in cells})
    sizes = sorted({int(cell.kind) for cell in cells if cell.kind.isdigit()})
    figure = Figure(figsize=(6.5 * len(load_times), 5.5), layout="constrained")
    panels = figure.subplots(1, len(load_times), squeeze=False, sharex=True, sharey=True)[0]
    curves: list[Line2D] = []
    for axes, load_time in zip(panels, load_times, strict=True):
        groups = [[c for c in cells if c.kind == str(size) and c.load_time == load_time] for size in sizes]
        curves = []
        for index, name in enumerate([*_names(cells), _FREE]):
            points = [tuple(_median(group, name, measure) for measure in ("makespan", "p99")) for group in groups]
            colour = "#777777" if name == _FREE else SERIES[index % len(SERIES)]
            curves += axes.plot(*zip(*points, strict=True), marker="o", color=colour, label=name, markersize=4)
            for size, point in zip(sizes, points, strict=True) if index == 0 else ():
                axes.annotate(str(size), point, textcoords="offset points", xytext=(4, 3), fontsize="x-small")
        axes.axhline(1, color="black", linewidth=1)
        axes.set_xlabel("makespan")
        axes.set_title(f"load time {load_time:g} s", fontsize="medium")
        axes.grid(color="#EEEEEE")
    panels[0].set_ylabel("99th percentile of latency")
    figure.suptitle(_TRADE)
    figure.legend(handles=curves, loc="outside lower center", ncols=min(8, len(curves)), frameon=False)
    return figure


def _median(group: Sequence[Cell], name: str, measure: str) -> float:
    return median(_free(cell, measure) if name == _FREE else ratio(cell, name, measure) for cell in group)
