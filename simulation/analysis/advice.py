"""Choose the cheapest configuration that meets the targets, and find how much slower the server may be before it misses them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Final, NamedTuple

from statemachine.errors import ConfigurationError

from ..timing.scaled import Scale
from .findings import seconds_text
from .sweeping import MEASURES, Estimate, Point

__all__ = ["FACTORS", "FactorSearch", "Prices", "Target", "advised", "point_text", "ranked", "targets_named"]

Found = Mapping[Point, Mapping[str, Estimate]]

FACTORS: Final[dict[str, Callable[[float], Scale]]] = {
    "loads and unloads took": lambda factor: replace(Scale(), load=factor),
    "reading prompts took": lambda factor: replace(Scale(), prefill=factor),
    "making tokens took": lambda factor: replace(Scale(), decode=factor),
}
"""What is slowed down, one at a time, to see how far the advice holds."""
MOST_FACTOR: Final = 16.0  # the largest slow-down that is tried
STEPS: Final = 6  # of each search


class Target(NamedTuple):
    """An upper bound of one measure: ``measure`` must be below ``most`` (seconds, or a number of switches)."""

    measure: str
    most: float

    def met(self, estimates: Mapping[str, Estimate]) -> bool:
        """Return whether the whole confidence interval is below the bound."""
        found = estimates[self.measure]
        return found.mean + (found.half_width or 0.0) < self.most


def targets_named(text: str) -> tuple[Target, ...]:
    """Parse targets such as ``p95<60,makespan<3600``. Raises ConfigurationError."""
    targets = []
    for part in text.split(","):
        measure, _, number = part.partition("<")
        try:
            target = Target(measure.strip(), float(number))
        except ValueError:
            target = Target("", 0.0)
        if target.measure not in MEASURES or not 0 < target.most < float("inf"):
            rule = f"must be MEASURE<NUMBER with commas, MEASURE one of {', '.join(MEASURES)}"
            raise ConfigurationError("target", rule, repr(part))
        targets.append(target)
    return tuple(targets)


class Prices(NamedTuple):
    """The cost of a server without memory, and of a GB of memory, in any currency."""

    server: float
    memory: float

    def of(self, point: Point) -> float:
        """Return the cost of all servers of ``point``."""
        return point.servers * (self.server + self.memory * (point.memory or 0.0))


def ranked(found: Found, prices: Prices) -> list[Point]:
    """Sort the points by cost. Of equal cost come first: fewer slots, slower loads (a cheaper disk), more sessions; then as given."""
    order = {point: place for place, point in enumerate(found)}
    return sorted(found, key=lambda p: (prices.of(p), p.parallel, -(p.load_time or 0.0), -p.sessions, order[p]))


def advised(found: Found, targets: Sequence[Target], prices: Prices) -> tuple[Point | None, list[str]]:
    """Return the cheapest point that meets all ``targets`` (None: none does), and sentences that give the reasons."""
    points = ranked(found, prices)
    wanted = " and ".join(f"{target.measure} below {_told(target.measure, target.most)}" for target in targets)
    met = [point for point in points if all(target.met(found[point]) for target in targets)]
    if not met:
        first = targets[0].measure
        best = min(points, key=lambda point: found[point][first].mean)
        return None, [f"No point has a {wanted}; the best, {point_text(best)}, has {_values(found[best], targets)}."]
    chosen = met[0]
    sentences = [f"The cheapest point with a {wanted} is {point_text(chosen)}: {_values(found[chosen], targets)}."]
    cheaper = [point for point in points[: points.index(chosen)] if prices.of(point) < prices.of(chosen)]
    if cheaper:
        best = min(cheaper, key=lambda point: found[point][targets[0].measure].mean)
        sentences.append(f"The best that costs less is {point_text(best)}: {_values(found[best], targets)}.")
    return chosen, sentences


def _values(estimates: Mapping[str, Estimate], targets: Sequence[Target]) -> str:
    return ", ".join(_estimate_text(target.measure, estimates[target.measure]) for target in targets)


def _estimate_text(measure: str, estimate: Estimate) -> str:
    width = "" if estimate.half_width is None else f" ± {_told(measure, estimate.half_width)}"
    return f"{measure} {_told(measure, estimate.mean)}{width}"


def _told(measure: str, value: float) -> str:
    return f"{value:g}" if measure == "switches" else seconds_text(value)


def point_text(point: Point) -> str:
    """Return a point in words."""
    load = "" if point.load_time is None else f" and a load time of {point.load_time:g} s"
    memory = "" if point.memory is None else f" with {point.memory:g} GB each"
    servers = f"{point.servers} server{'s' if point.servers > 1 else ''}{memory}"
    slots = f"{point.parallel} slot{'s' if point.parallel > 1 else ''} in each model"
    return f"{servers}, {slots}, policy {point.policy}{load}, for {point.sessions} sessions"


class FactorSearch:
    """Searches for the smallest factor at which the targets are missed, by bisection on a logarithmic scale, to within 5 %.

    The targets are met at ``holds`` and missed at ``breaks``; ``factor`` is the one to try next.
    """

    def __init__(self) -> None:
        self.holds, self.breaks = 1.0, MOST_FACTOR
        self.factor = MOST_FACTOR

    def tried(self, met: bool) -> None:
        """Record whether the targets were met at ``factor``, and choose the next factor."""
        if met:
            self.holds = self.factor
        else:
            self.breaks = self.factor
        self.factor = (self.holds * self.breaks) ** 0.5

    def sentence(self, what: str) -> str:
        """Return the result as a sentence; ``what`` is a key of ``FACTORS``."""
        if self.holds >= MOST_FACTOR:
            return f"The advice holds even if {what} {MOST_FACTOR:g} times as long."
        return f"The target would be missed if {what} {self.breaks:.2f} times as long."
