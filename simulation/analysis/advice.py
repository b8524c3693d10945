"""The cheapest configuration that meets a target, and how much it would take to be wrong."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from .findings import seconds_text
from .sweeping import Estimate, Point

__all__ = ["Advice", "advice"]


class Advice(NamedTuple):
    """The point that is advised (None: none meets the target), and why, as a sentence."""

    point: Point | None
    sentence: str


def advice(found: Mapping[Point, Mapping[str, Estimate]], target: float, measure: str = "p95") -> Advice:
    """The cheapest point whose ``measure`` is below ``target`` seconds with its whole confidence interval.

    Cheaper is: fewer slots (each needs memory for its context), then a slower load (a cheaper disk), then more sessions served, then the
    order in which the policies were given.
    """
    order = {point: place for place, point in enumerate(found)}
    met = [point for point, values in found.items() if _most(values[measure]) < target]
    if not met:
        best = min(found, key=lambda point: found[point][measure].mean)
        value = found[best][measure]
        return Advice(
            None,
            f"No point has a {measure} below {seconds_text(target)} with its whole interval; the best, {_name(best)}, has {_told(value)}.",
        )
    cheapest = min(met, key=lambda p: (p.parallel, -(p.load_time or 0.0), -p.sessions, order[p]))
    value = found[cheapest][measure]
    slack = target / value.mean - 1 if value.mean else float("inf")
    return Advice(
        cheapest,
        f"The cheapest point with a {measure} below {seconds_text(target)} is {_name(cheapest)}: {_told(value)}."
        f" It would be missed if everything took {slack:.0%} longer than in the simulation.",
    )


def _most(estimate: Estimate) -> float:
    return estimate.mean + (estimate.half_width or 0.0)


def _told(estimate: Estimate) -> str:
    width = "" if estimate.half_width is None else f" ± {seconds_text(estimate.half_width)}"
    return f"{seconds_text(estimate.mean)}{width}"


def _name(point: Point) -> str:
    load = "each model's own load time" if point.load_time is None else f"a load time of {point.load_time:g} s"
    return f"{point.policy} with {point.parallel} slots and {load} for {point.sessions} sessions"
