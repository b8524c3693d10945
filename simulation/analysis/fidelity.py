"""How well the simulator foretells a real server: predictions beside real runs, and real runs beside each other.

An error is the predicted value over the real one, less 1. The noise floor is the same between two real runs of one workload under one
policy: no prediction can be expected to do better.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations
from statistics import fmean, median
from typing import Final

from statemachine.policies.names import policy_named

from ..drivers.heap import HeapDriver, one_slot
from ..drivers.record import Replay
from ..timing.profile import ServerProfile, ServerTiming
from ..workloads.workload import Workload
from .metrics import percentile
from .sweeping import measures_of

__all__ = ["COMPARED", "PARTS", "Fidelity", "Foretold", "foretell", "values_of"]

COMPARED: Final = ("makespan", "mean", "p50", "p95", "switches")
"""What is predicted and measured: seconds, but for the last."""
PARTS: Final = ("answering", "loading", "unloading")
"""Where the time went: seconds in which the slot did each of these. They explain errors, and do not count among them."""
SEEDS: Final = 20
_STATES: Final = dict(zip(("busy", "loading", "unloading"), PARTS, strict=True))

Values = Mapping[str, float]


def values_of(run: Replay) -> dict[str, float]:
    """Return ``COMPARED`` and ``PARTS`` of one run, real or simulated."""
    found = measures_of(run.records, run.statistics.counters.switches)
    parts = dict.fromkeys(PARTS, 0.0)
    for interval in run.intervals:
        if interval.state in _STATES:
            parts[_STATES[interval.state]] += interval.seconds
    return {**{name: found[name] for name in COMPARED}, **parts}


def foretell(workload: Workload, profile: ServerProfile, policy: str, parallel: int) -> dict[str, float]:
    """Simulate the workload with ``SEEDS`` seeds of the profile; the mean of each value. Raises ConfigurationError."""
    config = one_slot(policy_named(policy), parallel=parallel)
    found = [values_of(HeapDriver(workload, ServerTiming(profile, seed)).replay(config)) for seed in range(SEEDS)]
    return {name: fmean(each[name] for each in found) for name in (*COMPARED, *PARTS)}


@dataclass(frozen=True)
class Foretold:
    """One policy: what was predicted, and what each real run came to."""

    policy: str
    predicted: Values
    real: Sequence[Values]

    def middle(self, measure: str) -> float:
        """Return the median of the real runs."""
        return median(run[measure] for run in self.real)

    def errors(self, measure: str) -> list[float]:
        """Return the error of the prediction against each real run."""
        return [_error(self.predicted[measure], run[measure]) for run in self.real]

    def noise(self, measure: str) -> list[float]:
        """Return the difference of each real run to each other one."""
        return [_error(one[measure], other[measure]) for one, other in permutations(self.real, 2)]


@dataclass(frozen=True)
class Fidelity:
    """All policies of one experiment."""

    policies: Sequence[Foretold]

    def errors(self) -> list[float]:
        """Return the size of every error: of each policy, measure and real run."""
        return [abs(error) for each in self.policies for name in COMPARED for error in each.errors(name)]

    def noise(self) -> list[float]:
        """Return the size of every difference between real runs."""
        return [abs(error) for each in self.policies for name in COMPARED for error in each.noise(name)]

    def sentences(self) -> list[str]:
        """Return the findings: the median error beside the noise floor, and whether policies rank as in reality."""
        errors, noise = self.errors(), self.noise()
        told = f"The median error of the predictions is {median(errors):.1%}, the 95th percentile {_p95(errors):.1%}."
        floor = f" Real runs differ from each other by {median(noise):.1%} and {_p95(noise):.1%}." if noise else ""
        return [told + floor, *map(self._gain, self.policies[1:])]

    def _gain(self, other: Foretold) -> str:
        base = self.policies[0]
        foreseen = other.predicted["makespan"] / base.predicted["makespan"] - 1
        real = other.middle("makespan") / base.middle("makespan") - 1
        return f"The makespan under {other.policy} against {base.policy}: predicted {foreseen:+.1%}, real {real:+.1%}."


def _p95(values: Sequence[float]) -> float:
    return percentile(values, 95) or 0.0


def _error(found: float, real: float) -> float:
    return found / real - 1 if real else float(found != real)
