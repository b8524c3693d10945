"""Draw the pictures of a comparison: a panel for each load time. A policy has the same colour in all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, NullLocator

from ..analysis.comparison import PolicyComparison, PolicyRun
from .figures import PageFigure, plain_text, saved, thinned
from .gantt import draw_residency, residency_legend
from .palette import SERIES, model_colours

__all__ = ["draw_comparison", "load_title"]

_FREE: Final = "#777777"
_DASHES: Final = ("-", "--", "-.", (0, (5, 1, 1, 1, 1, 1)))
_MARKERS: Final = "osd^vP*"
_MOST_AGENTS: Final = 40
_IN_THE_BEGINNING: Final = 60

_CDF: Final = "Latency: share of requests answered within a time"
_TRADE: Final = "Switches against latency: the nearer to the lower left, the better"
_GANTT: Final = "Which model is resident, by policy"
_BEGINNING: Final = f"The beginning of it, up to the slowest policy's {_IN_THE_BEGINNING}th answer"
_WAITS: Final = "Mean wait from arrival to grant, by agent"
_LIMIT: Final = "Makespan over what no schedule can beat"


@plain_text()
def draw_comparison(folder: Path, comparisons: Sequence[PolicyComparison]) -> list[PageFigure]:
    """Write every picture into ``folder``, which must exist. Returns them for a page."""
    figures = {
        "latency_cdf.png": (_CDF, _latency_cdfs(comparisons)),
        "trade_off.png": (_TRADE, _trade_off(comparisons)),
        "residency.png": (_GANTT, _residency(_GANTT, comparisons, None)),
        "waits.png": (_WAITS, _waits(comparisons)),
        "limit.png": (_LIMIT, _limits(comparisons)),
    }
    if len(comparisons[0].free.replay.records) > _IN_THE_BEGINNING:
        figures["residency_beginning.png"] = _BEGINNING, _residency(_BEGINNING, comparisons, _IN_THE_BEGINNING)
    return saved(folder, figures)


def load_title(load_time: float | None) -> str:
    """Return the title of a load time."""
    return "each model's own load time" if load_time is None else f"load time {load_time:g} s"


def _colours(comparisons: Sequence[PolicyComparison]) -> dict[str, str]:
    return {run.policy: SERIES[index % len(SERIES)] for index, run in enumerate(comparisons[0].runs)}


def _titled(axes: Axes, comparison: PolicyComparison) -> None:
    axes.set_title(load_title(comparison.load_time), fontsize="medium")


def _size(index: int) -> float:
    """Return the size of a policy's mark, in square points. Where marks coincide, the later ones are inside."""
    return max(60.0, 200.0 - 40.0 * index)


def _columns(comparisons: Sequence[PolicyComparison], height: float, **shared: Any) -> tuple[Figure, list[Axes]]:
    """Make a figure with a panel for each load time, side by side."""
    figure = Figure(figsize=(max(9.0, 7.0 * len(comparisons)), height), layout="constrained")
    return figure, list(figure.subplots(1, len(comparisons), squeeze=False, **shared)[0])


# ---- latencies ----


def _latency_cdfs(comparisons: Sequence[PolicyComparison]) -> Figure:
    figure, panels = _columns(comparisons, 5.5, sharey=True)
    for axes, comparison in zip(panels, comparisons, strict=True):
        curves = [_cdf(axes, comparison.free, color=_FREE, linestyle=":", linewidth=2)]
        for index, (run, colour) in enumerate(zip(comparison.runs, _colours(comparisons).values(), strict=True)):
            curves.append(_cdf(axes, run, color=colour, linestyle=_DASHES[index % len(_DASHES)], linewidth=2))
        for percent in (50, 95, 99):
            axes.axhline(percent / 100, color="#BBBBBB", linewidth=0.8, zorder=0)
            place = (1.01, percent / 100)
            axes.annotate(f"p{percent}", place, xycoords=("axes fraction", "data"), va="center", fontsize="small")
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter("{x:g}")
        axes.set_ylim(0, 1.02)
        axes.set_xlabel("seconds from the request's arrival to the end of its answer (logarithmic)")
        axes.grid(color="#EEEEEE", zorder=0)
        _titled(axes, comparison)
    panels[0].set_ylabel("share of requests")
    figure.suptitle(_CDF)
    figure.legend(handles=curves, loc="outside lower center", ncols=len(curves), frameon=False)
    return figure


def _cdf(axes: Axes, run: PolicyRun, **style: Any) -> Line2D:
    return axes.ecdf(thinned([record.total for record in run.replay.records]), label=run.policy, **style)


def _trade_off(comparisons: Sequence[PolicyComparison]) -> Figure:
    """Draw a row for each load time: switches against the mean, and against the 99th percentile."""
    figure = Figure(figsize=(13, 1.2 + 3.8 * len(comparisons)), layout="constrained")
    rows = figure.subplots(len(comparisons), 2, squeeze=False)
    for row, comparison in zip(rows, comparisons, strict=True):
        for axes, measure in zip(row, ("mean", "p99"), strict=True):
            marks = _trade(axes, comparison, measure, _colours(comparisons))
            axes.set_ylabel(f"{measure} latency (s)")
            _titled(axes, comparison)
    figure.suptitle(_TRADE)
    figure.legend(handles=marks, loc="outside lower center", ncols=len(marks), frameon=False)
    return figure


def _trade(axes: Axes, comparison: PolicyComparison, measure: str, colours: Mapping[str, str]) -> list[Artist]:
    """Draw a mark for each policy. A line joins policies that differ in their parameter only, in the order in which they were given."""
    families: dict[str, list[tuple[float, float]]] = {}
    marks: list[Artist] = []
    for index, run in enumerate(comparison.runs):
        point = run.numbers.switches, getattr(run.numbers, measure)
        families.setdefault(run.policy.partition(":")[0], []).append(point)
        marker, colour = _MARKERS[index % len(_MARKERS)], colours[run.policy]
        marks.append(
            axes.scatter(
                *point, s=_size(index), edgecolors="white", zorder=3, marker=marker, color=colour, label=run.policy
            )
        )
    for points in families.values():
        axes.plot(*zip(*points, strict=True), color="#BBBBBB", linewidth=1, zorder=2)
    free = getattr(comparison.free.numbers, measure)
    marks.append(axes.axhline(free, color=_FREE, linestyle=":", linewidth=2, zorder=1, label=comparison.free.policy))
    axes.margins(0.1)
    axes.set_xlim(left=0)
    axes.set_xlabel("switches")
    axes.grid(color="#EEEEEE", zorder=0)
    return marks


# ---- who has the slot, and who waits ----


def _residency(title: str, comparisons: Sequence[PolicyComparison], answers: int | None) -> Figure:
    """Draw a row for each load time with a lane for each policy. ``answers``: only until that many answers (None: all)."""
    lanes = len(comparisons[0].runs)
    figure = Figure(figsize=(14, 1.5 + len(comparisons) * (0.9 + 0.45 * lanes)), layout="constrained")
    colours = model_colours(comparisons[0].free.replay.records)
    rows = figure.subplots(len(comparisons), 1, squeeze=False)[:, 0]
    for axes, comparison in zip(rows, comparisons, strict=True):
        until = max(_end(run, answers) for run in comparison.runs)
        for lane, run in enumerate(comparison.runs):
            draw_residency(axes, lane, [i for i in run.replay.intervals if i.start < until], colours)
        axes.set_yticks(range(lanes), [run.policy for run in comparison.runs])
        axes.set_ylim(lanes - 0.5, -0.5)
        axes.set_xlim(0, until)
        axes.set_xlabel("virtual time (s)")
        _titled(axes, comparison)
    figure.suptitle(title)
    figure.legend(handles=residency_legend(colours), loc="outside lower center", ncols=4, frameon=False)
    return figure


def _end(run: PolicyRun, answers: int | None) -> float:
    """Return the time at which the first ``answers`` answers (None: all) had ended."""
    return sorted(record.finished for record in run.replay.records)[:answers][-1]


def _waits(comparisons: Sequence[PolicyComparison]) -> Figure:
    """Draw a lane for each agent and a mark for each policy. Agents that wait longest under the first policy are on top."""
    longest = comparisons[0].runs[0].waits
    agents = sorted(longest, key=lambda agent: -longest[agent])
    lanes = agents[:_MOST_AGENTS]
    figure, panels = _columns(comparisons, 1.8 + 0.27 * len(lanes), sharey=True)
    for axes, comparison in zip(panels, comparisons, strict=True):
        marks = [
            axes.scatter(
                [run.waits[agent] for agent in lanes], range(len(lanes)), s=_size(index) / 2, edgecolors="white", zorder=3,
                color=_colours(comparisons)[run.policy], marker=_MARKERS[index % len(_MARKERS)], label=run.policy,
            )
            for index, run in enumerate(comparison.runs)
        ]  # fmt: skip
        axes.set_xlim(left=0)
        axes.set_xlabel("mean wait (s)")
        axes.grid(color="#EEEEEE", zorder=0)
        _titled(axes, comparison)
    panels[0].set_yticks(range(len(lanes)), lanes)
    panels[0].set_ylim(len(lanes) - 0.5, -0.5)
    panels[0].set_ylabel("agent" if len(agents) <= _MOST_AGENTS else f"agent (first {_MOST_AGENTS} of {len(agents)})")
    figure.suptitle(_WAITS)
    figure.legend(handles=marks, loc="outside lower center", ncols=len(marks), frameon=False)
    return figure


# ---- the limit ----


def _limits(comparisons: Sequence[PolicyComparison]) -> Figure:
    lanes = range(len(comparisons[0].runs))
    figure, panels = _columns(comparisons, 1.6 + 0.5 * len(lanes), sharey=True, sharex=True)
    for axes, comparison in zip(panels, comparisons, strict=True):
        values = [run.numbers.to_limit for run in comparison.runs]
        bars = axes.barh(lanes, values, color=list(_colours(comparisons).values()), height=0.65, zorder=2)
        axes.bar_label(bars, [f"{value:.2f}" for value in values], padding=4)
        axes.axvline(1, color="black", linewidth=1.5, zorder=3)
        axes.set_xlabel(f"makespan / {'least makespan' if comparison.limit.exact else 'lower bound'}")
        axes.set_yticks(lanes, [run.policy for run in comparison.runs])
        axes.set_ylim(len(lanes) - 0.5, -0.5)
        axes.grid(axis="x", color="#EEEEEE", zorder=0)
        _titled(axes, comparison)
    panels[0].set_xlim(0, 1.12 * max(1.0, *(run.numbers.to_limit for c in comparisons for run in c.runs)))
    figure.suptitle(_LIMIT)
    return figure
