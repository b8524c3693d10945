"""Draw the plot of a validation: how far each simulated mean is from its formula, with its confidence interval."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from ..analysis.validation import Validated
from .figures import plain_text
from .palette import SERIES

__all__ = ["draw_validation"]


@plain_text()
def draw_validation(folder: Path, found: Sequence[Validated]) -> Path:
    """Write ``validation.png`` into ``folder``, which must exist. Returns its path."""
    figure = Figure(figsize=(9, 1.4 + 0.45 * len(found)), layout="constrained")
    axes = figure.subplots()
    ratios = [100 * (each.mean / each.expected - 1) for each in found]
    widths = [100 * each.half_width / each.expected for each in found]
    axes.errorbar(ratios, range(len(found)), xerr=widths, fmt="o", capsize=4, color=SERIES[1])
    axes.axvline(0, color="black", linewidth=1)
    axes.set_yticks(range(len(found)), [each.name for each in found])
    axes.invert_yaxis()
    axes.set_xlabel("simulated mean against the formula, % (99 % confidence intervals)")
    axes.grid(axis="x", color="#EEEEEE")
    FigureCanvasAgg(figure)
    path = folder / "validation.png"
    figure.savefig(path, dpi=100, facecolor="white", metadata={"Software": None})
    return path
