"""Draw the pictures of a replay from its records, with matplotlib's object interface: it needs no global state and no display."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from ..analysis.metrics import latencies, queue_lengths
from ..drivers.record import CallRecord
from ..drivers.residency import Interval
from .figures import POINTS_LIMIT, PageFigure, plain_text, saved, thinned
from .gantt import gantt
from .palette import SERIES, model_colours

__all__ = ["draw_all", "latency_cdf", "queue_length"]

_MOST_AT_A_GLANCE: Final = 300
"""Requests; beyond, the chart's bars are too narrow, and its beginning is drawn once more."""
_IN_THE_BEGINNING: Final = 60
_GANTT: Final = "Model residency, and the requests of each agent"
_BEGINNING: Final = f"The beginning of it, up to the {_IN_THE_BEGINNING}th answer"
_CDF: Final = "Latency: share of requests answered within a time"
_QUEUE: Final = "Requests waiting in the queue"

_CURVES: Final = {
    "queueing": ("queueing", "--", 1.5),
    "loading": ("loading", ":", 2.0),
    "ttft": ("TTFT", "-.", 2.5),
    "total": ("total", "-", 4.0),
}
"""Label, dashes and width of each curve. Curves may coincide: the narrow ones are in front."""


@plain_text()
def draw_all(
    folder: Path, records: Sequence[CallRecord], intervals: Sequence[Interval], makespan: float
) -> list[PageFigure]:
    """Write every picture into ``folder``, which must exist. Returns them for a page."""
    figures = {"gantt.png": (_GANTT, gantt(_GANTT, records, intervals, makespan))}
    if len(records) > _MOST_AT_A_GLANCE:
        until = sorted(record.finished for record in records)[_IN_THE_BEGINNING - 1]
        figures["gantt_beginning.png"] = (_BEGINNING, gantt(_BEGINNING, records, intervals, until))
    figures["latency_cdf.png"] = (_CDF, latency_cdf(records))
    figures["queue_length.png"] = (_QUEUE, queue_length(records, makespan))
    return saved(folder, figures)


def latency_cdf(records: Sequence[CallRecord]) -> Figure:
    """Draw empirical CDFs. The x axis is linear up to 1 s and logarithmic beyond, because many requests do not wait at all."""
    figure = Figure(figsize=(9, 5.5), layout="constrained")
    axes = figure.subplots()
    measured = {name: values for name, values in latencies(records).items() if values}
    curves = [_curve(axes, name, values) for name, values in measured.items()]
    for percent in (50, 95, 99):
        axes.axhline(percent / 100, color="#BBBBBB", linewidth=0.8, zorder=0)
        place = (1.01, percent / 100)
        axes.annotate(f"p{percent}", place, xycoords=("axes fraction", "data"), va="center", fontsize="small")
    axes.set_xscale("symlog", linthresh=1)
    axes.xaxis.set_major_formatter("{x:g}")
    longest = max((max(values) for values in measured.values()), default=0.0)
    axes.set_xlim(-0.05, 1.1 * max(1.0, longest))  # room for the steps at 0
    axes.set_ylim(0, 1.02)
    axes.set_xlabel("seconds from the request's arrival (linear to 1 s, then logarithmic)")
    axes.set_ylabel("share of requests")
    axes.grid(color="#EEEEEE", zorder=0)
    axes.set_title(_CDF)
    figure.legend(handles=curves, loc="outside lower center", ncols=4, frameon=False)
    return figure


def _curve(axes: Axes, name: str, values: Sequence[float]) -> Line2D:
    label, dashes, width = _CURVES[name]
    order = list(_CURVES).index(name)
    curve = axes.ecdf(thinned(values), label=label, color=SERIES[order], linestyle=dashes, linewidth=width)
    curve.set_zorder(9 - order)
    return curve


def _longest(steps: list[tuple[float, dict[str, int]]]) -> list[tuple[float, dict[str, int]]]:
    """Reduce many steps to ``POINTS_LIMIT``: of each group of neighbours, keep the one with the longest queue."""
    size = -(-len(steps) // POINTS_LIMIT)
    groups = (steps[place : place + size] for place in range(0, len(steps), size))
    return [max(group, key=lambda step: sum(step[1].values())) for group in groups]


def queue_length(records: Sequence[CallRecord], makespan: float) -> Figure:
    """Draw the waiting requests over time, stacked by model."""
    colours = model_colours(records)
    steps = _longest(queue_lengths(records))
    times = [time for time, _ in steps] + [makespan]
    figure = Figure(figsize=(14, 4), layout="constrained")
    axes = figure.subplots()
    series = [[waiting[model] for _, waiting in steps] for model in colours]
    axes.stackplot(
        times,
        *([*row, row[-1]] for row in series),
        labels=list(colours),
        colors=list(colours.values()),
        step="post",
        linewidth=0,
    )
    axes.set_xlim(0, makespan or 1)
    axes.set_ylim(0, 1.05 * max(1, *(sum(waiting.values()) for _, waiting in steps)))
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("virtual time (s)")
    axes.set_ylabel("waiting requests")
    axes.grid(color="#EEEEEE", zorder=0)
    axes.set_axisbelow(True)
    axes.set_title(_QUEUE)
    figure.legend(loc="outside lower center", ncols=4, frameon=False)
    return figure
