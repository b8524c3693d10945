"""The heat map of a sweep: in each cell the policy with the least of a measure, and how much that is.

The two axes with the most values span a panel; every combination of the others has a panel of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import product
from typing import Final, NamedTuple

from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from ..analysis.sweeping import Estimate, Point

__all__ = ["AXES", "PANELS_LIMIT", "axes_that_vary", "heat_map", "label", "setting_of"]

AXES: Final = {
    "load_time": "load time",
    "sessions": "sessions",
    "parallel": "slots",
    "servers": "servers",
    "memory": "memory",
}
"""The coordinates of a point but for its policy, and what they are called."""
PANELS_LIMIT: Final = 12
"""Most panels of a map; its title says how many are left out."""

Found = Mapping[Point, Mapping[str, Estimate]]


class _Best(NamedTuple):
    policy: str
    value: float


def setting_of(point: Point) -> tuple[object, ...]:
    """Return the settings of the point without its policy."""
    return tuple(getattr(point, axis) for axis in AXES)


def axes_that_vary(points: Iterable[Point]) -> list[str]:
    """Return the axes on which the points have more than one value."""
    values = [setting_of(point) for point in points]
    return [axis for axis, column in zip(AXES, zip(*values, strict=True), strict=True) if len(set(column)) > 1]


def label(axis: str, value: object) -> str:
    """Return a value of an axis, as text."""
    if value is None:
        return {"load_time": "own", "memory": "one model"}[axis]
    return f"{value:g}{ {'load_time': ' s', 'memory': ' GB'}.get(axis, '') }"


def heat_map(found: Found, measure: str) -> Figure:
    """Draw the best of ``measure`` in each setting."""
    values = {axis: _values(found, axis) for axis in AXES}
    across, down = sorted(AXES, key=lambda axis: -len(values[axis]))[:2]
    others = [axis for axis in AXES if axis not in (across, down) and len(values[axis]) > 1]
    panels = list(product(*(values[axis] for axis in others)))
    shown = panels[:PANELS_LIMIT]
    columns = min(len(shown), max(1, 12 // max(4, len(values[across]))))
    rows = -(-len(shown) // columns)
    size = columns * max(4.5, 1.2 + 1.05 * len(values[across])), 0.6 + rows * (1.3 + 0.6 * len(values[down]))
    figure = Figure(figsize=(max(9.0, size[0]), size[1]), layout="constrained")
    best = _best(found, measure)
    scale = Normalize(min(each.value for each in best.values()), max(each.value for each in best.values()))
    for place, panel in enumerate(shown):
        axes = figure.add_subplot(rows, columns, place + 1)
        fixed = dict(zip(others, panel, strict=True))
        _draw(axes, best, (across, values[across]), (down, values[down]), fixed, scale)
    if len(panels) > len(shown):
        figure.suptitle(f"the first {len(shown)} of {len(panels)} panels", fontsize="small")
    return figure


def _values(found: Found, axis: str) -> list[object]:
    return sorted({getattr(point, axis) for point in found}, key=lambda value: -1.0 if value is None else value)


def _best(found: Found, measure: str) -> dict[tuple[object, ...], _Best]:
    best: dict[tuple[object, ...], _Best] = {}
    for point, values in found.items():
        setting, value = setting_of(point), values[measure].mean
        if setting not in best or value < best[setting].value:
            best[setting] = _Best(point.policy, value)
    return best


def _draw(
    axes: Axes,
    best: Mapping[tuple[object, ...], _Best],
    across: tuple[str, list[object]],
    down: tuple[str, list[object]],
    fixed: Mapping[str, object],
    scale: Normalize,
) -> None:
    some = dict(zip(AXES, next(iter(best)), strict=True)) | dict(fixed)
    cells: list[list[float]] = []
    for row, vertical in enumerate(down[1]):
        cells.append([])
        for column, horizontal in enumerate(across[1]):
            here = some | {across[0]: horizontal, down[0]: vertical}
            found = best.get(tuple(here[axis] for axis in AXES))
            cells[-1].append(float("nan") if found is None else found.value)
            if found is not None:
                colour = "white" if scale(found.value) > 0.5 else "#111111"
                text = f"{found.value:.0f}\n{found.policy}"
                axes.text(column, row, text, ha="center", va="center", fontsize="small", color=colour)
    axes.imshow(cells, aspect="auto", cmap="cividis_r", norm=scale)
    axes.set_xticks(range(len(across[1])), [label(across[0], value) for value in across[1]], fontsize="small")
    axes.set_yticks(range(len(down[1])), [label(down[0], value) for value in down[1]], fontsize="small")
    axes.set_xlabel(AXES[across[0]])
    axes.set_ylabel(AXES[down[0]])
    axes.set_title(", ".join(f"{AXES[axis]} {label(axis, value)}" for axis, value in fixed.items()), fontsize="medium")
