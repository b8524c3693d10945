"""The plot of ``core.json``: each figure as a share of its aim."""

from __future__ import annotations

import json
from pathlib import Path

from matplotlib.figure import Figure

__all__ = ["plot"]


def plot(source: Path, target: Path) -> None:
    """Draw the figures in ``source`` (JSON written by ``python -m benchmarks``) to ``target`` (a PNG)."""
    results = json.loads(source.read_text(encoding="utf-8"))
    rows = results["figures"][::-1]
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    axes = figure.add_subplot()
    shares = [row["value"] / row["aim"] for row in rows]
    colours = ["#0072B2" if share <= 1 else "#D55E00" for share in shares]
    axes.barh([row["name"] for row in rows], shares, color=colours, height=0.6)
    axes.axvline(1, color="black", linewidth=1, linestyle="--")
    for position, (row, share) in enumerate(zip(rows, shares, strict=True)):
        label = f" {row['value']:.3g} {row['unit']} (aim {row['aim']:g})"
        inside = share > 0.55
        colour = "white" if inside else "black"
        axes.text(share if not inside else 0.01, position, label, va="center", color=colour, fontsize=9)
    axes.set_xlim(0, max(1.1, *shares) * 1.02)
    axes.set_xlabel("value / aim (left of the dashed line: met; lower is better)")
    versions = results["versions"]
    axes.set_title(f"What the core costs (Python {versions['python']}, trio {versions['trio']}, medians)")
    figure.savefig(target, dpi=120)
