"""What a comparison with a real server leaves behind: a table, ``fidelity.json`` with the same numbers, one picture, and the page."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import Final

from matplotlib.figure import Figure

from ..analysis.fidelity import COMPARED, PARTS, Fidelity
from .figures import plain_text, saved
from .page import Origin, Table, write_page
from .palette import SERIES

__all__ = ["fidelity_table", "write_fidelity"]

_CAPTION: Final = "Predictions against real runs (marks), and real runs against each other (grey band: least to most)"


def fidelity_table(found: Fidelity) -> Table:
    """Return the table with a row for each policy and measure."""
    rows = []
    for each in found.policies:
        for name in (*COMPARED, *PARTS):
            noise = [abs(value) for value in each.noise(name)]
            rows.append(
                [
                    f"{each.policy}: {name}",
                    f"{each.predicted[name]:.2f}",
                    f"{each.middle(name):.2f}",
                    f"{min(run[name] for run in each.real):.2f}",
                    f"{max(run[name] for run in each.real):.2f}",
                    f"{median(each.errors(name)):+.1%}",
                    f"{median(noise):.1%}" if noise else "-",
                ]
            )
    head = ["", "predicted", "real", "least", "most", "error", "noise floor"]
    return Table("Predicted and real: seconds, and numbers of switches", head, rows)


def _picture(found: Fidelity) -> Figure:
    """Plot a lane for each policy and measure: the errors as marks over the noise as a band."""
    lanes = [(each, name) for each in found.policies for name in COMPARED]
    figure = Figure(figsize=(9, 1.6 + 0.42 * len(lanes)), layout="constrained")
    axes = figure.subplots()
    for lane, (each, name) in enumerate(lanes):
        noise = [100 * value for value in each.noise(name)] or [0.0]
        axes.barh(lane, max(noise) - min(noise), left=min(noise), height=0.6, color="#AAAAAA", alpha=0.6, zorder=2)
        errors = [100 * value for value in each.errors(name)]
        colour = SERIES[found.policies.index(each) % len(SERIES)]
        axes.scatter(errors, [lane] * len(errors), s=55, color=colour, edgecolors="white", zorder=3)
    axes.axvline(0, color="black", linewidth=1, zorder=1)
    axes.set_yticks(range(len(lanes)), [f"{each.policy}: {name}" for each, name in lanes])
    axes.invert_yaxis()
    axes.set_xlabel("error, % of the real value")
    axes.grid(axis="x", color="#EEEEEE", zorder=0)
    figure.suptitle(_CAPTION, fontsize="medium")
    return figure


@plain_text()
def write_fidelity(folder: Path, found: Fidelity, profile_lines: Sequence[str], origin: Origin) -> Path:
    """Write everything into ``folder``, which must exist. Returns the page's path."""
    content = {"policies": [asdict(each) for each in found.policies], "sentences": found.sentences(), **asdict(origin)}
    (folder / "fidelity.json").write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return write_page(
        folder,
        title="The simulator against a real server",
        findings=found.sentences(),
        introduction="Times are seconds; latencies are from a request's arrival to the end of its answer. “Real” is the median of the"
        " runs. An error is the predicted value over a real one, less 1; the noise floor is the same between two real runs. Answering,"
        " loading and unloading are seconds in which the slot did that; they explain errors and do not count among them.",
        tables=[fidelity_table(found), Table("The profile", ["figure"], [[line] for line in profile_lines])],
        pictures=saved(folder, {"fidelity.png": (_CAPTION, _picture(found))}),
        method="Calibrations and runs alternate. The profile is fitted to the calibrations alone, and the predictions are means over"
        " 20 seeds of it. Every real call went through the real manager, engine and adapter.",
        origin=origin,
        data=("fidelity.json", "profile.json"),
    )
