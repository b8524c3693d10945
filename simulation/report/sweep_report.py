"""Write the report of a sweep: a page with a table of confidence intervals, and a heat map for each measure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Final

from statemachine.policies.names import BASELINE

from ..analysis.sweeping import MEASURES, Estimate, Point, PointResult, estimates, paired_difference
from .compare_plots import load_title
from .figures import plain_text, saved
from .heat_map import AXES, axes_that_vary, heat_map, label, setting_of
from .page import Origin, Table, write_page

__all__ = ["best_sentences", "estimate_text", "point_cells", "sweep_table", "write_sweep"]

Found = Mapping[Point, Mapping[str, Estimate]]
_MAPPED: Final = ("mean", "p95")


def sweep_table(found: Found) -> Table:
    """Return the table with a row for each point."""
    axes = axes_that_vary(found)
    head = ["policy", *(AXES[axis] for axis in axes), *MEASURES]
    rows = [
        [*point_cells(point, axes), *(estimate_text(values[measure]) for measure in MEASURES)]
        for point, values in found.items()
    ]
    return Table("Every point: mean of the replications, with half of its 95 % confidence interval", head, rows)


def point_cells(point: Point, axes: Sequence[str]) -> list[str]:
    """Return the policy of a point, and its value on each of ``axes``, as text."""
    return [point.policy, *(label(axis, getattr(point, axis)) for axis in axes)]


def estimate_text(estimate: Estimate) -> str:
    """Return a mean with half the width of its interval, as text."""
    return f"{estimate.mean:.1f}" + ("" if estimate.half_width is None else f" ±{estimate.half_width:.1f}")


def best_sentences(results: Sequence[PointResult], measure: str = "p95") -> list[str]:
    """Say in how many settings each policy has the least ``measure``, and compare the first of them with first come, first served."""
    by_setting: dict[tuple[object, ...], list[Point]] = {}
    for point in dict.fromkeys(result.point for result in results):
        by_setting.setdefault(setting_of(point), []).append(point)
    found = estimates(results)
    wins: dict[str, list[bool]] = {}
    for rivals in by_setting.values():
        best = min(rivals, key=lambda point: found[point][measure].mean)
        wins.setdefault(best.policy, []).append(_is_clear(results, best, rivals, measure))
    ranked = sorted(wins.items(), key=lambda each: -len(each[1]))
    told = ", ".join(f"{name} in {len(clear)} (clearly in {sum(clear)})" for name, clear in ranked)
    question = f"The policy with the least {measure} latency, in {len(by_setting)} settings: {told}."
    return [question, *_worth(results, list(by_setting.values()), ranked[0][0], measure)]


def _is_clear(results: Sequence[PointResult], best: Point, rivals: Sequence[Point], measure: str) -> bool:
    """Return whether ``best`` is below every rival with 95 % confidence, by the differences of each seed."""
    others = (paired_difference(results, best, rival, measure) for rival in rivals if rival != best)
    return all(each.half_width is not None and each.mean + each.half_width < 0 for each in others)


def _worth(results: Sequence[PointResult], settings: Sequence[Sequence[Point]], policy: str, measure: str) -> list[str]:
    """Compare ``policy`` with first come, first served, in the settings where both were run."""
    found = estimates(results)
    by_policy = [{point.policy: point for point in rivals} for rivals in settings]
    pairs = [(each[policy], each[BASELINE]) for each in by_policy if policy in each and BASELINE in each]
    if policy == BASELINE or not pairs:
        return []
    ratios = [found[own][measure].mean / max(found[base][measure].mean, 1e-9) for own, base in pairs]
    clear = sum(_is_clear(results, own, [base], measure) for own, base in pairs)
    return [
        f"Its {measure} is {median(ratios):.2f} times that of {BASELINE} in the median setting,"
        f" {min(ratios):.2f} in the best and {max(ratios):.2f} in the worst; it is clearly below in {clear} of {len(pairs)}."
    ]


@plain_text()
def write_sweep(folder: Path, results: Sequence[PointResult], findings: Sequence[str], origin: Origin) -> Path:
    """Write the page and its pictures into ``folder``, which must exist. Returns the page's path."""
    found = estimates(results)
    figures = {
        f"heat_{name}.png": (
            f"The policy with the least {name} latency in each setting, and that latency in seconds. The darker, the longer",
            heat_map(found, name),
        )
        for name in _MAPPED
    }
    return write_page(
        folder,
        title="Sweep",
        findings=findings,
        introduction="Times are virtual seconds, from a request's arrival to the end of its answer. All points see the same workloads"
        f" and durations, so they differ by their settings only. A load time of “own” is {load_title(None)}. “Clearly”: the 95 %"
        " confidence interval of the difference to every other policy, seed by seed, is below 0.",
        tables=[sweep_table(found)],
        pictures=saved(folder, figures),
        method="Every run is of the manager's own coordinator, in virtual time, from an event heap.",
        origin=origin,
        data=("sweep.jsonl",),
    )
